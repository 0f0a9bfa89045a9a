//! A request as a log tells it, and its compact form for temporary files.
//!
//! A log holds millions of requests of one plain shape: a text, names, text parameters, a duration. They go from the bytes
//! of their entry to temporary files, and from there to lines of the workload, without becoming values of their own. Must
//! not know log entries or JSON.

use super::compact::{
    put_bytes, put_number, put_optional, take_byte, take_bytes, take_number, take_optional, take_u32,
};
use super::event::{Execute, Outcome, PossibleCut, Request, Sent, Value};
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;
use crate::workload::{KnownMarks, Marks};

/// The first byte of the compact form where the text has a number; events have others.
pub const NUMBERED_TAG: u8 = b'l';

/// The first byte where the request holds its text: then follow the text's marks, if they are known yet.
pub const TAG: u8 = b'L';

/// A class, or that the marks are not known, and a fingerprint.
const MARKS_BYTES: usize = 9;

const UNMARKED: u8 = u8::MAX;

/// A request that borrows its texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoggedRequest<'a> {
    pub sql: Sql<'a>,
    /// None of a simple query.
    pub execute: Option<LoggedExecute<'a>>,
    pub total_us: Option<u64>,
    pub sqlstate: Option<SqlState>,
    /// Whether all values are whole is known when the whole source is read.
    pub possible_cut: Option<PossibleCut>,
    /// Index of the source; line number.
    pub at: (u16, u64),
}

/// A statement's text, and its number where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sql<'a> {
    pub id: Option<u32>,
    /// Empty where it was read back from a compact form with a number.
    pub bytes: &'a [u8],
}

/// An execution by the extended protocol. Empty names are the unnamed ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoggedExecute<'a> {
    pub statement: &'a [u8],
    pub portal: &'a [u8],
    pub parameters: ValueList<'a>,
}

/// Text values one behind the other, in a buffer that is used again.
#[derive(Debug, Default)]
pub struct Values {
    count: usize,
    /// Of each value the length and one more, and its bytes; 0 is NULL.
    bytes: Vec<u8>,
}

/// Values that lie elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueList<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl Values {
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    pub fn push(&mut self, value: Option<&[u8]>) {
        self.count += 1;
        put_optional(&mut self.bytes, value.map(|value| value.len() as u64));
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    pub fn list(&self) -> ValueList<'_> {
        ValueList { count: self.count, bytes: &self.bytes }
    }
}

impl<'a> ValueList<'a> {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Every value; none is NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| match take_optional(&mut rest)? {
            None => Some(None),
            Some(length) => {
                let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = after;
                Some(Some(value))
            }
        })
    }
}

impl LoggedRequest<'_> {
    /// The request with texts of its own, for when it must wait.
    pub fn to_request(self) -> Request {
        let sql = self.sql.bytes.to_vec();
        let sent = match self.execute {
            None => Sent::Simple { sql },
            Some(LoggedExecute { statement, portal, parameters }) => Sent::Execute(Execute {
                sql,
                statement: statement.to_vec(),
                portal: portal.to_vec(),
                parameters: parameters
                    .iter()
                    .map(|value| value.map_or(Value::Null, |text| Value::Text(text.to_vec())))
                    .collect(),
                ..Execute::default()
            }),
        };
        let results = match (self.total_us, self.sqlstate) {
            (None, None) => Vec::new(),
            (total_us, sqlstate) => vec![Outcome { total_us, sqlstate, ..Outcome::default() }],
        };
        Request { sent, results, possible_cut: self.possible_cut, at: self.at, ..Request::default() }
    }
}

/// A request with what its session and its capture add: what is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredRequest<'a> {
    /// Counts from 0 within the session.
    pub sequence: u64,
    /// Index into the capture's tenants.
    pub tenant: Option<u32>,
    /// Of a text without a number, once they were found out.
    pub marks: Option<Marks>,
    pub request: LoggedRequest<'a>,
}

impl<'a> StoredRequest<'a> {
    /// The whole request; `texts` knows the text of its number.
    pub fn to_request(self, texts: &'a super::texts::Texts) -> Request {
        let Self { sequence, tenant, mut request, .. } = self;
        request.sql.bytes = request.sql.id.and_then(|id| texts.get(id)).unwrap_or(request.sql.bytes);
        Request { sequence, tenant, ..request.to_request() }
    }

