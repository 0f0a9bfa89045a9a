//! One captured session: its requests in order, each when it is due, each booked exactly once.
//!
//! A session is either connected and waits for its next request, or it brings its connection up while the requests
//! that fall due are booked as what they are: expired, or the skipped rest of a broken transaction. Nothing that its
//! server does can stop it. Must not know other sessions.

use std::rc::Rc;

use super::behind::BusyStretches;
use super::block::Block;
use super::copying::Copying;
use super::exchange::{Answer, GivenUp, Patience, await_reply, hand_over};
use super::far::FarTimer;
use super::giving_up::{RUN_ENDED, give_up, leave_out, unsent};
use super::head::{Head, LeftOut, Next};
use super::link::{About, Link, Waiting};
use super::order::OrderPlace;
use super::outcome;
use super::retry::{Retrying, Tried};
use super::stop::Stop;
use super::worker::Context;
use crate::pgwire::backend::TransactionStatus;
use crate::replay::spool::{RequestFacts, Spool, SpoolError};
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::server::{ConnectError, ReplySummary};

/// A session and copy being replayed.
pub(super) struct SessionTask {
    pub context: Rc<Context>,
    pub spool: Spool,
    /// Its index among the spool's sessions.
    pub index: usize,
    pub about: About,
    /// Its slot among those in flight.
    pub slot: usize,
    pub head: Head,
    pub link: Link,
    /// None where sessions are free of each other.
    pub order: Option<OrderPlace>,
    /// Microsecond of the run at which it closes.
    pub closes_us: u64,
    pub state: State,
    /// Where a request with other ids than the captured ones is written; reused unless it is very long.
    pub patched: Vec<u8>,
}

/// What the session has been through.
#[derive(Debug, Default)]
pub(super) struct State {
    /// When its last request was over.
    pub free_us: u64,
    /// The rest of the current transaction block is not sent.
    pub skipping: bool,
    /// The last tries of requests that their client repeats, from the one that is next on.
    pub retrying: Option<Retrying>,
    /// The transaction block that the session is in, where its client may run it again.
    pub block: Option<Box<Block>>,
    busy: BusyStretches,
    /// For the deadline of the request in flight.
    timer: FarTimer,
    pub was_connected: bool,
    /// A request came up since the connection was lost.
    pub wants_connection: bool,
    /// Requests that were given up since others could go on.
    pub given_up_at_once: u32,
}

/// How a wait ended.
pub(super) enum Woken {
    /// The connection is up, and the next request is due.
    Due,
    /// Look again: the connection came or went, or requests were given up.
    Again,
    /// The session is at its end.
    Closed,
    /// The run is.
    Stopped,
}

impl SessionTask {
    /// Replays the session to its end, through all rounds if it lasts so long, or to the end of the run.
    ///
    /// # Errors
    /// The spool cannot be read; what was due before is booked.
    pub async fn run(mut self, stop: &mut Stop) -> Result<(), SpoolError> {
        let ended = self.go_through(stop).await;
        self.state.end_tries(&self.context);
        self.link.close().await;
        ended
    }

    async fn go_through(&mut self, stop: &mut Stop) -> Result<(), SpoolError> {
        self.advance().await?;
        loop {
            let woken = match self.link.is_up() {
                true => self.wait_until_due(stop).await?,
                false if self.is_at_rest() => self.wait_until_wanted(stop).await?,
                false => self.wait_until_up(stop).await?,
            };
            match (woken, self.head.next()) {
                (Woken::Due, Some(next)) => self.take_up(next, stop).await?,
                (Woken::Due | Woken::Again, _) => {}
                (Woken::Closed, _) if self.start_over().await? => {}
                (Woken::Closed, _) => return Ok(()),
                (Woken::Stopped, _) => return self.give_up_what_is_due().await,
            }
        }
    }

    /// Connected: waits for the next request, or for the session's end when there is none.
    async fn wait_until_due(&mut self, stop: &mut Stop) -> Result<Woken, SpoolError> {
        let context = Rc::clone(&self.context);
        let schedule = &context.schedule;
        (self.state.was_connected, self.state.wants_connection) = (true, false);
        let next = self.head.next();
        let at_us = match &next {
            Some(next) if self.state.passes_over(next) => {
                context.gives_up_us(next, &self.state, None).unwrap_or_default()
            }
            Some(next) => self.state.may_send_us(next),
            None => self.closes_us,
        };
        if !stop.is_requested() && next.is_some() && at_us <= schedule.now_us() {
            return Ok(Woken::Due);
        }
        tokio::select! {
            biased;
            () = stop.requested() => Ok(Woken::Stopped),
            sqlstate = self.link.wait_lost() => {
                self.break_block(sqlstate)?;
                Ok(Woken::Again)
            }
            () = self.context.timer.until(Some(at_us)) => Ok(if next.is_some() { Woken::Due } else { Woken::Closed }),
        }
    }

