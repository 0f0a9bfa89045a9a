//! A session's rounds: what it begins each with, and how it comes to the next.
//!
//! Takes a spool and a turn; gives the task of that turn. A session that lasts from the beginning of the capture to its end
//! goes through all rounds as one task, on one connection; any other is opened anew, as it was in the capture. Must not know
//! when sessions are opened.

use std::rc::Rc;

use super::head::{Head, Next};
use super::link::{About, Link};
use super::order::place_of;
use super::read_only::{carried_in, may_not_write};
use super::session::{SessionTask, State};
use super::worker::{Context, Opening};
use crate::replay::pace::Turn;
use crate::replay::spool::{Session, Spool, SpoolError, SpoolRequest};

/// Whether the session was there when the capture began, and when it ended.
pub(super) fn lasts(session: &Session) -> bool {
    session.began_before_capture && session.closed_us.is_none()
}

/// When the session closes in this turn, microseconds of the run.
fn closes_us(context: &Context, spool: &Spool, session: &Session, turn: Turn) -> u64 {
    let closes_t_us = session.closed_us.unwrap_or(spool.totals().span_us);
    context.schedule.due_us(closes_t_us, turn).min(context.schedule.ends_us())
}

impl SessionTask {
    /// The turn of the session that is opened, before its first request.
    pub fn new(context: &Rc<Context>, spool: &Spool, opening: &Opening) -> Self {
        let (index, turn) = (opening.session, opening.turn(spool));
        let session = &spool.sessions()[index];
        let about = About { session: session.session, copy: turn.copy, database: spool.database_index(session) };
        let mut parameters: Vec<_> = session.parameters.clone().into_iter().collect();
        if context.schedule.pace().read_only {
            may_not_write(&mut parameters);
        }
        let login = context.endpoint.login_for(&session.user, &session.database, &parameters);
        let memory = carried_in(session, context.schedule.pace().read_only);
        Self {
            context: Rc::clone(context),
            spool: spool.clone(),
            index,
            about,
            slot: opening.slot,
            head: Head::new(spool.requests(session), turn),
            order: place_of(context, spool, session, turn),
            link: Link::new(Rc::clone(context), about, login, memory),
            closes_us: closes_us(context, spool, session, turn),
            state: State::default(),
            patched: Vec::new(),
        }
    }

    /// The session's next round, if this task goes on with it: its turn. A round in which nothing was to be sent is its
    /// last, since another would be over at once.
    pub fn next_turn(&self) -> Option<Turn> {
        let turn = self.head.turn();
        let goes_on = lasts(&self.spool.sessions()[self.index]) && self.head.has_come_to_any();
        let round = self.context.schedule.pace().rounds.after(turn.round).filter(|_| goes_on)?;
        Some(Turn { round, ..turn }).filter(|next| self.context.is_offered(next, 0))
    }

    /// Stands before the first request of another turn; the connection stays as it is.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn begin_turn(&mut self, turn: Turn) -> Result<(), SpoolError> {
        let session = &self.spool.sessions()[self.index];
        self.head = Head::new(self.spool.requests(session), turn);
        // What stood for the round before tells that it is over.
        self.order = place_of(&self.context, &self.spool, session, turn);
        self.closes_us = closes_us(&self.context, &self.spool, session, turn);
        self.state.end_tries(&self.context);
        self.state.skipping = false;
        self.advance().await
    }

    /// The request that is next, be it in the next round.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn next_of_all_rounds(&mut self) -> Result<Option<Next>, SpoolError> {
        while self.head.next().is_none()
            && let Some(turn) = self.next_turn()
        {
            self.begin_turn(turn).await?;
        }
        Ok(self.head.next())
    }

    /// Goes on with the next round where there is one: false at the session's end.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn start_over(&mut self) -> Result<bool, SpoolError> {
        let Some(turn) = self.next_turn() else { return Ok(false) };
        let session = &self.spool.sessions()[self.index];
        self.link.start_over(carried_in(session, self.context.schedule.pace().read_only)).await;
        self.state.free_us = self.context.schedule.now_us();
        self.begin_turn(turn).await?;
        Ok(true)
    }
}

impl Context {
    /// The request with the values that this turn has in unique columns, its bytes in `out`; none where it is as captured.
    pub fn in_variant<'b>(
        &self,
        request: &SpoolRequest<'_>,
        turn: Turn,
        out: &'b mut Vec<u8>,
    ) -> Option<SpoolRequest<'b>> {
        let (unique, variant) = self.schedule.pace().copies.unique(turn.copy, turn.round)?;
        request.in_variant(unique, variant, out)
    }

    /// Whether something captured at `t_us` may still be offered in this turn.
    pub fn is_offered(&self, turn: &Turn, t_us: u64) -> bool {
        let schedule = &self.schedule;
        let at_us = schedule.due_us(t_us, *turn);
        let at_us = if schedule.pace().is_closed_loop() { at_us.max(schedule.now_us()) } else { at_us };
        at_us < schedule.ends_us()
    }
}
