//! One request as the spool holds it: all that its session needs to send it and to judge the answer.
//!
//! Takes and gives the bytes of one record of a session's chain; reading borrows from them, so nothing is allocated per
//! request. Must not know where the bytes lie.

use super::bytes::{Take, put_bytes, put_int, put_signed};
use crate::pgwire::frontend::Parameter;
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// A request of a session's chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpoolRequest<'a> {
    pub facts: RequestFacts,
    pub body: Body<'a>,
}

/// What is known of a request apart from its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// Microseconds since the capture's start.
    pub t_us: u64,
    /// Its number among all requests of the workload, from 0.
    pub event: u64,
    /// Index into the spool's tenants.
    pub tenant: Option<u32>,
    pub class: SampleClass,
    pub part: TransactionPart,
    /// Whether it changes the session (SET, LISTEN, PREPARE ...), so that a new connection must be told again.
    pub changes_session: bool,
    pub fingerprint: Fingerprint,
    /// How the capture answered it.
    pub captured: Captured,
}

/// Where a request stands to its session's transaction blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionPart {
    /// A block is open before it.
    pub inside: bool,
    /// A block is open after it.
    pub stays_open: bool,
    /// It holds a COMMIT that the capture saw succeed: only the command tag COMMIT is a success.
    pub commits: bool,
}

/// What the capture knows of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Microseconds from sent to completion; 0 where unknown.
    pub total_us: u64,
    /// The first error.
    pub sqlstate: Option<SqlState>,
    /// Rows of its statement; unknown where it has several.
    pub rows: Option<u64>,
}

/// What is sent. Later kinds (exact message sequences) are further variants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// A simple query.
    Simple { sql: &'a [u8] },
    /// Parse (where needed), Bind, Execute, Sync.
    Execute(Execution<'a>),
}

/// An execution by the extended protocol; texts as bytes, since not every captured one is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Execution<'a> {
    /// Empty for the unnamed statement.
    pub statement: &'a [u8],
    /// Always there, so that a statement can be prepared again at any place of the capture.
    pub sql: &'a [u8],
    parameter_types: List<'a>,
    parameters: List<'a>,
    result_formats: List<'a>,
    /// 0 for no limit.
    pub row_limit: u32,
}

/// Encoded elements with their number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct List<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> Execution<'a> {
    /// Type oids as declared in Parse; empty where unknown.
    pub fn parameter_types(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        let mut take = Take(self.parameter_types.encoded);
        (0..self.parameter_types.count).map_while(move |_| take.int()).map(|oid| oid as u32)
    }

    /// The parameters in order.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter<'a>> + Clone + use<'a> {
        let mut take = Take(self.parameters.encoded);
        (0..self.parameters.count).map_while(move |_| match take.byte()? {
            NULL => Some(Parameter::Null),
            TEXT => take.bytes().map(Parameter::Text),
            BINARY => take.bytes().map(Parameter::Binary),
            _ => None,
        })
    }

    /// Result format codes as in Bind; empty for text.
    pub fn result_formats(&self) -> impl Iterator<Item = i16> + Clone + use<'a> {
        let mut take = Take(self.result_formats.encoded);
        (0..self.result_formats.count).map_while(move |_| take.signed()).map(|code| code as i16)
    }
}

const NULL: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

const SIMPLE: u8 = 0;
const EXECUTE: u8 = 1;

/// The lists of an [`Execution`], encoded while a workload is prepared.
#[derive(Debug, Default)]
pub(super) struct ExecutionLists {
    parameter_types: (usize, Vec<u8>),
    parameters: (usize, Vec<u8>),
    result_formats: (usize, Vec<u8>),
}

impl ExecutionLists {
    pub fn push_parameter_type(&mut self, oid: u32) {
        self.parameter_types.0 += 1;
        put_int(&mut self.parameter_types.1, u64::from(oid));
    }

    pub fn push_parameter(&mut self, parameter: Parameter<'_>) {
        let (count, out) = &mut self.parameters;
        *count += 1;
        match parameter {
            Parameter::Null => out.push(NULL),
            Parameter::Text(bytes) => {
                out.push(TEXT);
                put_bytes(out, bytes);
            }
            Parameter::Binary(bytes) => {
                out.push(BINARY);
                put_bytes(out, bytes);
            }
        }
    }

    pub fn push_result_format(&mut self, code: i16) {
        self.result_formats.0 += 1;
        put_signed(&mut self.result_formats.1, i64::from(code));
    }

    /// The execution with these lists.
    pub fn execution<'a>(&'a self, statement: &'a [u8], sql: &'a [u8], row_limit: u32) -> Execution<'a> {
        let list = |list: &'a (usize, Vec<u8>)| List { count: list.0, encoded: &list.1 };
        Execution {
            statement,
            sql,
            parameter_types: list(&self.parameter_types),
            parameters: list(&self.parameters),
            result_formats: list(&self.result_formats),
            row_limit,
        }
    }
}

/// Bits of a record's flags.
mod flag {
    pub const INSIDE: u64 = 1;
    pub const STAYS_OPEN: u64 = 2;
    pub const COMMITS: u64 = 4;
    pub const CHANGES_SESSION: u64 = 8;
    pub const HAS_TENANT: u64 = 16;
    pub const HAS_SQLSTATE: u64 = 32;
    pub const HAS_ROWS: u64 = 64;
}