    /// Not connected: brings the connection up, and gives up the requests whose time passes meanwhile.
    async fn wait_until_up(&mut self, stop: &mut Stop) -> Result<Woken, SpoolError> {
        if self.head.next().is_none() && self.state.was_connected {
            return Ok(Woken::Closed);
        }
        let Self { context, about, head, link, state, closes_us, order, .. } = self;
        let context = &**context;
        let waiting = Waiting::default();
        waiting.tenant.set(head.tenant());
        let mut coming_up = std::pin::pin!(link.bring_up(&waiting));
        loop {
            let gives_up_us = |state: &State| match head.next() {
                Some(next) => context.gives_up_us(&next, state, waiting.queued_us.get()),
                None => Some(*closes_us),
            };
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(Woken::Stopped),
                () = &mut coming_up => return Ok(Woken::Again),
                // Asked only once it is known whether the session queues.
                () = async { context.timer.until(gives_up_us(state)).await } => {
                    if gives_up_us(state).is_none_or(|at_us| at_us > context.schedule.now_us()) {
                        continue;
                    }
                    let Some(next) = head.next() else { return Ok(Woken::Closed) };
                    give_up(context, *about, state, &next, waiting.queued_us.get());
                    head.advance(&context.schedule, state.free_us).await?;
                    tell(order.as_ref(), head, state);
                    waiting.tenant.set(head.tenant());
                    state.let_others_go_on().await;
                }
            }
        }
    }

    /// The next request is due on a connection that is up: sends it, gives it up, or leaves it out.
    async fn take_up(&mut self, next: Next, stop: &mut Stop) -> Result<(), SpoolError> {
        if let Some(why) = next.left_out {
            leave_out(&self.context, &mut self.state, &next, why);
            if why == LeftOut::Write {
                self.stand_where_it_would(&next.facts).await;
            }
            self.state.let_others_go_on().await;
            return self.advance().await;
        }
        let skipped = self.state.skipping && next.facts.part.inside;
        let gives_up_us = self.context.gives_up_us(&next, &self.state, None);
        let is_late = gives_up_us.is_some_and(|at_us| at_us <= self.context.schedule.now_us());
        // Inside a transaction that has begun nothing expires: its client goes on.
        if skipped || (is_late && !self.link.in_transaction()) {
            give_up(&self.context, self.about, &mut self.state, &next, None);
            self.state.let_others_go_on().await;
        } else if !self.send(next, stop).await? {
            return Ok(());
        }
        self.advance().await
    }

    /// Sends a request and sees it to its end. False when it is still to be sent: not a byte of it left, or its client
    /// tries again.
    async fn send(&mut self, next: Next, stop: &mut Stop) -> Result<bool, SpoolError> {
        let mut facts = next.facts;
        let context = Rc::clone(&self.context);
        self.follow_block(&next);
        let Some(order_wait_us) = self.wait_in_order(facts.event, stop).await? else { return Ok(false) };
        let patience = Patience { cancel_after: self.head.cancelled_after(), ..context.patience(&facts) };
        let mut sample = Sample { order_wait_us, ..self.ready(&next, &patience) };
        let (Some(mut request), Some((connection, prepared, target))) = (self.head.request(), self.link.parts()) else {
            return Ok(false);
        };
        let (id_marks, mut ids) = (request.id_marks(), None);
        if let Some(marks) = &id_marks {
            let (filled, counts) = context.ids.put_in(self.head.turn(), request, marks, &mut self.patched);
            // Another try sends the same again, and is not counted.
            (request, ids) = (filled, self.state.last_try().is_none().then_some(counts));
        }
        let mut bytes = Vec::new();
        let request = context.in_variant(&request, self.head.turn(), &mut bytes).unwrap_or(request);
        facts.captured = request.facts.captured;
        match prepared.write(&request, connection.out()) {
            Ok(expected) => {
                connection.expect(expected);
                facts.captured.digest.into_iter().for_each(|known| connection.compare_rows(known));
                if id_marks.as_ref().is_some_and(|marks| !marks.fills.is_empty()) {
                    connection.keep_rows();
                }
            }
            Err(error) => {
                sample.message = Some(error.to_string().into());
                return self.not_written(&facts, sample).await;
            }
        }
        let data = self.head.copy_data();
        let copying = data.map(|data| Copying::new(data, prepared.holds(), connection.out()));
        let timer = &mut self.state.timer;
        let answer = match hand_over(connection, &patience, timer).await {
            Some(Ok(sent_at)) => {
                let sent_us = context.schedule.us_of(sent_at);
                sample.sent_us = Some(sent_us);
                ids.into_iter().for_each(|counts| context.ids.sent(counts));
                context.in_flight.sent(self.slot, facts.tenant, sent_us);
                let answer = await_reply(connection, copying, sent_at, &patience, target, (stop, timer)).await;
                context.in_flight.ended(self.slot);
                sample.first_us = connection.first_at().map(|first_at| context.schedule.us_of(first_at));
                if let (Some(marks), Some(rows)) = (&id_marks, connection.take_kept_rows()) {
                    context.ids.fill(self.head.turn(), &marks.fills, &rows);
                }
                answer
            }
            Some(Err(error)) => {
                self.link.take_down();
                self.break_block(error.sqlstate())?;
                return Ok(false);
            }
            None => Answer::GivenUp(GivenUp::TooLong),
        };
        self.offer();
        match answer {
            Answer::Reply(reply) => {
                self.answered(&facts, sample, &reply, patience.deadline.as_micros() as u64).await?;
                if patience.may_cancel() {
                    self.state.free_us = context.schedule.now_us();
                }
            }
            Answer::Lost(error) => self.lost(&facts, sample, &error)?,
            Answer::GivenUp(why) => self.given_up(&facts, sample, why)?,
        }
        Ok(!self.state.is_between_tries())
    }

    /// The request cannot be written as a message.
    async fn not_written(&mut self, facts: &RequestFacts, sample: Sample) -> Result<bool, SpoolError> {
        self.offer();
        self.book(facts, sample, Outcome::Failed, self.context.schedule.now_us(), false);
        self.after_failure(facts).await?;
        Ok(!self.state.is_between_tries())
    }

    /// Waits for what `order` puts before a request, and gives the microseconds; none when it cannot be sent any more.
    async fn wait_in_order(&mut self, event: u64, stop: &mut Stop) -> Result<Option<u64>, SpoolError> {
        let waited_us = match &mut self.order {
            // Another try does not wait again.
            Some(order) if self.state.last_try().is_none() => tokio::select! {
                biased;
                waited = order.wait(event, &self.context, stop) => waited?,
                sqlstate = self.link.wait_lost() => {
                    self.break_block(sqlstate)?;
                    return Ok(None);
                }
            },
            _ => 0,
        };
        Ok((!stop.is_requested()).then_some(waited_us))
    }

    /// The sample of a request that is about to be sent.
    fn ready(&mut self, next: &Next, patience: &Patience) -> Sample {
        let mut due_us = next.due_us;
        let mut ready_us = self.state.free_us.max(self.link.usable_us());
        if self.context.schedule.pace().is_closed_loop() {
            // Due when ready; what is ready early is due when the replay starts, or its client has thought.
            ready_us = ready_us.max(due_us);
            due_us = ready_us;
        }
        let mut attempt = 1;
        let mut other_tenant_wait_us = 0;
        if let Some(tried) = self.state.last_try() {
            // In a block that is run again the client may think before a request as it did before.
            ready_us = ready_us.max(self.state.may_send_us(next));
            (due_us, attempt, other_tenant_wait_us) = (tried.due_us, tried.attempt + 1, tried.other_tenant_wait_us);
        }
        let busy = &mut self.state.busy;
        other_tenant_wait_us = other_tenant_wait_us.max(busy.wait_us(next.facts.tenant, due_us, ready_us));
        Sample {
            due_us,
            ready_us: Some(ready_us),
            attempt,
            other_tenant_wait_us,
            deadline_us: patience.deadline.as_micros() as u64,
            ..unsent(self.about, next)
        }
    }

    async fn answered(
        &mut self,
        facts: &RequestFacts,
        mut sample: Sample,
        reply: &ReplySummary,
        deadline_us: u64,
    ) -> Result<(), SpoolError> {
        let context = Rc::clone(&self.context);
        let schedule = &context.schedule;
        let done_us = schedule.us_of(reply.done_at);
        let in_time = done_us <= sample.sent_us.unwrap_or(done_us).saturating_add(deadline_us);
        let is_refused = schedule.pace().read_only && outcome::is_refused(reply);
        let (outcome, result) = match is_refused {
            true => outcome::of_refused(in_time),
            false => outcome::of_reply(facts, reply, in_time),
        };
        sample.first_us = Some(schedule.us_of(reply.first_at));
        sample.result = result;
        sample.rows = outcome::rows_of(reply);
        sample.bytes = reply.bytes;
        sample.sqlstate = reply.error.as_ref().map(|error| error.sqlstate);
        sample.message = reply.error.as_ref().map(|error| error.message.clone());
        self.link.note(reply, self.head.session_sql());
        self.book(facts, sample, outcome, done_us, false);
        if outcome == Outcome::Failed || is_refused {
            return self.after_failure(facts).await;
        }
        if !facts.part.stays_open {
            self.state.settle(&context);
            if reply.status != TransactionStatus::Idle {
                // The capture left its block here, so nothing of this session would ever end ours.
                self.link.roll_back().await;
                self.state.free_us = schedule.now_us();
            }
        }
        Ok(())
    }

    fn lost(&mut self, facts: &RequestFacts, mut sample: Sample, error: &ConnectError) -> Result<(), SpoolError> {
        sample.sqlstate = error.sqlstate();
        sample.message = Some(error.message());
        let outcome = outcome::without_answer(facts.class);
        self.book(facts, sample, outcome, self.context.schedule.now_us(), true);
        self.break_off(facts)
    }

    fn given_up(&mut self, facts: &RequestFacts, mut sample: Sample, why: GivenUp) -> Result<(), SpoolError> {
        let now_us = self.context.schedule.now_us();
        let outcome = match why {
            GivenUp::TooLong => {
                let waited_ms = now_us.saturating_sub(sample.sent_us.unwrap_or(sample.due_us)) / 1_000;
                sample.message = Some(format!("no answer within {waited_ms} ms").into());
                outcome::without_answer(facts.class)
            }
            // Neither an answer nor a missed deadline: it says nothing about the server.
            GivenUp::RunEnded => {
                sample.message = Some(RUN_ENDED.into());
                Outcome::Skipped
            }
        };
        self.book(facts, sample, outcome, now_us, false);
        self.break_off(facts)
    }

    /// A try has begun: its request is owed a sample from the first on, and the try before it was not the last.
    fn offer(&mut self) {
        match self.state.take_last_try() {
            None => self.context.book.offer(),
            Some(tried) => self.context.book.sample(Sample { kind: SampleKind::Retried, ..tried.sample }),
        }
    }

    /// Books a try that is over, unless its client tries again, alone or with its block: then it is kept until the next one
    /// has begun.
    fn book(&mut self, facts: &RequestFacts, sample: Sample, outcome: Outcome, done_us: u64, is_lost: bool) {
        let started_us = sample.sent_us.unwrap_or(done_us);
        self.state.busy.push(sample.tenant, started_us, done_us);
        self.state.free_us = done_us;
        let tried = Tried { sample: Sample { outcome, done_us, ..sample }, at: facts.at };
        if let Some(block) = &mut self.state.block {
            return block.hold(&self.context.clients.retry, facts, tried, is_lost);
        }
        let retries_at_us =
            self.head.is_repeatable().then(|| self.context.retries_at_us(facts, &tried.sample, is_lost)).flatten();
        match retries_at_us {
            Some(at_us) => self.state.try_again(vec![tried], at_us),
            None => self.context.book_last(tried),
        }
    }

    /// Goes to the next request; the one before is over, and the others may know.
    pub async fn advance(&mut self) -> Result<(), SpoolError> {
        self.head.advance(&self.context.schedule, self.state.free_us).await?;
        tell(self.order.as_ref(), &self.head, &self.state);
        Ok(())
    }

    /// The run ended: what had fallen due and was not sent is booked, what was not due is not offered, even if the answer to what
    /// was in flight came later.
    async fn give_up_what_is_due(&mut self) -> Result<(), SpoolError> {
        let context = Rc::clone(&self.context);
        let schedule = &context.schedule;
        let now_us = schedule.now_us();
        self.state.settle(&context);
        while let Some(tried) = self.state.take_last_try() {
            context.book_last(tried);
            self.head.advance(schedule, self.state.free_us).await?;
        }
        if schedule.pace().is_closed_loop() {
            return Ok(());
        }
        let ended_us = context.end.came_us().unwrap_or(now_us);
        while let Some(next) = self.next_of_all_rounds().await?
            && next.due_us <= ended_us
        {
            let gives_up_us = self.context.gives_up_us(&next, &self.state, None);
            if next.left_out.is_some() || gives_up_us.is_some_and(|at_us| at_us <= ended_us) {
                give_up(&self.context, self.about, &mut self.state, &next, None);
            } else {
                self.context.book.offer();
                let message = Some(RUN_ENDED.into());
                let sample = Sample { message, done_us: now_us, ..unsent(self.about, &next) };
                self.context.book.sample(Sample { outcome: Outcome::Skipped, ..sample });
            }
            self.advance().await?;
        }
        Ok(())
    }
}

/// Tells the sessions that wait for this one how far it is, which they know where requests are tried again.
fn tell(order: Option<&OrderPlace>, head: &Head, state: &State) {
    if let Some(order) = order.filter(|_| state.retrying.is_none()) {
        order.reached(head.next().map(|next| next.facts.event));
    }
}
