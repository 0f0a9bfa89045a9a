//! The public contract: the values of `report.json`, format `pgrehearse-report`, version 1.
//!
//! Takes and gives JSON. Units stand at the end of the names: `_ms` are milliseconds as floats with microseconds as
//! their finest part, `_us` are whole microseconds; moments count from the start of the run. What is not known is null,
//! never 0. Fields may be added within a version, none may change or go. Must not know how a figure was found.

use serde::{Deserialize, Serialize};

/// What `format` says in every report.
pub const FORMAT: &str = "pgrehearse-report";

/// The version of the contract.
pub const VERSION: u32 = 1;

/// One rehearsal as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub format: String,
    pub version: u32,
    pub run: Run,
    pub verdict: Verdict,
    pub scenario: Scenario,
    pub server: Servers,
    pub host: Host,
    pub rules: Rules,
    pub steps: Vec<Step>,
    pub phases: Vec<Phase>,
    pub downtime: Downtime,
    /// Every known tenant, the worst first.
    pub tenants: Vec<Tenant>,
    /// What the probes of each fate group (an endpoint and a database) saw.
    pub groups: Vec<Group>,
    /// Requests of the whole run, warm-up left out.
    pub requests: Requests,
    /// Response time (done - due) by phase.
    pub latency: LatencyByPhase,
    /// Service time (done - sent) by phase.
    pub service_time: LatencyByPhase,
    pub statements: Vec<Statement>,
    pub errors: Vec<ErrorGroup>,
    pub divergence: Divergence,
    pub writes: Writes,
    pub trust: Trust,
    pub objectives: Vec<Objective>,
    pub series: Series,
}

/// The run itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// RFC 3339: the wall clock at moment 0.
    pub started_at: String,
    pub tool_version: String,
    pub workload_sha256: String,
    /// Every phase was seen to its end.
    pub complete: bool,
    pub interrupted: bool,
    /// The signal that interrupted it.
    pub signal: Option<String>,
    /// The last moment at which anything was recorded.
    pub duration_ms: f64,
}

/// The verdict; the first reason is the one that is shown first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub reasons: Vec<Reason>,
    /// What `pgrehearse report` and `pgrehearse gate` exit with.
    pub exit_code: i32,
}

/// What the rehearsal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed,
    Inconclusive,
}

impl Outcome {
    /// The written name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A reason for a verdict, or for not trusting a measurement. `value` and `limit` are in the unit that `text` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub text: String,
    pub value: Option<f64>,
    pub limit: Option<f64>,
}

/// The scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    pub name: String,
}

/// The servers on both sides of the upgrade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Servers {
    pub before: Server,
    pub after: Server,
}

/// A server by its exact version, such as `16.14`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    pub version: Option<String>,
}

/// The machine on which the tool ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub cpus: u32,
    pub memory_bytes: u64,
    pub os: String,
    pub load_average: Option<f64>,
}

/// The rules by which the figures came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The least deadline of a request, counted from the moment it was sent.
    pub deadline_ms: f64,
    /// The interval at which probes were really sent; null without probes.
    pub probe_interval_ms: Option<f64>,
    /// `speed = "max"`: requests were due when their session was free, so response times say nothing.
    pub closed_loop: bool,
}

/// A step of the upgrade, with its sub-steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub started_ms: f64,
    /// Null while the step had not ended when recording stopped.
    pub ended_ms: Option<f64>,
    /// `ok`, `failed`, `timed_out`, `cancelled`; null as above.
    pub outcome: Option<String>,
    /// The reason of a failure, in pg_upgrade's own words where it has some.
    pub detail: Option<String>,
    pub steps: Vec<Step>,
}

impl Step {
    /// How long the step took; null while it had not ended.
    pub fn duration_ms(&self) -> Option<f64> {
        self.ended_ms.map(|ended_ms| ended_ms - self.started_ms)
    }

    /// Whether the step ended, and not well.
    pub fn went_wrong(&self) -> bool {
        self.outcome.as_deref().is_some_and(|outcome| outcome != "ok")
    }
}

