//! Statements a second beside pgbench running the same statements against the same server, in turns.
//!
//! Both log every statement. Takes a server and gives the ratio, once it has printed what was measured. Must not know what
//! else the machine does meanwhile.

use std::path::Path;

use pgrehearse::scenario::resolved::Speed;

use crate::median;
use crate::server::Server;
use crate::stage::{Figures, Recording, in_a_child};
use crate::workload::{self, CLIENTS, Mode, TRANSACTION, TRANSACTIONS};

/// Linux counts in these for everybody (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Prints statements a second of both and gives our share of theirs, medians of so many pairs.
pub fn throughput(server: &Server, mode: Mode, pairs: usize, directory: &Path) -> f64 {
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
    our_rate / their_rate
}

/// One run of pgbench: what it says of its rate, and the CPU time of its process.
fn pgbench(server: &Server, mode: Mode, directory: &Path) -> Figures {
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

fn most(all: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    all.iter().map(of).fold(0.0, f64::max)
}

/// CPU time of child processes that have ended and were waited for (proc(5): `cutime`, `cstime`).
fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let ticks: f64 = [13, 14].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks / TICKS_PER_SECOND
}
