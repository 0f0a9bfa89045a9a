//! A request on its way: the messages up to the one that ReadyForQuery answers, and the answers so far.
//!
//! Takes a client's messages and what the server says to each in turn; gives the request in the form that the workload
//! keeps. Must not know how messages are cut out of a stream.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::event::{Execute, Message, Outcome, Request, Sent, Value};
use super::super::sequence::Draft;
use super::found::Reason;
use super::memory::Statement;
use super::rows::Rows;
use crate::words::sqlstate::SqlState;
use crate::workload::record::TransactionState;

/// What the server has to say to a message.
#[derive(Debug)]
pub(super) enum Step {
    /// ParseComplete; the statement that had the name before, should the server refuse this one.
    Parse {
        name: Vec<u8>,
        before: Option<Arc<Statement>>,
    },
    /// BindComplete, CloseComplete.
    Complete,
    /// ParameterDescription and RowDescription or NoData: of which statement, where it is known.
    DescribeStatement(Option<Arc<Statement>>),
    DescribePortal,
    /// Rows, and what ends them.
    Execute {
        statement: Option<Arc<Statement>>,
        result_formats: Vec<i16>,
    },
    /// Any number of results, then ReadyForQuery.
    Query(Arc<Statement>),
    /// ReadyForQuery.
    Sync,
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Batch {
    pub messages: Vec<Message>,
    pub steps: VecDeque<Step>,
    /// When each execution that is not answered yet began to be sent.
    executions_us: VecDeque<i64>,
    /// The next execution's first message.
    group_us: Option<i64>,
    pub start_us: i64,
    at: (u16, u64),
    /// The client has sent all of it.
    pub is_complete: bool,
    /// Complete, and no Sync ends it: its rest is the next one.
    pub is_parted: bool,
    /// The server reads on to the next Sync and does nothing.
    pub is_failing: bool,
    pub skip: Option<Reason>,
    pub bytes: usize,
    pub cancelled_us: Option<i64>,
    pub has_place: bool,
    results: Vec<Outcome>,
    pub rows: Rows,
    first_us: Option<i64>,
    /// The statement that is prepared or was executed last.
    statement: Option<Arc<Statement>>,
}

impl Batch {
    pub fn new(start_us: i64, at: (u16, u64)) -> Self {
        Self {
            messages: Vec::new(),
            steps: VecDeque::new(),
            executions_us: VecDeque::new(),
            group_us: None,
            start_us,
            at,
            is_complete: false,
            is_parted: false,
            is_failing: false,
            skip: None,
            bytes: 0,
            cancelled_us: None,
            has_place: false,
            results: Vec::new(),
            rows: Rows::default(),
            first_us: None,
            statement: None,
        }
    }

    /// Takes the client's next message, and what the server will say to it; gives that back where the server passes the
    /// message over.
    pub fn push(&mut self, message: Message, step: Option<Step>, time_us: i64) -> Option<Step> {
        let group_us = *self.group_us.get_or_insert(time_us);
        if matches!(step, Some(Step::Execute { .. } | Step::Query(_))) {
            self.executions_us.push_back(group_us);
            self.group_us = None;
        }
        self.messages.push(message);
        let step = step?;
        if self.is_failing && !matches!(step, Step::Sync | Step::Query(_)) {
            return Some(step);
        }
        self.steps.push_back(step);
        None
    }

