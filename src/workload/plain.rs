//! The line of a plain request, written without making a record of it.
//!
//! Captures write millions of requests of one shape: a text, text parameters, a duration. Takes the parts where they lie
//! and appends what [`Record::Request`](super::record::Record) becomes in JSON, byte for byte. Must not know files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::marks::Marks;
use crate::words::sqlstate::SqlState;

/// A simple query or an execution by the extended protocol, of which no more is known than a log tells.
#[derive(Clone, Copy, Debug)]
pub struct PlainRequest<'a, P> {
    /// Microseconds since the workload's start.
    pub t_us: u64,
    pub session: u32,
    pub sequence: u64,
    pub tenant: Option<u32>,
    pub sql: PlainSql<'a>,
    /// None of a simple query.
    pub execute: Option<PlainExecute<'a, P>>,
    pub total_us: Option<u64>,
    pub sqlstate: Option<SqlState>,
    /// Index into the header's sources, and line.
    pub at: (u16, u64),
}

/// A reference to a `sql` line, or a text that stands in the request.
#[derive(Clone, Copy, Debug)]
pub enum PlainSql<'a> {
    Id(u32),
    Inline { text: &'a [u8], marks: Marks },
}

/// Names are empty where they are the unnamed ones; parameters are texts, none is NULL.
#[derive(Clone, Copy, Debug)]
pub struct PlainExecute<'a, P> {
    pub statement: &'a [u8],
    pub portal: &'a [u8],
    pub parameters: P,
}

impl<'a, P: Iterator<Item = Option<&'a [u8]>>> PlainRequest<'a, P> {
    /// Appends the line, without its end.
    pub fn append_to(self, line: &mut Vec<u8>) {
        push_member(line, b"{\"kind\":\"request\",\"t_us\":", self.t_us);
        push_member(line, b",\"session\":", u64::from(self.session));
        push_member(line, b",\"sequence\":", self.sequence);
        if let Some(tenant) = self.tenant {
            push_member(line, b",\"tenant\":", u64::from(tenant));
        }
        match self.execute {
            None => {
                line.extend_from_slice(b",\"simple\":{\"sql\":");
                self.sql.append_to(line);
            }
            Some(execute) => {
                line.extend_from_slice(b",\"execute\":{\"sql\":");
                self.sql.append_to(line);
                execute.append_to(line);
            }
        }
        line.push(b'}');
        push_results(line, self.total_us, self.sqlstate);
        push_member(line, b",\"at\":[", u64::from(self.at.0));
        push_member(line, b",", self.at.1);
        line.extend_from_slice(b"]}");
    }
}

impl PlainSql<'_> {
    fn append_to(self, line: &mut Vec<u8>) {
        let (text, marks) = match self {
            Self::Id(id) => return push_number(line, u64::from(id)),
            Self::Inline { text, marks } => (text, marks),
        };
        match std::str::from_utf8(text) {
            Ok(text) => {
                line.extend_from_slice(b"{\"text\":");
                push_text(line, text);
            }
            Err(_) => {
                line.extend_from_slice(b"{\"base64\":");
                push_text(line, &STANDARD.encode(text));
            }
        }
        line.extend_from_slice(b",\"fingerprint\":\"");
        let digit = |place: usize| HEXADECIMAL[(marks.fingerprint.0 >> (60 - 4 * place)) as usize & 15];
        line.extend_from_slice(&std::array::from_fn::<u8, 16, _>(digit));
        line.extend_from_slice(b"\",\"class\":\"");
        line.extend_from_slice(marks.class.name().as_bytes());
        line.extend_from_slice(b"\"}");
    }
}

impl<'a, P: Iterator<Item = Option<&'a [u8]>>> PlainExecute<'a, P> {
    fn append_to(self, line: &mut Vec<u8>) {
        for (start, name) in [(b",\"statement\":".as_slice(), self.statement), (b",\"portal\":", self.portal)] {
            if !name.is_empty() {
                line.extend_from_slice(start);
                push_text(line, &String::from_utf8_lossy(name));
            }
        }
        let mut start = b",\"parameters\":[".as_slice();
        let mut end = b"".as_slice();
        for parameter in self.parameters {
            line.extend_from_slice(start);
            (start, end) = (b",", b"]");
            match parameter.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
                None => line.extend_from_slice(b"null"),
                Some((_, Ok(text))) => push_text(line, text),
                Some((bytes, Err(_))) => {
                    line.extend_from_slice(b"{\"text_base64\":");
                    push_text(line, &STANDARD.encode(bytes));
                    line.push(b'}');
                }
            }
        }
        line.extend_from_slice(end);
    }
}

fn push_results(line: &mut Vec<u8>, total_us: Option<u64>, sqlstate: Option<SqlState>) {
    if total_us.is_none() && sqlstate.is_none() {
        return;
    }
    line.extend_from_slice(b",\"results\":[{");
    if let Some(total_us) = total_us {
        push_member(line, b"\"total_us\":", total_us);
    }
    if let Some(sqlstate) = sqlstate {
        line.extend_from_slice(if total_us.is_some() { b",\"sqlstate\":\"" } else { b"\"sqlstate\":\"" });
        line.extend_from_slice(sqlstate.as_str().as_bytes());
        line.push(b'"');
    }
    line.extend_from_slice(b"}]");
}

