//! The public contract: the values of `report.json`, format `pgrehearse-report`, version 1.
//!
//! Takes and gives JSON. Units stand at the end of the names: `_ms` are milliseconds as floats with microseconds as
//! their finest part, `_us` are whole microseconds; moments count from the start of the run. What is not known is null,
//! never 0. Fields may be added within a version, none may change or go. Must not know how a figure was found.

mod downtime;
mod traffic;

use serde::{Deserialize, Serialize};

pub use downtime::{ClassDowntime, Downtime, Group, Source, Tenant, Window};
pub use traffic::{
    Divergence, DivergenceByStatement, ErrorGroup, FirstDifference, IdsMapped, Latency, LatencyByPhase, Point,
    Requests, Series, Statement, StatementDivergence, Writes,
};

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
    pub divergence: DivergenceByStatement,
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
    /// Share of the requests of `before` and `after` that the tool sent later than the limit of its lag; null without one.
    #[serde(default)]
    pub late_share: Option<f64>,
    /// The largest share of the CPU time that the tool may use that it used in a second.
    #[serde(default)]
    pub cpu_share_max: Option<f64>,
    /// How late the latest of the tool's heartbeats came, one a millisecond.
    #[serde(default)]
    pub heartbeat_late_us_max: Option<u64>,
    /// Share of the captured traffic's requests that are missing from the workload, at least.
    #[serde(default)]
    pub capture_lost_share: f64,
    /// Share of the workload's requests without a tenant.
    #[serde(default)]
    pub unmapped_share: f64,
    /// How the captured order of commits was kept; null where sessions were free of each other.
    #[serde(default)]
    pub order: Option<OrderKept>,
    /// Requests that a read-only replay left out, since they write; null otherwise.
    #[serde(default)]
    pub writes_left_out: Option<u64>,
    /// Settings, prepared statements and the like of sessions that new connections did not take.
    #[serde(default)]
    pub settings_lost: u64,
    /// Empty if the measurement can be trusted.
    pub reasons: Vec<Reason>,
}

/// How the captured order of commits was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderKept {
    /// Requests that waited for commits of other sessions.
    pub waits: u64,
    /// Those of them that were sent without them after the limit.
    pub broken: u64,
}

/// An objective, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub text: String,
    /// In `unit`.
    pub value: Option<f64>,
    /// What the value surely lies between; null where there is no such bound.
    pub low: Option<f64>,
    pub high: Option<f64>,
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
