//! Pairs what a client asks with what the server answers.
//!
//! Takes whole messages of both sides, and rows and COPY data as they pass; gives requests. Must not know framing,
//! logins or encryption.

use std::collections::VecDeque;
use std::io;

use super::super::event::Message;
use super::Sink;
use super::batch::{Batch, Step};
use super::conversation::Seen;
use super::copying::Copying;
use super::found::{Found, Reason, Side};
use super::prepared::{Prepared, Read};
use crate::pgwire::backend::{CommandTag, ServerError, TransactionStatus};
use crate::pgwire::client;
use crate::workload::record::{CopyEnd, TransactionState};

/// Messages, and their bytes, of one request: a longer pipeline is parted.
const BATCH_MESSAGES_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 24 << 20;

/// Requests that wait for their answers, and their bytes: beyond it the answers are taken to be lost.
const PENDING_MAX: usize = 65_536;
const PENDING_BYTES_MAX: usize = 64 << 20;

/// The state of a session as both sides know it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pending: VecDeque<Batch>,
    pending_bytes: usize,
    prepared: Prepared,
    copying: Copying,
    /// All that the server said since the last request was sent is lost: a client that goes on has had its answer.
    is_answer_lost: bool,
    /// The server's next ReadyForQuery answers the first of what is pending: a request was when the way was lost.
    lost_within_answer: bool,
    /// Answers may have been lost: when the client speaks to an idle server, all are.
    is_doubtful: bool,
    server_is_ready: bool,
}

