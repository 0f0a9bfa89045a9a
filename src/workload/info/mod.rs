//! What a workload holds, on one screen or as JSON.
//!
//! Takes a reader, reads it to its end and gives counts. Memory is bounded by the sessions that are open at once, the
//! tenants, databases and users, the minutes that hold a request, and the distinct statements: 16 bytes for each, and a
//! text of [`STATEMENT_CHARS_MAX`] characters for the first [`STATEMENTS_MAX`]. Must not know the file's name, nor where
//! results are printed.

mod counts;
mod known;
mod statements;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::ReadError;
use super::reader::Reader;
use super::record::{Skipped, Source};
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use counts::Counts;
pub use known::Known;
pub use text::Shown;

/// Distinct statements that are followed one by one: the first that appear.
pub const STATEMENTS_MAX: usize = 65_536;

/// Characters of a statement's folded text that are kept.
pub const STATEMENT_CHARS_MAX: usize = 500;

/// A workload in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    pub version: u32,
    /// RFC 3339.
    pub started_at: String,
    pub sources: Vec<Source>,
    pub server_version: Option<String>,
    pub tool_version: String,
    pub sessions: u64,
    /// Sessions that were there when the capture began.
    pub sessions_began_before: u64,
    /// The most sessions that were open at one moment.
    pub sessions_open_max: u64,
    /// Distinct statements: texts that differ in more than values.
    pub statements: u64,
    /// What clients sent as one: simple queries, extended executions, pipelines.
    pub requests: u64,
    /// Statements that were executed, each time: a pipeline holds several.
    pub executions: u64,
    /// What is known of the requests beside what was sent.
    pub known: Known,
    /// The sums of what is known.
    pub known_sums: Sums,
    /// By executions, most first.
    pub tenants: Vec<TenantInfo>,
    /// Executions that belong to no tenant.
    pub executions_without_tenant: u64,
    pub databases: Vec<NamedCount>,
    pub users: Vec<NamedCount>,
    /// From the header's moment to the last event, microseconds.
    pub span_us: u64,
    /// Executions a second over the whole span.
    pub rate_per_second: f64,
    /// Executions in the busiest second.
    pub peak_per_second: u64,
    /// The busiest second, the first of several; none where nothing was executed.
    pub peak_second: Option<PeakSecond>,
    /// Executions by the written name of their class.
    pub classes: BTreeMap<&'static str, u64>,
    /// Requests that failed when they were captured, by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    /// What the capture could not use, by reason.
    pub skipped: BTreeMap<String, Skipped>,
    /// The minutes of the capture that hold a request, counted from its start.
    pub minutes: Vec<Minute>,
    /// Those that took most time when they were captured first; where no times are known, those executed most often.
    pub top_statements: Vec<StatementInfo>,
    /// Executions of statements that appeared behind the first [`STATEMENTS_MAX`].
    pub executions_not_followed: u64,
}

/// What came back, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// From sent to completion, microseconds.
    pub total_us: u64,
    pub rows: u64,
    /// Bytes of the values of all rows, or of the data of a COPY.
    pub bytes: u64,
    /// Requests, or executions of a statement, that failed.
    pub errors: u64,
}

/// The busiest second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeakSecond {
    /// RFC 3339.
    pub at: String,
    pub t_us: u64,
    pub executions: u64,
}

/// A minute of the capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Minute {
    /// RFC 3339.
    pub at: String,
    pub t_us: u64,
    pub executions: u64,
    pub reads: u64,
    pub writes: u64,
    #[serde(flatten)]
    pub sums: Sums,
}

/// A tenant's part of a workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TenantInfo {
    pub name: String,
    pub tier: Option<String>,
    pub region: Option<String>,
    pub executions: u64,
    /// Of all executions, 0 to 1.
    pub share: f64,
    pub reads: u64,
    pub writes: u64,
    #[serde(flatten)]
    pub sums: Sums,
}

/// A statement, values apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatementInfo {
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
    /// Folded, so that it shows no values; cut behind [`STATEMENT_CHARS_MAX`] characters.
    pub sql: String,
    pub executions: u64,
    /// Of all executions, 0 to 1.
    pub share: f64,
    /// Over the executions whose time is known; none where there are none.
    pub mean_us: Option<f64>,
    #[serde(flatten)]
    pub sums: Sums,
}

/// A name and how many executions belong to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedCount {
    pub name: String,
    pub executions: u64,
}

/// Reads the workload to its end and counts what it holds.
///
/// # Errors
/// Whatever is wrong with the file: nothing is told about half a workload.
pub fn summarize(mut reader: Reader) -> Result<Info, ReadError> {
    let mut counts = Counts::default();
    while let Some((_, record)) = reader.next_record()? {
        counts.take(&record, &reader);
    }
    Ok(counts.into_info(&reader))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