/// A phase of the run: `warmup`, `before`, `upgrade`, `after`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    pub started_ms: f64,
    pub ended_ms: Option<f64>,
}

/// Downtime over the tenants; every known tenant counts, and percentiles are nearest rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Downtime {
    pub tenants: u64,
    /// Tenants with any downtime.
    pub affected: u64,
    /// Tenants of which nothing was observed; they are not among `tenants` above.
    pub unknown: u64,
    /// An outage shorter than this may have gone unseen.
    pub resolution_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The longest single window of any tenant.
    pub longest_ms: Option<f64>,
    pub at_least_max_ms: Option<f64>,
    /// Null if a window was still open when the run ended.
    pub at_most_max_ms: Option<f64>,
}

/// A tenant's share of the rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    pub tenant: String,
    pub tier: Option<String>,
    pub region: Option<String>,
    pub databases: Vec<String>,
    /// The length of the union of the windows of both classes.
    pub downtime_ms: Option<f64>,
    pub at_least_ms: Option<f64>,
    pub at_most_ms: Option<f64>,
    pub longest_ms: Option<f64>,
    pub held_ms: Option<f64>,
    pub brownout_ms: Option<f64>,
    pub recovery_ms: Option<f64>,
    pub unobserved_ms: Option<f64>,
    pub read: ClassDowntime,
    pub write: ClassDowntime,
    pub requests: Requests,
    pub latency: LatencyByPhase,
    pub service_time: LatencyByPhase,
    /// Errors in phase `after` that neither the capture nor `before` had.
    pub new_errors: u64,
    pub divergence: Divergence,
}

/// The downtime of one tenant for reads or for writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassDowntime {
    /// The sum of the windows; an open one counts up to the last moment at which it was seen.
    pub downtime_ms: Option<f64>,
    pub at_least_ms: Option<f64>,
    /// Null if nothing was observed or a window is open.
    pub at_most_ms: Option<f64>,
    pub windows: Vec<Window>,
}

impl ClassDowntime {
    /// Whether a window was still open when the run ended.
    pub fn open(&self) -> bool {
        self.windows.iter().any(|window| window.open)
    }
}

/// One downtime window with its bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub started_ms: f64,
    /// Null for an open window.
    pub ended_ms: Option<f64>,
    pub at_least_ms: f64,
    /// Null for an open window.
    pub at_most_ms: Option<f64>,
    /// No success closed it before the run ended.
    pub open: bool,
    pub source: Source,
}

/// Whose attempts showed a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The tenant's own requests alone.
    Own,
    /// The probes of the tenant's fate groups, alone or with its own requests.
    Group,
}

/// What the probes of one fate group saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub endpoint: String,
    pub database: String,
    pub read: ClassDowntime,
    pub write: ClassDowntime,
}

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

/// Whether the measurement itself holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// How late the tool itself was in `before` and `after`.
    pub schedule_lag_p99_us: Option<u64>,
    pub schedule_lag: LatencyByPhase,
    /// Requests that were offered, warm-up left out.
    pub offered: u64,
    /// Offered requests over those that fell due, 0 to 1; null until the number due is known.
    pub released_share: Option<f64>,
    /// Empty if the measurement can be trusted.
    pub reasons: Vec<Reason>,
}

/// An objective, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub text: String,
    /// In `unit`.
    pub value: Option<f64>,
    pub limit: Option<f64>,
    /// `ms`, `us`, `count`, `share` or `ratio`.
    pub unit: String,
    pub outcome: ObjectiveOutcome,
    /// The tenants that break it, the worst first.
    pub tenants: Vec<String>,
    /// Why it is inconclusive, or what else is to be known.
    pub note: Option<String>,
}

/// How an objective was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveOutcome {
    Met,
    Missed,
    Inconclusive,
}

impl ObjectiveOutcome {
    /// The written name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Inconclusive => "inconclusive",
        }
    }
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
