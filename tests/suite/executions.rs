//! A workload's executions, as far as every source can know them, for comparing captures with each other.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{Message, Open, Outcome, Parameter, Record, Request, Sent, SqlRef, WireMessage};

use crate::values::shown;

/// One execution: a simple query, the first Execute of a portal (a log does not show the text of further ones apart), or a
/// statement that failed before it could be executed.
#[derive(Clone, PartialEq)]
pub struct Executed {
    pub sql: String,
    /// None stands for a value that this source shows in another format than the others.
    pub parameters: Vec<Option<String>>,
    pub sqlstate: Option<String>,
}

/// A session with its executions.
#[derive(Debug, Default)]
pub struct Session {
    pub database: String,
    pub user: String,
    pub application_name: String,
    pub executed: Vec<Executed>,
    portals: HashMap<String, Portal>,
}

/// The executions of a workload, session by session in the order of their opening, sessions without any left out.
pub struct Executions {
    pub sessions: Vec<Session>,
    /// Executes of a portal after its first: a log shows that there were such, and not what they fetched.
    pub fetches: u64,
}

#[derive(Debug, Default)]
struct Portal {
    parameters: Vec<Option<String>>,
    executed: bool,
}

impl Executions {
    /// Reads a workload.
    pub fn of(path: &Path) -> Self {
        let mut reader = Reader::open(path).unwrap();
        let mut sessions: Vec<Session> = Vec::new();
        let mut index = HashMap::new();
        let mut fetches = 0;
        while let Some((_, record)) = reader.next_record().unwrap() {
            match record {
                Record::Open(open) => {
                    index.insert(open.session, sessions.len());
                    sessions.push(Session::of(open));
                }
                Record::Request(request) => fetches += sessions[index[&request.session]].take(&request, &reader),
                Record::End(end) => {
                    let fetch = end.skipped.iter().filter(|(reason, _)| reason.starts_with("fetch from a portal"));
                    fetches += fetch.map(|(_, skipped)| skipped.count).sum::<u64>();
                }
                _ => {}
            }
        }
        sessions.retain(|session| !session.executed.is_empty());
        Self { sessions, fetches }
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.sessions.iter().map(|session| session.executed.len() as u64).sum::<u64>() + self.fetches
    }

    /// Fails where two captures of the same traffic differ in a session, a text, a parameter that both show, or an error.
    pub fn assert_same(&self, other: &Self, which: &str) {
        for (at, (ours, theirs)) in self.sessions.iter().zip(&other.sessions).enumerate() {
            assert_eq!(ours.identity(), theirs.identity(), "{which}: session {at}");
            for (place, (one, another)) in ours.executed.iter().zip(&theirs.executed).enumerate() {
                assert!(one.agrees(another), "{which}: session {at}, execution {place}:\n{one:?}\n{another:?}");
            }
            let last = (ours.executed.last(), theirs.executed.last());
            assert_eq!(ours.executed.len(), theirs.executed.len(), "{which}: session {at}: {last:?}");
        }
        assert_eq!(self.sessions.len(), other.sessions.len(), "{which}: sessions");
        assert_eq!(self.fetches, other.fetches, "{which}: fetches");
    }
}

impl Session {
    fn of(open: Open) -> Self {
        let Open { database, user, parameters, .. } = open;
        let application_name = parameters.get("application_name").cloned().unwrap_or_default();
        Self { database, user, application_name, ..Self::default() }
    }

    fn identity(&self) -> [&str; 3] {
        [&self.database, &self.user, &self.application_name]
    }

    /// Appends the request's executions; gives how many were further Executes of a portal.
    fn take(&mut self, request: &Request, reader: &Reader) -> u64 {
        match &request.sent {
            Sent::Simple { sql } => self.push(text(sql, reader), Vec::new(), failure(&request.results)),
            Sent::Execute(execute) => {
                let parameters = values(&execute.parameters, Some(&execute.sql), reader);
                self.push(text(&execute.sql, reader), parameters, failure(&request.results));
            }
            Sent::Messages(messages) => return self.take_messages(messages, &request.results, reader),
        }
        0
    }

    /// Behind an error the server passes over everything up to the Sync, which is the end of the request.
    fn take_messages(&mut self, messages: &[WireMessage], results: &[Outcome], reader: &Reader) -> u64 {
        let failed = failure(results).is_some();
        let mut results = results.iter();
        let mut prepared = None;
        let mut fetches = 0;
        for message in messages {
            let WireMessage::Named(message) = message else { continue };
            match message {
                Message::Parse { sql, .. } => prepared = Some(sql),
                Message::Bind { portal, parameters, .. } => {
                    let executes = |message: &&WireMessage| matches!(message, WireMessage::Named(Message::Execute { portal: executed, .. }) if executed == portal);
                    let sql = messages.iter().find(executes).and_then(WireMessage::sql);
                    let parameters = values(parameters, sql, reader);
                    self.portals.insert(portal.clone(), Portal { parameters, executed: false });
                }
                Message::Query { sql } => {
                    let sqlstate = failure(results.next().map_or(&[], std::slice::from_ref));
                    self.push(text(sql, reader), Vec::new(), sqlstate);
                }
                Message::Execute { portal, sql, .. } => {
                    let result = results.next();
                    if result.is_none() && failed {
                        continue;
                    }
                    let bound = self.portals.entry(portal.clone()).or_default();
                    if std::mem::replace(&mut bound.executed, true) {
                        fetches += 1;
                        continue;
                    }
                    let parameters = bound.parameters.clone();
                    let sql = sql.as_ref().map(|sql| text(sql, reader)).unwrap_or_default();
                    self.push(sql, parameters, failure(result.map_or(&[], std::slice::from_ref)));
                }
                _ => {}
            }
        }
        // It failed when it was prepared or bound, and its Execute was never sent.
        if let (Some(result), Some(sql)) = (results.next(), prepared) {
            self.push(text(sql, reader), Vec::new(), failure(std::slice::from_ref(result)));
        }
        fetches
    }

    fn push(&mut self, sql: String, parameters: Vec<Option<String>>, sqlstate: Option<String>) {
        self.executed.push(Executed { sql, parameters, sqlstate });
    }
}

fn text(sql: &SqlRef, reader: &Reader) -> String {
    reader.statement(sql).unwrap().text.text().trim().to_owned()
}

fn failure(results: &[Outcome]) -> Option<String> {
    results.iter().find_map(|result| result.sqlstate).map(|code| code.to_string())
}

/// Parameters as a log shows them, by the types that the statement's line knows.
fn values(parameters: &[Parameter], sql: Option<&SqlRef>, reader: &Reader) -> Vec<Option<String>> {
    let types = sql.and_then(|sql| reader.statement(sql)).map_or(&[][..], |statement| statement.parameter_types);
    let oid = |place: usize| types.get(place).copied().unwrap_or(0);
    parameters.iter().enumerate().map(|(place, parameter)| shown(parameter, oid(place))).collect()
}

impl Executed {
    fn agrees(&self, other: &Self) -> bool {
        let values_agree = |(one, another): (&Option<String>, &Option<String>)| match (one, another) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        // Of a statement that failed, a log may not show the parameters.
        let failed = self.sqlstate.is_some();
        let parameters = self.parameters.len() == other.parameters.len() || failed;
        self.sql == other.sql
            && self.sqlstate == other.sqlstate
            && parameters
            && self.parameters.iter().zip(&other.parameters).all(values_agree)
    }
}

impl fmt::Debug for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.sql, self.parameters, self.sqlstate)
    }
}
