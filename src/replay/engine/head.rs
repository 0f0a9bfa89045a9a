//! The request that a session comes to next, with the moments that matter for it.

use crate::replay::spool::{RequestFacts, SessionRequests, SpoolError, SpoolRequest};

use super::schedule::Schedule;

/// The front of a session's requests.
#[derive(Debug)]
pub(super) struct Head {
    requests: SessionRequests,
    copy: u16,
    next: Option<Next>,
}

/// A request that is not booked yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub facts: RequestFacts,
    /// Microsecond of the run at which it is due; in a closed loop it is due when the session is ready.
    pub due_us: u64,
}

impl Head {
    /// Stands before the first request.
    pub fn new(requests: SessionRequests, copy: u16) -> Self {
        Self { requests, copy, next: None }
    }

    /// Goes to the next request.
    pub fn advance(&mut self, schedule: &Schedule) -> Result<(), SpoolError> {
        let facts = self.requests.advance()?;
        self.next = facts.map(|facts| Next { facts, due_us: schedule.due_us(facts.t_us, self.copy) });
        Ok(())
    }

    /// The request that is next; none at the session's end.
    pub fn next(&self) -> Option<Next> {
        self.next
    }

    /// Its texts.
    pub fn request(&self) -> Option<SpoolRequest<'_>> {
        self.requests.current().filter(|_| self.next.is_some())
    }

    /// The tenant that waits for the session.
    pub fn tenant(&self) -> Option<u32> {
        self.next.and_then(|next| next.facts.tenant)
    }
}