    /// The server passes over what it has not answered yet; gives that, the last first.
    pub fn pass_over(&mut self) -> Vec<Step> {
        let steps = std::mem::take(&mut self.steps);
        let (kept, mut passed_over): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step, Step::Sync | Step::Query(_)));
        self.steps = kept.into();
        passed_over.reverse();
        passed_over
    }

    /// The server said something to it.
    pub fn answered(&mut self, time_us: i64) {
        self.first_us.get_or_insert(time_us);
    }

    /// The statement whose rows come, and the formats of its columns.
    pub fn executing(&self) -> Option<(&Statement, &[i16])> {
        match self.steps.front()? {
            Step::Execute { statement, result_formats } => Some((statement.as_deref()?, result_formats)),
            Step::Query(statement) => Some((statement, &[])),
            _ => None,
        }
    }

    /// An execution came to its end, or a statement of a simple query.
    pub fn executed(&mut self, tag: Option<String>, rows: Option<u64>, time_us: i64) {
        let is_query = matches!(self.steps.front(), Some(Step::Query(_)));
        let sent_us = match is_query {
            true => self.executions_us.front().copied(),
            false => self.executions_us.pop_front(),
        };
        let order_counts = self.executing().is_some_and(|(statement, _)| statement.order_counts());
        if self.rows.columns.is_empty()
            && let Some(columns) = self.executing().and_then(|(statement, _)| statement.columns.get().cloned())
        {
            self.rows.columns = columns;
        }
        let asks_sequences = self.executing().is_some_and(|(statement, _)| statement.asks_sequences());
        let mut outcome = std::mem::take(&mut self.rows).outcome(tag.as_deref(), order_counts, asks_sequences);
        outcome.rows = rows.or(outcome.rows);
        outcome.command_tag = tag;
        self.time(&mut outcome, sent_us.unwrap_or(self.start_us), time_us);
        self.results.push(outcome);
        if !is_query {
            self.steps.pop_front();
        }
    }

    /// The request failed; what the client sent behind the failing message gets no result.
    pub fn failed(&mut self, sqlstate: SqlState, time_us: i64) {
        let sent_us = self.executions_us.pop_front().unwrap_or(self.start_us);
        let mut outcome = Outcome { sqlstate: Some(sqlstate), ..Outcome::default() };
        self.time(&mut outcome, sent_us, time_us);
        self.results.push(outcome);
        self.rows = Rows::default();
    }

    fn time(&mut self, outcome: &mut Outcome, sent_us: i64, time_us: i64) {
        let since = |time_us: i64| u64::try_from(time_us.saturating_sub(sent_us)).unwrap_or(0);
        outcome.first_us = Some(since(self.first_us.take().unwrap_or(time_us)));
        outcome.total_us = Some(since(time_us));
    }

    /// A COPY takes no Sync before its data: one that was sent already is passed over.
    pub fn await_copy_data(&mut self) {
        if matches!(self.steps.front(), Some(Step::Execute { .. })) && matches!(self.steps.get(1), Some(Step::Sync)) {
            self.steps.remove(1);
            if let Some(at) = self.messages.iter().rposition(|message| *message == Message::Sync) {
                self.messages.remove(at);
            }
            self.is_complete = false;
        }
    }

    /// Executions in it.
    pub fn executions(&self) -> u64 {
        let executes = |message: &&Message| matches!(message, Message::Query { .. } | Message::Execute { .. });
        self.messages.iter().filter(executes).count() as u64
    }

    /// Remembers the statement that an `Execute` stands for.
    pub fn remember(&mut self, statement: Option<Arc<Statement>>) {
        self.statement = statement;
    }

    /// The request in the workload's form, and its place in the source.
    pub fn finish(self, transaction: Option<TransactionState>) -> Draft {
        let sent = match <[Message; 1]>::try_from(self.messages) {
            Ok([Message::Query { sql }]) => Sent::Simple { sql },
            Ok(other) => Sent::Messages(other.into()),
            Err(messages) => canonical(messages, self.statement.as_deref()),
        };
        let request = Request { sent, results: self.results, transaction, at: self.at, ..Request::default() };
        Draft { start_us: self.start_us, request, cancelled_us: self.cancelled_us }
    }

    pub fn at(&self) -> (u16, u64) {
        self.at
    }
}

/// One execution by the usual messages, and every other list as it is.
fn canonical(messages: Vec<Message>, statement: Option<&Statement>) -> Sent {
    let (parse, rest) = match &messages[..] {
        [Message::Parse { statement, .. }, rest @ ..] => (Some(statement), rest),
        rest => (None, rest),
    };
    let (bind, describe, rest) = match rest {
        [bind, Message::DescribePortal { name }, rest @ ..] => (bind, Some(name), rest),
        [bind, rest @ ..] => (bind, None, rest),
        [] => return Sent::Messages(messages),
    };
    let (
        Message::Bind { portal, statement: name, parameters, result_formats },
        [Message::Execute { portal: executed, row_limit, .. }, Message::Sync],
        Some(statement),
    ) = (bind, rest, statement)
    else {
        return Sent::Messages(messages);
    };
    if parse.is_some_and(|parse| parse != name) || describe.is_some_and(|name| name != portal) || executed != portal {
        return Sent::Messages(messages);
    }
    Sent::Execute(Execute {
        sql: statement.sql.clone(),
        parameter_types: statement.types().to_vec(),
        statement: name.clone(),
        portal: portal.clone(),
        parameters: parameters.clone(),
        result_formats: result_formats.clone(),
        row_limit: *row_limit,
        parse: Some(parse.is_some()),
        describe: Some(describe.is_some()),
    })
}

/// A value of a row by its column's format.
pub(super) fn value(bytes: Option<&[u8]>, format: i16) -> Value {
    match (bytes, format) {
        (None, _) => Value::Null,
        (Some(bytes), 0) => Value::Text(bytes.to_vec()),
        (Some(bytes), _) => Value::Binary(bytes.to_vec()),
    }
}
