//! The part of the contract that says who was down, when and how surely.
//!
//! Plain values. Must not know how a window was found.

use serde::{Deserialize, Serialize};

use super::traffic::{Divergence, LatencyByPhase, Requests};

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
