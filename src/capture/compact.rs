//! The compact form of events, for temporary files.
//!
//! Takes events and gives bytes, and the other way round. Only this program ever reads them. Must not know files.

use std::collections::BTreeMap;

use super::event::{CopyData, Event, Execute, Message, Opening, Outcome, PossibleCut, Request, Sent, Value};
use crate::words::sqlstate::SqlState;
use crate::workload::record::{CopyEnd, TransactionState};

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
                put_request(out, request);
            }
            Self::Copy(copy) => {
                out.push(b'd');
                put_number(out, copy.sequence);
                out.push(u8::from(copy.from_client));
                put_bytes(out, &copy.bytes);
                out.push(match copy.ended {
                    None => 0,
                    Some(CopyEnd::Done) => 1,
                    Some(CopyEnd::Failed) => 2,
                });
            }
            Self::Cancel => out.push(b'x'),
            Self::Close => out.push(b'c'),
        }
    }

    /// Reads what `encode` wrote; none if the bytes are not that.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let event = match take_byte(&mut rest)? {
            b'o' => Self::Open(Opening {
                database: take_string(&mut rest)?,
                user: take_string(&mut rest)?,
                began_before_capture: take_byte(&mut rest)? == 1,
                parameters: take_pairs(&mut rest)?,
            }),
            b'r' => Self::Request(Box::new(take_request(&mut rest)?)),
            b'd' => Self::Copy(Box::new(CopyData {
                sequence: take_number(&mut rest)?,
                from_client: take_byte(&mut rest)? == 1,
                bytes: take_bytes(&mut rest)?.to_vec(),
                ended: match take_byte(&mut rest)? {
                    0 => None,
                    1 => Some(CopyEnd::Done),
                    _ => Some(CopyEnd::Failed),
                },
            })),
            b'x' => Self::Cancel,
            b'c' => Self::Close,
            _ => return None,
        };
        rest.is_empty().then_some(event)
    }
}

fn put_request(out: &mut Vec<u8>, request: &Request) {
    put_number(out, request.sequence);
    put_optional(out, request.tenant.map(u64::from));
    put_number(out, u64::from(request.at.0));
    put_number(out, request.at.1);
    out.push(match request.transaction {
        None => 0,
        Some(TransactionState::Idle) => 1,
        Some(TransactionState::InTransaction) => 2,
        Some(TransactionState::Failed) => 3,
    });
    put_optional(out, request.possible_cut.map(|cut| u64::from(cut.evidence)));
    put_number(out, request.possible_cut.map_or(0, |cut| cut.kept_bytes));
    put_list(out, &request.results, put_outcome);
    match &request.sent {
        Sent::Simple { sql } => {
            out.push(0);
            put_bytes(out, sql);
        }
        Sent::Execute(execute) => {
            out.push(1);
            put_execute(out, execute);
        }
        Sent::Messages(messages) => {
            out.push(2);
            put_list(out, messages, put_message);
        }
    }
}

fn take_request(rest: &mut &[u8]) -> Option<Request> {
    Some(Request {
        sequence: take_number(rest)?,
        tenant: take_optional(rest)?.map(u32::try_from).transpose().ok()?,
        at: (u16::try_from(take_number(rest)?).ok()?, take_number(rest)?),
        transaction: match take_byte(rest)? {
            0 => None,
            1 => Some(TransactionState::Idle),
            2 => Some(TransactionState::InTransaction),
            _ => Some(TransactionState::Failed),
        },
        possible_cut: take_possible_cut(rest)?,
        results: take_list(rest, take_outcome)?,
        sent: match take_byte(rest)? {
            0 => Sent::Simple { sql: take_bytes(rest)?.to_vec() },
            1 => Sent::Execute(take_execute(rest)?),
            2 => Sent::Messages(take_list(rest, take_message)?),
            _ => return None,
        },
    })
}

