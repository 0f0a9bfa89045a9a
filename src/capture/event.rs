//! What a capture gives before it is put in order: sessions that open and close, requests, cancels.
//!
//! Gives plain values and a compact form for temporary files, which only this program ever reads and only in the run that
//! wrote it. Must not know where events come from.

use std::collections::BTreeMap;

use crate::words::sqlstate::SqlState;

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

/// One request of a client, with its texts in the bytes of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Counts from 0 within the session.
    pub sequence: u64,
    /// Index into the capture's tenants, in the order in which they were found.
    pub tenant: Option<u32>,
    pub sql: Vec<u8>,
    /// None for a simple query.
    pub extended: Option<Extended>,
    pub total_us: Option<u64>,
    pub sqlstate: Option<SqlState>,
    /// Index of the source and line.
    pub at: (u16, u64),
}

/// How the extended protocol executed a statement. Empty names are the unnamed ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extended {
    pub statement: Vec<u8>,
    pub portal: Vec<u8>,
    /// Text format; none is NULL.
    pub parameters: Vec<Option<Vec<u8>>>,
    /// Whether all values are whole is known when the whole source is read.
    pub possible_cut: Option<PossibleCut>,
}

/// A parameter value that may be longer than the source shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossibleCut {
    /// Index of the evidence that decides.
    pub evidence: u32,
    /// The length that is shown.
    pub kept_bytes: u64,
}

impl Event {
    /// Appends the compact form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(opening) => {
                out.push(b'o');
                put_bytes(out, opening.database.as_bytes());
                put_bytes(out, opening.user.as_bytes());
                out.push(u8::from(opening.began_before_capture));
                put_number(out, opening.parameters.len() as u64);
                for (name, value) in &opening.parameters {
                    put_bytes(out, name.as_bytes());
                    put_bytes(out, value.as_bytes());
                }
            }
            Self::Request(request) => {
                out.push(b'r');
                request.encode(out);
            }
            Self::Cancel => out.push(b'x'),
            Self::Close => out.push(b'c'),
        }
    }

    /// Reads what `encode` wrote; none if the bytes are not that.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let event = match take(&mut rest, 1)?[0] {
            b'o' => Self::Open(Opening {
                database: take_string(&mut rest)?,
                user: take_string(&mut rest)?,
                began_before_capture: take(&mut rest, 1)?[0] == 1,
                parameters: (0..take_number(&mut rest)?)
                    .map(|_| Some((take_string(&mut rest)?, take_string(&mut rest)?)))
                    .collect::<Option<_>>()?,
            }),
            b'r' => Self::Request(Box::new(Request::decode(&mut rest)?)),
            b'x' => Self::Cancel,
            b'c' => Self::Close,
            _ => return None,
        };
        rest.is_empty().then_some(event)
    }
}

impl Request {
    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, self.sequence);
        put_optional(out, self.tenant.map(u64::from));
        put_bytes(out, &self.sql);
        put_optional(out, self.total_us);
        put_bytes(out, self.sqlstate.as_ref().map_or(&[], |code| code.as_str().as_bytes()));
        put_number(out, u64::from(self.at.0));
        put_number(out, self.at.1);
        let Some(extended) = &self.extended else {
            out.push(0);
            return;
        };
        out.push(1);
        put_bytes(out, &extended.statement);
        put_bytes(out, &extended.portal);
        put_number(out, extended.parameters.len() as u64);
        for parameter in &extended.parameters {
            put_optional(out, parameter.as_ref().map(|value| value.len() as u64));
            out.extend_from_slice(parameter.as_deref().unwrap_or_default());
        }
        put_optional(out, extended.possible_cut.map(|cut| u64::from(cut.evidence)));
        put_number(out, extended.possible_cut.map_or(0, |cut| cut.kept_bytes));
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        Some(Self {
            sequence: take_number(rest)?,
            tenant: take_optional(rest)?.map(u32::try_from).transpose().ok()?,
            sql: take_bytes(rest)?.to_vec(),
            total_us: take_optional(rest)?,
            sqlstate: SqlState::new(take_bytes(rest)?),
            at: (u16::try_from(take_number(rest)?).ok()?, take_number(rest)?),
            extended: match take(rest, 1)?[0] {
                0 => None,
                _ => Some(Extended {
                    statement: take_bytes(rest)?.to_vec(),
                    portal: take_bytes(rest)?.to_vec(),
                    parameters: (0..take_number(rest)?).map(|_| take_parameter(rest)).collect::<Option<_>>()?,
                    possible_cut: take_possible_cut(rest)?,
                }),
            },
        })
    }
}

fn take_parameter(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    match take_optional(rest)? {
        None => Some(None),
        Some(length) => Some(Some(take(rest, usize::try_from(length).ok()?)?.to_vec())),
    }
}

fn take_possible_cut(rest: &mut &[u8]) -> Option<Option<PossibleCut>> {
    let (evidence, kept_bytes) = (take_optional(rest)?, take_number(rest)?);
    match evidence.map(u32::try_from) {
        None => Some(None),
        Some(evidence) => Some(Some(PossibleCut { evidence: evidence.ok()?, kept_bytes })),
    }
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// 0 for none, else one more than the number.
fn put_optional(out: &mut Vec<u8>, number: Option<u64>) {
    put_number(out, number.map_or(0, |number| number.saturating_add(1)));
}

fn take_optional(rest: &mut &[u8]) -> Option<Option<u64>> {
    take_number(rest).map(|number| number.checked_sub(1))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    take(rest, length)
}

fn take_string(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(rest)?.to_vec()).ok()
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_request_survives_its_compact_form(
            sequence: u64, tenant: Option<u32>, sql: Vec<u8>, total_us in proptest::option::of(0..u64::MAX / 2),
            at: (u16, u64), failed: bool,
            extended in proptest::option::of((any::<Vec<u8>>(), any::<Vec<Option<Vec<u8>>>>())),
            cut: Option<(u32, u64)>,
        ) {
            let possible_cut = cut.map(|(evidence, kept_bytes)| PossibleCut { evidence, kept_bytes });
            let extended = extended.map(|(name, parameters)| Extended {
                statement: name.clone(), portal: name, parameters, possible_cut,
            });
            let sqlstate = failed.then_some(SqlState::SYNTAX_ERROR);
            let event = Event::Request(Box::new(Request { sequence, tenant, sql, extended, total_us, sqlstate, at }));
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            prop_assert_eq!(Event::decode(&bytes), Some(event));
        }

        #[test]
        fn bytes_that_are_no_event_are_refused(bytes: Vec<u8>) {
            if let Some(event) = Event::decode(&bytes) {
                let mut again = Vec::new();
                event.encode(&mut again);
                prop_assert_eq!(Event::decode(&again), Some(event));
            }
        }
    }

    #[test]
    fn an_opening_survives_its_compact_form() {
        let parameters = BTreeMap::from([("application_name".to_owned(), "app".to_owned())]);
        let opening = Opening { database: "d".into(), user: "ü".into(), parameters, began_before_capture: true };
        for event in [Event::Open(opening), Event::Cancel, Event::Close] {
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            assert_eq!(Event::decode(&bytes), Some(event));
        }
    }
}
