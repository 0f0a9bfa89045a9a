//! How fast server logs become workloads, and in how much memory: every format, against counting the newlines of the same
//! file in the same run.
//!
//! `cargo bench --bench capture -- [MB] [ROUNDS] [DIRECTORY]` writes logs of this size (200 MB) into a temporary directory
//! (in DIRECTORY, where there is one), and prints of each stage the best of some interleaved rounds (3). A ratio is the
//! rate of the stage over that of counting newlines, by the wall clock and by CPU time; the CPU time is that of all
//! threads. Beyond that: peak resident memory, and bytes that were written to temporary files.
//!
//! `PGREHEARSE_BENCH_BESIDE='COMMAND {log} {out}'` lets another tool take its turn in each round: its wall time is that of
//! the whole command. A log that it refuses is said and left out.

#![allow(missing_docs)]

mod lines;
mod measure;
mod traffic;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use lines::Format;
use measure::{Figures, Stage};
use traffic::{Protocol, Traffic};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--stage", stage, "--format", format, log] = words[..] {
        return measure::child(stage, format, Path::new(log));
    }
    let number = |index: usize, default: u64| words.get(index).and_then(|word| word.parse().ok()).unwrap_or(default);
    let (megabytes, rounds) = (number(0, 200), number(1, 3));
    let directory = match words.get(2) {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("a temporary directory");
    println!("{megabytes} MB each, best of {rounds} rounds; ratios to counting newlines");
    println!(
        "{:<16} {:<9} {:>8} {:>8} {:>8} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "log", "stage", "MB/s", "wall s", "CPU s", "ratio", "of CPU", "peak MiB", "temp. MB", "out MB", "found"
    );
    for (protocol, protocol_name) in [(Protocol::Prepared, "prepared"), (Protocol::Simple, "simple")] {
        for format in Format::ALL {
            let name = format!("{} {protocol_name}", format.name());
            let log = directory.path().join("server.log");
            let bytes = write_log(&log, protocol, format, megabytes * 1_000_000);
            let beside = std::env::var("PGREHEARSE_BENCH_BESIDE").ok();
            let mut beside_wall_s = None::<f64>;
            let measured = measured(format, &log, rounds, || {
                let wall_s = beside.as_ref().and_then(|command| measure::beside(command, &log));
                beside_wall_s = beside_wall_s.into_iter().chain(wall_s).reduce(f64::min);
            });
            show(&name, bytes, &measured);
            if let Some(wall_s) = beside_wall_s {
                show_beside(&name, bytes, wall_s, &measured);
            }
        }
    }
}

/// The best of each stage; the stages take turns, and another tool with them, so that what else the machine does hits all
/// of them.
fn measured(format: Format, log: &Path, rounds: u64, mut beside: impl FnMut()) -> [(Stage, Figures); 3] {
    let mut best = Stage::ALL.map(|stage| (stage, Figures::default()));
    for round in 0..rounds {
        for (stage, best) in &mut best {
            let figures = measure::in_a_child(*stage, format, log);
            let wall_s = if round == 0 { figures.wall_s } else { best.wall_s.min(figures.wall_s) };
            let cpu_s = if round == 0 { figures.cpu_s } else { best.cpu_s.min(figures.cpu_s) };
            *best = Figures { wall_s, cpu_s, peak_mib: best.peak_mib.max(figures.peak_mib), ..figures };
        }
        beside();
    }
    best
}

fn show(log: &str, bytes: u64, measured: &[(Stage, Figures); 3]) {
    let [(_, newlines), ..] = measured;
    for (stage, figures) in measured {
        println!(
            "{log:<16} {:<9} {:>8.0} {:>8.3} {:>8.3} {:>7.3} {:>7.3} {:>9.1} {:>9.1} {:>9.1} {:>9}",
            stage.name(),
            bytes as f64 / 1e6 / figures.wall_s,
            figures.wall_s,
            figures.cpu_s,
            newlines.wall_s / figures.wall_s,
            newlines.cpu_s / figures.cpu_s,
            figures.peak_mib,
            figures.temporary_bytes as f64 / 1e6,
            figures.workload_bytes as f64 / 1e6,
            figures.found,
        );
    }
}

/// What the other tool did, and how many times as fast our stages were.
fn show_beside(log: &str, bytes: u64, wall_s: f64, measured: &[(Stage, Figures); 3]) {
    let [_, (_, assemble), (_, capture)] = measured;
    println!(
        "{log:<16} {:<9} {:>8.0} {wall_s:>8.3}   assemble {:.2} times as fast, capture {:.2} times",
        "beside",
        bytes as f64 / 1e6 / wall_s,
        wall_s / assemble.wall_s,
        wall_s / capture.wall_s,
    );
}

/// Writes a log of about this size; gives its size.
fn write_log(path: &Path, protocol: Protocol, format: Format, bytes: u64) -> u64 {
    let mut out = BufWriter::new(File::create(path).expect("a log"));
    let mut traffic = Traffic::new(protocol);
    let mut line = Vec::new();
    let mut written = 0;
    while written < bytes {
        line.clear();
        traffic.next(|entry| format.write(&mut line, entry).expect("memory takes every line"));
        out.write_all(&line).expect("the log can be written");
        written += line.len() as u64;
    }
    out.flush().expect("the log can be written");
    written
}
