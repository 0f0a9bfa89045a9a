//! How fast and how punctual the replay is, beside pgbench running the same statements against the same server.
//!
//! `cargo bench --bench replay [PAIRS]` takes turns between both, 5 times each, and prints medians, their ratio, and how far
//! pgbench's own runs lie apart; both log every statement. Then: recording to files against forgetting the samples, and
//! how late requests leave with 500 sessions at half of what the server can take, beside a thread that only sleeps.
//! `cargo bench --bench replay -- hold` shows the memory of 5,000 idle sessions instead, and `-- together` what transactions take
//! when one half of the clients is pgbench's and the other ours.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used)]

mod hold;
mod stage;
mod together;
mod workload;

#[allow(dead_code)]
#[path = "../../tests/suite/server.rs"]
mod server;

use std::path::Path;

use pgrehearse::scenario::resolved::Speed;
use stage::{Figures, Recording, in_a_child};
use workload::{CLIENTS, Mode, TRANSACTION, TRANSACTIONS};

/// What the server of the tests needs of them.
mod bench {
    pub fn program() -> std::process::Command {
        std::process::Command::new(env!("CARGO_BIN_EXE_pgrehearse"))
    }
}

const SESSIONS: u32 = 500;

const LAG_SECONDS: u64 = 15;

/// Linux counts in these for everybody (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--stage", speed, recording, port, workload] = words[..] {
        return stage::child(speed, recording, port.parse().unwrap(), Path::new(workload));
    }
    match words[..] {
        ["--hold-server"] => return hold::server(),
        ["--hold", sslmode, port, workload] => {
            return hold::child(sslmode, port.parse().unwrap(), Path::new(workload));
        }
        ["--together", port, workload] => return together::child(port.parse().unwrap(), Path::new(workload)),
        ["hold"] => return hold::hold(tempfile::tempdir().unwrap().path()),
        _ => {}
    }
    let pairs = words.first().and_then(|word| word.parse().ok()).unwrap_or(5);
    let server = server::Server::start("18", "max_connections = 600\nshared_buffers = 256MB\nsynchronous_commit = off");
    let mut pgbench = server.client("pgbench", server.port, "postgres");
    assert!(pgbench.args(["-i", "-q", "-s", "10"]).output().unwrap().status.success());
    let directory = tempfile::tempdir().unwrap();
    if words[..] == ["together"] {
        return together::together(&server, directory.path());
    }
    for mode in Mode::ALL {
        throughput(&server, mode, pairs, directory.path());
    }
    lag(&server, directory.path());
}

/// Statements a second of both, in turns.
fn throughput(server: &server::Server, mode: Mode, pairs: usize, directory: &Path) {
    let file = directory.join(format!("{}.jsonl.zst", mode.name()));
    workload::transactions(&file, mode);
    let (mut theirs, mut ours, mut null) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        theirs.push(pgbench(server, mode, directory));
        ours.push(in_a_child(&file, server.port, Speed::Max, Recording::Files));
        null.push(in_a_child(&file, server.port, Speed::Max, Recording::Null));
    }
    let rate = |figures: &Figures| figures.replayed / figures.wall_s;
    let rates = |all: &[Figures]| -> Vec<f64> { all.iter().map(rate).collect() };
    let cpu = |all: &[Figures]| median(all.iter().map(|figures| figures.cpu_s / figures.replayed * 1e6).collect());
    let [their_rate, our_rate, null_rate] = [&theirs, &ours, &null].map(|all| median(rates(all)));
    let spread = rates(&theirs)
        .iter()
        .map(|rate| rate / their_rate)
        .fold((f64::MAX, f64::MIN), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
    println!(
        "{:<9} pgbench -l {their_rate:>7.0}/s (its runs {:.2} to {:.2})   replay {our_rate:>7.0}/s   ratio {:.2}   CPU {:.2}",
        mode.name(),
        spread.0,
        spread.1,
        our_rate / their_rate,
        cpu(&ours) / cpu(&theirs),
    );
    println!(
        "          {:.1} us CPU a statement; null recorder {null_rate:.0}/s ({:.3}); peak {:.1} MiB, {:.1} with the spool made \
         and {:.1} without recording; spool made in {:.2} of the time of reading the workload",
        cpu(&ours),
        our_rate / null_rate,
        most(&ours, |figures| figures.peak_mib),
        most(&ours, |figures| figures.prepared_mib),
        most(&null, |figures| figures.peak_mib),
        median(ours.iter().map(|figures| figures.prepared_s / figures.read_s).collect()),
    );
}

/// One run of pgbench: what it says of its rate, and the CPU time of its process.
fn pgbench(server: &server::Server, mode: Mode, directory: &Path) -> Figures {
    let script = directory.join("script.sql");
    std::fs::write(&script, workload::script()).unwrap();
    let (clients, transactions) = (CLIENTS.to_string(), TRANSACTIONS.to_string());
    let mut command = server.client("pgbench", server.port, "postgres");
    command.args(["-n", "-l", "-j", "2", "-c", &clients, "-t", &transactions, "-M", mode.name(), "-f"]).arg(&script);
    let before = children_cpu_s();
    let output = command.current_dir(directory).output().unwrap();
    let cpu_s = children_cpu_s() - before;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tps: f64 = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok()).unwrap();
    for log in std::fs::read_dir(directory).unwrap().flatten() {
        if log.file_name().to_string_lossy().starts_with("pgbench_log") {
            std::fs::remove_file(log.path()).unwrap();
        }
    }
    let replayed = (u64::from(CLIENTS) * TRANSACTIONS) as f64 * TRANSACTION.len() as f64;
    Figures { wall_s: (u64::from(CLIENTS) * TRANSACTIONS) as f64 / tps, cpu_s, replayed, ..Figures::default() }
}

/// How late requests leave: at half of the rate that the server takes of as many sessions.
fn lag(server: &server::Server, directory: &Path) {
    let file = directory.join("reads.jsonl.zst");
    workload::reads(&file, SESSIONS, 20_000, 5);
    let most = in_a_child(&file, server.port, Speed::Max, Recording::Null);
    let saturation = most.replayed / most.wall_s;
    workload::reads(&file, SESSIONS, (saturation / 2.0) as u64, LAG_SECONDS);
    let figures = in_a_child(&file, server.port, Speed::Factor(1.0), Recording::Lags);
    println!(
        "lag       {SESSIONS} sessions at {:.0} of {saturation:.0}/s: p50 {:.3} ms, p99 {:.3} ms; a sleeping thread {:.3} and \
         {:.3} ms; peak {:.1} MiB",
        saturation / 2.0,
        figures.lag_p50_ms,
        figures.lag_p99_ms,
        figures.bare_p50_ms,
        figures.bare_p99_ms,
        figures.peak_mib,
    );
}

fn most(all: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    all.iter().map(of).fold(0.0, f64::max)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of child processes that have ended and were waited for (proc(5): `cutime`, `cstime`).
fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let ticks: f64 = [13, 14].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks / TICKS_PER_SECOND
}
