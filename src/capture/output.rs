//! Sorted events to a workload file.
//!
//! Takes events in time order and what the capture knows, and writes the file. Must not know where the events come from.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::CaptureError;
use super::event::{Event, Execute, Key, Message, Outcome, PossibleCut, Request, Sent, Value};
use super::logged::{LoggedExecute, LoggedRequest, StoredRequest};
use super::report::CaptureReport;
use super::sequence::TenantCounts;
use super::sort::Sorted;
use super::texts::Texts;
use crate::tenant::{Census, MappedTenant, Mapping, Rules};
use crate::workload::record::{
    Cancel, Close, CopyData as CopyLine, End, Execute as ExecuteLine, Header, Loss, Message as MessageLine, Open,
    Outcome as OutcomeLine, Parameter, ParameterBytes, Record, Request as RequestLine, Sent as SentLine, Skipped,
    Tenant, VERSION, WireMessage,
};
use crate::workload::{Marks, PlainExecute, PlainRequest, PlainSql, WriteError, Writer};

/// The reason under which a request is counted that is too long for a line of a workload.
const TOO_LONG: &str = "request longer than a line of a workload";

/// What tenants are called: those that events number, in the order of their numbers, and what is said of them.
pub struct Naming<'a> {
    pub captured: &'a TenantCounts,
    pub rules: &'a Rules,
    /// The tenants file, where there is one.
    pub mapping: Option<&'a Mapping>,
}

/// Writes the workload, counts its tenants, and corrects the report where something could not be written. `refuse` gives
/// the reason for which a request with a value that may be cut must be left out.
///
/// # Errors
/// A temporary file cannot be read, or the workload cannot be written; nothing stands under its name then.
pub fn write(
    mut events: Sorted,
    naming: &Naming<'_>,
    server_version: Option<String>,
    refuse: impl Fn(PossibleCut) -> Option<&'static str>,
    report: &mut CaptureReport,
    path: &Path,
) -> Result<End, CaptureError> {
    let temporary = |source| CaptureError::Temporary { source };
    let started_us = events.peek().map_or(0, |key| key.time_us);
    let texts = events.take_texts();
    let header = Header {
        version: VERSION,
        started_at: rfc3339(started_us),
        sources: report.sources.clone(),
        server_version,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut output = Output {
        writer: Writer::create(path, &header)?,
        started_us,
        captured: naming.captured.iter().map(|(captured, _)| CapturedTenant { captured, id: None }).collect(),
        census: Census::new(naming.mapping),
        texts,
        known: Vec::new(),
    };
    while let Some((key, bytes)) = events.next().map_err(temporary)? {
        if let Some(stored) = StoredRequest::decode(bytes) {
            match stored.request.possible_cut.and_then(&refuse) {
                Some(reason) => leave_out(&Left::of_logged(&stored.request), reason, report),
                None => output.write_logged(key, &stored, report)?,
            }
            continue;
        }
        let event = Event::decode(bytes).ok_or_else(|| temporary(damaged()))?;
        let cut = match &event {
            Event::Request(request) => request.possible_cut.map(|cut| (request, cut)),
            _ => None,
        };
        match cut.and_then(|(request, cut)| Some((request, refuse(cut)?))) {
            Some((request, reason)) => leave_out(&Left::of(request), reason, report),
            None => output.write(key, event, report)?,
        }
    }
    if report.executions() == 0 {
        return Err(nothing_left(report));
    }
    report.tenants = output.census.table(naming.rules);
    let end = output.writer.finish(report.skipped.clone())?;
    report.span_us = end.span_us;
    Ok(end)
}

struct Output<'a> {
    writer: Writer,
    started_us: i64,
    captured: Vec<CapturedTenant<'a>>,
    census: Census<'a>,
    /// What the numbers of texts mean that logged requests hold, and what became of each in the workload.
    texts: Texts,
    known: Vec<Option<KnownText>>,
}

/// What a text became: a `sql` line, or a text that stands in each request.
#[derive(Clone, Copy)]
enum KnownText {
    Id(u32),
    Inline(Marks),
}

struct CapturedTenant<'a> {
    captured: &'a str,
    /// Given with its first request, so that numbers go up as tenants appear.
    id: Option<u32>,
}

