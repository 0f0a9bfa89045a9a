//! A request with other ids than it was captured with.
//!
//! Takes a request's body and the values to put into it, each with its place; gives the body anew. Must not know where the
//! values come from.

use super::bytes::Take;
use super::id_marks::{Patch, PatchTarget};
use super::id_value::IdValue;
use super::lists::{List, ListWriter};
use super::messages::{Message, MessageSequence};
use super::request::{Body, Execution};
use crate::pgwire::frontend::Parameter;

/// Values by their places, in the order in which they stand.
pub type PatchedValues = [(Patch, IdValue)];

/// Writes the body with the values into `scratch`, and gives it with the number of values that could be put in; none where
/// the body is damaged. A value that the place cannot hold leaves what is there.
pub fn patched<'a>(body: &Body<'_>, values: &PatchedValues, scratch: &'a mut Vec<u8>) -> Option<(Body<'a>, usize)> {
    scratch.clear();
    let put_in = match body {
        Body::Simple { sql } => {
            let (sql, put_in) = text(sql, values, 0);
            Body::Simple { sql: &sql }.put(scratch);
            put_in
        }
        Body::Execute(execution) => {
            let (parameters, put_in) = parameters(execution.parameters, values, 0);
            Body::Execute(Execution { parameters: parameters.list(), ..*execution }).put(scratch);
            put_in
        }
        Body::Messages(sequence) => {
            let mut list = ListWriter::default();
            let put_in = (0..).zip(sequence.messages()).map(|(at, message)| put(&message, values, at, &mut list)).sum();
            Body::Messages(MessageSequence { messages: list.list(), ..*sequence }).put(scratch);
            put_in
        }
    };
    Some((Body::take(&mut Take(scratch))?, put_in))
}

fn put(message: &Message<'_>, values: &PatchedValues, at: u32, list: &mut ListWriter) -> usize {
    match *message {
        Message::Query { sql } => {
            let (sql, put_in) = text(sql, values, at);
            Message::Query { sql: &sql }.put(list.next());
            put_in
        }
        Message::Bind { portal, statement, parameters: bound, result_formats } => {
            let (parameters, put_in) = parameters(bound, values, at);
            let parameters = parameters.list();
            Message::Bind { portal, statement, parameters, result_formats }.put(list.next());
            put_in
        }
        other => {
            other.put(list.next());
            0
        }
    }
}

/// The text of one message, with its values.
fn text(sql: &[u8], values: &PatchedValues, message: u32) -> (Vec<u8>, usize) {
    let mut patched = Vec::with_capacity(sql.len() + 16);
    let (mut copied, mut put_in) = (0, 0);
    for (patch, value) in values.iter().filter(|(patch, _)| patch.message == message) {
        let PatchTarget::Text { start, length } = patch.target else { continue };
        let (start, end) = (start as usize, start as usize + length as usize);
        let (Some(before), Some(literal)) = (sql.get(copied..start), sql.get(start..end)) else { continue };
        patched.extend_from_slice(before);
        let quote = if literal.starts_with(b"'") { "'" } else { "" };
        let value = value.text();
        // A sign must not meet an operator.
        let (open, close) = if quote.is_empty() && value.starts_with('-') { ("(", ")") } else { (quote, quote) };
        [open, &value, close].iter().for_each(|part| patched.extend_from_slice(part.as_bytes()));
        (copied, put_in) = (end, put_in + 1);
    }
    patched.extend_from_slice(&sql[copied..]);
    (patched, put_in)
}

/// The parameters of one message, with their values in the formats in which they were bound.
fn parameters(bound: List<'_>, values: &PatchedValues, message: u32) -> (ListWriter, usize) {
    let value_of = |index: usize| {
        let is_here = |patch: &Patch| {
            patch.message == message
                && matches!(patch.target, PatchTarget::Parameter(parameter) if usize::from(parameter) == index)
        };
        values.iter().find(|(patch, _)| is_here(patch)).map(|(_, value)| *value)
    };
    let (mut list, mut put_in) = (ListWriter::default(), 0);
    for (index, parameter) in bound.parameters().enumerate() {
        let encoded = value_of(index).and_then(|value| match parameter {
            Parameter::Null => None,
            Parameter::Text(_) => Some((value.text().into_bytes(), false)),
            Parameter::Binary(bytes) => Some((value.binary(bytes.len())?, true)),
        });
        put_in += usize::from(encoded.is_some());
        list.push_parameter(match &encoded {
            Some((bytes, true)) => Parameter::Binary(bytes),
            Some((bytes, false)) => Parameter::Text(bytes),
            None => parameter,
        });
    }
    (list, put_in)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(message: u32, target: PatchTarget, value: i64) -> (Patch, IdValue) {
        (Patch { message, target, slot: 0 }, IdValue::Integer(value))
    }

    #[test]
    fn literals_of_a_text_are_replaced_in_their_own_form() {
        let sql = b"UPDATE t SET a = '7' WHERE id = 12 AND b = 3";
        let literal = |start, length| PatchTarget::Text { start, length };
        let values = [at(0, literal(17, 3), 70_000), at(0, literal(32, 2), 5), at(0, literal(43, 1), -3)];
        let mut scratch = Vec::new();
        let (body, put_in) = patched(&Body::Simple { sql }, &values, &mut scratch).unwrap();
        assert_eq!(body, Body::Simple { sql: b"UPDATE t SET a = '70000' WHERE id = 5 AND b = (-3)" });
        assert_eq!(put_in, 3);
    }

    #[test]
    fn parameters_keep_their_formats_and_what_does_not_fit_stays() {
        let mut list = ListWriter::default();
        for parameter in
            [Parameter::Text(b"7"), Parameter::Binary(&[0, 0, 0, 7]), Parameter::Binary(&[0, 7]), Parameter::Null]
        {
            list.push_parameter(parameter);
        }
        let bind =
            Message::Bind { portal: b"", statement: b"s", parameters: list.list(), result_formats: List::default() };
        let mut messages = ListWriter::default();
        bind.put(messages.next());
        Message::Sync.put(messages.next());
        let sequence = MessageSequence { needed: List::default(), messages: messages.list(), session_sql: b"" };
        let values: Vec<_> = (0..4).map(|index| at(0, PatchTarget::Parameter(index), 70_000)).collect();
        let mut scratch = Vec::new();
        let (body, put_in) = patched(&Body::Messages(sequence), &values, &mut scratch).unwrap();
        let Body::Messages(sequence) = body else { panic!("{body:?}") };
        let sent: Vec<_> = sequence.messages().collect();
        let Message::Bind { parameters, .. } = sent[0] else { panic!("{sent:?}") };
        let wanted = [
            Parameter::Text(b"70000"),
            Parameter::Binary(&[0, 1, 0x11, 0x70]),
            Parameter::Binary(&[0, 7]),
            Parameter::Null,
        ];
        assert!(parameters.parameters().eq(wanted));
        assert_eq!((put_in, sent[1]), (2, Message::Sync));
    }
}