    /// Appends the compact form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { sequence, tenant, marks, request } = self;
        match request.sql.id {
            Some(_) => out.push(NUMBERED_TAG),
            None => {
                out.push(TAG);
                out.extend_from_slice(&stored_marks(*marks));
            }
        }
        put_number(out, *sequence);
        put_optional(out, tenant.map(u64::from));
        put_number(out, u64::from(request.at.0));
        put_number(out, request.at.1);
        put_optional(out, request.total_us);
        put_bytes(out, request.sqlstate.as_ref().map_or(&[], |code| code.as_str().as_bytes()));
        put_optional(out, request.possible_cut.map(|cut| u64::from(cut.evidence)));
        if let Some(cut) = request.possible_cut {
            put_number(out, cut.kept_bytes);
        }
        put_optional(out, request.sql.id.map(u64::from));
        if request.sql.id.is_none() {
            put_bytes(out, request.sql.bytes);
        }
        match request.execute {
            None => out.push(0),
            Some(LoggedExecute { statement, portal, parameters }) => {
                out.push(1);
                put_bytes(out, statement);
                put_bytes(out, portal);
                put_number(out, parameters.count as u64);
                out.extend_from_slice(parameters.bytes);
            }
        }
    }

    /// Reads what `encode` wrote; none if the bytes are not that.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let marks = match take_byte(&mut rest)? {
            NUMBERED_TAG => None,
            TAG => {
                let (stored, after) = rest.split_first_chunk()?;
                rest = after;
                marks_in(stored)
            }
            _ => return None,
        };
        let rest = &mut rest;
        let sequence = take_number(rest)?;
        let tenant = take_optional(rest)?.map(u32::try_from).transpose().ok()?;
        let at = (u16::try_from(take_number(rest)?).ok()?, take_number(rest)?);
        let total_us = take_optional(rest)?;
        let sqlstate = SqlState::new(take_bytes(rest)?);
        let possible_cut = match take_optional(rest)? {
            None => None,
            Some(evidence) => {
                Some(PossibleCut { evidence: u32::try_from(evidence).ok()?, kept_bytes: take_number(rest)? })
            }
        };
        let id = take_optional(rest)?.map(u32::try_from).transpose().ok()?;
        let sql = Sql { id, bytes: if id.is_none() { take_bytes(rest)? } else { &[] } };
        let execute = match take_byte(rest)? {
            0 => None,
            _ => {
                let (statement, portal) = (take_bytes(rest)?, take_bytes(rest)?);
                let count = take_u32(rest)? as usize;
                Some(LoggedExecute { statement, portal, parameters: ValueList { count, bytes: rest } })
            }
        };
        let request = LoggedRequest { sql, execute, total_us, sqlstate, possible_cut, at };
        Some(Self { sequence, tenant, marks, request })
    }
}

/// Finds out the marks of a stored request's own text, and stores them with it. What is no such request stays as it is.
pub fn mark(stored: &mut [u8], known: &mut KnownMarks) {
    if stored.first() != Some(&TAG) {
        return;
    }
    let Some(marks) = StoredRequest::decode(stored).map(|stored| known.of(stored.request.sql.bytes)) else { return };
    stored[1..=MARKS_BYTES].copy_from_slice(&stored_marks(Some(marks)));
}

fn stored_marks(marks: Option<Marks>) -> [u8; MARKS_BYTES] {
    let mut stored = [UNMARKED; MARKS_BYTES];
    if let Some(Marks { fingerprint, class }) = marks {
        stored[0] = class as u8;
        stored[1..].copy_from_slice(&fingerprint.0.to_le_bytes());
    }
    stored
}

fn marks_in(stored: &[u8; MARKS_BYTES]) -> Option<Marks> {
    let (class, fingerprint) = stored.split_first_chunk::<1>()?;
    let class = *StatementClass::ALL.get(usize::from(class[0]))?;
    Some(Marks { fingerprint: Fingerprint(u64::from_le_bytes(fingerprint.try_into().ok()?)), class })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            sql in any::<Vec<u8>>(),
            values in proptest::option::of(proptest::collection::vec(any::<Option<Vec<u8>>>(), 0..5)),
            total_us in any::<Option<u32>>(),
            tenant in any::<Option<u32>>(),
            kept_bytes in any::<Option<u64>>(),
            id in any::<Option<u32>>(),
        ) {
            let mut list = Values::default();
            values.iter().flatten().for_each(|value| list.push(value.as_deref()));
            let request = LoggedRequest {
                sql: Sql { id, bytes: if id.is_none() { &sql } else { b"" } },
                execute: values.as_ref().map(|_| LoggedExecute {
                    statement: b"S_1",
                    portal: b"",
                    parameters: list.list(),
                }),
                total_us: total_us.map(u64::from),
                sqlstate: kept_bytes.map(|_| SqlState::QUERY_CANCELED),
                possible_cut: kept_bytes.map(|kept_bytes| PossibleCut { evidence: 7, kept_bytes }),
                at: (3, 1 << 40),
            };
            let stored = StoredRequest { sequence: 9, tenant, marks: None, request };
            let mut bytes = Vec::new();
            stored.encode(&mut bytes);
            prop_assert_eq!(StoredRequest::decode(&bytes), Some(stored));
            let marks = id.is_none().then(|| Marks::of(&sql));
            let mut marked = bytes.clone();
            mark(&mut marked, &mut KnownMarks::default());
            prop_assert_eq!(StoredRequest::decode(&marked), Some(StoredRequest { marks, ..stored }));
            for end in 0..bytes.len() {
                // What was cut is never more than it was.
                StoredRequest::decode(&bytes[..end]);
            }
            let read: Vec<_> = list.list().iter().map(|value| value.map(<[u8]>::to_vec)).collect();
            prop_assert_eq!(read, values.unwrap_or_default());
        }
    }
}