impl Output<'_> {
    fn write(&mut self, key: Key, event: Event, report: &mut CaptureReport) -> Result<(), CaptureError> {
        let (t_us, session) = (self.t_us(key), key.session);
        let record = match event {
            Event::Open(opening) => Record::Open(Open {
                t_us,
                session,
                database: opening.database,
                user: opening.user,
                parameters: opening.parameters,
                began_before_capture: opening.began_before_capture,
                state: None,
            }),
            Event::Request(request) => {
                let tenant = self.tenant(request.tenant)?;
                return match self.request(t_us, session, tenant, &request) {
                    Err(WriteError::LineTooLong { .. }) => {
                        leave_out(&Left::of(&request), TOO_LONG, report);
                        Ok(())
                    }
                    Ok(()) => {
                        self.census.count(tenant, request.executions());
                        Ok(())
                    }
                    Err(error) => Err(error.into()),
                };
            }
            Event::Copy(copy) => Record::Copy(CopyLine {
                t_us,
                session,
                sequence: copy.sequence,
                from_client: copy.from_client,
                base64: STANDARD.encode(&copy.bytes),
                ended: copy.ended,
            }),
            Event::Cancel => Record::Cancel(Cancel { t_us, session }),
            Event::Close => Record::Close(Close { t_us, session }),
        };
        Ok(self.writer.write(&record)?)
    }

    fn write_logged(
        &mut self,
        key: Key,
        stored: &StoredRequest<'_>,
        report: &mut CaptureReport,
    ) -> Result<(), CaptureError> {
        let tenant = self.tenant(stored.tenant)?;
        match self.logged(key, tenant, stored) {
            Err(WriteError::LineTooLong { .. }) => leave_out(&Left::of_logged(&stored.request), TOO_LONG, report),
            Ok(()) => self.census.count(tenant, 1),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn logged(&mut self, key: Key, tenant: Option<u32>, stored: &StoredRequest<'_>) -> Result<(), WriteError> {
        let LoggedRequest { sql, execute, total_us, sqlstate, at, .. } = stored.request;
        let sql = match sql.id {
            None => self.writer.plain_sql(sql.bytes, stored.marks)?,
            Some(id) => {
                let text = self.texts.get(id).unwrap_or_default();
                if self.known.len() <= id as usize {
                    self.known.resize(id as usize + 1, None);
                }
                let known = match self.known[id as usize] {
                    Some(known) => known,
                    None => match self.writer.plain_sql(text, None)? {
                        PlainSql::Id(id) => KnownText::Id(id),
                        PlainSql::Inline { marks, .. } => KnownText::Inline(marks),
                    },
                };
                self.known[id as usize] = Some(known);
                match known {
                    KnownText::Id(id) => PlainSql::Id(id),
                    KnownText::Inline(marks) => PlainSql::Inline { text, marks },
                }
            }
        };
        let execute = execute.map(|LoggedExecute { statement, portal, parameters }| PlainExecute {
            statement,
            portal,
            parameters: parameters.iter(),
        });
        let (t_us, session, sequence) = (self.t_us(key), key.session, stored.sequence);
        self.writer.write_plain(PlainRequest { t_us, session, sequence, tenant, sql, execute, total_us, sqlstate, at })
    }

    fn request(&mut self, t_us: u64, session: u32, tenant: Option<u32>, request: &Request) -> Result<(), WriteError> {
        let sent = match &request.sent {
            Sent::Simple { sql } => SentLine::Simple { sql: self.writer.sql_ref_of_bytes(sql, &[])? },
            Sent::Execute(execute) => SentLine::Execute(self.execute(execute)?),
            Sent::Messages(messages) => {
                SentLine::Messages(messages.iter().map(|message| self.message(message)).collect::<Result<_, _>>()?)
            }
        };
        let (sequence, at, transaction) = (request.sequence, Some(request.at), request.transaction);
        let results = request.results.iter().map(result).collect();
        let line = RequestLine { t_us, session, sequence, tenant, sent, results, transaction, at };
        self.writer.write(&Record::Request(line))
    }

    fn execute(&mut self, execute: &Execute) -> Result<ExecuteLine, WriteError> {
        Ok(ExecuteLine {
            sql: self.writer.sql_ref_of_bytes(&execute.sql, &execute.parameter_types)?,
            statement: lossy(&execute.statement),
            portal: lossy(&execute.portal),
            parameters: execute.parameters.iter().map(parameter).collect(),
            result_formats: execute.result_formats.clone(),
            row_limit: execute.row_limit,
            parse: execute.parse,
            describe: execute.describe,
        })
    }

    fn message(&mut self, message: &Message) -> Result<WireMessage, WriteError> {
        Ok(WireMessage::Named(match message {
            Message::Query { sql } => MessageLine::Query { sql: self.writer.sql_ref_of_bytes(sql, &[])? },
            Message::Parse { statement, sql, parameter_types } => MessageLine::Parse {
                statement: lossy(statement),
                sql: self.writer.sql_ref_of_bytes(sql, parameter_types)?,
            },
            Message::Bind { portal, statement, parameters, result_formats } => MessageLine::Bind {
                portal: lossy(portal),
                statement: lossy(statement),
                parameters: parameters.iter().map(parameter).collect(),
                result_formats: result_formats.clone(),
            },
            Message::DescribeStatement { name } => MessageLine::DescribeStatement { name: lossy(name) },
            Message::DescribePortal { name } => MessageLine::DescribePortal { name: lossy(name) },
            Message::Execute { portal, row_limit, sql } => MessageLine::Execute {
                portal: lossy(portal),
                row_limit: *row_limit,
                sql: match sql {
                    Some((sql, types)) => Some(self.writer.sql_ref_of_bytes(sql, types)?),
                    None => None,
                },
            },
            Message::CloseStatement { name } => MessageLine::CloseStatement { name: lossy(name) },
            Message::ClosePortal { name } => MessageLine::ClosePortal { name: lossy(name) },
            Message::Flush => MessageLine::Flush,
            Message::Sync => MessageLine::Sync,
            Message::Raw { tag, body } => {
                return Ok(WireMessage::Raw { tag: char::from(*tag), body: STANDARD.encode(body) });
            }
        }))
    }

    /// Microseconds since the workload's start.
    fn t_us(&self, key: Key) -> u64 {
        u64::try_from(key.time_us - self.started_us).unwrap_or(0)
    }

    /// The workload's number of a tenant, whose line is written before its first request.
    fn tenant(&mut self, index: Option<u32>) -> Result<Option<u32>, WriteError> {
        let Some(tenant) = index.and_then(|index| self.captured.get_mut(index as usize)) else { return Ok(None) };
        if tenant.id.is_none() {
            let (id, is_new) = self.census.enter(tenant.captured);
            if let Some(MappedTenant { name, tier, region }) = self.census.tenant(id).filter(|_| is_new).cloned() {
                self.writer.define_tenant(&Tenant { id, name, tier, region })?;
            }
            tenant.id = Some(id);
        }
        Ok(tenant.id)
    }
}

/// A request that the report has counted as captured, and that is left out.
struct Left {
    is_simple: bool,
    executions: u64,
    has_failed: bool,
    at: (u16, u64),
}

impl Left {
    fn of(request: &Request) -> Self {
        Self {
            is_simple: matches!(request.sent, Sent::Simple { .. }),
            executions: request.executions(),
            has_failed: request.sqlstate().is_some(),
            at: request.at,
        }
    }

    fn of_logged(request: &LoggedRequest<'_>) -> Self {
        let LoggedRequest { execute, sqlstate, at, .. } = *request;
        Self { is_simple: execute.is_none(), executions: 1, has_failed: sqlstate.is_some(), at }
    }
}

/// Counts a request as skipped that the report has counted as captured.
fn leave_out(left: &Left, reason: &str, report: &mut CaptureReport) {
    match left.is_simple {
        true => report.simple -= left.executions,
        false => report.extended -= left.executions,
    }
    report.failed -= u64::from(left.has_failed);
    let skipped = report.skipped.entry(reason.to_owned()).or_insert(Skipped::none(left.at));
    skipped.add(1, Loss::Each);
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a temporary file does not hold what was written")
}

fn result(outcome: &Outcome) -> OutcomeLine {
    OutcomeLine {
        first_us: outcome.first_us,
        total_us: outcome.total_us,
        rows: outcome.rows,
        bytes: outcome.bytes,
        sqlstate: outcome.sqlstate,
        command_tag: outcome.command_tag.clone(),
        digest: outcome.digest.clone(),
        returned_columns: outcome.returned_columns.clone(),
        returned: outcome.returned.iter().map(parameter).collect(),
    }
}

fn parameter(value: &Value) -> Parameter {
    match value {
        Value::Null => Parameter::Null,
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Parameter::Text(text.to_owned()),
            Err(_) => Parameter::Bytes(ParameterBytes::TextBase64(STANDARD.encode(bytes))),
        },
        Value::Binary(bytes) => Parameter::Bytes(ParameterBytes::BinaryBase64(STANDARD.encode(bytes))),
    }
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn nothing_left(report: &CaptureReport) -> CaptureError {
    let seen: Vec<_> = report.skipped.iter().map(|(reason, skipped)| format!("{} {reason}", skipped.count)).collect();
    let hint = "the log holds statements, but none of them is whole".to_owned();
    CaptureError::NoStatements { lines: report.lines, seen: seen.join(", "), hint }
}

fn rfc3339(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
