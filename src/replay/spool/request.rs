//! One request as the spool holds it: all that its session needs to send it and to judge the answer.
//!
//! Takes and gives the bytes of one record of a session's chain; reading borrows from them, so nothing is allocated per
//! request. Must not know where the bytes lie.

use super::bytes::{Take, put_bytes, put_int};
use super::id_marks::IdMarks;
use super::lists::List;
use super::messages::MessageSequence;
use crate::pgwire::digest::KnownDigest;
use crate::replay::copies::Owner;
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// A request of a session's chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpoolRequest<'a> {
    pub facts: RequestFacts,
    /// What it has to do with ids that the server generates, encoded; empty where nothing.
    pub(super) ids: &'a [u8],
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
    /// Whose its transaction is.
    pub owner: Owner,
    pub class: SampleClass,
    pub part: TransactionPart,
    /// Whether it changes the session (SET, LISTEN, PREPARE ...), so that a new connection must be told again.
    pub changes_session: bool,
    /// A read-only replay leaves it out.
    pub writes: bool,
    pub fingerprint: Fingerprint,
    /// Its record says what it has to do with ids that the server generates.
    pub has_ids: bool,
    /// Where it stands in what was captured: a source of the workload, and the line or packet there.
    pub at: Option<(u16, u64)>,
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
    /// Of the rows, where the same statement gives the same rows again.
    pub digest: Option<KnownDigest>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// A simple query.
    Simple { sql: &'a [u8] },
    /// Parse (where needed), Bind, Describe (where captured), Execute, Sync.
    Execute(Execution<'a>),
    /// The exact messages.
    Messages(MessageSequence<'a>),
}

/// An execution by the extended protocol; texts as bytes, since not every captured one is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Execution<'a> {
    /// Empty for the unnamed statement.
    pub statement: &'a [u8],
    /// Empty for the unnamed portal.
    pub portal: &'a [u8],
    /// Always there, so that a statement can be prepared again at any place of the capture.
    pub sql: &'a [u8],
    /// Type oids as declared in Parse; empty where unknown.
    pub parameter_types: List<'a>,
    pub parameters: List<'a>,
    /// Format codes as in Bind; empty for text.
    pub result_formats: List<'a>,
    /// 0 for no limit.
    pub row_limit: u32,
    /// The unnamed statement is not parsed again where it has this text: the capture saw no Parse.
    pub reuses_unnamed: bool,
    /// The portal was described.
    pub describes: bool,
    /// It waits for the client's COPY data, so nothing may follow before that.
    pub copies: bool,
}

impl<'a> Body<'a> {
    /// The texts that may change the session, with semicolons between them.
    pub fn session_sql(&self) -> &'a [u8] {
        match self {
            Self::Simple { sql } => sql,
            Self::Execute(execution) => execution.sql,
            Self::Messages(sequence) => sequence.session_sql,
        }
    }

    /// Appends the body's bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Simple { sql } => {
                out.push(SIMPLE);
                put_bytes(out, sql);
            }
            Self::Execute(execution) => {
                out.push(EXECUTE);
                execution.put(out);
            }
            Self::Messages(sequence) => {
                out.push(MESSAGES);
                sequence.put(out);
            }
        }
    }

    pub(super) fn take(take: &mut Take<'a>) -> Option<Self> {
        Some(match take.byte()? {
            SIMPLE => Self::Simple { sql: take.bytes()? },
            EXECUTE => Self::Execute(Execution::take(take)?),
            MESSAGES => Self::Messages(MessageSequence::take(take)?),
            _ => return None,
        })
    }
}

