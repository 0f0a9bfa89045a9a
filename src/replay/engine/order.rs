//! Keeping the captured order of commits: a request waits for the commits of other sessions that came before it.
//!
//! Takes how far each session is, from all workers; gives the time that a request waited. A session that stands still, is broken
//! or never comes cannot stop the others: a wait has a limit, beyond which it is broken and counted. Must not know what a request
//! does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::stop::Stop;
use super::worker::Context;
use crate::replay::pace::Turn;
use crate::replay::spool::{Session, SessionWaits, Spool, SpoolError, Wait};

/// How far all sessions are, for all workers.
#[derive(Debug)]
pub(super) struct CommitOrder {
    limit: Duration,
    /// By session number: where its copies begin in `copies`; and where the last ends.
    starts: Vec<usize>,
    copies: Vec<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// Requests of the session with lesser numbers than this are over; each round goes on with the numbers.
    reached: AtomicU64,
    changed: Notify,
}

impl Progress {
    fn reach(&self, reached: u64) {
        self.reached.store(reached, Ordering::Release);
        self.changed.notify_waiters();
    }
}

impl CommitOrder {
    /// Stands before the first request of each session, of which there are so many copies by its number; a request waits
    /// for `limit` at most.
    pub fn new(copies_of: &[u16], limit: Duration) -> Self {
        let mut starts = vec![0];
        starts.extend(copies_of.iter().scan(0, |end, copies| {
            *end += usize::from(*copies);
            Some(*end)
        }));
        let progress = || Progress { reached: AtomicU64::new(0), changed: Notify::new() };
        let copies = (0..starts.last().copied().unwrap_or_default()).map(|_| progress()).collect();
        Self { limit, starts, copies }
    }

    /// None of a copy that there is not, for which nobody waits.
    fn progress(&self, number: u32, copy: u16) -> Option<&Progress> {
        let number = number as usize;
        let (start, end) = (self.starts.get(number)?, self.starts.get(number + 1)?);
        self.copies[*start..*end].get(usize::from(copy))
    }

    fn is_over(&self, wait: Wait, copy: u16) -> bool {
        self.progress(wait.number, copy).is_none_or(|progress| progress.reached.load(Ordering::Acquire) > wait.event)
    }

    /// The session comes to no further request, so that nobody waits for it any more.
    pub fn ended(&self, number: u32, copy: u16) {
        if let Some(progress) = self.progress(number, copy) {
            progress.reach(u64::MAX);
        }
    }

    /// Returns when the commit is over, whatever became of it. Cancel-safe.
    async fn until_over(&self, wait: Wait, copy: u16) {
        let Some(progress) = self.progress(wait.number, copy) else { return };
        loop {
            let mut changed = std::pin::pin!(progress.changed.notified());
            changed.as_mut().enable();
            if self.is_over(wait, copy) {
                return;
            }
            changed.await;
        }
    }
}

/// The place of one session and copy in the order, for one round.
#[derive(Debug)]
pub(super) struct OrderPlace {
    order: Arc<CommitOrder>,
    waits: SessionWaits,
    turn: Turn,
    /// What the round adds to the numbers of requests, and the number with which the next begins.
    from: u64,
    to: u64,
    /// The request that has waited: another try of it does not wait again.
    settled: Option<u64>,
}

impl OrderPlace {
    /// Of a workload of so many requests.
    pub fn new(order: Arc<CommitOrder>, waits: SessionWaits, turn: Turn, requests: u64) -> Self {
        let from = requests.saturating_mul(turn.round.into());
        Self { order, waits, turn, from, to: from.saturating_add(requests), settled: None }
    }

    /// The session's next request is this one; none when the round is at its end.
    pub fn reached(&self, event: Option<u64>) {
        if let Some(progress) = self.order.progress(self.turn.number, self.turn.copy) {
            progress.reach(event.map_or(self.to, |event| self.from + event));
        }
    }

    /// Waits until the commits that the request comes after are over, and gives the microseconds that it took; nothing for
    /// another try of a request that has waited.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn wait(&mut self, event: u64, context: &Context, stop: &mut Stop) -> Result<u64, SpoolError> {
        if self.settled == Some(event) {
            return Ok(0);
        }
        let (order, copy, from) = (&self.order, self.turn.copy, self.from);
        let waits = self.waits.of(event)?.iter().map(|wait| Wait { event: from + wait.event, ..*wait });
        if waits.clone().all(|wait| order.is_over(wait, copy)) {
            return Ok(0);
        }
        let started_us = context.schedule.now_us();
        let breaks_us = started_us.saturating_add(order.limit.as_micros() as u64);
        let all_over = async {
            for wait in waits {
                order.until_over(wait, copy).await;
            }
        };
        let is_broken = tokio::select! {
            biased;
            () = stop.requested() => return Ok(0),
            () = all_over => false,
            () = context.timer.until(Some(breaks_us)) => true,
        };
        context.book.waited_for_order(is_broken);
        self.settled = Some(event);
        Ok(context.schedule.now_us().saturating_sub(started_us))
    }
}

impl Drop for OrderPlace {
    /// Whatever ended the round: nobody waits for what is left of it.
    fn drop(&mut self) {
        self.reached(None);
    }
}

/// The place of a session in the order, where there is one.
pub(super) fn place_of(context: &Context, spool: &Spool, session: &Session, turn: Turn) -> Option<OrderPlace> {
    let order = Arc::clone(context.order.as_ref()?);
    Some(OrderPlace::new(order, spool.waits(session), turn, spool.totals().requests))
}
