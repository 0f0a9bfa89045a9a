//! The part of the contract that says what became of requests, statements and writes.
//!
//! Plain values. Must not know how they were counted.

use serde::{Deserialize, Serialize};

/// Requests by outcome; `offered` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    pub offered: u64,
    pub ok: u64,
    pub failed: u64,
    pub late: u64,
    pub expired: u64,
    pub indeterminate: u64,
    pub expected_error: u64,
    pub skipped: u64,
}

/// Times by phase; warm-up is in none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyByPhase {
    pub before: Latency,
    pub upgrade: Latency,
    pub after: Latency,
}

/// Percentiles of a time; all null if nothing was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub p50_us: Option<u64>,
    pub p75_us: Option<u64>,
    pub p90_us: Option<u64>,
    pub p95_us: Option<u64>,
    pub p99_us: Option<u64>,
    pub p999_us: Option<u64>,
    pub max_us: Option<u64>,
}

/// A statement by its fingerprint, before and after the upgrade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    pub fingerprint: String,
    /// The text with its literals folded; null where the run directory does not have it.
    pub sql: Option<String>,
    pub class: Option<String>,
    pub before: Latency,
    pub upgrade: Latency,
    pub after: Latency,
    /// after.p99 / before.p99; null where either was not measured.
    pub p99_ratio: Option<f64>,
    /// Errors in `upgrade` and `after` that neither the capture nor `before` had.
    pub new_errors: u64,
}

/// Errors that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// Null where no server answered (a lost connection).
    pub sqlstate: Option<String>,
    /// Of the earliest one.
    pub message: Option<String>,
    /// Null for a try to connect.
    pub fingerprint: Option<String>,
    pub count: u64,
    pub phase: String,
    /// The capture had it too.
    pub expected: bool,
    /// Neither the capture nor `before` had it, and it is no unavailability and no class 23 or 40.
    pub new: bool,
}

/// Answers that were compared with the captured ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    pub compared: u64,
    pub differing: u64,
}

/// Answers that were compared with the captured ones, and the statements whose answers differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DivergenceByStatement {
    pub compared: u64,
    pub differing: u64,
    /// Null where clients sent no ids that the server generates.
    #[serde(default)]
    pub ids: Option<IdsMapped>,
    /// By falling `differing`; those without a difference are left out.
    #[serde(default)]
    pub statements: Vec<StatementDivergence>,
}

/// Ids that the server had generated in the capture and that clients sent later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdsMapped {
    /// Replaced by those that the server generated in the replay.
    pub mapped: u64,
    /// Sent as captured, since the replay had not come to them.
    pub unfilled: u64,
    /// Values that may be such ids and were sent as captured.
    pub unsure: u64,
}

/// A statement whose answers were not all the captured ones. A difference is one of SQLSTATE, else of rows, else of contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatementDivergence {
    pub fingerprint: String,
    /// The text with its literals folded; null where the run directory does not have it.
    pub sql: Option<String>,
    pub compared: u64,
    pub differing: u64,
    /// Errors that were none, or others, and the other way round.
    pub sqlstate: u64,
    /// More or fewer rows.
    pub rows: u64,
    /// As many rows of other contents.
    pub digest: u64,
    /// Null where very many statements differ.
    pub first: Option<FirstDifference>,
}

/// The first request of a statement that differed, warm-up included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstDifference {
    /// Its number in the workload: `event` in the samples.
    pub request: u64,
    /// The captured file, and the line or packet there; null where the workload does not say them.
    pub file: Option<String>,
    pub line: Option<u64>,
}

/// What the ledger of probe writes proves; all null but the last without a ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Writes {
    pub acknowledged: Option<u64>,
    /// Acknowledged and not found; null if the ledger was never read back.
    pub lost: Option<u64>,
    /// Without an acknowledgement, and found.
    pub recovered: Option<u64>,
    /// Found though it failed or was never tried.
    pub unexpected: Option<u64>,
    pub duplicates: Option<u64>,
    pub indeterminate: Option<u64>,
    /// Acknowledged writes of the replay; not part of the ledger.
    pub replay_acknowledged: u64,
}

/// The run over time, for charts; a request stands where it was due.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub interval_ms: f64,
    pub points: Vec<Point>,
}

/// One interval of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Where the interval begins.
    pub at_ms: f64,
    pub ok: u64,
    /// Failed, late, expired and indeterminate.
    pub failed: u64,
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}
