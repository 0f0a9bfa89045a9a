//! The lines of a workload file: one type for each kind of line.
//!
//! Gives plain values with their JSON shape (format version 1). Must not know about files, compression or time zones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// One line of a workload file. `t_us` is always microseconds since the header's `started_at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    Header(Header),
    Tenant(Tenant),
    Sql(SqlText),
    Open(Open),
    Request(Request),
    Copy(CopyData),
    Cancel(Cancel),
    Close(Close),
    End(End),
}

/// The first line: where the workload comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub version: u32,
    /// RFC 3339, the moment of `t_us` 0.
    pub started_at: String,
    pub sources: Vec<Source>,
    /// As the server said it, such as `16.14`; unknown from most logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    pub tool_version: String,
}

/// A file that was captured from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name without its directory: a path may tell more than a person wants to share.
    pub file: String,
    pub sha256: String,
    /// `csvlog`, `jsonlog`, `stderr`, `pcap`, `proxy`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A customer. Numbered from 0 in the order of appearance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    pub id: u32,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A statement text with what follows from it. A later line may give the same id another text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SqlText {
    pub id: u32,
    #[serde(flatten)]
    pub text: Text,
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
    /// Type oids as declared in Parse; empty where the source does not know them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameter_types: Vec<u32>,
}

/// Text as it was sent: UTF-8 where it is UTF-8, base64 of the bytes where it is not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Text {
    Text(String),
    Base64(String),
}

/// A session begins, or was there when the capture began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Open {
    pub t_us: u64,
    pub session: u32,
    pub database: String,
    pub user: String,
    /// Startup parameters other than user and database, `application_name` among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub began_before_capture: bool,
    /// Prepared statements and settings that the session had when the capture began, as far as the source knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SessionState>,
}

/// What a session carried into the capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionState {
    /// Statement name to its text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prepared: BTreeMap<String, SqlRef>,
    /// Setting name to its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// One client request: a simple query, an extended execution, or the exact messages where the wire showed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub t_us: u64,
    pub session: u32,
    /// Counts from 0 within the session.
    pub sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u32>,
    #[serde(flatten)]
    pub sent: Sent,
    /// What came back, one for each statement; empty where the source does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Outcome>,
    /// Whether a transaction block was open when the answer was complete; unknown from a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionState>,
    /// Index into the header's sources, and line (1-based) or packet number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(u16, u64)>,
}

/// What the client sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// A simple query, of one or more statements.
    Simple { sql: SqlRef },
    /// Parse (where needed), Bind, Execute, Sync.
    Execute(Execute),
    /// The exact messages, where they are not those of an `execute`: pipelines, prepared apart, portals read in parts. They
    /// go up to and including the one that ended in ReadyForQuery; a long pipeline may be parted into several requests,
    /// of which only the last one ends so.
    Messages(Vec<WireMessage>),
}

/// An execution by the extended protocol: Parse, Bind, Describe of the portal, Execute, Sync. An empty statement name is
/// the unnamed statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execute {
    pub sql: SqlRef,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub statement: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub portal: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Result format codes as in Bind: empty for text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub result_formats: Vec<i16>,
    /// 0 for no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub row_limit: u32,
    /// Whether a Parse was sent with it; unknown from a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parse: Option<bool>,
    /// Whether a Describe of the portal was sent with it; unknown from a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describe: Option<bool>,
}

/// A reference to a `sql` line, or a text of its own where there are too many.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SqlRef {
    Id(u32),
    Inline(Box<InlineSql>),
}

/// A statement text that stands in the request itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InlineSql {
    #[serde(flatten)]
    pub text: Text,
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
    /// As those of a `sql` line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameter_types: Vec<u32>,
}

/// A parameter as it was bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Parameter {
    Null,
    Text(String),
    Bytes(ParameterBytes),
}

/// A parameter that is not UTF-8 text, base64 encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterBytes {
    /// Text format in another encoding than UTF-8.
    TextBase64(String),
    /// Binary format.
    BinaryBase64(String),
}

/// A client's protocol message, by the names of the manual's "Message Formats". COPY data stands in lines of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WireMessage {
    Named(Message),
    /// A message that needs no meaning here, such as a FunctionCall: tag and body, base64 encoded.
    Raw {
        tag: char,
        body: String,
    },
}

