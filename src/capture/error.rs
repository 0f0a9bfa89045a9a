//! Why a capture failed.
//!
//! Gives the error type only. Must not print a statement or a parameter value.

use std::io;

use crate::workload::WriteError;

/// Why a capture failed. Nothing stands under the output's name then.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("no log file given")]
    NoInput,
    #[error("could not open \"{file}\": {source}")]
    Open { file: String, source: io::Error },
    #[error("could not read \"{file}\": {source}")]
    Read { file: String, source: io::Error },
    /// `kind` says what the file looks like, `hint` what to do about it.
    #[error("\"{file}\" is not a csvlog: it looks like {kind}\nhint: {hint}")]
    WrongKind { file: String, kind: &'static str, hint: &'static str },
    #[error("\"{file}\" and \"{other}\" have the same content\nhint: give each log file once")]
    SameContent { file: String, other: String },
    /// `seen` says what the log holds instead, `hint` what to switch on.
    #[error("no statement found in {lines} lines of log\ndetail: {seen}\nhint: {hint}")]
    NoStatements { lines: u64, seen: String, hint: String },
    #[error("more than {limit} log files")]
    TooManyFiles { limit: usize },
    #[error("could not write a temporary file beside the output: {source}")]
    Temporary { source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}