impl<'a> Execution<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        let bits = [self.reuses_unnamed, self.describes, self.copies];
        out.push(bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
        put_bytes(out, self.statement);
        put_bytes(out, self.portal);
        put_bytes(out, self.sql);
        self.parameter_types.put(out);
        self.parameters.put(out);
        self.result_formats.put(out);
        put_int(out, u64::from(self.row_limit));
    }

    fn take(take: &mut Take<'a>) -> Option<Self> {
        let bits = take.byte()?;
        Some(Self {
            reuses_unnamed: bits & 1 != 0,
            describes: bits & 2 != 0,
            copies: bits & 4 != 0,
            statement: take.bytes()?,
            portal: take.bytes()?,
            sql: take.bytes()?,
            parameter_types: List::take(take)?,
            parameters: List::take(take)?,
            result_formats: List::take(take)?,
            row_limit: u32::try_from(take.int()?).ok()?,
        })
    }
}

const SIMPLE: u8 = 0;
const EXECUTE: u8 = 1;
const MESSAGES: u8 = 2;

/// Bits of a record's flags.
mod flag {
    pub const INSIDE: u64 = 1;
    pub const STAYS_OPEN: u64 = 2;
    pub const COMMITS: u64 = 4;
    pub const CHANGES_SESSION: u64 = 8;
    pub const HAS_TENANT: u64 = 16;
    pub const HAS_SQLSTATE: u64 = 32;
    pub const HAS_ROWS: u64 = 64;
    pub const HAS_DIGEST: u64 = 128;
    pub const ORDER_COUNTS: u64 = 256;
    pub const HAS_PLACE: u64 = 512;
    pub const WRITES: u64 = 1024;
    pub const HAS_IDS: u64 = 2048;
}

impl<'a> SpoolRequest<'a> {
    /// Appends the record's bytes.
    #[cfg(test)]
    fn encode(&self, out: &mut Vec<u8>) {
        self.facts.put(out);
        put_ids(out, self.ids);
        self.body.put(out);
    }

    /// What it has to do with ids that the server generates, if anything.
    pub fn id_marks(&self) -> Option<IdMarks> {
        if self.facts.has_ids { IdMarks::decode(self.ids) } else { None }
    }

    /// The request in these bytes, if they are one.
    #[cfg(test)]
    fn decode(record: &'a [u8]) -> Option<Self> {
        let mut take = Take(record);
        let facts = RequestFacts::take(&mut take)?;
        Self::with_facts(facts, take.0)
    }

    /// The request of which the facts are known; `behind` is what stands behind them.
    pub(super) fn with_facts(facts: RequestFacts, behind: &'a [u8]) -> Option<Self> {
        let mut take = Take(behind);
        let ids = if facts.has_ids { take.bytes()? } else { &[] };
        Some(Self { facts, ids, body: Body::take(&mut take)? })
    }
}

/// Appends what stands between the facts and the body: nothing for a request without ids.
pub(super) fn put_ids(out: &mut Vec<u8>, ids: &[u8]) {
    if !ids.is_empty() {
        put_bytes(out, ids);
    }
}

impl RequestFacts {
    /// Appends what stands in front of the body.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let facts = self;
        let bits = [
            (facts.part.inside, flag::INSIDE),
            (facts.part.stays_open, flag::STAYS_OPEN),
            (facts.part.commits, flag::COMMITS),
            (facts.changes_session, flag::CHANGES_SESSION),
            (facts.writes, flag::WRITES),
            (facts.tenant.is_some(), flag::HAS_TENANT),
            (facts.captured.sqlstate.is_some(), flag::HAS_SQLSTATE),
            (facts.captured.rows.is_some(), flag::HAS_ROWS),
            (facts.captured.digest.is_some(), flag::HAS_DIGEST),
            (facts.captured.digest.is_some_and(|digest| digest.order_counts), flag::ORDER_COUNTS),
            (facts.at.is_some(), flag::HAS_PLACE),
            (facts.has_ids, flag::HAS_IDS),
        ];
        put_int(out, bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        put_int(out, facts.t_us);
        put_int(out, facts.event);
        put_int(out, facts.owner.code());
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
        if let Some(digest) = facts.captured.digest {
            out.extend_from_slice(&digest.value.to_le_bytes());
        }
        if let Some((source, line)) = facts.at {
            put_int(out, u64::from(source));
            put_int(out, line);
        }
    }

