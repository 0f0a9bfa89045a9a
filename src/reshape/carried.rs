//! What a session carries from one request to the next: settings, prepared statements, an open transaction.
//!
//! Takes a session's requests in order and gives the state in which the next one finds it, so that the session can begin
//! there. Must not know why it should.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::sql::{SessionEffect, TransactionControl, prepared_body, session_effect, split, transaction_control};
use crate::words::class::StatementClass;
use crate::workload::record::{
    InlineSql, Message, Open, Request, Sent, SessionState, SqlRef, Text, TransactionState, WireMessage,
};
use crate::workload::{Reader, Statement};

/// Texts of prepared statements, each held once however many sessions have it.
#[derive(Default)]
pub struct PreparedTexts(HashMap<u32, Rc<InlineSql>>);

impl PreparedTexts {
    /// The id has another text from here on.
    pub fn redefine(&mut self, id: u32) {
        self.0.remove(&id);
    }

    fn get(&mut self, reference: &SqlRef, reader: &Reader) -> Option<Rc<InlineSql>> {
        let SqlRef::Id(id) = reference else { return reader.statement(reference).map(inline) };
        if let Some(known) = self.0.get(id) {
            return Some(Rc::clone(known));
        }
        let text = inline(reader.statement(reference)?);
        self.0.insert(*id, Rc::clone(&text));
        Some(text)
    }
}

/// A session's state. A setting that a transaction made is gone when it rolls back, as in PostgreSQL.
#[derive(Default)]
pub struct Carried {
    settings: BTreeMap<String, String>,
    prepared: BTreeMap<String, Rc<InlineSql>>,
    /// The settings before the open transaction.
    at_begin: Option<BTreeMap<String, String>>,
    in_transaction: bool,
    in_pipeline: bool,
}

impl Carried {
    /// What the session has when the capture first sees it.
    pub fn new(open: &Open, texts: &mut PreparedTexts, reader: &Reader) -> Self {
        let mut carried = Self::default();
        if let Some(state) = &open.state {
            carried.settings = state.settings.clone();
            let prepared = state.prepared.iter();
            carried.prepared =
                prepared.filter_map(|(name, sql)| Some((name.clone(), texts.get(sql, reader)?))).collect();
        }
        carried
    }