fn push_member(line: &mut Vec<u8>, start: &[u8], number: u64) {
    line.extend_from_slice(start);
    push_number(line, number);
}

fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// A text in quotes, escaped as serde_json does it.
fn push_text(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_to_escape(rest) {
        line.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\x08' => line.extend_from_slice(b"\\b"),
            b'\x0c' => line.extend_from_slice(b"\\f"),
            other => {
                line.extend_from_slice(b"\\u00");
                line.extend([HEXADECIMAL[usize::from(other >> 4)], HEXADECIMAL[usize::from(other & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
    line.push(b'"');
}

/// The position of the first quote, backslash or control character. Looks at eight bytes at a time.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    let is_found = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    let (eights, _) = bytes.as_chunks::<8>();
    let mut from = 0;
    for eight in eights {
        let word = u64::from_le_bytes(*eight);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // In each term, the high bit of the lowest byte below 0x20, or that is zero, is set; none is set without one.
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let zero = (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
        if (control | zero) & HIGH_BITS != 0 {
            break;
        }
        from += 8;
    }
    Some(from + bytes[from..].iter().position(is_found)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::words::class::StatementClass;
    use crate::words::ids::Fingerprint;

    use super::super::record::{
        Execute, InlineSql, Outcome, Parameter, ParameterBytes, Record, Request, Sent, SqlRef, Text,
    };
    use super::*;

    fn parameter(value: Option<&[u8]>) -> Parameter {
        match value.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => Parameter::Null,
            Some((_, Ok(text))) => Parameter::Text(text.to_owned()),
            Some((bytes, Err(_))) => Parameter::Bytes(ParameterBytes::TextBase64(STANDARD.encode(bytes))),
        }
    }

    /// The record that the plain request stands for.
    fn record<'a, P: Iterator<Item = Option<&'a [u8]>>>(plain: PlainRequest<'a, P>) -> Record {
        let sql = match plain.sql {
            PlainSql::Id(id) => SqlRef::Id(id),
            PlainSql::Inline { text, marks: Marks { fingerprint, class } } => {
                let text = match std::str::from_utf8(text) {
                    Ok(text) => Text::Text(text.to_owned()),
                    Err(_) => Text::Base64(STANDARD.encode(text)),
                };
                SqlRef::Inline(Box::new(InlineSql { text, fingerprint, class, parameter_types: Vec::new() }))
            }
        };
        let sent = match plain.execute {
            None => Sent::Simple { sql },
            Some(execute) => Sent::Execute(Execute {
                sql,
                statement: String::from_utf8_lossy(execute.statement).into_owned(),
                portal: String::from_utf8_lossy(execute.portal).into_owned(),
                parameters: execute.parameters.map(parameter).collect(),
                result_formats: Vec::new(),
                row_limit: 0,
                parse: None,
                describe: None,
            }),
        };
        let (total_us, sqlstate) = (plain.total_us, plain.sqlstate);
        let results = match (total_us, sqlstate) {
            (None, None) => Vec::new(),
            _ => vec![Outcome { total_us, sqlstate, ..Outcome::default() }],
        };
        let PlainRequest { t_us, session, sequence, tenant, at, .. } = plain;
        Record::Request(Request { t_us, session, sequence, tenant, sent, results, transaction: None, at: Some(at) })
    }

    proptest! {
        #[test]
        fn the_line_is_that_of_the_record(
            text in prop_oneof![any::<Vec<u8>>(), "[ -~\n\té\"\\\\\u{0}-\u{1f}]{0,40}".prop_map(String::into_bytes)],
            id in any::<Option<u32>>(),
            names in proptest::option::of((any::<String>(), any::<Vec<u8>>())),
            parameters in proptest::collection::vec(any::<Option<Vec<u8>>>(), 0..4),
            total_us in any::<Option<u64>>(),
            failed in any::<bool>(),
            numbers in any::<(u64, u32, u64, Option<u32>)>(),
        ) {
            let marks = Marks { fingerprint: Fingerprint(numbers.0), class: StatementClass::Ddl };
            let plain = PlainRequest {
                t_us: numbers.0,
                session: numbers.1,
                sequence: numbers.2,
                tenant: numbers.3,
                sql: id.map_or(PlainSql::Inline { text: &text, marks }, PlainSql::Id),
                execute: names.as_ref().map(|(statement, portal)| PlainExecute {
                    statement: statement.as_bytes(),
                    portal,
                    parameters: parameters.iter().map(Option::as_deref),
                }),
                total_us,
                sqlstate: failed.then_some(SqlState::QUERY_CANCELED),
                at: (2, numbers.2),
            };
            let mut line = Vec::new();
            plain.clone().append_to(&mut line);
            let expected = serde_json::to_string(&record(plain)).unwrap();
            prop_assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }
}
