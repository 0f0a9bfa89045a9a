//! A transaction block that breaks: its rest is left, or its client runs it again from its BEGIN.
//!
//! Takes each request of the block as it is sent and as it ended, and holds its sample until the block's fate is known: then
//! it is the request's own, or that of a try which another followed. Must not know how anything is sent.

use super::head::{Bookmark, LeftOut, Next};
use super::memory::SessionMemory;
use super::retry::{Tried, is_named, is_worth_it};
use super::session::{SessionTask, State};
use super::worker::Context;
use crate::replay::spool::{RequestFacts, SpoolError};
use crate::scenario::resolved::{BrokenTransaction, Retry};
use crate::words::sqlstate::SqlState;

/// Requests of a block that is run again; a longer one is not, so that what is held of it is bounded.
pub(super) const REQUESTS_MAX: usize = 256;

/// The block that the session is in, as long as it can be run again.
#[derive(Debug)]
pub(super) struct Block {
    begin: Bookmark,
    /// What the session had told its server before.
    memory: SessionMemory,
    /// Tries of the block, with the one under way.
    tries: u16,
    /// What became of its requests in this try.
    held: Vec<Tried>,
    /// The last of them failed so that the client runs the block again.
    is_worth_it: bool,
}

impl Block {
    /// Holds what became of the block's next request.
    pub fn hold(&mut self, retry: &Retry, facts: &RequestFacts, tried: Tried, is_lost: bool) {
        // What the client did about an error of the capture is in the capture.
        self.is_worth_it = facts.captured.sqlstate.is_none() && is_worth_it(retry, &tried.sample, is_lost);
        self.held.push(tried);
    }

    fn holds_for(&self, next: &Next) -> bool {
        self.begin.next.facts.event == next.facts.event
    }
}

impl State {
    /// The block is over, or not to be run again: what is held of it stands.
    pub fn settle(&mut self, context: &Context) {
        if let Some(block) = self.block.take() {
            block.held.into_iter().for_each(|tried| context.book_last(tried));
        }
    }

    /// Nothing is sent any more: all that was tried ends as its last try did.
    pub fn end_tries(&mut self, context: &Context) {
        self.settle(context);
        while let Some(tried) = self.take_last_try() {
            context.book_last(tried);
        }
    }
}

impl SessionTask {
    /// A request is about to be sent: from a BEGIN on what becomes of the block is held, up to what cannot be done again.
    pub fn follow_block(&mut self, next: &Next) {
        let part = next.facts.part;
        let begins = part.stays_open && !part.inside;
        match &self.state.block {
            None if !begins => {}
            Some(block) if begins && block.holds_for(next) => {}
            Some(block) if !begins => {
                let is_done_with = part.commits && part.stays_open;
                if is_done_with || !self.head.is_repeatable() || block.held.len() >= REQUESTS_MAX {
                    self.state.settle(&self.context);
                }
            }
            _ => {
                self.state.settle(&self.context);
                let clients = &self.context.clients;
                let runs_again = clients.broken_transaction == BrokenTransaction::Retry && clients.retry.attempts > 1;
                let begin = if runs_again { self.head.bookmark() } else { None };
                self.state.block = begin.map(|begin| {
                    let memory = self.link.memory().clone();
                    Box::new(Block { begin, memory, tries: 1, held: Vec::new(), is_worth_it: false })
                });
            }
        }
    }

    /// The connection is of no use after this request.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn break_off(&mut self, facts: &RequestFacts) -> Result<(), SpoolError> {
        self.link.take_down();
        self.state.skipping = !self.run_again()? && self.context.skips_after(facts);
        Ok(())
    }

    /// A request failed that did not fail in the capture: its client rolls back, and runs the block again or leaves its rest.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn after_failure(&mut self, facts: &RequestFacts) -> Result<(), SpoolError> {
        let failed_in_capture = facts.captured.sqlstate.is_some();
        if facts.part.stays_open && failed_in_capture {
            return Ok(());
        }
        if self.link.in_transaction() {
            self.link.roll_back().await;
            self.state.free_us = self.context.schedule.now_us();
        }
        self.state.skipping = !self.run_again()? && self.context.skips_after(facts);
        Ok(())
    }

    /// The connection went, with this code if the server gave one, before the next request was sent; a block that was open is
    /// broken.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn break_block(&mut self, sqlstate: Option<SqlState>) -> Result<(), SpoolError> {
        let is_inside = |next: Next| next.facts.part.inside && next.left_out != Some(LeftOut::Copy);
        if !self.head.next().is_some_and(is_inside) {
            return Ok(());
        }
        // What is left of the block is left now, and not when the request before was over.
        self.state.free_us = self.context.schedule.now_us();
        let is_worth_it = is_named(&self.context.clients.retry, sqlstate, true);
        if !self.go_back_if(is_worth_it)? {
            self.state.skipping |= self.context.clients.broken_transaction != BrokenTransaction::Continue;
        }
        Ok(())
    }

    /// The block broke at the request that was held last: goes back to its BEGIN if the client runs it again.
    fn run_again(&mut self) -> Result<bool, SpoolError> {
        let is_worth_it = self.state.block.as_ref().is_some_and(|block| block.is_worth_it);
        self.go_back_if(is_worth_it)
    }

    fn go_back_if(&mut self, is_worth_it: bool) -> Result<bool, SpoolError> {
        let Self { context, about, head, link, state, .. } = self;
        let Some(mut block) = state.block.take_if(|block| is_worth_it && block.tries < context.clients.retry.attempts)
        else {
            state.settle(context);
            return Ok(false);
        };
        let event = block.begin.next.facts.event;
        let not_before_us = context.backs_off_until_us(context.schedule.now_us(), *about, event, block.tries);
        state.try_again(std::mem::take(&mut block.held), not_before_us);
        (state.skipping, block.tries) = (false, block.tries + 1);
        head.go_back(block.begin)?;
        if !link.is_up() {
            // A statement that was prepared in the block is not there any more, unlike on the same connection.
            link.remember(block.memory.clone());
        }
        state.block = Some(block);
        Ok(true)
    }
}
