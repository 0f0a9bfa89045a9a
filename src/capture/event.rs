//! What a capture gives before it is put in order: sessions that open and close, requests, cancels.
//!
//! Gives plain values; `compact` has their form in temporary files. Must not know where events come from.

use std::collections::BTreeMap;

use crate::words::sqlstate::SqlState;
use crate::workload::record::{CopyEnd, TransactionState};

/// The place of an event in the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Microseconds since the epoch; never smaller than that of the session's event before.
    pub time_us: i64,
    pub session: u32,
    /// Counts up within the session: 0 for its opening.
    pub order: u64,
}

/// An event of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Open(Opening),
    Request(Box<Request>),
    Copy(Box<CopyData>),
    Cancel,
    Close,
}

/// A session begins, or was there when the capture began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opening {
    pub database: String,
    pub user: String,
    pub parameters: BTreeMap<String, String>,
    pub began_before_capture: bool,
}

/// One request of a client, with its texts in the bytes of the source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Counts from 0 within the session.
    pub sequence: u64,
    /// Index into the capture's tenants, in the order in which they were found.
    pub tenant: Option<u32>,
    pub sent: Sent,
    /// What came back, one for each execution; empty where the source does not know.
    pub results: Vec<Outcome>,
    /// Unknown from a log.
    pub transaction: Option<TransactionState>,
    /// Whether all values are whole is known when the whole source is read.
    pub possible_cut: Option<PossibleCut>,
    /// Index of the source; line or packet number.
    pub at: (u16, u64),
}

/// What the client sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Simple {
        sql: Vec<u8>,
    },
    Execute(Execute),
    /// The exact messages of the wire, where they are not those of an `Execute`.
    Messages(Vec<Message>),
}

/// Parse, Bind, Describe of the portal, Execute, Sync. Empty names are the unnamed ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Execute {
    pub sql: Vec<u8>,
    /// Type oids as declared in Parse; empty where the source does not know them.
    pub parameter_types: Vec<u32>,
    pub statement: Vec<u8>,
    pub portal: Vec<u8>,
    pub parameters: Vec<Value>,
    pub result_formats: Vec<i16>,
    pub row_limit: u32,
    /// Whether a Parse, and a Describe of the portal, were sent; unknown from a log.
    pub parse: Option<bool>,
    pub describe: Option<bool>,
}

/// A parameter as it was bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

impl Value {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Text(bytes) | Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// A client's protocol message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Query {
        sql: Vec<u8>,
    },
    Parse {
        statement: Vec<u8>,
        sql: Vec<u8>,
        parameter_types: Vec<u32>,
    },
    Bind {
        portal: Vec<u8>,
        statement: Vec<u8>,
        parameters: Vec<Value>,
        result_formats: Vec<i16>,
    },
    DescribeStatement {
        name: Vec<u8>,
    },
    DescribePortal {
        name: Vec<u8>,
    },
    /// With the text of the portal's statement, where it is known.
    Execute {
        portal: Vec<u8>,
        row_limit: u32,
        sql: Option<(Vec<u8>, Vec<u32>)>,
    },
    CloseStatement {
        name: Vec<u8>,
    },
    ClosePortal {
        name: Vec<u8>,
    },
    Flush,
    Sync,
    Raw {
        tag: u8,
        body: Vec<u8>,
    },
}

/// What came back for one execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub first_us: Option<u64>,
    pub total_us: Option<u64>,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    pub sqlstate: Option<SqlState>,
    pub command_tag: Option<String>,
    pub digest: Option<String>,
    pub returned_columns: Vec<String>,
    pub returned: Vec<Value>,
}

/// A piece of COPY data, at most 64 KiB, in either direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CopyData {
    /// The request that it belongs to.
    pub sequence: u64,
    pub from_client: bool,
    pub bytes: Vec<u8>,
    pub ended: Option<CopyEnd>,
}

impl Default for Sent {
    fn default() -> Self {
        Self::Simple { sql: Vec::new() }
    }
}

impl Message {
    /// The text that it brings along.
    pub fn sql(&self) -> Option<&[u8]> {
        match self {
            Self::Query { sql } | Self::Parse { sql, .. } | Self::Execute { sql: Some((sql, _)), .. } => Some(sql),
            _ => None,
        }
    }
}

impl Request {
    /// Executions: one of a simple query, whatever stands in its text. Behind an error the server passes over everything up
    /// to the Sync, so nothing of that is executed; a statement that failed as it was prepared counts as one, as in a log.
    pub fn executions(&self) -> u64 {
        match &self.sent {
            Sent::Simple { .. } | Sent::Execute(_) => 1,
            Sent::Messages(messages) => {
                let executes = |message: &&Message| matches!(message, Message::Query { .. } | Message::Execute { .. });
                let executed = messages.iter().filter(executes).count();
                let holds = |wanted: fn(&Message) -> bool| messages.iter().any(wanted);
                if self.sqlstate().is_none() || holds(|message| matches!(message, Message::Query { .. })) {
                    return executed as u64;
                }
                let prepares = holds(|message| matches!(message, Message::Parse { .. }));
                self.results.len().min(executed + usize::from(prepares)) as u64
            }
        }
    }

    /// The text of its first execution, or that it prepares.
    #[cfg(test)]
    pub fn first_sql(&self) -> &[u8] {
        match &self.sent {
            Sent::Simple { sql } | Sent::Execute(Execute { sql, .. }) => sql,
            Sent::Messages(messages) => messages.iter().find_map(Message::sql).unwrap_or_default(),
        }
    }

    /// About the bytes that it holds: its texts and parameters.
    pub fn held_bytes(&self) -> usize {
        let values = |values: &[Value]| values.iter().map(Value::held_bytes).sum::<usize>();
        match &self.sent {
            Sent::Simple { sql } => sql.len(),
            Sent::Execute(execute) => execute.sql.len() + values(&execute.parameters),
            Sent::Messages(messages) => {
                let held_bytes = |message: &Message| match message {
                    Message::Bind { parameters, .. } => values(parameters),
                    Message::Raw { body, .. } => body.len(),
                    other => other.sql().map_or(0, <[u8]>::len),
                };
                messages.iter().map(held_bytes).sum()
            }
        }
    }

    /// The first error.
    pub fn sqlstate(&self) -> Option<SqlState> {
        self.results.iter().find_map(|result| result.sqlstate)
    }
}

/// A parameter value that may be longer than the source shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossibleCut {
    /// Index of the evidence that decides.
    pub evidence: u32,
    /// The length that is shown.
    pub kept_bytes: u64,
}
