//! One session's requests on their way out: whose each one is, and its place in the order.
//!
//! Takes what a source tells of who the session is, and its requests in order; gives events. Must not know log entries or
//! protocol messages.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::event::{CopyData, Message, Request, Sent, Value};
use super::logged::LoggedRequest;
use super::sequence::{Draft, Output, Place, Sequence};
use crate::tenant::{self, Attribution, Execution, Observed, Rules, SessionStart, Statement};
use crate::workload::record::TransactionState;

/// Requests of a transaction wait for its first marked statement; beyond so many bytes they take the session's last tenant.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// One session of a source.
pub struct Stream {
    sequence: Sequence,
    attribution: Attribution<(Draft, Place)>,
    /// Of the requests that wait to know whose they are.
    waiting_bytes: usize,
    database: String,
    user: String,
    application_name: String,
}

impl Stream {
    /// A session with this place in the order, of which nothing else is known.
    pub fn new(sequence: Sequence) -> Self {
        Self {
            sequence,
            attribution: Attribution::new(SessionStart::default()),
            waiting_bytes: 0,
            database: String::new(),
            user: String::new(),
            application_name: String::new(),
        }
    }

    /// Its place in the order.
    pub fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// The session's connection was seen at this moment.
    pub fn connected(&mut self, time_us: i64) {
        self.sequence.connected(time_us);
    }

    /// Takes over who the session is; what is empty says nothing.
    pub fn identify(&mut self, database: &[u8], user: &[u8], application_name: &[u8]) {
        update(&mut self.database, database);
        update(&mut self.user, user);
        update(&mut self.application_name, application_name);
    }

    /// Whether nothing said yet whose session it is.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_empty()
    }

    /// Whether nothing said yet which database it is in.
    pub fn has_no_database(&self) -> bool {
        self.database.is_empty()
    }

    /// Takes the session's next request.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push(&mut self, draft: Draft, rules: &Rules, out: &mut Output) -> io::Result<()> {
        let place = self.place(draft.start_us);
        self.push_placed(draft, place, rules, out)
    }

    /// Takes the session's next request from its log. Mostly its tenant is known at once, and nothing of it is copied.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push_logged(
        &mut self,
        start_us: i64,
        request: &LoggedRequest<'_>,
        rules: &Rules,
        out: &mut Output,
    ) -> io::Result<()> {
        if !rules.read_text() {
            let statement = Statement {
                database: &self.database,
                user: &self.user,
                application_name: Some(&self.application_name),
                has_failed: request.sqlstate.is_some(),
                ..Statement::default()
            };
            let observed = self.attribution.observe(rules, &statement);
            let place = self.place(start_us);
            if let Some(tenant) = self.attribution.settled(observed) {
                return self.sequence.give_logged(request, place, tenant, out);
            }
            let draft = Draft { start_us, request: request.to_request(), cancelled_us: None };
            return self.attribute(observed, (draft, place), 0, out);
        }
        self.push(Draft { start_us, request: request.to_request(), cancelled_us: None }, rules, out)
    }

    /// The place of the next request, of which not all is known yet; it must be the next to be pushed.
    pub fn place(&mut self, start_us: i64) -> Place {
        self.name();
        self.sequence.place(start_us)
    }

    /// Gives COPY data of the request that took its place last.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn copy(&mut self, time_us: i64, data: CopyData, out: &mut Output) -> io::Result<()> {
        self.sequence.copy(time_us, data, out)
    }

    /// The parameters that the client opened the session with, before its first request.
    pub fn opened_with(&mut self, parameters: BTreeMap<String, String>) {
        self.attribution = Attribution::new(SessionStart::of_parameters(&parameters));
        self.sequence.opened_with(parameters);
    }

    /// Takes the session's next request, which took its place before.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push_placed(&mut self, draft: Draft, place: Place, rules: &Rules, out: &mut Output) -> io::Result<()> {
        let executions = executions(rules, &draft.request);
        let statement = Statement {
            database: &self.database,
            user: &self.user,
            application_name: Some(&self.application_name),
            executions: &executions,
            has_failed: draft.request.sqlstate().is_some(),
            is_in_transaction: draft.request.transaction.map(|state| state != TransactionState::Idle),
        };
        let observed = self.attribution.observe(rules, &statement);
        // Where rules look at no texts, nothing waits.
        let held_bytes = if rules.read_text() { draft.request.held_bytes() } else { 0 };
        self.attribute(observed, (draft, place), held_bytes, out)
    }

    /// Gives every request whose tenant is known with this one, which holds so many bytes if it must wait.
    fn attribute(
        &mut self,
        observed: Observed,
        item: (Draft, Place),
        held_bytes: usize,
        out: &mut Output,
    ) -> io::Result<()> {
        let mut result = Ok(());
        let sequence = &mut self.sequence;
        self.attribution.push(observed, item, |(draft, place), tenant| {
            if result.is_ok() {
                result = sequence.give(draft, place, tenant, out);
            }
        });
        result?;
        self.waiting_bytes = if self.attribution.waiting() == 0 { 0 } else { self.waiting_bytes + held_bytes };
        match self.waiting_bytes > WAITING_BYTES_MAX {
            true => self.flush(out),
            false => Ok(()),
        }
    }

    /// Bytes of requests that wait to know whose they are.
    pub fn held_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Gives every request that still waits to know whose it is: the session has ended, or its source has.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn flush(&mut self, out: &mut Output) -> io::Result<()> {
        let mut result = Ok(());
        let sequence = &mut self.sequence;
        self.attribution.finish(|(draft, place), tenant| {
            if result.is_ok() {
                result = sequence.give(draft, place, tenant, out);
            }
        });
        self.waiting_bytes = 0;
        self.name();
        result
    }

    /// Gives the opening and the closing; see [`Sequence::finish`].
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(self, over_us: Option<i64>, out: &mut Output) -> io::Result<()> {
        self.sequence.finish(over_us, out)
    }

    fn name(&mut self) {
        self.sequence.name(&self.database, &self.user, &self.application_name);
    }
}

