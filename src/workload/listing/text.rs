//! Events as lines of text: moment, session, tenant, what was done, and the statement with what came back behind it.
//!
//! Takes a record with its scene and gives its lines. Must not know which events are shown.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Scene;
use super::one_line::{printable, sql};
use crate::workload::record::{
    CopyData, CopyEnd, Execute, Message, Open, Outcome, Parameter, ParameterBytes, Record, Request, Sent, SqlRef,
    TransactionState, WireMessage,
};

/// The lines of an event, each ended by a line break; empty for what is no event.
pub(super) fn lines(record: &Record, scene: &Scene<'_>) -> String {
    match record {
        Record::Open(open) => scene.line(None, "open", &opened(open)),
        Record::Request(request) => requested(request, scene),
        Record::Copy(copy) => scene.line(None, "copy", &copied(copy, scene)),
        Record::Cancel(_) => scene.line(None, "cancel", ""),
        Record::Close(_) => scene.line(None, "close", ""),
        Record::Header(_) | Record::Tenant(_) | Record::Sql(_) | Record::End(_) => String::new(),
    }
}

impl Scene<'_> {
    fn line(&self, tenant: Option<&str>, what: &str, rest: &str) -> String {
        let tenant = tenant.map_or_else(|| "-".to_owned(), printable);
        let line = format!("{}  {:>5}  {tenant:<12}  {what:<8}  {rest}", self.time, self.session);
        format!("{}\n", line.trim_end())
    }

    /// The statement on one line.
    fn sql(&self, reference: &SqlRef) -> String {
        self.reader.statement(reference).map(|statement| sql(&statement.text.text())).unwrap_or_default()
    }

    /// How many parameters there are, or what they are.
    fn parameters(&self, parameters: &[Parameter]) -> Option<String> {
        match parameters.len() {
            0 => None,
            count if !self.shows_values => Some(things(count as u64, "parameter")),
            _ => {
                let numbered = parameters.iter().zip(1..);
                Some(numbered.map(|(value, n)| format!("${n} = {}", shown(value))).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn opened(open: &Open) -> String {
    let mut text = format!("database={} user={}", printable(&open.database), printable(&open.user));
    for (name, value) in &open.parameters {
        let _ = write!(text, " {}={}", printable(name), printable(value));
    }
    let state = open
        .state
        .iter()
        .flat_map(|state| [(state.settings.len(), "setting"), (state.prepared.len(), "prepared statement")]);
    let mut notes: Vec<String> =
        state.filter(|(count, _)| *count > 0).map(|(count, what)| things(count as u64, what)).collect();
    if open.began_before_capture {
        notes.insert(0, "was there before".to_owned());
    }
    with_notes(text, &notes)
}

fn requested(request: &Request, scene: &Scene<'_>) -> String {
    let tenant = request.tenant.and_then(|id| scene.reader.tenant(id)).map(|tenant| tenant.name.as_str());
    let (what, text, mut notes) = match &request.sent {
        Sent::Simple { sql } => ("query", scene.sql(sql), Vec::new()),
        Sent::Execute(execute) => {
            let notes: Vec<_> = scene.parameters(&execute.parameters).into_iter().collect();
            ("execute", named(execute) + &scene.sql(&execute.sql), notes)
        }
        Sent::Messages(messages) => ("messages", messages.len().to_string(), Vec::new()),
    };
    notes.extend(came_back(&request.results));
    notes.extend(match request.transaction {
        Some(TransactionState::InTransaction) => Some("in a transaction".to_owned()),
        Some(TransactionState::Failed) => Some("in a failed transaction".to_owned()),
        Some(TransactionState::Idle) | None => None,
    });
    let mut lines = scene.line(tenant, what, &with_notes(text, &notes));
    if let Sent::Messages(messages) = &request.sent {
        for message in messages {
            let _ = writeln!(lines, "    {}", message_text(message, scene));
        }
    }
    lines
}

/// The names as PostgreSQL's logs write them, before the statement.
fn named(execute: &Execute) -> String {
    match (execute.statement.as_str(), execute.portal.as_str()) {
        ("", "") => String::new(),
        (statement, "") => format!("{}: ", printable(statement)),
        (statement, portal) => format!("{}/{}: ", printable(unnamed(statement)), printable(portal)),
    }
}

fn unnamed(name: &str) -> &str {
    if name.is_empty() { "<unnamed>" } else { name }
}

fn message_text(message: &WireMessage, scene: &Scene<'_>) -> String {
    let message = match message {
        WireMessage::Named(message) => message,
        WireMessage::Raw { tag, body } => {
            return format!("message {tag} of {} bytes", STANDARD.decode(body).map_or(0, |body| body.len()));
        }
    };
    let name = |name: &str| printable(unnamed(name));
    match message {
        Message::Query { sql } => format!("query {}", scene.sql(sql)),
        Message::Parse { statement, sql } => format!("parse {}: {}", name(statement), scene.sql(sql)),
        Message::Bind { portal, statement, parameters, .. } => {
            let notes: Vec<_> = scene.parameters(parameters).into_iter().collect();
            with_notes(format!("bind {}/{}", name(statement), name(portal)), &notes)
        }
        Message::DescribeStatement { name: statement } => format!("describe statement {}", name(statement)),
        Message::DescribePortal { name: portal } => format!("describe portal {}", name(portal)),
        Message::Execute { portal, row_limit, sql } => {
            let text = sql.as_ref().map(|sql| format!(": {}", scene.sql(sql))).unwrap_or_default();
            let notes: Vec<_> =
                Some(row_limit).filter(|limit| **limit > 0).map(|n| format!("at most {n} rows")).into_iter().collect();
            with_notes(format!("execute {}{text}", name(portal)), &notes)
        }
        Message::CloseStatement { name: statement } => format!("close statement {}", name(statement)),
        Message::ClosePortal { name: portal } => format!("close portal {}", name(portal)),
        Message::Flush => "flush".to_owned(),
        Message::Sync => "sync".to_owned(),
    }
}

/// What came back for each statement, without values.
fn came_back(results: &[Outcome]) -> Option<String> {
    let one = |result: &Outcome| {
        let mut parts = Vec::new();
        parts.extend(result.sqlstate.map(|sqlstate| format!("error {sqlstate}")));
        parts.extend(result.rows.map(|rows| things(rows, "row")));
        parts.extend(result.total_us.map(|us| format!("{}.{:03} ms", us / 1_000, us % 1_000)));
        parts.join(", ")
    };
    let all: Vec<String> = results.iter().map(one).filter(|text| !text.is_empty()).collect();
    (!all.is_empty()).then(|| all.join(" | "))
}

fn copied(copy: &CopyData, scene: &Scene<'_>) -> String {
    let data = STANDARD.decode(&copy.base64).unwrap_or_default();
    let whose = if copy.from_client { "from the client" } else { "from the server" };
    let end = match copy.ended {
        Some(CopyEnd::Done) => ", then done",
        Some(CopyEnd::Failed) => ", then failed",
        None => "",
    };
    let text = format!("{} bytes {whose}{end}", data.len());
    let notes: Vec<_> = Some(printable(&String::from_utf8_lossy(&data)))
        .filter(|data| scene.shows_values && !data.is_empty())
        .into_iter()
        .collect();
    with_notes(text, &notes)
}

/// A value as a literal; bytes in hexadecimal digits.
fn shown(parameter: &Parameter) -> String {
    let hexadecimal = |base64: &str| {
        let bytes = STANDARD.decode(base64).unwrap_or_default();
        bytes.iter().fold("\\x".to_owned(), |digits, byte| digits + &format!("{byte:02x}"))
    };
    match parameter {
        Parameter::Null => "NULL".to_owned(),
        Parameter::Text(text) => format!("'{}'", printable(&text.replace('\'', "''"))),
        Parameter::Bytes(ParameterBytes::TextBase64(bytes) | ParameterBytes::BinaryBase64(bytes)) => hexadecimal(bytes),
    }
}

fn things(count: u64, singular: &str) -> String {
    if count == 1 { format!("1 {singular}") } else { format!("{count} {singular}s") }
}

/// Notes stand behind the text as SQL's comments do.
fn with_notes(text: String, notes: &[String]) -> String {
    if notes.is_empty() { text } else { format!("{text}  -- {}", notes.join("; ")) }
}
