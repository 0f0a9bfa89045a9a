//! Requests that are not sent: when they are given up, and their samples.
//!
//! Takes a request and its session's state and books it as expired, or as the skipped rest of a broken transaction.
//! Must not know connections.

use std::time::Duration;

use super::exchange::Patience;
use super::head::{LeftOut, Next};
use super::link::About;
use super::session::State;
use super::worker::Context;
use crate::replay::spool::RequestFacts;
use crate::samples::sample::{Outcome, ResultCheck, Sample, SampleKind};
use crate::scenario::resolved::BrokenTransaction;

/// The message of requests that the end of the run cut short.
pub(super) const RUN_ENDED: &str = "the run ended";

/// The message of requests that their client's pool had no connection for.
pub(super) const NO_SLOT: &str = "no connection of the pool was free in time";

/// Requests that a session gives up in one go: then the other sessions of its thread go on first.
const GIVEN_UP_AT_ONCE_MAX: u32 = 64;

impl State {
    /// Whether a request is not sent when its turn comes: it is left out, or the rest of a broken transaction.
    pub fn passes_over(&self, next: &Next) -> bool {
        next.left_out.is_some() || (self.skipping && next.facts.part.inside)
    }

    /// A request was given up or left out. A session with a long queue of them must not keep the others waiting.
    pub async fn let_others_go_on(&mut self) {
        self.given_up_at_once = (self.given_up_at_once + 1) % GIVEN_UP_AT_ONCE_MAX;
        if self.given_up_at_once == 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Context {
    /// How long the client of this request waits.
    pub(super) fn patience(&self, facts: &RequestFacts) -> Patience {
        let captured = Duration::from_micros(facts.captured.total_us);
        Patience {
            deadline: self.clients.deadline.max(captured.saturating_mul(3)),
            abandon: self.clients.abandon,
            on_deadline: self.clients.on_deadline,
            cancel_after: None,
            cancel_within: self.clients.connect_timeout,
        }
    }

    /// Whether what follows in its transaction block is left unsent once this request has failed.
    pub(super) fn skips_after(&self, facts: &RequestFacts) -> bool {
        facts.part.stays_open && self.clients.broken_transaction != BrokenTransaction::Continue
    }

    /// When a request that is not sent is given up: at its due time where it is left out or the rest of a broken
    /// transaction, else after its deadline, which each try has for itself, or when its pool has kept it waiting for long, if
    /// its session has queued for a slot since `queued_us`; never in a closed loop, where nothing is late.
    pub(super) fn gives_up_us(&self, next: &Next, state: &State, queued_us: Option<u64>) -> Option<u64> {
        let skipped = state.passes_over(next);
        if self.schedule.pace().is_closed_loop() {
            return skipped.then_some(0);
        }
        match skipped {
            true => Some(next.due_us),
            false => {
                let deadline_us = self.patience(&next.facts).deadline.as_micros() as u64;
                let late_us = state.may_send_us(next).saturating_add(deadline_us);
                Some(self.pool_gives_up_us(next, state, queued_us).map_or(late_us, |at_us| at_us.min(late_us)))
            }
        }
    }

    /// When a pool has no slot for a request.
    fn pool_gives_up_us(&self, next: &Next, state: &State, queued_us: Option<u64>) -> Option<u64> {
        let wait_us = self.pools.as_ref()?.profile().wait.as_micros() as u64;
        Some(state.may_send_us(next).max(queued_us?).saturating_add(wait_us))
    }
}

/// Books a request that is not sent: skipped as the rest of a broken transaction, or expired, and with it the
/// transaction that it would have begun. One that was tried before ends as its last try did; one that is left out is not booked.
pub(super) fn give_up(context: &Context, about: About, state: &mut State, next: &Next, queued_us: Option<u64>) {
    if let Some(why) = next.left_out {
        leave_out(context, state, next, why);
        // Nobody is there to begin the block that it would have begun.
        state.skipping |= why == LeftOut::Write && !next.facts.part.inside && context.skips_after(&next.facts);
        return;
    }
    state.settle(context);
    if let Some(tried) = state.take_last_try() {
        context.book_last(tried);
        state.skipping = context.skips_after(&next.facts);
        return;
    }
    let skipped = state.skipping && next.facts.part.inside;
    let gave_up_us = context.gives_up_us(next, state, queued_us).unwrap_or_default();
    let mut sample = unsent(about, next);
    sample.deadline_us = context.patience(&next.facts).deadline.as_micros() as u64;
    // Expired at its deadline, even if nobody looked at that moment; skipped when its turn came.
    sample.done_us = if skipped { gave_up_us.max(state.free_us) } else { gave_up_us };
    if context.schedule.pace().is_closed_loop() {
        sample.due_us = sample.done_us;
    }
    sample.outcome = if skipped { Outcome::Skipped } else { Outcome::Expired };
    sample.message = (!skipped && queued_us.is_some()).then(|| NO_SLOT.into());
    context.book.offer();
    context.book.sample(sample);
    state.skipping = context.skips_after(&next.facts);
}

/// Passes over a request that is not to be sent; what writes is counted.
pub(super) fn leave_out(context: &Context, state: &mut State, next: &Next, why: LeftOut) {
    state.settle(context);
    if why == LeftOut::Write {
        context.book.leave_out();
        // The end of a block ends what is skipped of it, sent or not.
        state.skipping &= next.facts.part.stays_open;
    }
}

/// A sample of a request of which nothing has happened yet.
pub(super) fn unsent(about: About, next: &Next) -> Sample {
    let Next { facts, due_us, .. } = next;
    Sample {
        kind: SampleKind::Request,
        class: facts.class,
        outcome: Outcome::Expired,
        result: ResultCheck::Unknown,
        event: facts.event,
        session: about.session,
        copy: about.copy,
        tenant: facts.tenant,
        database: about.database,
        endpoint: 0,
        fingerprint: facts.fingerprint,
        due_us: *due_us,
        ready_us: None,
        sent_us: None,
        first_us: None,
        done_us: *due_us,
        deadline_us: 0,
        order_wait_us: 0,
        other_tenant_wait_us: 0,
        sqlstate: None,
        message: None,
        rows: 0,
        bytes: 0,
        attempt: 1,
    }
}
