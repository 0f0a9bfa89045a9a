//! What can be wrong with a workload file, and where.
//!
//! Gives error types only. Must not print a statement or a parameter value: a line's content may be secret.

use std::io;
use std::path::PathBuf;

/// Why a workload could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("could not open workload \"{file}\": {source}")]
    Open { file: String, source: io::Error },
    #[error("could not read workload \"{file}\" after line {last_good_line}: {source}")]
    Read { file: String, last_good_line: u64, source: io::Error },
    /// No `end` line, or compressed data that stops in the middle of a frame.
    #[error(
        "workload \"{file}\" is truncated: {}\n\
         hint: capture or copy it again; a workload that is whole ends with a line of kind \"end\"",
        missing(*last_good_line)
    )]
    Truncated { file: String, last_good_line: u64 },
    #[error("workload \"{file}\" is empty")]
    Empty { file: String },
    /// Line and byte column count from 1; column 1 stands for the whole line.
    #[error("{file}:{line}:{column}: {fault}{}", last_good_line(*line, fault))]
    Line { file: String, line: u64, column: usize, fault: LineFault },
}

fn missing(last_good_line: u64) -> String {
    match last_good_line {
        0 => "not even its first line is whole".to_owned(),
        line => format!("no \"end\" line follows line {line}"),
    }
}

/// The first line tells what a file is: if it is not understood, none of the others would be.
fn last_good_line(line: u64, fault: &LineFault) -> String {
    match (line, fault) {
        (1, LineFault::Newer { .. }) => "\nhint: use a newer pgrehearse".to_owned(),
        (1, _) => "\nhint: a workload is what \"pgrehearse capture log\" writes".to_owned(),
        _ => format!("\ndetail: the last good line is {}", line - 1),
    }
}

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    #[error("not a line of a workload: {0}")]
    Corrupt(String),
    #[error("the line is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("unknown kind \"{0}\"")]
    UnknownKind(String),
    #[error("a workload begins with a \"header\" line")]
    NoHeader,
    #[error("a workload has only one \"header\" line")]
    SecondHeader,
    #[error("workload version {version} is newer than this program, which reads up to version {newest}")]
    Newer { version: u32, newest: u32 },
    #[error("sql {0} is used before it is defined")]
    UndefinedSql(u32),
    #[error("tenant {0} is used before it is defined")]
    UndefinedTenant(u32),
    #[error("tenant {0} is defined twice")]
    RepeatedTenant(u32),
    #[error("session {0} is not open")]
    SessionNotOpen(u32),
    #[error("session {0} is opened while it is open")]
    SessionOpen(u32),
    #[error("time goes back from {previous_us} to {t_us} microseconds")]
    TimeGoesBack { previous_us: u64, t_us: u64 },
    #[error("more than {limit} sql texts are live")]
    TooManyLiveTexts { limit: usize },
    #[error("a line follows the \"end\" line")]
    BehindEnd,
}

/// Why a workload could not be written. Nothing stands under the workload's own name then.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("could not create \"{}\": {source}", file.display())]
    Create { file: PathBuf, source: io::Error },
    #[error("could not write \"{}\": {source}", file.display())]
    Write { file: PathBuf, source: io::Error },
    /// Nothing of the line was written: the caller can leave it out and go on.
    #[error("a line of {bytes} bytes is longer than a workload's lines may be ({limit})")]
    LineTooLong { bytes: usize, limit: usize },
    /// The caller's mistake; nothing of the line was written.
    #[error("the line does not fit the ones before it: {0}")]
    Misplaced(LineFault),
}
