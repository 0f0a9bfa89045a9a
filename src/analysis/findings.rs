//! What the analysis found: the plain values that verdict and report read.
//!
//! All times are microseconds, moments count from the start of the run, and what is not known is `None`, never 0.
//! Must not know how any of it is judged against an objective or shown.

use serde::{Deserialize, Serialize};

use crate::facts::{HostFacts, Rules};
use crate::samples::sample::Outcome;
use crate::timeline::{Phase, StepOutcome};
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// Everything that a run directory says, in the order of `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    pub run: RunFindings,
    /// The steps in the order in which they began, sub-steps within their parents.
    pub steps: Vec<Step>,
    /// The phases that began, in order.
    pub phases: Vec<PhaseSpan>,
    pub downtime: DowntimeSummary,
    /// In the order of `tenants.jsonl`.
    pub tenants: Vec<TenantFindings>,
    /// The fate groups that were probed, by endpoint and database.
    pub groups: Vec<GroupFindings>,
    /// done - due over all requests; see [`Latency`] for what enters.
    pub latency: ByPhase<Latency>,
    /// done - sent over all requests that were sent.
    pub service_time: ByPhase<Latency>,
    /// Requests of the whole run without warmup.
    pub requests: RequestCounts,
    pub requests_by_phase: ByPhase<RequestCounts>,
    /// By falling `p99_ratio`, those without one last.
    pub statements: Vec<StatementFindings>,
    /// By falling count.
    pub errors: Vec<ErrorFindings>,
    pub writes: Writes,
    /// Requests whose answer could be compared with the captured one.
    pub divergence: Divergence,
    /// The statements of which an answer differs, by falling number of them.
    pub differing: Vec<StatementDivergence>,
    /// What became of ids that the server generates; `None` where clients sent none.
    #[serde(default)]
    pub ids: Option<IdsMapped>,
    pub trust: Trust,
    /// One entry for each second from the first request to the last, seconds without requests included.
    pub series: Vec<Second>,
}

/// The run itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFindings {
    /// RFC 3339: the moment of microsecond 0.
    pub started_at: String,
    pub tool_version: String,
    pub scenario_name: String,
    pub workload_sha256: String,
    pub server_before: Option<String>,
    pub server_after: Option<String>,
    /// Every phase was seen to its end and the run's last line was written.
    pub complete: bool,
    /// The signal that interrupted it.
    pub interrupted: Option<String>,
    /// The last moment of which anything is known.
    pub ended_us: u64,
    pub host: HostFacts,
    pub rules: Rules,
    /// The resolved plan as `check --json` prints it.
    pub plan: serde_json::Value,
}

/// A step of the upgrade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub started_us: u64,
    /// `None`: it was running when the run was cut off.
    pub ended_us: Option<u64>,
    pub outcome: Option<StepOutcome>,
    /// The reason of a failure.
    pub detail: Option<String>,
    pub steps: Vec<Step>,
}

/// A phase with its moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSpan {
    pub phase: Phase,
    pub started_us: u64,
    pub ended_us: Option<u64>,
}

/// One value for each phase that figures are made of; warmup has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByPhase<T> {
    pub before: T,
    pub upgrade: T,
    pub after: T,
}

impl<T> ByPhase<T> {
    /// The phases that have a value, in order.
    pub const PHASES: [Phase; 3] = [Phase::Before, Phase::Upgrade, Phase::After];

    /// The value of a phase; none for warmup.
    pub fn get(&self, phase: Phase) -> Option<&T> {
        match phase {
            Phase::Warmup => None,
            Phase::Before => Some(&self.before),
            Phase::Upgrade => Some(&self.upgrade),
            Phase::After => Some(&self.after),
        }
    }

    /// The value of a phase, to be changed; none for warmup.
    pub fn get_mut(&mut self, phase: Phase) -> Option<&mut T> {
        match phase {
            Phase::Warmup => None,
            Phase::Before => Some(&mut self.before),
            Phase::Upgrade => Some(&mut self.upgrade),
            Phase::After => Some(&mut self.after),
        }
    }

    /// Each value turned into another.
    pub fn map<U>(&self, turn: impl Fn(&T) -> U) -> ByPhase<U> {
        ByPhase { before: turn(&self.before), upgrade: turn(&self.upgrade), after: turn(&self.after) }
    }
}

