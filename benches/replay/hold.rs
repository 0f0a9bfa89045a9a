//! Memory of 5,000 sessions that are mostly idle, of 10,000 tenants, in one process, without TLS and with it.
//!
//! No PostgreSQL could hold them cheaply, so the stand-in does. Takes nothing, prints what the replay's process held while all
//! sessions were open. Must not know how fast anything is.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pgrehearse::net::Dsn;
use pgrehearse::replay::{DatabaseNames, Spool};
use pgrehearse::scenario::resolved::{Order, Speed};
use pgrehearse::words::time::RunClock;

use crate::stage::{self, Recording, Sink};
use crate::stand_in::StandIn;
use crate::workload;

const SESSIONS: u32 = 5_000;

const TENANTS: u32 = 10_000;

/// All sessions connect within this time.
const LEAD: Duration = Duration::from_secs(20);

/// Each session sends a statement in the first second and one in the last; it is idle in between.
const SECONDS: u64 = 6;

/// What the process may hold then, without TLS and with it.
const WAYS: [(&str, f64); 2] = [("disable", 96.0), ("require", 256.0)];

/// Prints what is held in each way; panics where it is more than its bound.
pub fn hold(directory: &Path) {
    let file = directory.join("idle.jsonl.zst");
    workload::idle(&file, SESSIONS, TENANTS, SECONDS);
    for (sslmode, bound_mib) in WAYS {
        let server = StandIn::start();
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--hold", sslmode, &server.port.to_string()]).arg(&file);
        let output = command.output().expect("the bench starts itself");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = said.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [held_mib, peak_mib, before_mib] = numbers[..] else { panic!("the child said {said}") };
        println!(
            "hold      {SESSIONS} sessions of {TENANTS} tenants, sslmode={sslmode}: {held_mib:.1} MiB of at most {bound_mib} held; \
             {before_mib:.1} before they connected, peak {peak_mib:.1}"
        );
        assert!(held_mib <= bound_mib, "sslmode={sslmode}: {held_mib} MiB");
    }
}

/// The replay's process.
pub fn child(sslmode: &str, port: u16, workload: &Path) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let spool = Spool::prepare(workload, &directory.path().join("spool"), DatabaseNames::new(), Order::Free)
        .expect("a workload");
    let before_mib = stage::memory_mib("VmRSS:");
    let dsn = Dsn::parse(&format!("postgresql://admin@127.0.0.1:{port}/postgres?sslmode={sslmode}")).expect("a DSN");
    let clock = RunClock::start();
    let sink = Sink::start(Recording::Null, clock, directory.path());
    let starts_us = clock.now_us() + LEAD.as_micros() as u64;
    let looking = std::thread::spawn(move || {
        let idle = clock.to_instant(starts_us + SECONDS * 1_000_000 / 2);
        std::thread::sleep(idle.saturating_duration_since(std::time::Instant::now()));
        stage::memory_mib("VmRSS:")
    });
    stage::replay(&spool, Speed::Factor(1.0), starts_us, dsn.target().expect("a target"), sink.recorder.clone());
    let held_mib = looking.join().expect("a look");
    sink.finish();
    println!("{held_mib} {} {before_mib}", stage::memory_mib("VmHWM:"));
}
