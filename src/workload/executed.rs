//! What a request executes: each statement with the names and values that it was executed with.
//!
//! Takes what was sent and gives its executions, in order, by reference. Must not know what they are looked at for.

use std::collections::HashMap;

use super::record::{Message, Parameter, Request, Sent, SqlRef, WireMessage};

/// One execution of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Executed<'a> {
    pub sql: &'a SqlRef,
    /// The prepared statement's name; empty for the unnamed one, for a simple query, and where it is not known.
    pub statement: &'a str,
    /// Empty for the unnamed portal and for a simple query.
    pub portal: &'a str,
    pub parameters: &'a [Parameter],
}

impl<'a> Executed<'a> {
    fn simple(sql: &'a SqlRef) -> Self {
        Self { sql, statement: "", portal: "", parameters: &[] }
    }
}

impl Request {
    /// The statements that the server executed, in order, by reference: one of a simple query, whatever stands in its text.
    /// Behind an error it passes over everything up to the Sync, so nothing of that is among them; a statement that failed
    /// as it was prepared is, as it is in a log.
    pub fn executed(&self) -> Vec<&SqlRef> {
        let mut executed: Vec<_> = self.sent.executed().collect();
        let Sent::Messages(messages) = &self.sent else { return executed };
        let has_failed = self.results.iter().any(|result| result.sqlstate.is_some());
        let is_query = |message: &WireMessage| matches!(message, WireMessage::Named(Message::Query { .. }));
        if has_failed && !messages.iter().any(is_query) {
            executed.truncate(self.results.len());
            if executed.len() < self.results.len() {
                let prepared =
                    messages.iter().filter(|message| matches!(message, WireMessage::Named(Message::Parse { .. })));
                executed.extend(prepared.filter_map(WireMessage::sql).next_back());
            }
        }
        executed
    }
}

impl Sent {
    /// Each execution with what was bound to it in the same request.
    pub fn executions(&self) -> Vec<Executed<'_>> {
        let messages = match self {
            Self::Simple { sql } => return vec![Executed::simple(sql)],
            Self::Execute(execute) => {
                let (statement, portal) = (execute.statement.as_str(), execute.portal.as_str());
                return vec![Executed { sql: &execute.sql, statement, portal, parameters: &execute.parameters }];
            }
            Self::Messages(messages) => messages,
        };
        let mut bound: HashMap<&str, (&str, &[Parameter])> = HashMap::new();
        let mut executed = Vec::new();
        for message in messages {
            match message {
                WireMessage::Named(Message::Query { sql }) => executed.push(Executed::simple(sql)),
                WireMessage::Named(Message::Bind { portal, statement, parameters, .. }) => {
                    bound.insert(portal, (statement, parameters));
                }
                WireMessage::Named(Message::Execute { portal, sql: Some(sql), .. }) => {
                    let (statement, parameters) = bound.get(portal.as_str()).copied().unwrap_or_default();
                    executed.push(Executed { sql, statement, portal, parameters });
                }
                _ => {}
            }
        }
        executed
    }
}