fn put_execute(out: &mut Vec<u8>, execute: &Execute) {
    put_bytes(out, &execute.sql);
    put_list(out, &execute.parameter_types, |out, oid| put_number(out, u64::from(*oid)));
    put_bytes(out, &execute.statement);
    put_bytes(out, &execute.portal);
    put_list(out, &execute.parameters, put_value);
    put_list(out, &execute.result_formats, |out, code| put_number(out, u64::from(code.cast_unsigned())));
    put_number(out, u64::from(execute.row_limit));
    put_optional(out, execute.parse.map(u64::from));
    put_optional(out, execute.describe.map(u64::from));
}

fn take_execute(rest: &mut &[u8]) -> Option<Execute> {
    Some(Execute {
        sql: take_bytes(rest)?.to_vec(),
        parameter_types: take_list(rest, take_u32)?,
        statement: take_bytes(rest)?.to_vec(),
        portal: take_bytes(rest)?.to_vec(),
        parameters: take_list(rest, take_value)?,
        result_formats: take_list(rest, take_i16)?,
        row_limit: take_u32(rest)?,
        parse: take_optional(rest)?.map(|yes| yes == 1),
        describe: take_optional(rest)?.map(|yes| yes == 1),
    })
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    match message {
        Message::Query { sql } => {
            out.push(b'Q');
            put_bytes(out, sql);
        }
        Message::Parse { statement, sql, parameter_types } => {
            out.push(b'P');
            put_bytes(out, statement);
            put_bytes(out, sql);
            put_list(out, parameter_types, |out, oid| put_number(out, u64::from(*oid)));
        }
        Message::Bind { portal, statement, parameters, result_formats } => {
            out.push(b'B');
            put_bytes(out, portal);
            put_bytes(out, statement);
            put_list(out, parameters, put_value);
            put_list(out, result_formats, |out, code| put_number(out, u64::from(code.cast_unsigned())));
        }
        Message::DescribeStatement { name } => put_named(out, b'D', name),
        Message::DescribePortal { name } => put_named(out, b'd', name),
        Message::Execute { portal, row_limit, sql } => {
            out.push(b'E');
            put_bytes(out, portal);
            put_number(out, u64::from(*row_limit));
            put_list(out, sql.as_slice(), |out, (sql, types)| {
                put_bytes(out, sql);
                put_list(out, types, |out, oid| put_number(out, u64::from(*oid)));
            });
        }
        Message::CloseStatement { name } => put_named(out, b'C', name),
        Message::ClosePortal { name } => put_named(out, b'c', name),
        Message::Flush => out.push(b'H'),
        Message::Sync => out.push(b'S'),
        Message::Raw { tag, body } => {
            out.extend([b'r', *tag]);
            put_bytes(out, body);
        }
    }
}

fn take_message(rest: &mut &[u8]) -> Option<Message> {
    let name = |rest: &mut &[u8]| take_bytes(rest).map(<[u8]>::to_vec);
    Some(match take_byte(rest)? {
        b'Q' => Message::Query { sql: name(rest)? },
        b'P' => {
            Message::Parse { statement: name(rest)?, sql: name(rest)?, parameter_types: take_list(rest, take_u32)? }
        }
        b'B' => Message::Bind {
            portal: name(rest)?,
            statement: name(rest)?,
            parameters: take_list(rest, take_value)?,
            result_formats: take_list(rest, take_i16)?,
        },
        b'D' => Message::DescribeStatement { name: name(rest)? },
        b'd' => Message::DescribePortal { name: name(rest)? },
        b'E' => Message::Execute {
            portal: name(rest)?,
            row_limit: take_u32(rest)?,
            sql: take_list(rest, |rest| Some((take_bytes(rest)?.to_vec(), take_list(rest, take_u32)?)))?.pop(),
        },
        b'C' => Message::CloseStatement { name: name(rest)? },
        b'c' => Message::ClosePortal { name: name(rest)? },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'r' => Message::Raw { tag: take_byte(rest)?, body: name(rest)? },
        _ => return None,
    })
}

fn put_named(out: &mut Vec<u8>, tag: u8, name: &[u8]) {
    out.push(tag);
    put_bytes(out, name);
}

fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome) {
    for number in [outcome.first_us, outcome.total_us, outcome.rows, outcome.bytes] {
        put_optional(out, number);
    }
    put_bytes(out, outcome.sqlstate.as_ref().map_or(&[], |code| code.as_str().as_bytes()));
    for text in [&outcome.command_tag, &outcome.digest] {
        put_list(out, text.as_slice(), |out, text| put_bytes(out, text.as_bytes()));
    }
    put_list(out, &outcome.returned_columns, |out, name| put_bytes(out, name.as_bytes()));
    put_list(out, &outcome.returned, put_value);
}

fn take_outcome(rest: &mut &[u8]) -> Option<Outcome> {
    Some(Outcome {
        first_us: take_optional(rest)?,
        total_us: take_optional(rest)?,
        rows: take_optional(rest)?,
        bytes: take_optional(rest)?,
        sqlstate: SqlState::new(take_bytes(rest)?),
        command_tag: take_list(rest, take_string)?.pop(),
        digest: take_list(rest, take_string)?.pop(),
        returned_columns: take_list(rest, take_string)?,
        returned: take_list(rest, take_value)?,
    })
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Text(bytes) => put_named(out, 1, bytes),
        Value::Binary(bytes) => put_named(out, 2, bytes),
    }
}

fn take_value(rest: &mut &[u8]) -> Option<Value> {
    Some(match take_byte(rest)? {
        0 => Value::Null,
        1 => Value::Text(take_bytes(rest)?.to_vec()),
        2 => Value::Binary(take_bytes(rest)?.to_vec()),
        _ => return None,
    })
}

fn take_possible_cut(rest: &mut &[u8]) -> Option<Option<PossibleCut>> {
    let (evidence, kept_bytes) = (take_optional(rest)?, take_number(rest)?);
    match evidence.map(u32::try_from) {
        None => Some(None),
        Some(evidence) => Some(Some(PossibleCut { evidence: evidence.ok()?, kept_bytes })),
    }
}

fn take_pairs(rest: &mut &[u8]) -> Option<BTreeMap<String, String>> {
    (0..take_number(rest)?).map(|_| Some((take_string(rest)?, take_string(rest)?))).collect()
}

pub(super) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_number(rest)?).ok()
}

fn take_i16(rest: &mut &[u8]) -> Option<i16> {
    u16::try_from(take_number(rest)?).ok().map(u16::cast_signed)
}

/// The number of elements, and each.
fn put_list<T>(out: &mut Vec<u8>, list: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_number(out, list.len() as u64);
    list.iter().for_each(|element| put(out, element));
}

fn take_list<T>(rest: &mut &[u8], mut take: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    (0..take_number(rest)?).map(|_| take(rest)).collect()
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
#[inline]
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
        let byte = take_byte(rest)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// 0 for none, else one more than the number.
pub(super) fn put_optional(out: &mut Vec<u8>, number: Option<u64>) {
    put_number(out, number.map_or(0, |number| number.saturating_add(1)));
}

pub(super) fn take_optional(rest: &mut &[u8]) -> Option<Option<u64>> {
    take_number(rest).map(|number| number.checked_sub(1))
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    take(rest, length)
}

fn take_string(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(rest)?.to_vec()).ok()
}