    /// Reads what [`Self::put`] wrote.
    pub(super) fn take(take: &mut Take<'_>) -> Option<Self> {
        let flags = take.int()?;
        let has = |bit| flags & bit != 0;
        let t_us = take.int()?;
        let event = take.int()?;
        let owner = Owner::from_code(take.int()?)?;
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
        let order_counts = has(flag::ORDER_COUNTS);
        let digest = match has(flag::HAS_DIGEST) {
            true => Some(KnownDigest { order_counts, value: u128::from_le_bytes(take.array()?) }),
            false => None,
        };
        let at = match has(flag::HAS_PLACE) {
            true => Some((u16::try_from(take.int()?).ok()?, take.int()?)),
            false => None,
        };
        let part = TransactionPart {
            inside: has(flag::INSIDE),
            stays_open: has(flag::STAYS_OPEN),
            commits: has(flag::COMMITS),
        };
        Some(Self {
            t_us,
            event,
            tenant,
            owner,
            class,
            part,
            changes_session: has(flag::CHANGES_SESSION),
            writes: has(flag::WRITES),
            has_ids: has(flag::HAS_IDS),
            fingerprint,
            at,
            captured: Captured { total_us, sqlstate, rows, digest },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::lists::ListWriter;
    use super::*;
    use crate::pgwire::frontend::Parameter;

    proptest! {
        #[test]
        fn a_request_survives_its_record(
            t_us: u64,
            event: u64,
            tenant: Option<u32>,
            at: Option<(u16, u64)>,
            class in 0..8_usize,
            bits: [bool; 8],
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
            ids: Vec<u8>,
        ) {
            let mut list = ListWriter::default();
            let parameters: Vec<_> = parameters.iter().map(|(kind, bytes)| match kind % 3 {
                0 => Parameter::Null,
                1 => Parameter::Text(bytes),
                _ => Parameter::Binary(bytes),
            }).collect();
            parameters.iter().for_each(|parameter| list.push_parameter(*parameter));
            let (types, codes) = (ListWriter::of_oids(&oids), ListWriter::of_formats(&formats));
            let body = match row_limit {
                Some(row_limit) => Body::Execute(Execution {
                    statement: &statement, portal: &statement, sql: &sql, parameter_types: types.list(),
                    parameters: list.list(), result_formats: codes.list(), row_limit,
                    reuses_unnamed: bits[4], describes: bits[5], copies: bits[6],
                }),
                None => Body::Simple { sql: &sql },
            };
            let facts = RequestFacts {
                t_us, event, tenant, owner: Owner::Tenant(tenant), class: SampleClass::ALL[class],
                part: TransactionPart { inside: bits[0], stays_open: bits[1], commits: bits[2] },
                changes_session: bits[3],
                writes: bits[7],
                has_ids: !ids.is_empty(),
                fingerprint: Fingerprint(fingerprint),
                at,
                captured: Captured {
                    total_us, rows, sqlstate: failed.then_some(SqlState::SYNTAX_ERROR),
                    digest: bits[0].then_some(KnownDigest { order_counts: bits[1], value: u128::from(event) << 64 }),
                },
            };
            let request = SpoolRequest { facts, ids: &ids, body };
            let mut record = Vec::new();
            request.encode(&mut record);
            let read = SpoolRequest::decode(&record).unwrap();
            prop_assert_eq!(read, request);
            if let Body::Execute(execution) = read.body {
                prop_assert!(execution.parameters.parameters().eq(parameters));
                prop_assert!(execution.parameter_types.oids().eq(oids));
                prop_assert!(execution.result_formats.formats().eq(formats));
            }
        }

        #[test]
        fn garbage_is_no_request_and_no_panic(garbage: Vec<u8>) {
            if let Some(SpoolRequest { body: Body::Execute(execution), .. }) = SpoolRequest::decode(&garbage) {
                execution.parameters.parameters().for_each(drop);
            }
        }
    }
}
