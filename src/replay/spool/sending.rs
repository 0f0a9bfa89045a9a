//! What a captured request sends, as a record's body.
//!
//! Takes a request, the workload's texts and what its session has prepared so far; appends the body and gives the statements
//! that it executes. Must not know records, chains or times.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::lists::ListWriter;
use super::messages::{Message, MessageSequence};
use super::request::{Body, Execution};
use super::texts::{Statement, Texts, from_base64};
use super::transaction::Deed;
use crate::pgwire::frontend::{self, Named};
use crate::workload::record as workload;
use crate::workload::record::{Execute, Parameter, ParameterBytes, Request, Sent, WireMessage};

/// Names that are remembered for one session, as those of a connection are.
const NAMES_MAX: usize = 4_096;

/// What a request sends and does.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// What the server executes, in order; of a request that only prepares, the last text that it prepares.
    pub executed: Vec<Arc<Statement>>,
    /// It executes nothing, so that its text says nothing of transactions.
    pub only_prepares: bool,
    /// No Sync ends it: what follows belongs to the same pipeline.
    pub is_parted: bool,
    /// Statements that wait for the client's COPY data.
    pub copies: usize,
    /// It calls a function by the fast path, which tells the function's number alone.
    pub calls_function: bool,
}

impl Sending {
    /// The statement that stands for the request: the one that failed, else the first that does more than to begin or end
    /// a transaction.
    pub fn told_by(&self, failed: bool) -> Option<usize> {
        let works = |statement: &Arc<Statement>| !matches!(statement.does.deeds[..], [Deed::Control(_)]);
        let last = self.executed.len().checked_sub(1)?;
        if failed { Some(last) } else { Some(self.executed.iter().position(works).unwrap_or(0)) }
    }
}

/// Prepared statements of a session by their names, the unnamed one among them.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Arc<Statement>>);

impl Names {
    /// The name stands for this text from now on.
    pub fn set(&mut self, name: &str, statement: &Arc<Statement>) {
        if let Some(known) = self.0.get_mut(name) {
            *known = Arc::clone(statement);
        } else if self.0.len() < NAMES_MAX {
            self.0.insert(name.to_owned(), Arc::clone(statement));
        }
    }
}

/// Appends the request's body. None for a text or value that cannot be read, or a message that cannot be sent again.
pub(super) fn append(request: &Request, texts: &Texts, names: &mut Names, out: &mut Vec<u8>) -> Option<Sending> {
    let executed: Vec<_> = request.executed().into_iter().map(|sql| texts.get(sql)).collect::<Option<_>>()?;
    let copies = executed.iter().filter(|statement| statement.does.copies_from_client).count();
    let sending = Sending { executed, copies, ..Sending::default() };
    match &request.sent {
        Sent::Simple { sql } => {
            names.0.remove("");
            Body::Simple { sql: &texts.get(sql)?.sql }.put(out);
        }
        Sent::Execute(execute) => append_execution(execute, &texts.get(&execute.sql)?, names, out)?,
        Sent::Messages(messages) => return append_messages(messages, sending, texts, names, out),
    }
    Some(sending)
}

fn append_execution(execute: &Execute, statement: &Arc<Statement>, names: &mut Names, out: &mut Vec<u8>) -> Option<()> {
    let parameters = parameters_of(&execute.parameters)?;
    let types = ListWriter::of_oids(&statement.parameter_types);
    let formats = ListWriter::of_formats(&execute.result_formats);
    names.set(&execute.statement, statement);
    let execution = Execution {
        statement: execute.statement.as_bytes(),
        portal: execute.portal.as_bytes(),
        sql: &statement.sql,
        parameter_types: types.list(),
        parameters: parameters.list(),
        result_formats: formats.list(),
        row_limit: execute.row_limit,
        reuses_unnamed: execute.parse == Some(false),
        describes: execute.describe == Some(true),
        copies: statement.does.copies_from_client,
    };
    Body::Execute(execution).put(out);
    Some(())
}

fn append_messages(
    messages: &[WireMessage],
    mut sending: Sending,
    texts: &Texts,
    names: &mut Names,
    out: &mut Vec<u8>,
) -> Option<Sending> {
    let mut gathering =
        Gathering { texts, names, ready: HashSet::new(), portals: HashMap::new(), needed: ListWriter::default() };
    let mut list = ListWriter::default();
    for message in messages {
        gathering.append(message, &mut list)?;
    }
    let Gathering { needed, .. } = gathering;
    let changing = sending.executed.iter().filter(|statement| statement.does.changes_session);
    let session_sql = changing.map(|statement| &statement.sql[..]).collect::<Vec<_>>().join(&b";\n"[..]);
    let sequence = MessageSequence { needed: needed.list(), messages: list.list(), session_sql: &session_sql };
    sending.calls_function = sequence.messages().any(|message| matches!(message, Message::FunctionCall { .. }));
    sending.is_parted = !sequence.messages().last().is_some_and(|message| message.ends_in_ready());
    Body::Messages(sequence).put(out);
    if sending.executed.is_empty() {
        sending.only_prepares = true;
        let prepared = messages.iter().filter_map(WireMessage::sql).next_back();
        sending.executed.extend(prepared.and_then(|sql| texts.get(sql)));
    }
    Some(sending)
}

