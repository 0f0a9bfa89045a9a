//! How fast server logs become workloads, and in how much memory: every format, against counting the newlines of the same
//! file in the same run.
//!
//! `cargo bench --bench capture -- [MB] [ROUNDS] [DIRECTORY]` writes logs of this size (200 MB) into a temporary directory
//! (in DIRECTORY, where there is one), and prints of each stage the best of some interleaved rounds (3). A ratio is the
//! rate of the stage over that of counting newlines, by the wall clock and by CPU time; the CPU time is that of all
//! threads. Beyond that: peak resident memory, and bytes that were written to temporary files.

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
            show(&name, bytes, &measured(format, &log, rounds));
        }
    }
}

/// The best of each stage; the stages take turns, so that what else the machine does hits all of them.
fn measured(format: Format, log: &Path, rounds: u64) -> [(Stage, Figures); 3] {
    let mut best = Stage::ALL.map(|stage| (stage, Figures::default()));
    for round in 0..rounds {
        for (stage, best) in &mut best {
            let figures = measure::in_a_child(*stage, format, log);
            let wall_s = if round == 0 { figures.wall_s } else { best.wall_s.min(figures.wall_s) };
            let cpu_s = if round == 0 { figures.cpu_s } else { best.cpu_s.min(figures.cpu_s) };
            *best = Figures { wall_s, cpu_s, peak_mib: best.peak_mib.max(figures.peak_mib), ..figures };
        }
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
