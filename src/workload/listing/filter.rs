//! Which events of a workload are asked for.
//!
//! Takes events and says yes or no. Must not know how they are shown.

use crate::objective::Pattern;
use crate::words::ids::Fingerprint;
use crate::workload::reader::Reader;
use crate::workload::record::{Open, Request};

/// Everything where nothing is said.
#[derive(Clone, Debug)]
pub struct Filter {
    pub from_us: u64,
    /// The first moment that is outside.
    pub to_us: u64,
    pub sessions: Vec<u32>,
    pub databases: Vec<Pattern>,
    /// Only requests of these tenants, without what belongs to a session as a whole.
    pub tenants: Vec<Pattern>,
    /// Only requests that execute one of these statements.
    pub fingerprints: Vec<Fingerprint>,
}

impl Default for Filter {
    fn default() -> Self {
        let (sessions, databases, tenants, fingerprints) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { from_us: 0, to_us: u64::MAX, sessions, databases, tenants, fingerprints }
    }
}

impl Filter {
    pub(super) fn selects_session(&self, open: &Open) -> bool {
        (self.sessions.is_empty() || self.sessions.contains(&open.session))
            && (self.databases.is_empty() || self.databases.iter().any(|pattern| pattern.matches(&open.database)))
    }

    pub(super) fn selects_moment(&self, t_us: u64) -> bool {
        (self.from_us..self.to_us).contains(&t_us)
    }

    pub(super) fn is_past(&self, t_us: u64) -> bool {
        t_us >= self.to_us
    }

    /// Whether a session's opens, closes and cancels are asked for.
    pub(super) fn selects_session_events(&self) -> bool {
        self.tenants.is_empty() && self.fingerprints.is_empty()
    }

    pub(super) fn selects_request(&self, request: &Request, reader: &Reader) -> bool {
        let tenant = request.tenant.and_then(|id| reader.tenant(id)).map(|tenant| tenant.name.as_str());
        let is_of_tenants = || tenant.is_some_and(|name| self.tenants.iter().any(|pattern| pattern.matches(name)));
        let executes = || {
            request
                .sent
                .executed()
                .filter_map(|sql| reader.statement(sql))
                .any(|statement| self.fingerprints.contains(&statement.fingerprint))
        };
        (self.tenants.is_empty() || is_of_tenants()) && (self.fingerprints.is_empty() || executes())
    }
}