/// Percentiles of a merged histogram. Ok, late and expected_error requests enter with their response time, expired ones
/// and those given up after their deadline with the time waited; what failed at once, what was skipped and probes stay
/// out. `None` everywhere when `count` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The tenants' downtimes taken together. Every tenant of which anything was observed counts; percentiles are by
/// nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DowntimeSummary {
    pub tenants: u64,
    /// Tenants with downtime above 0.
    pub affected: u64,
    /// Tenants of which nothing was observed.
    pub unknown: u64,
    /// The interval of the probes: an outage shorter than this may go unseen. `None` without probes.
    pub resolution_us: Option<u64>,
    pub max_us: Option<u64>,
    pub p50_us: Option<u64>,
    pub p90_us: Option<u64>,
    pub p99_us: Option<u64>,
    /// The longest single window of any tenant.
    pub longest_us: Option<u64>,
    /// The largest lower bound of any tenant.
    pub at_least_max_us: Option<u64>,
    /// The largest upper bound of any tenant; `None` when one of them is unknown.
    pub at_most_max_us: Option<u64>,
}

/// What one tenant saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantFindings {
    pub tenant: String,
    pub tier: Option<String>,
    pub region: Option<String>,
    pub databases: Vec<String>,
    /// Reads and writes united.
    pub downtime: Downtime,
    pub read: ClassFindings,
    pub write: ClassFindings,
    /// Time in which a request stayed unanswered for long and was then answered in time; downtime left out.
    pub held_us: Option<u64>,
    /// `None` where `before` gives no baseline.
    pub brownout_us: Option<u64>,
    /// From the end of downtime (without any: of the upgrade) until steady; `None` when the run ended before.
    pub recovery_us: Option<u64>,
    /// Time in which nothing was tried, after an outage whose end nobody saw.
    pub unobserved_us: Option<u64>,
    pub requests: RequestCounts,
    pub requests_by_phase: ByPhase<RequestCounts>,
    pub latency: ByPhase<Latency>,
    pub service_time: ByPhase<Latency>,
    pub new_errors: ByPhase<u64>,
    pub divergence: Divergence,
}

/// A length of downtime with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downtime {
    /// `None`: nothing was observed. An open window counts up to the last moment at which it was seen.
    pub downtime_us: Option<u64>,
    /// The longest single window.
    pub longest_us: Option<u64>,
    pub at_least_us: Option<u64>,
    /// `None`: nothing was observed, or a window is open.
    pub at_most_us: Option<u64>,
}

/// One tenant (or fate group) and class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassFindings {
    #[serde(flatten)]
    pub downtime: Downtime,
    /// In order of time; they do not overlap.
    pub windows: Vec<Window>,
}

/// A stretch of downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub started_us: u64,
    /// `None` while open.
    pub ended_us: Option<u64>,
    pub at_least_us: u64,
    /// `None` while open.
    pub at_most_us: Option<u64>,
    /// No success closed it.
    pub open: bool,
    pub source: WindowSource,
}

/// Who saw a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSource {
    /// The tenant's own requests alone.
    Own,
    /// The probes of its fate groups, alone or with its own requests.
    Group,
}

impl WindowSource {
    /// The written name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Group => "group",
        }
    }
}

/// What the probes of one fate group saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFindings {
    pub endpoint: String,
    pub database: String,
    pub read: ClassFindings,
    pub write: ClassFindings,
}

/// Requests by outcome; `offered` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    pub offered: u64,
    pub ok: u64,
    pub failed: u64,
    pub late: u64,
    pub expired: u64,
    pub indeterminate: u64,
    pub expected_error: u64,
    pub skipped: u64,
}

impl RequestCounts {
    /// Counts one request.
    pub fn add(&mut self, outcome: Outcome) {
        self.offered += 1;
        let count = match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Failed => &mut self.failed,
            Outcome::Late => &mut self.late,
            Outcome::Expired => &mut self.expired,
            Outcome::Indeterminate => &mut self.indeterminate,
            Outcome::ExpectedError => &mut self.expected_error,
            Outcome::Skipped => &mut self.skipped,
        };
        *count += 1;
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            ok: self.ok + other.ok,
            failed: self.failed + other.failed,
            late: self.late + other.late,
            expired: self.expired + other.expired,
            indeterminate: self.indeterminate + other.indeterminate,
            expected_error: self.expected_error + other.expected_error,
            skipped: self.skipped + other.skipped,
        }
    }

    /// Failed, late, expired and indeterminate.
    pub fn bad(&self) -> u64 {
        self.failed + self.late + self.expired + self.indeterminate
    }
}

