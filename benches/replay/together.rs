//! Half of the clients pgbench, half ours: the same script against the same server in the same seconds, at one pace. What a
//! transaction took from its first statement on must not depend on who asked.
//!
//! Takes a server, prints service times of both and their ratio, the median of five rounds; only transactions from the time in
//! which both ran count. Must not know how fast either could be alone.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgrehearse::net::Target;
use pgrehearse::record::{Item, channel};
use pgrehearse::replay::{DatabaseNames, Spool};
use pgrehearse::samples::sample::SampleKind;
use pgrehearse::scenario::resolved::{Order, Speed};
use pgrehearse::words::time::RunClock;

use crate::server::Server;
use crate::workload::{self, CLIENTS, Mode, TRANSACTION};
use crate::{median, stage};

const ROUNDS: usize = 5;

/// Transactions a second of each half: so many that two cores are busy, and so few that nobody waits for them.
const PER_SECOND: u64 = 1_000;

const SECONDS: u64 = 10;

/// What is left out of the time in which both ran, at its begin and at its end.
const MARGIN_US: u64 = 500_000;

/// Our replay begins so long after it said that it is ready, which is what pgbench needs to start.
const LEAD: Duration = Duration::from_millis(300);

/// A transaction that is over: when by the wall clock, and the microseconds that it took.
type Taken = (u64, u64);

/// Prints for each way of sending what transactions took.
pub fn together(server: &Server, directory: &Path) {
    for mode in Mode::ALL {
        let file = directory.join(format!("half-{}.jsonl.zst", mode.name()));
        workload::paced_transactions(&file, mode, CLIENTS / 2..CLIENTS, PER_SECOND, SECONDS);
        let rounds: Vec<_> = (0..ROUNDS).map(|_| round(server, mode, &file, directory)).collect();
        let [p50, p99] = [0, 1].map(|at| {
            let of = |which: usize| rounds.iter().map(|round| round[which][at]).collect::<Vec<f64>>();
            let ratios: Vec<f64> = rounds.iter().map(|[ours, theirs]| ours[at] / theirs[at]).collect();
            (median(of(0)), median(of(1)), median(ratios))
        });
        println!(
            "together  {:<8} a transaction takes ours {:.3} ms and pgbench's {:.3} at the median, ratio {:.3}; {:.3} and {:.3} ms at \
             the 99th percentile, ratio {:.3}",
            mode.name(),
            p50.0,
            p50.1,
            p50.2,
            p99.0,
            p99.1,
            p99.2,
        );
    }
}

/// The median and the 99th percentile of ours and of pgbench's, milliseconds.
fn round(server: &Server, mode: Mode, file: &Path, directory: &Path) -> [[f64; 2]; 2] {
    let itself = std::env::current_exe().expect("this program has a path");
    let arguments = ["--together", &server.port.to_string()];
    let mut ours =
        Command::new(itself).args(arguments).arg(file).stdout(Stdio::piped()).spawn().expect("the bench starts itself");
    let mut said = BufReader::new(ours.stdout.take().expect("a pipe"));
    said.read_line(&mut String::new()).expect("it is ready");
    let theirs = pgbench(server, mode, directory);
    let ours_taken = said.lines().map(|line| taken(&line.expect("a line"), [0, 1])).collect::<Vec<_>>();
    assert!(ours.wait().expect("it ends").success());
    let both = [ours_taken, theirs];
    let first = |all: &Vec<Taken>| all.iter().map(|taken| taken.0).min().expect("transactions");
    let last = |all: &Vec<Taken>| all.iter().map(|taken| taken.0).max().expect("transactions");
    let from_us = both.iter().map(first).max().unwrap_or_default() + MARGIN_US;
    let to_us = both.iter().map(last).min().unwrap_or_default() - MARGIN_US;
    both.map(|all| {
        let within = all.iter().filter(|taken| (from_us..to_us).contains(&taken.0));
        let mut lengths_us: Vec<u64> = within.map(|taken| taken.1).collect();
        lengths_us.sort_unstable();
        assert!(lengths_us.len() > 1_000, "both run at one time, {} transactions", lengths_us.len());
        [50, 99].map(|percent| lengths_us[lengths_us.len() * percent / 100] as f64 / 1e3)
    })
}

/// Runs pgbench's half and gives the transactions of its log.
fn pgbench(server: &Server, mode: Mode, directory: &Path) -> Vec<Taken> {
    let script = directory.join("script.sql");
    std::fs::write(&script, workload::script()).expect("a script");
    let [clients, rate, seconds] = [u64::from(CLIENTS / 2), PER_SECOND, SECONDS].map(|number| number.to_string());
    let mut command = server.client("pgbench", server.port, "postgres");
    command
        .args(["-n", "-l", "-j", "2", "-c", &clients, "-T", &seconds, "-R", &rate, "-M", mode.name(), "-f"])
        .arg(&script);
    let output = command.current_dir(directory).output().expect("pgbench");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all = Vec::new();
    for log in std::fs::read_dir(directory).expect("a directory").flatten() {
        if log.file_name().to_string_lossy().starts_with("pgbench_log") {
            let text = std::fs::read_to_string(log.path()).expect("a log");
            // client, number, microseconds since it was due, script, the wall clock in seconds and microseconds, microseconds
            // by which it began late.
            all.extend(text.lines().map(|line| {
                let (seconds, response_us) = taken(line, [4, 2]);
                let (part_us, late_us) = taken(line, [5, 6]);
                (seconds * 1_000_000 + part_us, response_us - late_us)
            }));
            std::fs::remove_file(log.path()).expect("the log is gone");
        }
    }
    all
}

fn taken(line: &str, [when, length]: [usize; 2]) -> Taken {
    let fields: Vec<u64> = line.split_ascii_whitespace().map(|field| field.parse().expect("a number")).collect();
    (fields[when], fields[length])
}

/// The replay's process: says that it is ready, replays, and prints when each transaction ended and what it took.
pub fn child(port: u16, workload: &Path) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let spool = Spool::prepare(workload, &directory.path().join("spool"), DatabaseNames::new(), Order::Free)
        .expect("a workload");
    println!("ready");
    std::io::stdout().flush().expect("the bench listens");
    let clock = RunClock::start();
    let began_us = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_micros() as u64 - clock.now_us();
    let (recorder, items) = channel(clock);
    let receiving = std::thread::spawn(move || {
        let (mut begun, mut all) = (HashMap::<u32, (usize, u64)>::new(), Vec::<Taken>::new());
        for item in items {
            let Item::Samples(batch) = item else { continue };
            for sample in batch.iter().filter(|sample| sample.kind == SampleKind::Request) {
                let sent_us = sample.sent_us.expect("it was sent");
                let (statements, started_us) = begun.entry(sample.session).or_insert((0, sent_us));
                *statements += 1;
                if *statements == TRANSACTION.len() {
                    all.push((began_us + sample.done_us, sample.done_us - *started_us));
                    begun.remove(&sample.session);
                }
            }
        }
        all
    });
    let starts_us = clock.now_us() + LEAD.as_micros() as u64;
    stage::replay(&spool, Speed::Factor(1.0), starts_us, Target::tcp("127.0.0.1", port), recorder);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (ended_us, length_us) in receiving.join().expect("a receiver") {
        writeln!(out, "{ended_us} {length_us}").expect("the bench listens");
    }
}
