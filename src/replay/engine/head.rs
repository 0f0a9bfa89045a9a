//! The request that a session comes to next, with the moments that matter for it.

use std::time::Duration;

use crate::replay::pace::Turn;
use crate::replay::spool::{RequestFacts, RequestPlace, SessionRequests, SpoolError, SpoolRequest};

use super::schedule::Schedule;
use crate::scenario::resolved::Pacing;
use crate::words::class::SampleClass;

/// The front of a session's requests.
#[derive(Debug)]
pub(super) struct Head {
    requests: SessionRequests,
    turn: Turn,
    next: Option<Next>,
    has_come_to_any: bool,
    /// Captured moment at which the one before was answered.
    answered_t_us: Option<u64>,
    /// The request's text, where it may change the session and its data took the request's place in memory.
    kept_sql: Option<Box<[u8]>>,
}

/// A request that is not booked yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub facts: RequestFacts,
    /// Microsecond of the run at which it is due; in a closed loop it is due when the session is
    /// ready, but not before this.
    pub due_us: u64,
    /// It is passed over when its time comes, and not offered.
    pub left_out: Option<LeftOut>,
}

/// A request that the head may go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bookmark {
    pub next: Next,
    place: RequestPlace,
}

/// Why a request is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// This copy does not send it.
    Copy,
    /// It writes, and the replay is to change nothing.
    Write,
}

/// Requests that are left out and passed over in one go: the next of them waits for its time, so that other sessions go on.
const PASSED_AT_ONCE_MAX: u32 = 256;

/// Parts of COPY data, of 64 KiB at most, that are passed over in one go.
pub(super) const PARTS_AT_ONCE_MAX: usize = 16;

impl Head {
    /// Stands before the first request.
    pub fn new(requests: SessionRequests, turn: Turn) -> Self {
        Self { requests, turn, next: None, has_come_to_any: false, answered_t_us: None, kept_sql: None }
    }

    /// Goes to the next request; the session is done with the one before since `free_us`.
    pub async fn advance(&mut self, schedule: &Schedule, free_us: u64) -> Result<(), SpoolError> {
        self.kept_sql = None;
        let Turn { number, copy, .. } = self.turn;
        let pace = schedule.pace();
        let left_out = |facts: &RequestFacts| match () {
            () if !pace.copies.sends(number, copy, facts.owner) => Some(LeftOut::Copy),
            () if pace.read_only && facts.writes => Some(LeftOut::Write),
            () => None,
        };
        let mut facts = self.next_request().await?;
        let mut passed = 0;
        while passed < PASSED_AT_ONCE_MAX && facts.as_ref().and_then(left_out) == Some(LeftOut::Copy) {
            facts = self.next_request().await?;
            passed += 1;
        }
        let next = facts.map(|mut facts| {
            if pace.read_only && facts.class == SampleClass::Commit {
                // What would have made it a write was left out.
                facts.class = SampleClass::Transaction;
            }
            let due_us = self.due_us(&facts, schedule, free_us);
            Next { facts, due_us, left_out: left_out(&facts) }
        });
        let not_before_us = if pace.is_closed_loop() { free_us } else { 0 };
        self.next = next.filter(|next| next.due_us.max(not_before_us) < schedule.ends_us());
        if let Some(Next { left_out, .. }) = self.next {
            // In open arrivals a write that is left out takes its time, too.
            self.has_come_to_any |= left_out.is_none() || (left_out == Some(LeftOut::Write) && !pace.is_closed_loop());
        }
        if let Some(Next { facts, left_out: None, .. }) = self.next {
            self.answered_t_us = Some(facts.t_us.saturating_add(facts.captured.total_us));
        }
        Ok(())
    }

    /// Reads the next request. Data of the one before that nobody read may be gigabytes: others go on meanwhile.
    async fn next_request(&mut self) -> Result<Option<RequestFacts>, SpoolError> {
        while !self.requests.pass_over_data(PARTS_AT_ONCE_MAX)? {
            tokio::task::yield_now().await;
        }
        self.requests.advance()
    }

    /// Marks the request that is next; its data must not have been read.
    pub fn bookmark(&self) -> Option<Bookmark> {
        self.next.map(|next| Bookmark { next, place: self.requests.place() })
    }

    /// Goes back to a request of this turn, due when it was.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn go_back(&mut self, Bookmark { next, place }: Bookmark) -> Result<(), SpoolError> {
        self.requests.go_back(place)?;
        (self.next, self.kept_sql) = (Some(next), None);
        self.answered_t_us = Some(next.facts.t_us.saturating_add(next.facts.captured.total_us));
        Ok(())
    }

    fn due_us(&self, facts: &RequestFacts, schedule: &Schedule, free_us: u64) -> u64 {
        match (schedule.pace().pacing, self.answered_t_us) {
            (Pacing::ThinkTime, Some(answered_t_us)) => {
                schedule.after_pause_us(free_us, facts.t_us.saturating_sub(answered_t_us))
            }
            _ => schedule.due_us(facts.t_us, self.turn),
        }
    }

    /// Which going through the session's requests this is.
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// Whether there was a request to send.
    pub fn has_come_to_any(&self) -> bool {
        self.has_come_to_any
    }

    /// The request that is next; none at the session's end.
    pub fn next(&self) -> Option<Next> {
        self.next
    }

    /// Its texts.
    pub fn request(&self) -> Option<SpoolRequest<'_>> {
        self.requests.current().filter(|_| self.next.is_some())
    }

    /// Whether it can be sent again: COPY data is read from the spool once.
    pub fn is_repeatable(&self) -> bool {
        !self.requests.brings_data()
    }

    /// Its COPY data, where it brings some; the text that changes the session is kept.
    pub fn copy_data(&mut self) -> Option<&mut SessionRequests> {
        if !self.requests.brings_data() {
            return None;
        }
        self.kept_sql = self.session_sql().map(Box::from);
        Some(&mut self.requests)
    }

    /// Its text, where that may change the session.
    pub fn session_sql(&self) -> Option<&[u8]> {
        if !self.next?.facts.changes_session {
            return None;
        }
        self.request().map(|request| request.body.session_sql()).or(self.kept_sql.as_deref())
    }

    /// How long after its start its client asked for its cancellation.
    pub fn cancelled_after(&self) -> Option<Duration> {
        self.requests.cancelled_after()
    }

    /// The tenant that waits for the session.
    pub fn tenant(&self) -> Option<u32> {
        self.next.and_then(|next| next.facts.tenant)
    }
}