/// Answers that were compared with the captured ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    pub compared: u64,
    pub differing: u64,
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

/// A statement whose answers were not all the captured ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementDivergence {
    pub fingerprint: Fingerprint,
    /// The folded text; `None` when `statements.jsonl` does not have it.
    pub sql: Option<String>,
    pub compared: u64,
    pub differing: u64,
    /// Those that ended otherwise: with an error instead of a result, without one, or with another.
    pub sqlstate: u64,
    /// Those with more or fewer rows.
    pub rows: u64,
    /// Those with as many rows of other contents.
    pub digest: u64,
    /// `None` where the replay told none: it stops after very many statements.
    pub first: Option<FirstDifference>,
}

/// The first request of a statement that differed, warmup included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstDifference {
    /// Its number in the workload: `event` in the samples.
    pub request: u64,
    /// The captured file and the line or packet there, where the workload says them.
    pub file: Option<String>,
    pub line: Option<u64>,
}

/// What one statement did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatementFindings {
    pub fingerprint: Fingerprint,
    /// The folded text; `None` when `statements.jsonl` does not have it.
    pub sql: Option<String>,
    pub class: Option<StatementClass>,
    pub latency: ByPhase<Latency>,
    /// p99 after by p99 before.
    pub p99_ratio: Option<f64>,
    /// Errors in `upgrade` and `after` that neither the capture nor `before` had.
    pub new_errors: u64,
}

/// An error with its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFindings {
    /// `None` where the connection failed and no server said why.
    pub sqlstate: Option<SqlState>,
    /// Of the earliest one.
    pub message: Option<String>,
    /// `None` for a try to connect.
    pub fingerprint: Option<Fingerprint>,
    pub count: u64,
    pub phase: Phase,
    /// The capture had it too.
    pub expected: bool,
    /// Neither the capture nor `before` had it, and it is no unavailability and no class 23 or 40.
    pub new: bool,
}

/// Acknowledged writes and what became of them, from the ledger alone but for `replay_acknowledged`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// Every database that was written to was read back to its end.
    pub read_back: bool,
    /// `None` without a ledger.
    pub acknowledged: Option<u64>,
    /// Acknowledged and not found. `None` when not everything was read back and what was shows no loss.
    pub lost: Option<u64>,
    /// Indeterminate and found.
    pub recovered: Option<u64>,
    /// Found, but known as failed or never tried.
    pub unexpected: Option<u64>,
    pub duplicates: Option<u64>,
    /// Tried, and the acknowledgement lost.
    pub indeterminate: Option<u64>,
    /// Writes of the replay that were acknowledged, warmup left out.
    pub replay_acknowledged: u64,
}

/// Whether the measurement itself is valid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// Of `before` and `after`; `None` when nothing was sent there.
    pub schedule_lag_p99_us: Option<u64>,
    pub schedule_lag: ByPhase<Latency>,
    /// Requests that were offered, warmup left out.
    pub offered: u64,
    /// Offered by due, over the whole run; `None` until the number due is known.
    pub released_share: Option<f64>,
    /// Share of the requests of `before` and `after` that the tool sent later than the limit of its lag.
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
    /// How the captured order of commits was kept; `None` where sessions were free of each other.
    #[serde(default)]
    pub order: Option<OrderKept>,
    /// Requests that a read-only replay left out, since they write; `None` otherwise.
    #[serde(default)]
    pub writes_left_out: Option<u64>,
    /// Settings, prepared statements and the like of sessions that new connections did not take.
    #[serde(default)]
    pub settings_lost: u64,
    /// Why not; empty when it can be trusted.
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

/// A reason with a stable code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    /// A sentence for people.
    pub text: String,
    pub value: Option<f64>,
    pub limit: Option<f64>,
}

/// One second of the run, by due time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the run started.
    pub second: u64,
    /// Ok and expected_error.
    pub ok: u64,
    /// Failed, late, expired, indeterminate.
    pub bad: u64,
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}