/// A message with its parts. Empty names are the unnamed ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    Query {
        sql: SqlRef,
    },
    Parse {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        statement: String,
        sql: SqlRef,
    },
    Bind {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        portal: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        statement: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parameters: Vec<Parameter>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        result_formats: Vec<i16>,
    },
    DescribeStatement {
        name: String,
    },
    DescribePortal {
        name: String,
    },
    /// `sql` is the statement of the portal, where it is known: it was bound in an earlier request, perhaps.
    Execute {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        portal: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        row_limit: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sql: Option<SqlRef>,
    },
    CloseStatement {
        name: String,
    },
    ClosePortal {
        name: String,
    },
    Flush,
    Sync,
}

/// The state of a session's transaction block, as ReadyForQuery says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionState {
    Idle,
    InTransaction,
    Failed,
}

impl WireMessage {
    /// The reference to the statement that it executes, describes in full or defines.
    pub fn sql(&self) -> Option<&SqlRef> {
        match self {
            Self::Named(Message::Query { sql } | Message::Parse { sql, .. }) => Some(sql),
            Self::Named(Message::Execute { sql, .. }) => sql.as_ref(),
            _ => None,
        }
    }

    /// The reference to the statement that it executes.
    pub fn executes(&self) -> Option<&SqlRef> {
        match self {
            Self::Named(Message::Query { sql }) => Some(sql),
            Self::Named(Message::Execute { sql, .. }) => sql.as_ref(),
            _ => None,
        }
    }
}

impl Sent {
    /// The references to the statements that it executes, in order: one of a simple query, whatever stands in its text.
    pub fn executed(&self) -> impl Iterator<Item = &SqlRef> {
        let (one, messages) = match self {
            Self::Simple { sql } => (Some(sql), [].as_slice()),
            Self::Execute(execute) => (Some(&execute.sql), [].as_slice()),
            Self::Messages(messages) => (None, messages.as_slice()),
        };
        one.into_iter().chain(messages.iter().filter_map(WireMessage::executes))
    }
}

/// What came back for one statement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// From sent to the first byte, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_us: Option<u64>,
    /// From sent to completion, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_us: Option<u64>,
    /// Rows selected, written or copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<SqlState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_tag: Option<String>,
    /// A digest of all rows, equal where the rows are; it begins with `o:` where their order counts and with `u:` where it
    /// does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes of the values of all rows, or of the data of a COPY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The columns that RETURNING named, or those of a SELECT that asks a sequence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned_columns: Vec<String>,
    /// The values that those gave, row by row; cut to whole rows where there are very many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<Parameter>,
}

/// COPY data in either direction, at most 64 KiB a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyData {
    pub t_us: u64,
    pub session: u32,
    /// The request that it belongs to.
    pub sequence: u64,
    pub from_client: bool,
    pub base64: String,
    /// On the last line of a COPY: how its sender ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<CopyEnd>,
}

/// How a COPY ended: CopyDone or CopyFail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyEnd {
    Done,
    Failed,
}

/// The client asked to cancel what the session was doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cancel {
    pub t_us: u64,
    pub session: u32,
}

/// A session ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Close {
    pub t_us: u64,
    pub session: u32,
}

/// The last line: without it the file is truncated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub sessions: u64,
    pub requests: u64,
    pub tenants: u64,
    /// Microseconds from `started_at` to the last event.
    pub span_us: u64,
    /// What the capture could not use, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, Skipped>,
}

/// How often something was skipped, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub count: u64,
    /// Index into the header's sources, and line (1-based), of the first.
    pub first: (u16, u64),
    /// At least so many requests of the captured traffic are missing from the workload for it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub lost: u64,
}

/// What it says of missing requests that something was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No request is missing for it.
    None,
    /// Each that is counted stands for a request.
    Each,
    /// However much is counted, at least one request is missing.
    Some,
}

impl Skipped {
    /// Nothing yet; the first will be here.
    pub fn none(first: (u16, u64)) -> Self {
        Self { count: 0, first, lost: 0 }
    }

    /// Counts `count` more.
    pub fn add(&mut self, count: u64, loss: Loss) {
        let lost = match loss {
            Loss::None => 0,
            Loss::Each => count,
            Loss::Some => 1,
        };
        // What a journal says was lost may be any number.
        self.count = self.count.saturating_add(count);
        self.lost = self.lost.saturating_add(lost);
    }

    /// Counts what another capture skipped for the same reason.
    pub fn join(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.lost = self.lost.saturating_add(other.lost);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde asks for
fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde asks for
fn is_nothing(value: &u64) -> bool {
    *value == 0
}
