//! Server logs to a workload.
//!
//! The way of the data: `source` (files in order) -> `csv` (records) -> `csvlog` (columns) -> `entry` -> `assembler`
//! with a `session` for each (`requests` from `message` and `parameters`) -> `capture::sequence` -> sorted events -> workload. Another log format needs what
//! stands before `entry`.

mod assembler;
mod capture;
mod csv;
mod csvlog;
mod entry;
mod evidence;
mod message;
mod parameters;
mod requests;
mod session;
mod source;
mod tally;
mod timestamp;

pub use capture::{CaptureOptions, Progress, capture};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
