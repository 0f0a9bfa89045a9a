//! A session's last request, held back until its next line tells what belonged to it.
//!
//! COPY data and cancel requests stand behind their request in a workload, and say whether it can be replayed and how. One
//! request for each open session is in memory for that. Must not know chains.

use super::entries::Mark;
use super::order::Wait;
use super::request::{Captured, RequestFacts};
use super::rows::Rows;
use super::sending::Sending;
use crate::pgwire::digest::KnownDigest;
use crate::words::sqlstate::SqlState;
use crate::workload::record::{Outcome, Request, Sent};

/// A request whose session has not gone on yet.
#[derive(Debug)]
pub(super) struct Held {
    /// Without what was sent, which stands in `body`.
    pub request: Request,
    pub event: u64,
    pub tenant: Option<u32>,
    pub body: Vec<u8>,
    pub sending: Sending,
    pub mark: Mark,
    /// The rows that it touches, where the order matters.
    pub rows: Vec<Rows>,
    /// What it has to do with ids that the server generates, encoded; empty where nothing.
    pub ids: Vec<u8>,
    /// It gets or sends such ids, so that its rows may be others.
    pub maps_ids: bool,
    /// Requests of other sessions that return ids which it sends.
    pub id_waits: Vec<Wait>,
    /// None as long as it is not known whether it is replayed.
    pub facts: Option<RequestFacts>,
}

impl Held {
    pub fn new(mut request: Request, event: u64, tenant: Option<u32>, body: Vec<u8>, sending: Sending) -> Self {
        request.sent = Sent::Messages(Vec::new());
        let (mark, rows) = (Mark::default(), Vec::new());
        let (ids, id_waits, maps_ids) = (Vec::new(), Vec::new(), false);
        Self { request, event, tenant, body, sending, mark, rows, ids, maps_ids, id_waits, facts: None }
    }

    /// How the capture answered it.
    pub fn captured(&self) -> Captured {
        let results = &self.request.results;
        Captured {
            total_us: total_us_of(&self.request),
            sqlstate: results.iter().find_map(|result| result.sqlstate),
            rows: if let [only] = &results[..] { only.rows } else { None },
            digest: if let [only] = &results[..] { self.digest_of(only) } else { None },
        }
    }

    /// The digest of rows that another execution should give, too.
    fn digest_of(&self, only: &Outcome) -> Option<KnownDigest> {
        let repeats = !self.maps_ids && self.sending.executed.iter().all(|statement| statement.does.repeats);
        let is_copy = only.command_tag.as_ref().is_some_and(|tag| tag.starts_with("COPY"));
        only.digest.as_deref().filter(|_| repeats && !is_copy && only.rows.is_some()).and_then(KnownDigest::parse)
    }

    /// Whether this data is its own.
    pub fn awaits_data(&self, sequence: u64) -> bool {
        self.sending.copies > 0 && self.request.sequence == sequence
    }

    /// Its client asked for a cancellation; one that came after the answer was not for it.
    pub fn cancelled(&mut self, t_us: u64) {
        let after_us = t_us.saturating_sub(self.request.t_us);
        let captured = self.captured();
        let is_unanswered = self.request.results.is_empty()
            || captured.sqlstate == Some(SqlState::QUERY_CANCELED)
            || after_us < captured.total_us;
        if is_unanswered {
            self.mark.cancelled_after_us.get_or_insert(after_us);
        }
    }
}

/// Microseconds from a request's sending to its completion; 0 where unknown.
pub(super) fn total_us_of(request: &Request) -> u64 {
    let times_us = request.results.iter().filter_map(|result| result.total_us);
    // The wire times each result from the sending of its request, a log each statement by itself.
    match request.transaction {
        Some(_) => times_us.max().unwrap_or_default(),
        None => times_us.sum(),
    }
}

/// The data of a request that was let go, on its way into the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataFlow {
    pub sequence: u64,
    /// A COPY was begun and not ended.
    pub is_open: bool,
}
