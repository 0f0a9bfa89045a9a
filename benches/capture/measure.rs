//! One stage over one file, measured in a process of its own, so that its peak memory is its own too.
//!
//! The bench starts itself again with the stage's name; the child prints its figures in one line. Must not know how logs
//! are made.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use pgrehearse::capture::log::{self, CaptureOptions, LinePrefix, LogFormat};
use pgrehearse::tenant::Rules;
use rustix::time::{ClockId, clock_gettime};

use super::lines::Format;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the file and counting its newlines by memchr: what everything else is compared with.
    Newlines,
    /// File to events that nobody takes, on one core.
    Assemble,
    /// File to finished workload.
    Capture,
}

impl Stage {
    pub const ALL: [Self; 3] = [Self::Newlines, Self::Assemble, Self::Capture];

    pub fn name(self) -> &'static str {
        match self {
            Self::Newlines => "newlines",
            Self::Assemble => "assemble",
            Self::Capture => "capture",
        }
    }
}

/// The figures of one run.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub wall_s: f64,
    /// Of all threads.
    pub cpu_s: f64,
    pub peak_mib: f64,
    /// Lines, or requests.
    pub found: u64,
    pub workload_bytes: u64,
    /// Bytes that were written beside the workload.
    pub temporary_bytes: u64,
}

/// Runs a stage in a process of its own.
pub fn in_a_child(stage: Stage, format: Format, log: &Path) -> Figures {
    let program = std::env::current_exe().expect("this program has a path");
    let arguments = ["--stage", stage.name(), "--format", format.name()];
    let output = Command::new(program).args(arguments).arg(log).output().expect("the bench starts itself");
    assert!(output.status.success(), "{}: {}", stage.name(), String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall_s, cpu_s, peak_mib, found, workload_bytes, temporary_bytes] = numbers[..] else {
        panic!("the child said {said}")
    };
    let [found, workload_bytes, temporary_bytes] = [found, workload_bytes, temporary_bytes].map(|number| number as u64);
    Figures { wall_s, cpu_s, peak_mib, found, workload_bytes, temporary_bytes }
}

/// Runs another tool's command over the log and gives its wall time in seconds; none where it refuses the log.
pub fn beside(command: &str, log: &Path) -> Option<f64> {
    let out = log.with_extension("beside");
    let place = |word: &str| word.replace("{log}", &log.to_string_lossy()).replace("{out}", &out.to_string_lossy());
    let mut words = command.split_ascii_whitespace().map(place);
    let wall = Instant::now();
    let output = Command::new(words.next()?).args(words).output().expect("the command beside can be started");
    let wall_s = wall.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&out);
    match output.status.success() {
        true => Some(wall_s),
        false => {
            println!("beside: {}", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
    }
}

/// What the child does: runs the stage and prints its figures.
pub fn child(stage: &str, format: &str, log: &Path) {
    let stage = Stage::ALL.into_iter().find(|known| known.name() == stage).expect("a stage");
    let format = Format::ALL.into_iter().find(|known| known.name() == format).expect("a format");
    let workload = log.with_extension("jsonl.zst");
    let (wall, cpu) = (Instant::now(), cpu_s());
    let found = match stage {
        Stage::Newlines => newlines(log),
        Stage::Assemble => log::assemble(&options(format, log, &workload)).expect("a log"),
        Stage::Capture => log::capture(&options(format, log, &workload), |_| {}).expect("a log").executions(),
    };
    let (wall_s, cpu_s) = (wall.elapsed().as_secs_f64(), cpu_s() - cpu);
    let workload_bytes = workload.metadata().map_or(0, |metadata| metadata.len());
    let _ = std::fs::remove_file(&workload);
    let written = number_in("/proc/self/io", "wchar:");
    let peak_mib = number_in("/proc/self/status", "VmHWM:") as f64 / 1024.0;
    println!("{wall_s} {cpu_s} {peak_mib} {found} {workload_bytes} {}", written.saturating_sub(workload_bytes));
}

fn options(format: Format, log: &Path, workload: &Path) -> CaptureOptions {
    CaptureOptions {
        inputs: vec![log.to_owned()],
        output: workload.to_owned(),
        format: LogFormat::Auto,
        prefix: format.prefix().map(|prefix| LinePrefix::parse(prefix).expect("a prefix")),
        tenant_rules: Rules::default(),
        tenants: None,
    }
}

fn newlines(log: &Path) -> u64 {
    let mut file = File::open(log).expect("the log");
    let mut buffer = vec![0; 1 << 20];
    let mut count = 0;
    loop {
        match file.read(&mut buffer).expect("the log can be read") {
            0 => return count,
            length => count += memchr::memchr_iter(b'\n', &buffer[..length]).count() as u64,
        }
    }
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A number of a file of `/proc`; 0 where there is none.
fn number_in(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}