impl Exchange {
    pub fn begins(&mut self, side: Side, tag: u8, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        match side {
            Side::Server if !matches!(tag, b'N' | b'S' | b'A' | b'K' | b'R') => {
                self.server_is_ready = tag == b'Z';
                self.is_answer_lost = false;
                if let Some(front) = self.pending.front_mut() {
                    front.answered(seen.time_us);
                }
            }
            Side::Client if self.is_doubtful && (self.server_is_ready || self.is_answer_lost) && self.is_between() => {
                (self.is_doubtful, self.is_answer_lost) = (false, false);
                self.closed(sink)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a part of a body that is not kept.
    pub fn part(&mut self, side: Side, tag: u8, part: &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        match (side, tag) {
            (Side::Server, b'D') => {
                if let Some(front) = self.pending.front_mut() {
                    let is_kept = front.executing().is_some_and(|(statement, _)| statement.may_return());
                    front.rows.row_part(part, is_kept);
                }
                Ok(())
            }
            (_, b'd') => {
                let Some(front) = self.pending.front_mut().filter(|front| front.executing().is_some()) else {
                    return Ok(());
                };
                front.rows.copy_part(part);
                self.take_place(sink)?;
                match self.pending.front().is_some_and(|front| front.has_place) {
                    true => self.copying.push(side == Side::Client, part, seen.time_us, sink),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Takes a client's message; its body is missing where it is too long, or not for us.
    pub fn client(&mut self, tag: u8, body: Option<&[u8]>, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        match tag {
            b'p' | b'X' => Ok(()),
            b'd' => self.copy_data_ended(Side::Client, seen, sink),
            b'c' | b'f' => self.copy_ended(if tag == b'c' { CopyEnd::Done } else { CopyEnd::Failed }, true, seen, sink),
            _ => {
                self.server_is_ready = false;
                if self.pending.back().is_none_or(|batch| batch.is_complete) {
                    self.pending.push_back(Batch::new(seen.time_us, seen.at));
                }
                let Read { message, step, skip } = match body {
                    Some(body) => {
                        let read = self.prepared.read(tag, body);
                        read.unwrap_or_else(|| Read::unread(tag, Reason::MessageUnreadable))
                    }
                    None => Read::unread(tag, Reason::MessageTooLong),
                };
                if let (Message::Execute { .. }, Some(Step::Execute { statement, .. })) = (&message, &step) {
                    let statement = statement.clone();
                    self.last().remember(statement);
                }
                let batch = self.last();
                batch.skip = batch.skip.or(skip);
                let passed_over = batch.push(message, step, seen.time_us);
                batch.bytes += body.map_or(0, <[u8]>::len);
                batch.is_complete = matches!(tag, b'S' | b'Q' | b'F');
                if let Some(Step::Parse { name, before }) = passed_over {
                    self.prepared.refused(&name, before);
                }
                self.pending_bytes += body.map_or(0, <[u8]>::len);
                self.keep_bounds(sink)
            }
        }
    }

    /// Whether the client's next message begins a request.
    fn is_between(&self) -> bool {
        self.pending.back().is_none_or(|batch| batch.is_complete)
    }

    fn last(&mut self) -> &mut Batch {
        self.pending.back_mut().expect("a batch was pushed before its message")
    }

    /// Takes a server's message.
    pub fn server(&mut self, tag: u8, body: Option<&[u8]>, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        let body = body.unwrap_or_default();
        let Some(front) = self.pending.front_mut() else { return Ok(()) };
        match tag {
            b'1' | b'2' | b'3' => {
                if matches!(front.steps.front(), Some(Step::Parse { .. } | Step::Complete)) {
                    front.steps.pop_front();
                }
            }
            b't' => {
                if let Some(Step::DescribeStatement(Some(statement))) = front.steps.front() {
                    statement.describe_types(client::parameter_types(body).unwrap_or_default());
                }
            }
            b'T' | b'n' => described(front, body),
            b'D' => {
                let formats = front.executing().map_or(Vec::new(), |(_, formats)| formats.to_vec());
                front.rows.end_row(&formats);
            }
            b'C' => {
                let command = CommandTag::parse(body);
                let rows = command.as_ref().and_then(CommandTag::rows);
                front.executed(command.map(|tag| tag.as_str().to_owned()), rows, seen.time_us);
            }
            b'I' | b's' => front.executed(None, None, seen.time_us),
            b'G' => {
                front.await_copy_data();
                self.take_place(sink)?;
            }
            b'H' => self.take_place(sink)?,
            b'd' => self.copy_data_ended(Side::Server, seen, sink)?,
            b'c' => self.copy_ended(CopyEnd::Done, false, seen, sink)?,
            b'E' => self.failed(body, seen, sink)?,
            b'Z' => self.ready(body, sink)?,
            _ => {}
        }
        self.finish_parted(sink)
    }

    fn failed(&mut self, body: &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        self.copying.failed(sink)?;
        let (Some(error), Some(front)) = (ServerError::parse(body), self.pending.front_mut()) else { return Ok(()) };
        front.failed(error.sqlstate, seen.time_us);
        // Up to its Sync the server reads on and does nothing.
        let mut refused = Vec::new();
        while let Some(step) = pop_front_if(&mut front.steps, |step| !matches!(step, Step::Sync | Step::Query(_))) {
            refused.push(step);
        }
        front.is_failing = !front.is_complete || front.is_parted;
        // The last first: a name may have been given anew several times.
        for step in refused.into_iter().rev() {
            if let Step::Parse { name, before } = step {
                self.prepared.refused(&name, before);
            }
        }
        Ok(())
    }

    fn ready(&mut self, body: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        let transaction = TransactionStatus::parse(body).map(|status| match status {
            TransactionStatus::Idle => TransactionState::Idle,
            TransactionStatus::InTransaction => TransactionState::InTransaction,
            TransactionStatus::Failed => TransactionState::Failed,
        });
        match pop_front_if(&mut self.pending, |front| front.is_complete && !front.is_parted) {
            Some(front) => self.give(front, transaction, sink),
            None => Ok(()),
        }
    }

    fn finish_parted(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        while let Some(front) = pop_front_if(&mut self.pending, |front| front.is_parted && front.steps.is_empty()) {
            if let Some(next) = self.pending.front_mut().filter(|_| front.is_failing) {
                next.is_failing = true;
                for step in next.pass_over() {
                    if let Step::Parse { name, before } = step {
                        self.prepared.refused(&name, before);
                    }
                }
            }
            self.give(front, None, sink)?;
        }
        Ok(())
    }

    fn give(&mut self, batch: Batch, transaction: Option<TransactionState>, sink: &mut Sink<'_>) -> io::Result<()> {
        match batch.has_place {
            true => self.copying.flush(sink)?,
            false => self.copying.discard(),
        }
        self.pending_bytes = self.pending_bytes.saturating_sub(batch.bytes);
        let (has_place, at, count) = (batch.has_place, batch.at(), batch.executions());
        match batch.skip {
            None => sink(Found::Request(Box::new(batch.finish(transaction)))),
            Some(reason) => {
                if has_place {
                    sink(Found::PlaceUnused)?;
                }
                sink(Found::Skipped { reason, count: count.max(1), at })
            }
        }
    }

    fn keep_bounds(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        let batch = self.last();
        let is_long = batch.messages.len() >= BATCH_MESSAGES_MAX || batch.bytes >= BATCH_BYTES_MAX;
        if is_long && !batch.is_complete {
            (batch.is_complete, batch.is_parted) = (true, true);
        }
        if self.pending.len() > PENDING_MAX || self.pending_bytes > PENDING_BYTES_MAX {
            self.is_doubtful = true;
            self.closed(sink)?;
        }
        self.finish_parted(sink)
    }

    /// The request that is answered takes its place in the order, since COPY data follows it.
    fn take_place(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        match self.pending.front_mut() {
            Some(front) if !front.has_place && front.skip.is_none() => {
                front.has_place = true;
                sink(Found::CopyBegan { start_us: front.start_us })
            }
            _ => Ok(()),
        }
    }

    fn copy_data_ended(&mut self, side: Side, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        match self.pending.front_mut() {
            Some(front) => {
                front.rows.end_copy_data();
                Ok(())
            }
            None if side == Side::Client => {
                sink(Found::Skipped { reason: Reason::CopyWithoutRequest, count: 1, at: seen.at })
            }
            None => Ok(()),
        }
    }

    fn copy_ended(&mut self, ended: CopyEnd, from_client: bool, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        // Behind an error it ends nothing: what its data would have been was not taken.
        if self.pending.front().is_none_or(|front| front.executing().is_none()) {
            return Ok(());
        }
        self.take_place(sink)?;
        match self.pending.front().is_some_and(|front| front.has_place) {
            true => self.copying.end(ended, from_client, seen.time_us, sink),
            false => Ok(()),
        }
    }

    pub fn cancelled(&mut self, time_us: i64) -> bool {
        match self.pending.front_mut() {
            Some(front) => front.cancelled_us.replace(time_us).is_none(),
            None => false,
        }
    }

    /// Gives what is not answered as it is; what was not sent in full is left out.
    pub fn closed(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        while let Some(mut batch) = self.pending.pop_front() {
            if !batch.is_complete && batch.executions() == 0 {
                batch.skip = batch.skip.or(Some(Reason::Unanswered));
            }
            self.copying.discard();
            self.give(batch, None, sink)?;
        }
        Ok(())
    }

    /// Bytes that are kept: of requests that are not answered yet, of COPY data, and of what is prepared.
    pub fn held_bytes(&self) -> usize {
        self.pending_bytes + self.copying.held_bytes() + self.prepared.bytes()
    }

    /// Gives what is not answered as it is, and forgets what is prepared.
    pub fn forget(&mut self, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        self.is_doubtful |= !self.pending.is_empty();
        self.closed(sink)?;
        match self.prepared.forget() {
            0 => Ok(()),
            count => sink(Found::Skipped { reason: Reason::Forgotten, count, at }),
        }
    }

    pub fn client_lost(&mut self, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        self.is_doubtful = true;
        if let Some(open) = pop_back_if(&mut self.pending, |batch| !batch.is_complete) {
            sink(Found::Skipped { reason: Reason::Unanswered, count: open.executions().max(1), at })?;
            if open.has_place {
                sink(Found::PlaceUnused)?;
            }
        }
        Ok(())
    }

    pub fn lost_its_way(&mut self, side: Side) {
        self.is_doubtful = true;
        if side == Side::Server {
            self.lost_within_answer = !self.pending.is_empty();
            self.is_answer_lost = self.lost_within_answer;
        }
    }

    pub fn found_its_way(&mut self) {
        self.lost_within_answer = false;
    }

    /// The server is at a message boundary behind a ReadyForQuery with this state.
    pub fn found_ready(&mut self, state: u8, sink: &mut Sink<'_>) -> io::Result<()> {
        self.server_is_ready = true;
        match std::mem::take(&mut self.lost_within_answer) {
            true => self.ready(&[state], sink),
            false => Ok(()),
        }
    }
}

/// RowDescription or NoData.
fn described(front: &mut Batch, body: &[u8]) {
    let columns = client::columns(body).unwrap_or_default();
    let names = || columns.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned());
    match front.steps.front() {
        Some(Step::DescribeStatement(statement)) => {
            if let Some(statement) = statement {
                // A description that came earlier says the same.
                let _ = statement.columns.set(names().collect());
            }
            front.steps.pop_front();
        }
        Some(Step::DescribePortal) => {
            front.rows.columns = names().collect();
            front.steps.pop_front();
        }
        _ => front.rows.columns = names().collect(),
    }
}

/// Takes the first element if it is such a one.
fn pop_front_if<T>(queue: &mut VecDeque<T>, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
    queue.front().is_some_and(is_wanted).then(|| queue.pop_front()).flatten()
}

/// Takes the last element if it is such a one.
fn pop_back_if<T>(queue: &mut VecDeque<T>, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
    queue.back().is_some_and(is_wanted).then(|| queue.pop_back()).flatten()
}
