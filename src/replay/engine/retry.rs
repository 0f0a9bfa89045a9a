//! Requests that are sent again: after which failures, and when.
//!
//! Takes a try that is over and gives what its client waits for before the next, if it tries again. The try stands in
//! for the request until then, so that the request ends exactly once whatever happens. Must not know connections.

use super::chance::{Chance, chance};
use super::head::Next;
use super::link::About;
use super::session::State;
use super::worker::Context;
use crate::replay::spool::RequestFacts;
use crate::samples::sample::{Outcome, Sample};
use crate::scenario::resolved::{Retry, RetryOn};
use crate::words::time::doubled;

/// A request between two tries.
#[derive(Debug)]
pub(super) struct Retrying {
    /// The last try; the request's own sample if no other follows.
    pub tried: Sample,
    /// The next try is not sent before this.
    pub not_before_us: u64,
}

impl State {
    /// When the next request may be sent: when it is due, or after its client's back-off.
    pub fn may_send_us(&self, next: &Next) -> u64 {
        self.retrying.as_ref().map_or(next.due_us, |retrying| retrying.not_before_us)
    }
}

impl Context {
    /// What a client makes of a try that is over: none where it leaves it at that. `is_lost` says that the connection
    /// went before the answer came.
    pub fn retries(&self, facts: &RequestFacts, tried: &Sample, is_lost: bool) -> Option<Retrying> {
        let retry = &self.clients.retry;
        let stands_alone = !facts.part.inside && !facts.part.stays_open;
        let again = stands_alone && tried.attempt < retry.attempts && is_worth_it(retry, tried, is_lost);
        again.then(|| {
            let about = About { session: tried.session, copy: tried.copy, database: tried.database };
            let occasion = tried.event << 8 | u64::from(tried.attempt);
            let longest = doubled(retry.backoff, u32::from(tried.attempt.saturating_sub(1)), retry.backoff_max);
            let wait = longest.mul_f64(chance(about, Chance::Retry, occasion));
            let not_before_us = tried.done_us.saturating_add(wait.as_micros() as u64);
            Retrying { tried: tried.clone(), not_before_us }
        })
    }
}

/// Whether the failure is one after which the client tries again.
fn is_worth_it(retry: &Retry, tried: &Sample, is_lost: bool) -> bool {
    let failed = match tried.outcome {
        Outcome::Failed => true,
        Outcome::Indeterminate => retry.indeterminate,
        Outcome::Ok | Outcome::Late | Outcome::Expired | Outcome::ExpectedError | Outcome::Skipped => false,
    };
    failed
        && retry.on.iter().any(|on| match on {
            RetryOn::Connection => is_lost,
            RetryOn::Code(code) => tried.sqlstate == Some(*code),
            RetryOn::Class(class) => tried.sqlstate.is_some_and(|code| code.class().as_bytes() == class),
        })
}
