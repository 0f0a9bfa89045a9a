//! Floor 1: the records of a run directory other than samples and timeline: `run.json`, `tenants.jsonl`,
//! `statements.jsonl`, `ledger.jsonl`.
//!
//! Takes and gives their JSON. Must not know how the facts were found out, nor where the directory lies.

use serde::{Deserialize, Serialize};

use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;

/// The version in `run.json`; it covers the whole run directory.
pub const VERSION: u32 = 1;

/// `run.json`: written before the first phase, rewritten when the run ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    pub format: String,
    pub version: u32,
    pub tool_version: String,
    /// RFC 3339: the wall clock at microsecond 0 of the run.
    pub started_at: String,
    pub scenario_name: String,
    pub workload_sha256: String,
    /// Which part of the workload's sessions this process replayed; none in a run of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardFacts>,
    /// The agreed start, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartFacts>,
    /// What it was put together from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<MergedFacts>,
    /// Exact versions as far as known; `after` is the planned target's: that it was reached is in the timeline.
    pub server_before: Option<String>,
    pub server_after: Option<String>,
    pub host: HostFacts,
    /// Where temporary clusters lay; they are gone when the run ended, unless it was told to keep them.
    #[serde(default)]
    pub clusters_dir: Option<String>,
    pub rules: Rules,
    /// Databases (fate groups of the primary endpoint) and endpoints behind the indices of the samples.
    pub databases: Vec<String>,
    pub endpoints: Vec<String>,
    /// Requests of the workload that fall due within the run at the scenario's speed and copies; null until known.
    pub requests_due: Option<u64>,
    /// Share of the workload's requests without a tenant.
    pub unmapped_share: f64,
    /// Share of the captured traffic's requests that are missing from the workload, at least.
    #[serde(default)]
    pub capture_lost_share: f64,
    /// The resolved plan as `check --json` prints it: for people and for another day.
    pub plan: serde_json::Value,
}

/// A shard, counted from 0; 0 is the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFacts {
    pub index: u32,
    pub of: u32,
}

/// The shards that `merge` put together. The driver's clock is the run's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedFacts {
    /// How many there were to be.
    pub shards: u32,
    /// The numbers of those whose samples are here.
    pub present: Vec<u32>,
    /// Those that were left out, having replayed something else.
    pub unlike: Vec<u32>,
    /// How far the two furthest starts may be apart, microseconds: by the database's clock, and what is unknown of that.
    pub apart_us: u64,
    /// Requests that were due when not all shards were there; they are in no figure.
    pub left_out: u64,
}

/// A start that was agreed on by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFacts {
    /// RFC 3339: the moment of captured time 0.
    pub at: String,
    /// Microsecond of the run at which it lay.
    pub workload_us: u64,
    /// The database's clock less this machine's, microseconds.
    pub clock_offset_us: i64,
    /// The way to the database and back when that was measured: the offset is known to half of it.
    pub clock_round_trip_us: u64,
}

/// The machine on which the tool ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    pub cpus: u32,
    pub memory_bytes: u64,
    pub os: String,
    pub load_average: Option<f64>,
}

/// What of the scenario the judging wing needs. Everything is a default that `report` and `gate` can be told to change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The texts as written; the defaults are added when they are judged.
    pub objectives: Vec<String>,
    /// `clients.deadline`, microseconds.
    pub deadline_us: u64,
    /// The interval at which probes were really sent, microseconds; null without probes.
    pub probe_interval_us: Option<u64>,
    /// `trust.schedule_lag_p99`, microseconds.
    pub schedule_lag_p99_us: u64,
    /// `speed = "max"`: due := ready, and response-time and downtime objectives are refused.
    pub closed_loop: bool,
    /// Configured lengths of the phases, microseconds; the upgrade has none.
    pub warmup_us: u64,
    pub before_us: u64,
    pub after_us: u64,
}

/// A line of `tenants.jsonl`; the line number less one is the index in the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantFact {
    pub tenant: String,
    pub tier: Option<String>,
    pub region: Option<String>,
    /// The databases that its requests go to.
    pub databases: Vec<String>,
}

/// A line of `statements.jsonl`: a fingerprint with its folded text (no literals).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatementFact {
    pub fingerprint: Fingerprint,
    pub sql: String,
    pub class: StatementClass,
    /// SQLSTATEs that the capture had for it: an error with one of these is no new error.
    pub captured_errors: Vec<String>,
}

/// A line of `ledger.jsonl`: a probe's write, or what was found when the table was read back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum LedgerEntry {
    /// A write was tried.
    Written { database: String, id: u64, outcome: WriteOutcome },
    /// Reading back a database began; every `Found` of it follows.
    ReadBack { database: String },
    /// An inclusive range of ids of which each was found exactly once.
    Found { database: String, first: u64, last: u64 },
    /// An id that was found more than once.
    Duplicate { database: String, id: u64, copies: u64 },
    /// Reading back a database came to its end; without it nothing is known about lost writes.
    ReadBackEnded { database: String },
}

/// What the client knows of a probe's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteOutcome {
    Acknowledged,
    Failed,
    Indeterminate,
}

/// Names of the parts of a run directory. The recorder writes them, the judging wing reads them:
///
/// ```text
/// run.json            RunFacts: before the first phase, again at the end
/// timeline.jsonl      steps, phases, switches, what was in flight
/// samples/            part-00000.parquet, ...; `.tmp` while a part is open
/// tenants.jsonl       TenantFact a line
/// statements.jsonl    StatementFact a line
/// ledger.jsonl        LedgerEntry a line
/// plans/              EXPLAIN of the leading statements: FINGERPRINT.before.txt and FINGERPRINT.after.txt
/// logs/               servers, pg_upgrade, steps
/// report.json, report.html, summary.md, junit.xml
/// ```
pub mod layout {
    pub const RUN: &str = "run.json";
    pub const TIMELINE: &str = "timeline.jsonl";
    pub const SAMPLES: &str = "samples";
    pub const TENANTS: &str = "tenants.jsonl";
    pub const STATEMENTS: &str = "statements.jsonl";
    pub const LEDGER: &str = "ledger.jsonl";
    pub const PLANS: &str = "plans";
    pub const LOGS: &str = "logs";
    pub const REPORT_JSON: &str = "report.json";
    pub const REPORT_HTML: &str = "report.html";
    pub const SUMMARY: &str = "summary.md";
    pub const JUNIT: &str = "junit.xml";
}
