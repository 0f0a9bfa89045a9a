//! The first reading of a retag: the tenant of each request, kept in a temporary file.
//!
//! Takes a workload and rules, and gives the tenants in the order of the requests. Four bytes a request go to the file;
//! memory is bounded by the open sessions and the distinct tenants. Must not know what becomes of the tenants.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::reshape::error::ReshapeError;
use crate::tenant::{Attribution, Execution, Rules, SessionStart, Statement, Value};
use crate::workload::Reader;
use crate::workload::record::{
    Open, Parameter, ParameterBytes, Record, Request, Sent, SqlRef, TransactionState, WireMessage,
};

/// The tenant of each request, by its place in the workload.
pub(super) struct Found {
    file: File,
    /// The tenants as captured; the file holds places in this list.
    captured: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Found {
    const NONE: u32 = u32::MAX;

    fn new(file: File) -> Self {
        Self { file, captured: Vec::new(), ids: HashMap::new() }
    }

    fn note(&mut self, request: u64, tenant: Option<&str>) -> io::Result<()> {
        let id = tenant.map_or(Self::NONE, |tenant| self.id(tenant));
        self.file.write_all_at(&id.to_le_bytes(), request * 4)
    }

    fn id(&mut self, tenant: &str) -> u32 {
        if let Some(id) = self.ids.get(tenant) {
            return *id;
        }
        let id = u32::try_from(self.captured.len()).unwrap_or(Self::NONE);
        self.captured.push(tenant.to_owned());
        self.ids.insert(tenant.to_owned(), id);
        id
    }

    /// The tenants of all requests, in the order of the workload.
    pub(super) fn tenants(self) -> Tenants {
        Tenants { numbers: BufReader::new(FromStart { file: self.file, at: 0 }), captured: self.captured }
    }
}

/// The tenants of requests, one after another.
pub(super) struct Tenants {
    numbers: BufReader<FromStart>,
    captured: Vec<String>,
}

impl Tenants {
    /// The tenant of the next request, as captured.
    pub(super) fn next(&mut self) -> io::Result<Option<&str>> {
        let mut number = [0; 4];
        self.numbers.read_exact(&mut number)?;
        Ok(self.captured.get(u32::from_le_bytes(number) as usize).map(String::as_str))
    }
}

/// Finds the tenant of each request of a workload by these rules; `file` is an empty temporary file.
///
/// # Errors
/// The workload is damaged, or the temporary file cannot be written.
pub(super) fn find(mut reader: Reader, rules: &Rules, file: File) -> Result<Found, ReshapeError> {
    let mut marking = Marking { rules, found: Found::new(file), sessions: HashMap::new(), requests: 0 };
    while let Some((_, record)) = reader.next_record()? {
        marking.take(&record, &reader).map_err(|source| ReshapeError::Temporary { source })?;
    }
    marking.finish().map_err(|source| ReshapeError::Temporary { source })
}

/// The first reading.
struct Marking<'a> {
    rules: &'a Rules,
    found: Found,
    sessions: HashMap<u32, Session>,
    requests: u64,
}

struct Session {
    database: String,
    user: String,
    attribution: Attribution<u64>,
}

impl Session {
    fn new(open: &Open) -> Self {
        let mut parameters = open.parameters.clone();
        parameters.extend(open.state.iter().flat_map(|state| state.settings.clone()));
        let attribution = Attribution::new(SessionStart::of_parameters(&parameters));
        Self { database: open.database.clone(), user: open.user.clone(), attribution }
    }

    fn push(
        &mut self,
        rules: &Rules,
        number: u64,
        request: &Request,
        reader: &Reader,
        found: &mut Found,
    ) -> io::Result<()> {
        let executions = if rules.read_text() { executions(&request.sent, reader) } else { Vec::new() };
        let statement = Statement {
            database: &self.database,
            user: &self.user,
            application_name: None,
            executions: &executions,
            has_failed: request.results.iter().any(|result| result.sqlstate.is_some()),
            is_in_transaction: request.transaction.map(|state| state != TransactionState::Idle),
        };
        let observed = self.attribution.observe(rules, &statement);
        let mut result = Ok(());
        self.attribution.push(observed, number, |number, tenant| note(&mut result, found, number, tenant));
        result
    }

    fn finish(mut self, found: &mut Found) -> io::Result<()> {
        let mut result = Ok(());
        self.attribution.finish(|number, tenant| note(&mut result, found, number, tenant));
        result
    }
}

/// Notes a tenant unless something went wrong before.
fn note(result: &mut io::Result<()>, found: &mut Found, number: u64, tenant: Option<&str>) {
    if result.is_ok() {
        *result = found.note(number, tenant);
    }
}

impl Marking<'_> {
    fn take(&mut self, record: &Record, reader: &Reader) -> io::Result<()> {
        match record {
            Record::Open(open) => {
                self.sessions.insert(open.session, Session::new(open));
            }
            Record::Request(request) => {
                let number = self.requests;
                self.requests += 1;
                if let Some(session) = self.sessions.get_mut(&request.session) {
                    session.push(self.rules, number, request, reader, &mut self.found)?;
                }
            }
            Record::Close(close) => {
                if let Some(session) = self.sessions.remove(&close.session) {
                    session.finish(&mut self.found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Found> {
        let mut open: Vec<_> = self.sessions.drain().collect();
        open.sort_unstable_by_key(|(session, _)| *session);
        open.into_iter().try_for_each(|(_, session)| session.finish(&mut self.found))?;
        Ok(self.found)
    }
}

/// What the rules look at.
fn executions<'a>(sent: &'a Sent, reader: &'a Reader) -> Vec<Execution<'a>> {
    let execution = |sql: &'a SqlRef, parameters: &'a [Parameter], is_prepared_only: bool| {
        let statement = reader.statement(sql);
        Execution {
            sql: statement.map(|statement| statement.text.text()).unwrap_or_default(),
            parameters: parameters.iter().map(value).collect(),
            parameter_types: statement.map_or(&[], |statement| statement.parameter_types),
            is_prepared_only,
        }
    };
    let executed = sent.executions();
    match sent {
        Sent::Messages(messages) if executed.is_empty() => {
            messages.iter().filter_map(WireMessage::sql).map(|sql| execution(sql, &[], true)).collect()
        }
        _ => executed.into_iter().map(|executed| execution(executed.sql, executed.parameters, false)).collect(),
    }
}

fn value(parameter: &Parameter) -> Value<'_> {
    let decoded = |text: &str| STANDARD.decode(text).unwrap_or_default().into();
    match parameter {
        Parameter::Null => Value::Null,
        Parameter::Text(text) => Value::Text(text.as_bytes().into()),
        Parameter::Bytes(ParameterBytes::TextBase64(text)) => Value::Text(decoded(text)),
        Parameter::Bytes(ParameterBytes::BinaryBase64(text)) => Value::Binary(decoded(text)),
    }
}

/// Reads a file from its start, wherever it was written last.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