impl<'a> SpoolRequest<'a> {
    /// Appends the record's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let facts = &self.facts;
        let bits = [
            (facts.part.inside, flag::INSIDE),
            (facts.part.stays_open, flag::STAYS_OPEN),
            (facts.part.commits, flag::COMMITS),
            (facts.changes_session, flag::CHANGES_SESSION),
            (facts.tenant.is_some(), flag::HAS_TENANT),
            (facts.captured.sqlstate.is_some(), flag::HAS_SQLSTATE),
            (facts.captured.rows.is_some(), flag::HAS_ROWS),
        ];
        put_int(out, bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        put_int(out, facts.t_us);
        put_int(out, facts.event);
        out.push(SampleClass::ALL.iter().position(|class| *class == facts.class).unwrap_or_default() as u8);
        out.extend_from_slice(&facts.fingerprint.0.to_le_bytes());
        put_int(out, facts.captured.total_us);
        if let Some(tenant) = facts.tenant {
            put_int(out, u64::from(tenant));
        }
        if let Some(code) = facts.captured.sqlstate {
            out.extend_from_slice(code.as_str().as_bytes());
        }
        if let Some(rows) = facts.captured.rows {
            put_int(out, rows);
        }
        match self.body {
            Body::Simple { sql } => {
                out.push(SIMPLE);
                put_bytes(out, sql);
            }
            Body::Execute(execution) => {
                out.push(EXECUTE);
                put_bytes(out, execution.statement);
                put_bytes(out, execution.sql);
                put_list(out, execution.parameter_types);
                put_list(out, execution.parameters);
                put_list(out, execution.result_formats);
                put_int(out, u64::from(execution.row_limit));
            }
        }
    }

    /// The request in these bytes, if they are one.
    pub(super) fn decode(record: &'a [u8]) -> Option<Self> {
        let mut take = Take(record);
        let flags = take.int()?;
        let has = |bit| flags & bit != 0;
        let t_us = take.int()?;
        let event = take.int()?;
        let class = *SampleClass::ALL.get(usize::from(take.byte()?))?;
        let fingerprint = Fingerprint(u64::from_le_bytes(take.array()?));
        let total_us = take.int()?;
        let tenant = match has(flag::HAS_TENANT) {
            true => Some(u32::try_from(take.int()?).ok()?),
            false => None,
        };
        let sqlstate = match has(flag::HAS_SQLSTATE) {
            true => Some(SqlState::new(&take.array::<5>()?)?),
            false => None,
        };
        let rows = match has(flag::HAS_ROWS) {
            true => Some(take.int()?),
            false => None,
        };
        let body = match take.byte()? {
            SIMPLE => Body::Simple { sql: take.bytes()? },
            EXECUTE => Body::Execute(Execution {
                statement: take.bytes()?,
                sql: take.bytes()?,
                parameter_types: take_list(&mut take)?,
                parameters: take_list(&mut take)?,
                result_formats: take_list(&mut take)?,
                row_limit: u32::try_from(take.int()?).ok()?,
            }),
            _ => return None,
        };
        let part = TransactionPart {
            inside: has(flag::INSIDE),
            stays_open: has(flag::STAYS_OPEN),
            commits: has(flag::COMMITS),
        };
        let captured = Captured { total_us, sqlstate, rows };
        let changes_session = has(flag::CHANGES_SESSION);
        let facts = RequestFacts { t_us, event, tenant, class, part, changes_session, fingerprint, captured };
        Some(Self { facts, body })
    }
}

fn put_list(out: &mut Vec<u8>, list: List<'_>) {
    put_int(out, list.count as u64);
    put_bytes(out, list.encoded);
}

fn take_list<'a>(take: &mut Take<'a>) -> Option<List<'a>> {
    let count = usize::try_from(take.int()?).ok()?;
    Some(List { count, encoded: take.bytes()? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_request_survives_its_record(
            t_us: u64,
            event: u64,
            tenant: Option<u32>,
            class in 0..8_usize,
            bits: [bool; 4],
            fingerprint: u64,
            total_us: u64,
            rows: Option<u64>,
            failed: bool,
            statement: Vec<u8>,
            sql: Vec<u8>,
            parameters: Vec<(u8, Vec<u8>)>,
            oids: Vec<u32>,
            formats: Vec<i16>,
            row_limit: Option<u32>,
        ) {
            let mut lists = ExecutionLists::default();
            let parameters: Vec<_> = parameters.iter().map(|(kind, bytes)| match kind % 3 {
                0 => Parameter::Null,
                1 => Parameter::Text(bytes),
                _ => Parameter::Binary(bytes),
            }).collect();
            parameters.iter().for_each(|parameter| lists.push_parameter(*parameter));
            oids.iter().for_each(|oid| lists.push_parameter_type(*oid));
            formats.iter().for_each(|code| lists.push_result_format(*code));
            let body = match row_limit {
                Some(row_limit) => Body::Execute(lists.execution(&statement, &sql, row_limit)),
                None => Body::Simple { sql: &sql },
            };
            let facts = RequestFacts {
                t_us, event, tenant, class: SampleClass::ALL[class],
                part: TransactionPart { inside: bits[0], stays_open: bits[1], commits: bits[2] },
                changes_session: bits[3],
                fingerprint: Fingerprint(fingerprint),
                captured: Captured { total_us, rows, sqlstate: failed.then_some(SqlState::SYNTAX_ERROR) },
            };
            let request = SpoolRequest { facts, body };
            let mut record = Vec::new();
            request.encode(&mut record);
            let read = SpoolRequest::decode(&record).unwrap();
            prop_assert_eq!(read, request);
            if let Body::Execute(execution) = read.body {
                prop_assert!(execution.parameters().eq(parameters));
                prop_assert!(execution.parameter_types().eq(oids));
                prop_assert!(execution.result_formats().eq(formats));
            }
        }

        #[test]
        fn garbage_is_no_request_and_no_panic(garbage: Vec<u8>) {
            if let Some(SpoolRequest { body: Body::Execute(execution), .. }) = SpoolRequest::decode(&garbage) {
                execution.parameters().for_each(drop);
            }
        }
    }
}
