//! Sorted events to a workload file.
//!
//! Takes events in time order and what the capture knows, and writes the file. Must not know where the events come from.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::CaptureError;
use super::event::{Event, Extended, Key, Request};
use super::report::CaptureReport;
use super::sort::Sorted;
use crate::workload::record::{
    Cancel, Close, End, Execute, Header, Open, Outcome, Parameter, ParameterBytes, Record, Request as RequestLine,
    Sent, Skipped, Tenant, VERSION,
};
use crate::workload::{WriteError, Writer};

/// The reason under which a request is counted that is too long for a line of a workload.
const TOO_LONG: &str = "request longer than a line of a workload";

/// Writes the workload, and corrects the report where something could not be written. `tenants` are in the order in
/// which events number them; `refuse` gives the reason for which a request must be left out.
///
/// # Errors
/// A temporary file cannot be read, or the workload cannot be written; nothing stands under its name then.
pub fn write(
    mut events: Sorted,
    tenants: &[(String, u64)],
    server_version: Option<String>,
    refuse: impl Fn(&Request) -> Option<&'static str>,
    report: &mut CaptureReport,
    path: &Path,
) -> Result<End, CaptureError> {
    let temporary = |source| CaptureError::Temporary { source };
    let mut next = events.next().map_err(temporary)?;
    let started_us = next.as_ref().map_or(0, |(key, _)| key.time_us);
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
        tenants: tenants.iter().map(|(name, _)| TenantName { name, id: None }).collect(),
        tenants_defined: 0,
    };
    while let Some((key, event)) = next {
        let refused = match &event {
            Event::Request(request) => refuse(request).map(|reason| (request, reason)),
            _ => None,
        };
        match refused {
            Some((request, reason)) => output.leave_out(request, reason, report),
            None => output.write(key, event, report)?,
        }
        next = events.next().map_err(temporary)?;
    }
    if report.executions() == 0 {
        return Err(nothing_left(report));
    }
    let end = output.writer.finish(report.skipped.clone())?;
    report.span_us = end.span_us;
    Ok(end)
}

struct Output<'a> {
    writer: Writer,
    started_us: i64,
    tenants: Vec<TenantName<'a>>,
    tenants_defined: u32,
}

struct TenantName<'a> {
    name: &'a str,
    /// Given with its first request, so that numbers go up as tenants appear.
    id: Option<u32>,
}

impl Output<'_> {
    fn write(&mut self, key: Key, event: Event, report: &mut CaptureReport) -> Result<(), CaptureError> {
        let t_us = u64::try_from(key.time_us - self.started_us).unwrap_or(0);
        let session = key.session;
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
                        self.leave_out(&request, TOO_LONG, report);
                        Ok(())
                    }
                    other => Ok(other?),
                };
            }
            Event::Cancel => Record::Cancel(Cancel { t_us, session }),
            Event::Close => Record::Close(Close { t_us, session }),
        };
        Ok(self.writer.write(&record)?)
    }

    fn request(&mut self, t_us: u64, session: u32, tenant: Option<u32>, request: &Request) -> Result<(), WriteError> {
        let sql = self.writer.sql_ref_of_bytes(&request.sql, &[])?;
        let sent = match &request.extended {
            None => Sent::Simple { sql },
            Some(Extended { statement, portal, parameters, .. }) => Sent::Execute(Execute {
                sql,
                statement: lossy(statement),
                portal: lossy(portal),
                parameters: parameters.iter().map(|value| parameter(value.as_deref())).collect(),
                result_formats: Vec::new(),
                row_limit: 0,
            }),
        };
        let outcome = Outcome { total_us: request.total_us, sqlstate: request.sqlstate, ..Outcome::default() };
        let results = if outcome == Outcome::default() { Vec::new() } else { vec![outcome] };
        let (sequence, at) = (request.sequence, Some(request.at));
        self.writer.write(&Record::Request(RequestLine { t_us, session, sequence, tenant, sent, results, at }))
    }

    /// Counts a request as skipped that the report has counted as captured.
    fn leave_out(&self, request: &Request, reason: &str, report: &mut CaptureReport) {
        let counted = match request.extended {
            Some(_) => &mut report.extended,
            None => &mut report.simple,
        };
        *counted -= 1;
        report.failed -= u64::from(request.sqlstate.is_some());
        match request.tenant.and_then(|index| self.tenants.get(index as usize)) {
            None => report.without_tenant -= 1,
            Some(tenant) => {
                let of_tenant = report.tenants.iter_mut().filter(|(name, _)| name == tenant.name);
                of_tenant.for_each(|(_, requests)| *requests -= 1);
            }
        }
        let first = Skipped { count: 0, first: request.at };
        report.skipped.entry(reason.to_owned()).or_insert(first).count += 1;
    }

    fn tenant(&mut self, index: Option<u32>) -> Result<Option<u32>, WriteError> {
        let Some(tenant) = index.and_then(|index| self.tenants.get_mut(index as usize)) else { return Ok(None) };
        if tenant.id.is_none() {
            let line = Tenant { id: self.tenants_defined, name: tenant.name.to_owned(), tier: None, region: None };
            self.writer.define_tenant(&line)?;
            tenant.id = Some(line.id);
            self.tenants_defined += 1;
        }
        Ok(tenant.id)
    }
}

fn parameter(value: Option<&[u8]>) -> Parameter {
    match value.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Parameter::Null,
        Some((_, Ok(text))) => Parameter::Text(text.to_owned()),
        Some((bytes, Err(_))) => Parameter::Bytes(ParameterBytes::TextBase64(STANDARD.encode(bytes))),
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
