//! Server logs to a workload.
//!
//! The way of the data: `source` (files in order, through `storage` and `reading`) -> the `decoder` of the file's `format` -> `entry` ->
//! `assembler` with a `session` for each (`requests` from `message` and `parameters`) -> `capture::sequence` -> sorted
//! events -> workload. The decoders are `csvlog` (records by `csv`), `jsonlog` (`objects` read by `json`) and `lines` (stderr, and
//! what a `carrier` brought), whose lines `weaver` puts together by their `line_prefix`.
//!
//! To add a log format: a decoder in a file of its own, its name and how to tell it in `format`, and `--format` in the
//! command line's `args`.

mod ahead;
mod assembler;
mod backwards;
mod capture;
mod carrier;
mod csv;
mod csvlog;
mod decoder;
mod entry;
mod evidence;
mod format;
mod in_memory;
mod json;
mod json_row;
mod jsonlog;
mod line_prefix;
mod lines;
mod marks;
mod message;
mod objects;
mod other_kind;
mod parameters;
mod prefix_guess;
mod processes;
mod reading;
mod requests;
mod scan;
mod session;
mod source;
mod sqlstates;
mod tally;
mod timestamp;
mod turned;
mod twins;
mod weaver;

pub use capture::{CaptureOptions, Progress, assemble, capture};
pub use format::LogFormat;
pub use in_memory::{ReadBytes, read_bytes};
pub use line_prefix::{LinePrefix, UnknownEscape};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
