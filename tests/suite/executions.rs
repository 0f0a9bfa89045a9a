//! A workload's executions, as far as every source can know them, for comparing captures with each other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{Message, Parameter, ParameterBytes, Record, Request, Sent, SqlRef, WireMessage};

/// One execution: a simple query, or the first Execute of a portal (a log does not show the text of further ones apart).
#[derive(Clone, PartialEq)]
pub struct Executed {
    pub sql: String,
    /// None stands for a value that this source shows in another format than the others.
    pub parameters: Vec<Option<String>>,
    pub sqlstate: Option<String>,
}

/// The executions of a workload, session by session in the order of their opening, sessions without any left out.
pub struct Executions {
    pub sessions: Vec<Vec<Executed>>,
    /// Executes of a portal after its first.
    pub fetches: u64,
}

impl Executions {
    /// Reads a workload.
    pub fn of(path: &Path) -> Self {
        let mut reader = Reader::open(path).unwrap();
        let mut sessions: Vec<Vec<Executed>> = Vec::new();
        let mut index = BTreeMap::new();
        let mut portals: HashMap<(u32, String), Portal> = HashMap::new();
        let mut fetches = 0;
        while let Some((_, record)) = reader.next_record().unwrap() {
            match record {
                Record::Open(open) => {
                    index.insert(open.session, sessions.len());
                    sessions.push(Vec::new());
                }
                Record::Request(request) => {
                    let session = &mut sessions[index[&request.session]];
                    fetches += take(&request, &reader, &mut portals, session);
                }
                _ => {}
            }
        }
        sessions.retain(|session| !session.is_empty());
        Self { sessions, fetches }
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.sessions.iter().map(|session| session.len() as u64).sum::<u64>() + self.fetches
    }

    /// Fails where two captures of the same traffic differ in a session, a text, a parameter that both show, or an error.
    pub fn assert_same(&self, other: &Self, which: &str) {
        for (session, (ours, theirs)) in self.sessions.iter().zip(&other.sessions).enumerate() {
            for (at, (one, another)) in ours.iter().zip(theirs).enumerate() {
                assert!(one.agrees(another), "{which}: session {session}, execution {at}:\n{one:?}\n{another:?}");
            }
            assert_eq!(ours.len(), theirs.len(), "{which}: session {session}: {:?} {:?}", ours.last(), theirs.last());
        }
        assert_eq!(self.sessions.len(), other.sessions.len(), "{which}: sessions");
    }
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

#[derive(Default)]
struct Portal {
    parameters: Vec<Option<String>>,
    executed: bool,
}

/// Appends the request's executions; gives how many were further Executes of a portal.
fn take(
    request: &Request,
    reader: &Reader,
    portals: &mut HashMap<(u32, String), Portal>,
    session: &mut Vec<Executed>,
) -> u64 {
    let text = |sql: &SqlRef| reader.statement(sql).unwrap().text.text().trim().to_owned();
    let mut results = request.results.iter();
    let failure = |sqlstate: Option<&pgrehearse::workload::record::Outcome>| {
        sqlstate.and_then(|result| result.sqlstate).map(|code| code.to_string())
    };
    let mut fetches = 0;
    match &request.sent {
        Sent::Simple { sql } => {
            let sqlstate = request.results.iter().find_map(|result| result.sqlstate).map(|code| code.to_string());
            session.push(Executed { sql: text(sql), parameters: Vec::new(), sqlstate });
        }
        Sent::Execute(execute) => {
            let parameters = execute.parameters.iter().map(shown).collect();
            session.push(Executed { sql: text(&execute.sql), parameters, sqlstate: failure(results.next()) });
        }
        Sent::Messages(messages) => {
            for message in messages {
                match message {
                    WireMessage::Named(Message::Bind { portal, parameters, .. }) => {
                        let parameters = parameters.iter().map(shown).collect();
                        portals.insert((request.session, portal.clone()), Portal { parameters, executed: false });
                    }
                    WireMessage::Named(Message::Query { sql }) => {
                        let sqlstate = failure(results.next());
                        session.push(Executed { sql: text(sql), parameters: Vec::new(), sqlstate });
                    }
                    WireMessage::Named(Message::Execute { portal, sql, .. }) => {
                        let sqlstate = failure(results.next());
                        let bound = portals.entry((request.session, portal.clone())).or_default();
                        if std::mem::replace(&mut bound.executed, true) {
                            fetches += 1;
                            continue;
                        }
                        let sql = sql.as_ref().map(text).unwrap_or_default();
                        session.push(Executed { sql, parameters: bound.parameters.clone(), sqlstate });
                    }
                    _ => {}
                }
            }
        }
    }
    fetches
}

/// A value as text, where the source has it as text.
fn shown(parameter: &Parameter) -> Option<String> {
    match parameter {
        Parameter::Null => Some("NULL".to_owned()),
        Parameter::Text(text) => Some(format!("'{text}'")),
        Parameter::Bytes(ParameterBytes::TextBase64(text)) => Some(text.clone()),
        Parameter::Bytes(ParameterBytes::BinaryBase64(_)) => None,
    }
}
