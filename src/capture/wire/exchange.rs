//! Pairs what a client asks with what the server answers.
//!
//! Takes whole messages of both sides, and rows and COPY data as they pass; gives requests. Must not know framing,
//! logins or encryption.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::super::event::{CopyData, Message, Value};
use super::Sink;
use super::batch::{Batch, Step};
use super::conversation::Seen;
use super::found::{Found, Reason, Side};
use super::memory::{Names, Portal, Statement};
use crate::pgwire::backend::{CommandTag, ServerError, TransactionStatus};
use crate::pgwire::client::{self, Bind, Parse};
use crate::pgwire::frontend::{Named, Parameter};
use crate::workload::record::{CopyEnd, TransactionState};

/// COPY data in one event.
const COPY_BYTES_MAX: usize = 64 << 10;

/// Messages, and their bytes, of one request: a longer pipeline is parted.
const BATCH_MESSAGES_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 24 << 20;

/// Requests that wait for their answers, and their bytes: beyond it the answers are taken to be lost.
const PENDING_MAX: usize = 65_536;
const PENDING_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
struct CopyBuffer {
    bytes: Vec<u8>,
    time_us: i64,
    from_client: bool,
}

/// The state of a session as both sides know it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pending: VecDeque<Batch>,
    pending_bytes: usize,
    statements: Names<Arc<Statement>>,
    portals: Names<Portal>,
    copy: Option<CopyBuffer>,
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
                if let Some(front) = self.pending.front_mut() {
                    front.answered(seen.time_us);
                }
            }
            Side::Client if self.is_doubtful && self.server_is_ready => {
                self.is_doubtful = false;
                self.closed(seen.at, sink)?;
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
                self.copy_part(side == Side::Client, part, seen, sink)
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
                let read = body.map(|body| self.read(tag, body));
                let (message, step, skip) = match read {
                    Some(Some((message, step, skip))) => (message, step, skip),
                    Some(None) => unread(tag, Reason::MessageUnreadable),
                    None => unread(tag, Reason::MessageTooLong),
                };
                if let (Message::Execute { .. }, Some(Step::Execute { statement, .. })) = (&message, &step) {
                    let statement = statement.clone();
                    self.last().remember(statement);
                }
                let batch = self.last();
                batch.skip = batch.skip.or(skip);
                batch.push(message, step, seen.time_us);
                batch.bytes += body.map_or(0, <[u8]>::len);
                batch.is_complete = matches!(tag, b'S' | b'Q' | b'F');
                self.pending_bytes += body.map_or(0, <[u8]>::len);
                self.keep_bounds(seen, sink)
            }
        }
    }

    fn last(&mut self) -> &mut Batch {
        self.pending.back_mut().expect("a batch was pushed before its message")
    }

    /// The message, what the server will say to it, and why it cannot be kept.
    fn read(&mut self, tag: u8, body: &[u8]) -> Option<(Message, Option<Step>, Option<Reason>)> {
        let owned = <[u8]>::to_vec;
        Some(match tag {
            b'Q' => {
                let sql = owned(client::query(body)?);
                let statement = Arc::new(Statement::new(sql.clone(), Vec::new()));
                (Message::Query { sql }, Some(Step::Query(statement)), None)
            }
            b'P' => {
                let Parse { statement, sql, parameter_types } = Parse::read(body)?;
                let text = Arc::new(Statement::new(owned(sql), parameter_types.clone()));
                let bytes = sql.len() + 4 * parameter_types.len();
                let before = self.statements.set(statement, text, bytes);
                let step = Step::Parse { name: owned(statement), before };
                let message = Message::Parse { statement: owned(statement), sql: owned(sql), parameter_types };
                (message, Some(step), None)
            }
            b'B' => return self.bind(body),
            b'D' => match client::named(body)? {
                Named::Statement(name) => {
                    let step = Step::DescribeStatement(self.statements.get(name));
                    (Message::DescribeStatement { name: owned(name) }, Some(step), None)
                }
                Named::Portal(name) => {
                    (Message::DescribePortal { name: owned(name) }, Some(Step::DescribePortal), None)
                }
            },
            b'E' => {
                let (name, row_limit) = client::execute(body)?;
                let (statement, result_formats) = match self.portals.get(name) {
                    Some(Portal { statement, result_formats }) => (Some(statement), result_formats),
                    None => (None, Vec::new()),
                };
                let skip = statement.is_none().then_some(Reason::PortalUnknown);
                let sql = statement.as_ref().map(|text| (text.sql.clone(), text.parameter_types.clone()));
                let message = Message::Execute { portal: owned(name), row_limit, sql };
                (message, Some(Step::Execute { statement, result_formats }), skip)
            }
            b'C' => match client::named(body)? {
                Named::Statement(name) => {
                    self.statements.remove(name);
                    (Message::CloseStatement { name: owned(name) }, Some(Step::Complete), None)
                }
                Named::Portal(name) => {
                    self.portals.remove(name);
                    (Message::ClosePortal { name: owned(name) }, Some(Step::Complete), None)
                }
            },
            b'H' => (Message::Flush, None, None),
            b'S' => (Message::Sync, Some(Step::Sync), None),
            _ => (Message::Raw { tag, body: owned(body) }, Some(Step::Sync), None),
        })
    }

    fn bind(&mut self, body: &[u8]) -> Option<(Message, Option<Step>, Option<Reason>)> {
        let Bind { portal, statement, parameters, result_formats } = Bind::parse(body)?;
        let known = self.statements.get(statement);
        let skip = known.is_none().then_some(Reason::StatementUnknown);
        match known {
            Some(known) => {
                let bytes = known.sql.len();
                self.portals.set(portal, Portal { statement: known, result_formats: result_formats.clone() }, bytes);
            }
            None => self.portals.remove(portal),
        }
        let value = |parameter: &Parameter<'_>| match parameter {
            Parameter::Null => Value::Null,
            Parameter::Text(value) => Value::Text(value.to_vec()),
            Parameter::Binary(value) => Value::Binary(value.to_vec()),
        };
        let message = Message::Bind {
            portal: portal.to_vec(),
            statement: statement.to_vec(),
            parameters: parameters.iter().map(value).collect(),
            result_formats,
        };
        Some((message, Some(Step::Complete), skip))
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
            b'E' => self.failed(body, seen),
            b'Z' => self.ready(body, seen, sink)?,
            _ => {}
        }
        self.finish_parted(seen, sink)
    }

    fn failed(&mut self, body: &[u8], seen: Seen) {
        self.copy = None;
        let (Some(error), Some(front)) = (ServerError::parse(body), self.pending.front_mut()) else { return };
        front.failed(error.sqlstate, seen.time_us);
        // Up to its Sync the server reads on and does nothing.
        while let Some(step) = pop_front_if(&mut front.steps, |step| !matches!(step, Step::Sync | Step::Query(_))) {
            match step {
                Step::Parse { name, before: Some(before) } => {
                    let bytes = before.sql.len();
                    self.statements.set(&name, before, bytes);
                }
                Step::Parse { name, before: None } => self.statements.remove(&name),
                _ => {}
            }
        }
        front.is_failing = !front.is_complete || front.is_parted;
    }

    fn ready(&mut self, body: &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        let transaction = TransactionStatus::parse(body).map(|status| match status {
            TransactionStatus::Idle => TransactionState::Idle,
            TransactionStatus::InTransaction => TransactionState::InTransaction,
            TransactionStatus::Failed => TransactionState::Failed,
        });
        match pop_front_if(&mut self.pending, |front| front.is_complete && !front.is_parted) {
            Some(front) => self.give(front, transaction, seen, sink),
            None => Ok(()),
        }
    }

    fn finish_parted(&mut self, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        while let Some(front) = pop_front_if(&mut self.pending, |front| front.is_parted && front.steps.is_empty()) {
            if let Some(next) = self.pending.front_mut().filter(|_| front.is_failing) {
                next.is_failing = true;
                next.steps.retain(|step| matches!(step, Step::Sync | Step::Query(_)));
            }
            self.give(front, None, seen, sink)?;
        }
        Ok(())
    }

    fn give(
        &mut self,
        batch: Batch,
        transaction: Option<TransactionState>,
        seen: Seen,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        self.flush_copy(None, seen, sink)?;
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

    fn keep_bounds(&mut self, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        let batch = self.last();
        let is_long = batch.messages.len() >= BATCH_MESSAGES_MAX || batch.bytes >= BATCH_BYTES_MAX;
        if is_long && !batch.is_complete {
            (batch.is_complete, batch.is_parted) = (true, true);
        }
        if self.pending.len() > PENDING_MAX || self.pending_bytes > PENDING_BYTES_MAX {
            self.is_doubtful = true;
            self.closed(seen.at, sink)?;
        }
        self.finish_parted(seen, sink)
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

    fn copy_part(&mut self, from_client: bool, mut part: &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        self.take_place(sink)?;
        while !part.is_empty() {
            let new = || CopyBuffer { bytes: Vec::new(), time_us: seen.time_us, from_client };
            let buffer = self.copy.get_or_insert_with(new);
            let (taken, rest) = part.split_at((COPY_BYTES_MAX - buffer.bytes.len()).min(part.len()));
            buffer.bytes.extend_from_slice(taken);
            part = rest;
            if buffer.bytes.len() == COPY_BYTES_MAX {
                self.flush_copy(None, seen, sink)?;
            }
        }
        Ok(())
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
        if self.pending.is_empty() {
            return Ok(());
        }
        self.take_place(sink)?;
        self.copy.get_or_insert(CopyBuffer { bytes: Vec::new(), time_us: seen.time_us, from_client });
        self.flush_copy(Some(ended), seen, sink)
    }

    fn flush_copy(&mut self, ended: Option<CopyEnd>, _seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        let has_place = self.pending.front().is_some_and(|front| front.has_place);
        match self.copy.take() {
            Some(CopyBuffer { bytes, time_us, from_client }) if has_place => {
                sink(Found::Copy { time_us, data: CopyData { sequence: 0, from_client, bytes, ended } })
            }
            _ => Ok(()),
        }
    }

    pub fn cancelled(&mut self, time_us: i64) -> bool {
        match self.pending.front_mut() {
            Some(front) => front.cancelled_us.replace(time_us).is_none(),
            None => false,
        }
    }

    /// Gives what is not answered as it is; what was not sent in full is left out.
    pub fn closed(&mut self, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        let seen = Seen { time_us: 0, at };
        while let Some(mut batch) = self.pending.pop_front() {
            if !batch.is_complete && batch.executions() == 0 {
                batch.skip = batch.skip.or(Some(Reason::Unanswered));
            }
            self.copy = None;
            self.give(batch, None, seen, sink)?;
        }
        Ok(())
    }

    /// Bytes that are kept: of requests that are not answered yet, of COPY data, and of what is prepared.
    pub fn held_bytes(&self) -> usize {
        let copy_bytes = self.copy.as_ref().map_or(0, |copy| copy.bytes.capacity());
        self.pending_bytes + copy_bytes + self.statements.bytes() + self.portals.bytes()
    }

    /// Gives what is not answered as it is, and forgets what is prepared.
    pub fn forget(&mut self, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        self.is_doubtful |= !self.pending.is_empty();
        self.closed(at, sink)?;
        let count = self.statements.forget() + self.portals.forget();
        match count {
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
        }
    }

    pub fn found_its_way(&mut self) {
        self.lost_within_answer = false;
    }

    /// The server is at a message boundary behind a ReadyForQuery with this state.
    pub fn found_ready(&mut self, state: u8, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        self.server_is_ready = true;
        match std::mem::take(&mut self.lost_within_answer) {
            true => self.ready(&[state], seen, sink),
            false => Ok(()),
        }
    }
}

/// A message that cannot be kept: only what the server will say to it counts.
fn unread(tag: u8, reason: Reason) -> (Message, Option<Step>, Option<Reason>) {
    let nothing = || Arc::new(Statement::default());
    let (message, step) = match tag {
        b'Q' => (Message::Query { sql: Vec::new() }, Some(Step::Query(nothing()))),
        b'E' => (
            Message::Execute { portal: Vec::new(), row_limit: 0, sql: None },
            Some(Step::Execute { statement: None, result_formats: Vec::new() }),
        ),
        b'D' => (Message::Flush, Some(Step::DescribePortal)),
        b'H' => (Message::Flush, None),
        b'S' | b'F' => (Message::Sync, Some(Step::Sync)),
        _ => (Message::Flush, Some(Step::Complete)),
    };
    (message, step, Some(reason))
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