/// What the rules look at; nothing where they look at no texts.
fn executions<'a>(rules: &Rules, request: &'a Request) -> Vec<Execution<'a>> {
    if !rules.read_text() {
        return Vec::new();
    }
    let execution = |sql: &'a [u8], types: &'a [u32], parameters: &'a [Value]| Execution {
        sql: String::from_utf8_lossy(sql),
        parameters: if rules.read_parameters() { parameters.iter().map(value).collect() } else { Vec::new() },
        parameter_types: types,
        is_prepared_only: false,
    };
    match &request.sent {
        Sent::Simple { sql } => vec![execution(sql, &[], &[])],
        Sent::Execute(execute) => vec![execution(&execute.sql, &execute.parameter_types, &execute.parameters)],
        Sent::Messages(messages) => of_messages(messages, execution),
    }
}

/// The executions among a request's messages, each with what was last bound to its portal; where there are none, what it
/// prepares.
fn of_messages<'a>(
    messages: &'a [Message],
    execution: impl Fn(&'a [u8], &'a [u32], &'a [Value]) -> Execution<'a>,
) -> Vec<Execution<'a>> {
    let mut bound: HashMap<&[u8], &[Value]> = HashMap::new();
    let mut executed = Vec::new();
    for message in messages {
        match message {
            Message::Query { sql } => executed.push(execution(sql, &[], &[])),
            Message::Bind { portal, parameters, .. } => {
                bound.insert(portal, parameters);
            }
            Message::Execute { portal, sql: Some((sql, types)), .. } => {
                executed.push(execution(sql, types, bound.get(portal.as_slice()).copied().unwrap_or_default()));
            }
            _ => {}
        }
    }
    if executed.is_empty() {
        let prepared = messages.iter().filter_map(Message::sql);
        return prepared.map(|sql| Execution { is_prepared_only: true, ..execution(sql, &[], &[]) }).collect();
    }
    executed
}

fn value(value: &Value) -> tenant::Value<'_> {
    match value {
        Value::Null => tenant::Value::Null,
        Value::Text(bytes) => tenant::Value::Text(bytes.into()),
        Value::Binary(bytes) => tenant::Value::Binary(bytes.into()),
    }
}

/// Keeps the text where nothing changed, which is nearly always.
fn update(text: &mut String, bytes: &[u8]) {
    if !bytes.is_empty() && text.as_bytes() != bytes {
        *text = String::from_utf8_lossy(bytes).into_owned();
    }
}