/// A sequence in the making.
struct Gathering<'a> {
    texts: &'a Texts,
    names: &'a mut Names,
    /// Names that need no preparing: prepared in the sequence, or ahead of it.
    ready: HashSet<&'a str>,
    /// Portals bound in it, to their statements.
    portals: HashMap<&'a str, &'a str>,
    needed: ListWriter,
}

impl<'a> Gathering<'a> {
    fn append(&mut self, message: &'a WireMessage, list: &mut ListWriter) -> Option<()> {
        let message = match message {
            WireMessage::Named(message) => message,
            WireMessage::Raw { tag: 'F', body } => {
                Message::FunctionCall { body: &from_base64(body)? }.put(list.next());
                return Some(());
            }
            WireMessage::Raw { .. } => return None,
        };
        match message {
            workload::Message::Query { sql } => {
                self.names.0.remove("");
                Message::Query { sql: &self.texts.get(sql)?.sql }.put(list.next());
            }
            workload::Message::Parse { statement, sql } => {
                let text = self.texts.get(sql)?;
                put_parse(statement, &text, list);
                self.names.set(statement, &text);
                self.ready.insert(statement);
            }
            workload::Message::Bind { portal, statement, parameters, result_formats } => {
                self.need(statement);
                self.portals.insert(portal, statement);
                let parameters = parameters_of(parameters)?;
                let formats = ListWriter::of_formats(result_formats);
                let (portal, statement) = (portal.as_bytes(), statement.as_bytes());
                let (parameters, result_formats) = (parameters.list(), formats.list());
                Message::Bind { portal, statement, parameters, result_formats }.put(list.next());
            }
            workload::Message::Execute { portal, row_limit, sql } => {
                let statement = sql.as_ref().map(|sql| self.texts.get(sql).ok_or(())).transpose().ok()?;
                if let (Some(name), Some(text)) = (self.portals.get(portal.as_str()).copied(), &statement) {
                    self.need_as(name, text);
                }
                let copies = statement.is_some_and(|statement| statement.does.copies_from_client);
                Message::Execute { portal: portal.as_bytes(), row_limit: *row_limit, copies }.put(list.next());
            }
            workload::Message::DescribeStatement { name } => {
                self.need(name);
                Message::Describe(Named::Statement(name.as_bytes())).put(list.next());
            }
            workload::Message::CloseStatement { name } => {
                self.names.0.remove(name);
                self.ready.insert(name);
                Message::Close(Named::Statement(name.as_bytes())).put(list.next());
            }
            workload::Message::DescribePortal { name } => {
                Message::Describe(Named::Portal(name.as_bytes())).put(list.next());
            }
            workload::Message::ClosePortal { name } => Message::Close(Named::Portal(name.as_bytes())).put(list.next()),
            workload::Message::Flush => Message::Flush.put(list.next()),
            workload::Message::Sync => Message::Sync.put(list.next()),
        }
        Some(())
    }

    /// The statement has to be there before the sequence, with the text that its session gave it.
    fn need(&mut self, name: &'a str) {
        if let Some(text) = self.names.0.get(name).cloned() {
            self.need_as(name, &text);
        }
    }

    fn need_as(&mut self, name: &'a str, text: &Arc<Statement>) {
        if self.ready.insert(name) {
            put_parse(name, text, &mut self.needed);
            self.names.set(name, text);
        }
    }
}

fn put_parse(name: &str, text: &Statement, list: &mut ListWriter) {
    let types = ListWriter::of_oids(&text.parameter_types);
    let (statement, parameter_types) = (name.as_bytes(), types.list());
    Message::Parse { statement, sql: &text.sql, parameter_types }.put(list.next());
}

/// None for a parameter whose base64 is none.
fn parameters_of(parameters: &[Parameter]) -> Option<ListWriter> {
    let mut list = ListWriter::default();
    for parameter in parameters {
        match parameter {
            Parameter::Null => list.push_parameter(frontend::Parameter::Null),
            Parameter::Text(text) => list.push_parameter(frontend::Parameter::Text(text.as_bytes())),
            Parameter::Bytes(ParameterBytes::TextBase64(encoded)) => {
                list.push_parameter(frontend::Parameter::Text(&from_base64(encoded)?));
            }
            Parameter::Bytes(ParameterBytes::BinaryBase64(encoded)) => {
                list.push_parameter(frontend::Parameter::Binary(&from_base64(encoded)?));
            }
        }
    }
    Some(list)
}