    /// Whether the next request belongs to what went before: a transaction block, or a pipeline without its end.
    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction || self.in_pipeline
    }

    /// The state in the form of an `open` line; none where there is nothing to say.
    pub fn state(&self) -> Option<SessionState> {
        let prepared =
            |(name, text): (&String, &Rc<InlineSql>)| (name.clone(), SqlRef::Inline(Box::new(InlineSql::clone(text))));
        let state =
            SessionState { prepared: self.prepared.iter().map(prepared).collect(), settings: self.settings.clone() };
        (state != SessionState::default()).then_some(state)
    }

    /// Takes in the session's next request.
    pub fn take(&mut self, request: &Request, texts: &mut PreparedTexts, reader: &Reader) {
        let has_failed = request.results.iter().any(|result| result.sqlstate.is_some());
        match &request.sent {
            Sent::Simple { sql } => self.run(sql, has_failed, reader),
            Sent::Execute(execute) => {
                self.prepare(&execute.statement, &execute.sql, texts, reader);
                self.run(&execute.sql, has_failed, reader);
            }
            Sent::Messages(messages) => {
                for message in messages {
                    self.take_message(message, has_failed, texts, reader);
                }
                let is_ended = |message: &WireMessage| {
                    matches!(message, WireMessage::Named(Message::Sync | Message::Query { .. }))
                        || matches!(message, WireMessage::Raw { tag: 'S' | 'Q' | 'F', .. })
                };
                self.in_pipeline = !messages.last().is_some_and(is_ended);
            }
        }
        if let Some(state) = request.transaction {
            let open = state != TransactionState::Idle;
            if !open && self.in_transaction {
                self.end(has_failed);
            } else if open && !self.in_transaction {
                self.begin();
            }
        }
    }

    fn take_message(&mut self, message: &WireMessage, has_failed: bool, texts: &mut PreparedTexts, reader: &Reader) {
        let WireMessage::Named(message) = message else { return };
        match message {
            Message::Query { sql } | Message::Execute { sql: Some(sql), .. } => self.run(sql, has_failed, reader),
            Message::Parse { statement, sql } => self.prepare(statement, sql, texts, reader),
            Message::CloseStatement { name } => {
                self.prepared.remove(name);
            }
            _ => {}
        }
    }

    fn prepare(&mut self, name: &str, sql: &SqlRef, texts: &mut PreparedTexts, reader: &Reader) {
        if !name.is_empty()
            && let Some(text) = texts.get(sql, reader)
        {
            self.prepared.insert(name.to_owned(), text);
        }
    }

    fn run(&mut self, sql: &SqlRef, has_failed: bool, reader: &Reader) {
        let Some(statement) = reader.statement(sql) else { return };
        // Most traffic has no effect on its session, and need not be looked at.
        if matches!(statement.class, StatementClass::Write | StatementClass::Copy)
            && !statement.text.bytes().contains(&b';')
        {
            return;
        }
        for statement in split(&statement.text.text()) {
            match transaction_control(statement) {
                Some(TransactionControl::Begin) => self.begin(),
                Some(TransactionControl::Commit { chain }) => {
                    self.end(has_failed);
                    self.in_transaction = chain;
                }
                Some(TransactionControl::Rollback { chain }) => {
                    self.end(true);
                    self.in_transaction = chain;
                }
                Some(TransactionControl::PrepareTransaction) => self.end(has_failed),
                Some(_) => {}
                None if has_failed => {}
                None => {
                    if let Some(effect) = session_effect(statement) {
                        self.apply(effect, statement);
                    }
                }
            }
        }
    }

    fn begin(&mut self) {
        self.in_transaction = true;
    }

    fn end(&mut self, rolled_back: bool) {
        self.in_transaction = false;
        if let Some(before) = self.at_begin.take().filter(|_| rolled_back) {
            self.settings = before;
        }
    }

    fn apply(&mut self, effect: SessionEffect, statement: &str) {
        if self.in_transaction && self.at_begin.is_none() {
            self.at_begin = Some(self.settings.clone());
        }
        match effect {
            SessionEffect::Set { local: true, .. }
            | SessionEffect::Listen { .. }
            | SessionEffect::Unlisten { .. }
            | SessionEffect::UnlistenAll => {}
            SessionEffect::Set { name, value, local: false } => {
                self.settings.insert(name, value);
            }
            SessionEffect::Reset { name } => {
                self.settings.remove(&name);
            }
            SessionEffect::ResetAll => self.settings.clear(),
            SessionEffect::DiscardAll => {
                self.settings.clear();
                self.prepared.clear();
            }
            SessionEffect::Prepare { name } => {
                if let Some(text) = prepared_statement(statement) {
                    self.prepared.insert(name, Rc::new(text));
                }
            }
            SessionEffect::Deallocate { name } => {
                self.prepared.remove(&name);
            }
            SessionEffect::DeallocateAll => self.prepared.clear(),
        }
    }
}

/// What a PREPARE prepares. The types that it declares are left to the server to find out.
fn prepared_statement(statement: &str) -> Option<InlineSql> {
    let body = prepared_body(statement)?;
    Some(InlineSql {
        text: Text::Text(body.to_owned()),
        fingerprint: crate::sql::fingerprint(body),
        class: crate::sql::classify(body),
        parameter_types: Vec::new(),
    })
}

fn inline(statement: Statement<'_>) -> Rc<InlineSql> {
    Rc::new(InlineSql {
        text: statement.text.to_text(),
        fingerprint: statement.fingerprint,
        class: statement.class,
        parameter_types: statement.parameter_types.to_vec(),
    })
}

/// The part of a request that only changes its session, for a request that is left out: the statement that sets or
/// prepares something, or the messages that prepare and close statements. None where there is no such part.
pub fn session_part(mut request: Request, reader: &Reader) -> Option<Request> {
    let changes_session = |sql: &SqlRef| {
        reader.statement(sql).is_some_and(|statement| {
            let text = statement.text.text();
            !matches!(session_effect(&text), None | Some(SessionEffect::Set { local: true, .. }))
                && split(&text).len() == 1
        })
    };
    match &mut request.sent {
        Sent::Simple { sql } => changes_session(sql),
        Sent::Execute(execute) => changes_session(&execute.sql),
        Sent::Messages(messages) => {
            let prepares = |message: &WireMessage| match message {
                WireMessage::Named(Message::Parse { statement, .. }) => !statement.is_empty(),
                WireMessage::Named(Message::CloseStatement { .. }) => true,
                _ => false,
            };
            let has_part = messages.iter().any(prepares);
            messages.retain(|message| prepares(message) || matches!(message, WireMessage::Named(Message::Sync)));
            if !matches!(messages.last(), Some(WireMessage::Named(Message::Sync))) {
                messages.push(WireMessage::Named(Message::Sync));
            }
            request.results.clear();
            request.transaction = None;
            has_part
        }
    }
    .then_some(request)
}
