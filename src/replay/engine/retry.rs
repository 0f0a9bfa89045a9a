//! Requests that are sent again: after which failures, and when.
//!
//! Takes a try that is over and gives what its client waits for before the next, if it tries again. The try stands in
//! for the request until then, so that the request ends exactly once whatever happens. Must not know connections.

use std::collections::VecDeque;

use super::chance::{Chance, chance};
use super::head::Next;
use super::link::About;
use super::session::State;
use super::worker::Context;
use crate::replay::spool::RequestFacts;
use crate::samples::sample::{Outcome, Sample};
use crate::scenario::resolved::{Retry, RetryOn};
use crate::words::sqlstate::SqlState;
use crate::words::time::doubled;

/// A try that is over: the request's own sample if no other follows.
#[derive(Debug)]
pub(super) struct Tried {
    pub sample: Sample,
    /// Where its request stands in what was captured.
    pub at: Option<(u16, u64)>,
}

/// Requests that are tried again, one or those of a transaction block.
#[derive(Debug)]
pub(super) struct Retrying {
    /// Their last tries, that of the request which is next being the first.
    tried: VecDeque<Tried>,
    /// Before this nothing is sent; none once the first has been.
    not_before_us: Option<u64>,
}

impl State {
    /// When the next request may be sent: when it is due, or after its client's back-off.
    pub fn may_send_us(&self, next: &Next) -> u64 {
        self.retrying.as_ref().and_then(|retrying| retrying.not_before_us).unwrap_or(next.due_us)
    }

    /// Whether the next request waits for another try, and nothing was sent since the last.
    pub fn is_between_tries(&self) -> bool {
        self.retrying.as_ref().is_some_and(|retrying| retrying.not_before_us.is_some())
    }

    /// The last try of the next request, if it has been tried.
    pub fn last_try(&self) -> Option<&Sample> {
        self.retrying.as_ref()?.tried.front().map(|tried| &tried.sample)
    }

    /// Takes it out, since another has begun or none follows.
    pub fn take_last_try(&mut self) -> Option<Tried> {
        let retrying = self.retrying.as_mut()?;
        retrying.not_before_us = None;
        let tried = retrying.tried.pop_front();
        if retrying.tried.is_empty() {
            self.retrying = None;
        }
        tried
    }

    /// What was tried is tried again, and before it what follows from here on; nothing before `not_before_us`.
    pub fn try_again(&mut self, tried: Vec<Tried>, not_before_us: u64) {
        let mut all = VecDeque::from(tried);
        all.extend(self.retrying.take().into_iter().flat_map(|retrying| retrying.tried));
        self.retrying = Some(Retrying { tried: all, not_before_us: Some(not_before_us) });
    }
}

impl Context {
    /// When a client sends a request again whose try is over: none where it leaves it at that. `is_lost` says that the
    /// connection went before the answer came.
    pub fn retries_at_us(&self, facts: &RequestFacts, tried: &Sample, is_lost: bool) -> Option<u64> {
        let retry = &self.clients.retry;
        let stands_alone = !facts.part.inside && !facts.part.stays_open;
        let again = stands_alone && tried.attempt < retry.attempts && is_worth_it(retry, tried, is_lost);
        again.then(|| {
            let about = About { session: tried.session, copy: tried.copy, database: tried.database };
            self.backs_off_until_us(tried.done_us, about, tried.event, tried.attempt)
        })
    }

    /// The end of the wait after a try, from the moment at which that was over; what is tried begins with this request.
    pub fn backs_off_until_us(&self, over_us: u64, about: About, event: u64, tries: u16) -> u64 {
        let Retry { backoff, backoff_max, .. } = self.clients.retry;
        let longest = doubled(backoff, u32::from(tries.saturating_sub(1)), backoff_max);
        let wait = longest.mul_f64(chance(about, Chance::Retry, event << 8 | u64::from(tries)));
        over_us.saturating_add(wait.as_micros() as u64)
    }

    /// Books a request as its last try ended.
    pub fn book_last(&self, Tried { sample, at }: Tried) {
        if sample.result.differs() {
            self.differences.note(sample.fingerprint, sample.event, at);
        }
        self.book.sample(sample);
    }
}

/// Whether the failure is one after which the client tries again.
pub(super) fn is_worth_it(retry: &Retry, tried: &Sample, is_lost: bool) -> bool {
    let failed = match tried.outcome {
        Outcome::Failed => true,
        Outcome::Indeterminate => retry.indeterminate,
        Outcome::Ok | Outcome::Late | Outcome::Expired | Outcome::ExpectedError | Outcome::Skipped => false,
    };
    failed && is_named(retry, tried.sqlstate, is_lost)
}

/// Whether this is an error, or a loss of the connection, after which the client tries again.
pub(super) fn is_named(retry: &Retry, sqlstate: Option<SqlState>, is_lost: bool) -> bool {
    retry.on.iter().any(|on| match on {
        RetryOn::Connection => is_lost,
        RetryOn::Code(code) => sqlstate == Some(*code),
        RetryOn::Class(class) => sqlstate.is_some_and(|code| code.class().as_bytes() == class),
    })
}