pub(super) fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    take(rest, 1).map(|taken| taken[0])
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

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![Just(Value::Null), any::<Vec<u8>>().prop_map(Value::Text), any::<Vec<u8>>().prop_map(Value::Binary),]
    }

    fn message() -> impl Strategy<Value = Message> {
        let bytes = any::<Vec<u8>>;
        prop_oneof![
            bytes().prop_map(|sql| Message::Query { sql }),
            (bytes(), bytes(), any::<Vec<u32>>()).prop_map(|(statement, sql, parameter_types)| Message::Parse {
                statement,
                sql,
                parameter_types
            }),
            (bytes(), bytes(), proptest::collection::vec(value(), 0..4), any::<Vec<i16>>()).prop_map(
                |(portal, statement, parameters, result_formats)| Message::Bind {
                    portal,
                    statement,
                    parameters,
                    result_formats
                }
            ),
            (bytes(), any::<u32>(), any::<Option<(Vec<u8>, Vec<u32>)>>())
                .prop_map(|(portal, row_limit, sql)| Message::Execute { portal, row_limit, sql }),
            bytes().prop_map(|name| Message::DescribeStatement { name }),
            bytes().prop_map(|name| Message::DescribePortal { name }),
            bytes().prop_map(|name| Message::CloseStatement { name }),
            bytes().prop_map(|name| Message::ClosePortal { name }),
            Just(Message::Flush),
            Just(Message::Sync),
            (any::<u8>(), bytes()).prop_map(|(tag, body)| Message::Raw { tag, body }),
        ]
    }

    fn sent() -> impl Strategy<Value = Sent> {
        prop_oneof![
            any::<Vec<u8>>().prop_map(|sql| Sent::Simple { sql }),
            (any::<Vec<u8>>(), any::<Vec<u32>>(), proptest::collection::vec(value(), 0..4), any::<Option<bool>>())
                .prop_map(|(sql, parameter_types, parameters, parse)| Sent::Execute(Execute {
                    statement: sql.clone(),
                    portal: sql.clone(),
                    sql,
                    result_formats: vec![parameters.len() as i16, -1],
                    parameter_types,
                    parameters,
                    row_limit: 7,
                    parse,
                    describe: parse.map(|parse| !parse),
                })),
            proptest::collection::vec(message(), 0..4).prop_map(Sent::Messages),
        ]
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        let number = || proptest::option::of(0..u64::MAX / 2);
        let text = any::<Option<String>>;
        let returned = proptest::collection::vec(value(), 0..3);
        (number(), number(), text(), text(), any::<bool>(), any::<Vec<String>>(), returned).prop_map(
            |(first_us, rows, command_tag, digest, failed, returned_columns, returned)| Outcome {
                first_us,
                total_us: first_us,
                rows,
                bytes: rows,
                sqlstate: failed.then_some(SqlState::SYNTAX_ERROR),
                command_tag,
                digest,
                returned_columns,
                returned,
            },
        )
    }

    fn survives(event: &Event) -> bool {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        Event::decode(&bytes).as_ref() == Some(event)
    }

    proptest! {
        #[test]
        fn a_request_survives_its_compact_form(
            sequence: u64, tenant: Option<u32>, at: (u16, u64), sent in sent(), cut: Option<(u32, u64)>,
            results in proptest::collection::vec(outcome(), 0..3), state in 0..4,
        ) {
            let possible_cut = cut.map(|(evidence, kept_bytes)| PossibleCut { evidence, kept_bytes });
            let transaction = match state {
                0 => None,
                1 => Some(TransactionState::Idle),
                2 => Some(TransactionState::InTransaction),
                _ => Some(TransactionState::Failed),
            };
            let request = Request { sequence, tenant, sent, results, transaction, possible_cut, at };
            prop_assert!(survives(&Event::Request(Box::new(request))));
        }

        #[test]
        fn bytes_that_are_no_event_are_refused(bytes: Vec<u8>) {
            if let Some(event) = Event::decode(&bytes) {
                prop_assert!(survives(&event));
            }
        }
    }

    #[test]
    fn what_is_no_request_survives_too() {
        let parameters = BTreeMap::from([("application_name".to_owned(), "app".to_owned())]);
        let opening = Opening { database: "d".into(), user: "ü".into(), parameters, began_before_capture: true };
        let copy = |ended| Event::Copy(Box::new(CopyData { sequence: 3, from_client: true, bytes: vec![1, 0], ended }));
        let copies = [copy(None), copy(Some(CopyEnd::Done)), copy(Some(CopyEnd::Failed))];
        for event in copies.into_iter().chain([Event::Open(opening), Event::Cancel, Event::Close]) {
            assert!(survives(&event), "{event:?}");
        }
    }
}
