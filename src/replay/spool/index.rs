//! The index at a spool's end: what is known of the workload as a whole, and where each session's chain begins.
//!
//! Bounded by sessions, tenants and distinct statements, never by the number of requests. Written and read as JSON, once
//! a run. Must not know how the blocks are laid out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facts::StatementFact;

/// Everything but the requests themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub workload_sha256: String,
    pub totals: Totals,
    /// Names of the captured files, without their directories.
    pub sources: Vec<String>,
    pub sessions: Vec<Session>,
    /// In the order of appearance; the index is the one in samples.
    pub tenants: Vec<Tenant>,
    /// At most [`STATEMENTS_MAX`].
    pub statements: Vec<StatementFact>,
    /// First block of the chain of the captured moments of all requests.
    pub(super) times: u64,
}

/// Distinct statements whose folded text is kept: enough for every application that does not build its texts anew each
/// time, and for one that does an upper bound on memory.
pub const STATEMENTS_MAX: usize = 65_536;

/// What the pass over the workload counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// RFC 3339, the moment of captured time 0.
    pub started_at: String,
    /// Captured server version, where the capture knew it.
    pub server_version: Option<String>,
    /// Requests in the workload.
    pub requests: u64,
    /// Requests that are replayed: all but those counted in `not_replayed`.
    pub replayed: u64,
    /// Requests of the captured traffic that the workload lacks, at least.
    pub lost: u64,
    /// Replayed requests without a tenant.
    pub unmapped: u64,
    /// Requests that send ids which the server gave to another session.
    pub ids_of_others: u64,
    /// Microseconds from captured time 0 to the last event.
    pub span_us: u64,
    /// Requests that cannot be sent again, by reason.
    pub not_replayed: BTreeMap<String, u64>,
    /// Fingerprints beyond [`STATEMENTS_MAX`]: they are replayed, but have no text in reports.
    pub statements_beyond_limit: u64,
}

/// A session as captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number in the workload.
    pub session: u32,
    /// Names as captured; the endpoint knows staging's.
    pub database: String,
    pub user: String,
    /// Startup parameters other than user and database.
    pub parameters: BTreeMap<String, String>,
    /// Settings that it had when the capture began.
    pub settings: BTreeMap<String, String>,
    /// Statements that it had prepared when the capture began and executes by SQL's EXECUTE: name to text. Those of the
    /// extended protocol need no place here: an execution brings its text.
    pub prepared: BTreeMap<String, String>,
    pub opened_us: u64,
    /// None where the capture ended before the session.
    pub closed_us: Option<u64>,
    pub began_before_capture: bool,
    /// Tenant of its first request that has one.
    pub tenant: Option<u32>,
    pub requests: u64,
    /// Its place among all sessions of the workload, in the order of their open lines.
    pub number: u32,
    /// First block of its chain, 0 without requests.
    pub(super) chain: u64,
    /// First block of the chain of what its requests wait for, 0 where they wait for nothing.
    pub(super) waits: u64,
}

impl Session {
    /// The most of these sessions, each so many times, that are open at one moment of the capture.
    pub fn most_at_once<'a>(sessions: impl IntoIterator<Item = (&'a Self, u16)>) -> usize {
        // At the same moment, what was open closes first, and what opens then closes last.
        let (closes, opens, closes_at_once) = (0_u8, 1, 2);
        let mut edges: Vec<(u64, u8, i64)> = Vec::new();
        for (session, times) in sessions {
            let times = i64::from(times);
            edges.push((session.opened_us, opens, times));
            edges.extend(session.closed_us.map(|closed_us| match closed_us > session.opened_us {
                true => (closed_us, closes, -times),
                false => (session.opened_us, closes_at_once, -times),
            }));
        }
        edges.sort_unstable();
        let mut open = 0;
        let counts = edges.into_iter().map(|(_, _, change)| {
            open += change;
            open
        });
        usize::try_from(counts.max().unwrap_or_default()).unwrap_or_default()
    }
}

/// A tenant and the captured databases that its requests go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub name: String,
    pub tier: Option<String>,
    pub region: Option<String>,
    pub databases: BTreeSet<String>,
    pub requests: u64,
}
