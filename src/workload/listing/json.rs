//! Events as JSON, one object a line: times, names and texts stand in each, so that no line needs another.
//!
//! Takes a record with its scene and gives its line. Must not know which events are shown.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::Scene;
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::workload::executed::Executed;
use crate::workload::record::{
    CopyEnd, Message, Open, Outcome, Parameter, Record, Request, Sent, SqlRef, TransactionState, WireMessage,
};

/// What all events have, and what one kind has beside it.
#[derive(Serialize)]
struct Event<'a> {
    kind: &'static str,
    time: &'a str,
    t_us: u64,
    session: u32,
    database: &'a str,
    user: &'a str,
    #[serde(flatten)]
    detail: Detail<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Open(OpenDetail<'a>),
    Request(RequestDetail<'a>),
    Copy {
        sequence: u64,
        from_client: bool,
        bytes: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ended: Option<CopyEnd>,
    },
    None {},
}

#[derive(Serialize)]
struct OpenDetail<'a> {
    parameters: &'a BTreeMap<String, String>,
    began_before_capture: bool,
    settings: BTreeMap<&'a str, &'a str>,
    /// Prepared statements: name to text.
    prepared: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct RequestDetail<'a> {
    sequence: u64,
    tenant: Option<&'a str>,
    /// `simple`, `execute` or `messages`.
    sent: &'static str,
    /// What was executed, in order.
    statements: Vec<StatementLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageLine<'a>>,
    results: Vec<Outcome>,
    transaction: Option<TransactionState>,
    /// File and line, or packet, of the capture.
    at: Option<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: u64,
}

#[derive(Serialize)]
struct StatementLine<'a> {
    /// With replacement characters where it is not UTF-8; `base64` has its bytes then.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    fingerprint: Fingerprint,
    class: StatementClass,
    #[serde(skip_serializing_if = "str::is_empty")]
    statement: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    portal: &'a str,
    parameter_types: &'a [u32],
    parameter_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a [Parameter]>,
}

/// An exact message, by its name in the manual.
#[derive(Default, Serialize)]
struct MessageLine<'a> {
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    portal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a [Parameter]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_formats: Option<&'a [i16]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<&'a str>,
}

/// The line of an event with its line break; empty for what is no event.
pub(super) fn line(record: &Record, scene: &Scene<'_>) -> String {
    let (kind, detail) = match record {
        Record::Open(open) => ("open", Detail::Open(scene.open(open))),
        Record::Request(request) => ("request", Detail::Request(scene.request(request))),
        Record::Copy(copy) => {
            let (sequence, from_client, ended) = (copy.sequence, copy.from_client, copy.ended);
            let bytes = STANDARD.decode(&copy.base64).map_or(0, |data| data.len());
            let base64 = scene.shows_values.then_some(copy.base64.as_str());
            ("copy", Detail::Copy { sequence, from_client, bytes, base64, ended })
        }
        Record::Cancel(_) => ("cancel", Detail::None {}),
        Record::Close(_) => ("close", Detail::None {}),
        Record::Header(_) | Record::Tenant(_) | Record::Sql(_) | Record::End(_) => return String::new(),
    };
    let Scene { t_us, session, database, user, .. } = *scene;
    let event = Event { kind, time: &scene.time, t_us, session, database, user, detail };
    // Maps have keys that are strings, so nothing in it can fail.
    serde_json::to_string(&event).map(|line| line + "\n").unwrap_or_default()
}

impl<'a> Scene<'a> {
    fn open(&self, open: &'a Open) -> OpenDetail<'a> {
        let settings = open.state.iter().flat_map(|state| &state.settings);
        let prepared = open.state.iter().flat_map(|state| &state.prepared);
        OpenDetail {
            parameters: &open.parameters,
            began_before_capture: open.began_before_capture,
            settings: settings.map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            prepared: prepared.map(|(name, sql)| (name.as_str(), self.text(sql))).collect(),
        }
    }

    fn request(&self, request: &'a Request) -> RequestDetail<'a> {
        let (sent, messages) = match &request.sent {
            Sent::Simple { .. } => ("simple", Vec::new()),
            Sent::Execute(_) => ("execute", Vec::new()),
            Sent::Messages(messages) => ("messages", messages.iter().map(|message| self.message(message)).collect()),
        };
        let mut results = request.results.clone();
        if !self.shows_values {
            results.iter_mut().for_each(|result| result.returned.clear());
        }
        let at = request.at.and_then(|(source, line)| {
            let source = self.reader.header().sources.get(usize::from(source))?;
            Some(Place { file: &source.file, line })
        });
        RequestDetail {
            sequence: request.sequence,
            tenant: request.tenant.and_then(|id| self.reader.tenant(id)).map(|tenant| tenant.name.as_str()),
            sent,
            statements: request.sent.executions().into_iter().filter_map(|executed| self.statement(executed)).collect(),
            messages,
            results,
            transaction: request.transaction,
            at,
        }
    }

    fn statement(&self, executed: Executed<'a>) -> Option<StatementLine<'a>> {
        let Executed { sql, statement: name, portal, parameters } = executed;
        let statement = self.reader.statement(sql)?;
        let bytes = statement.text.bytes();
        let base64 = std::str::from_utf8(&bytes).is_err().then(|| STANDARD.encode(&bytes));
        Some(StatementLine {
            text: statement.text.text().into_owned(),
            base64,
            fingerprint: statement.fingerprint,
            class: statement.class,
            statement: name,
            portal,
            parameter_types: statement.parameter_types,
            parameter_count: parameters.len(),
            parameters: self.values(parameters),
        })
    }

    fn text(&self, sql: &SqlRef) -> String {
        self.reader.statement(sql).map(|statement| statement.text.text().into_owned()).unwrap_or_default()
    }

    fn values(&self, parameters: &'a [Parameter]) -> Option<&'a [Parameter]> {
        Some(parameters).filter(|_| self.shows_values)
    }

    fn message(&self, message: &'a WireMessage) -> MessageLine<'a> {
        let line = |message| MessageLine { message, ..MessageLine::default() };
        let message = match message {
            WireMessage::Named(message) => message,
            WireMessage::Raw { tag, body } => {
                let base64 = self.shows_values.then_some(body.as_str());
                return MessageLine { tag: Some(*tag), base64, ..line("raw") };
            }
        };
        match message {
            Message::Query { sql } => MessageLine { text: Some(self.text(sql)), ..line("query") },
            Message::Parse { statement, sql } => {
                MessageLine { statement: Some(statement), text: Some(self.text(sql)), ..line("parse") }
            }
            Message::Bind { portal, statement, parameters, result_formats } => MessageLine {
                statement: Some(statement),
                portal: Some(portal),
                parameter_count: Some(parameters.len()),
                parameters: self.values(parameters),
                result_formats: Some(result_formats),
                ..line("bind")
            },
            Message::DescribeStatement { name } => MessageLine { statement: Some(name), ..line("describe") },
            Message::DescribePortal { name } => MessageLine { portal: Some(name), ..line("describe") },
            Message::Execute { portal, row_limit, sql } => MessageLine {
                portal: Some(portal),
                row_limit: Some(*row_limit),
                text: sql.as_ref().map(|sql| self.text(sql)),
                ..line("execute")
            },
            Message::CloseStatement { name } => MessageLine { statement: Some(name), ..line("close") },
            Message::ClosePortal { name } => MessageLine { portal: Some(name), ..line("close") },
            Message::Flush => line("flush"),
            Message::Sync => line("sync"),
        }
    }
}
