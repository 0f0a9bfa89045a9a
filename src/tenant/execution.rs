//! What the rules look at: who a session is, and what it executes.
//!
//! Gives plain values that borrow from the caller's, and reads parameters. Must not know rules, files or protocol
//! messages.

use std::borrow::Cow;

use crate::sql::{Operand, OperandValue, first_element};

/// A request of a session, as the rules look at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statement<'a> {
    pub database: &'a str,
    pub user: &'a str,
    /// As it was when the request was sent; none where it is to be followed from the session's statements.
    pub application_name: Option<&'a str>,
    /// In order; empty where the rules do not read texts.
    pub executions: &'a [Execution<'a>],
    /// The request failed, so that its settings did not stay.
    pub has_failed: bool,
    /// Whether a transaction block was open behind it, where the source knows.
    pub is_in_transaction: Option<bool>,
}

/// One simple query or one execution.
#[derive(Clone, Debug, Default)]
pub struct Execution<'a> {
    /// The text as sent; it may hold several statements.
    pub sql: Cow<'a, str>,
    /// Empty where the rules do not read them.
    pub parameters: Vec<Value<'a>>,
    /// Type oids as declared; empty where the source does not know them.
    pub parameter_types: &'a [u32],
    /// It was only prepared: its text may name a tenant, but it has done nothing yet.
    pub is_prepared_only: bool,
}

/// A parameter as it was bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Text(Cow<'a, [u8]>),
    Binary(Cow<'a, [u8]>),
}

impl Execution<'_> {
    /// The value of an operand of the text, as a person would write it; none of NULL, of an empty value, and of what
    /// cannot be read.
    pub(super) fn value_of(&self, operand: &Operand) -> Option<String> {
        let value = match &operand.value {
            OperandValue::Literal(value) => array_or_value(value.clone(), operand.is_array),
            OperandValue::Parameter(number) => {
                let index = number.checked_sub(1)?;
                match self.parameters.get(index)? {
                    Value::Null => None,
                    Value::Text(bytes) => array_or_value(String::from_utf8_lossy(bytes).into_owned(), operand.is_array),
                    Value::Binary(bytes) => {
                        let declared = self.parameter_types.get(index).copied().filter(|oid| *oid != 0);
                        let cast = operand.cast.as_deref().and_then(oid_of);
                        match operand.is_array {
                            true => first_of_binary_array(bytes),
                            false => readable(bytes, declared.or(cast)),
                        }
                    }
                }
            }
        };
        value.filter(|value| !value.is_empty())
    }
}

fn array_or_value(value: String, is_array: bool) -> Option<String> {
    if is_array { first_element(&value) } else { Some(value) }
}

/// The binary form of an array: dimensions, flags, type of the elements, length and lower bound of each dimension, then
/// each element with its length before it.
fn first_of_binary_array(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(4 * at..4 * at + 4)?.try_into().ok()?));
    let dimensions = word(0).filter(|dimensions| (1..=6).contains(dimensions))? as usize;
    let length = word(3 + 2 * dimensions)? as usize;
    let start = 4 * (4 + 2 * dimensions);
    readable(bytes.get(start..start.checked_add(length)?)?, word(2))
}

/// The value in binary form. A client that leaves it to the server to find the type declares none: then bytes that are
/// readable are a text, and others are a number or a uuid by their length.
fn readable(bytes: &[u8], oid: Option<u32>) -> Option<String> {
    let text = || std::str::from_utf8(bytes).ok().map(str::to_owned);
    match oid {
        Some(oid::INT2 | oid::INT4 | oid::INT8 | oid::OID) => integer(bytes),
        Some(oid::UUID) => uuid(bytes),
        Some(oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME) => text(),
        Some(_) => None,
        None => match text() {
            Some(text) if !text.chars().any(char::is_control) => Some(text),
            _ => integer(bytes).or_else(|| uuid(bytes)),
        },
    }
}

fn integer(bytes: &[u8]) -> Option<String> {
    Some(match bytes.len() {
        2 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        4 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        8 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        _ => return None,
    })
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let number = u128::from_be_bytes(bytes.try_into().ok()?);
    let digits = format!("{number:032x}");
    let [a, b, c, d, e] = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(format!("{a}-{b}-{c}-{d}-{e}"))
}

/// Type oids of PostgreSQL (`pg_type.dat`), which never change.
mod oid {
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const UUID: u32 = 2950;
}

/// The type that a cast in the text names.
fn oid_of(name: &str) -> Option<u32> {
    Some(match name {
        "int2" | "smallint" => oid::INT2,
        "int4" | "int" | "integer" => oid::INT4,
        "int8" | "bigint" => oid::INT8,
        "uuid" => oid::UUID,
        "text" => oid::TEXT,
        "varchar" | "character" => oid::VARCHAR,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parameter(is_array: bool, cast: Option<&str>) -> Operand {
        Operand { value: OperandValue::Parameter(1), cast: cast.map(str::to_owned), is_array }
    }

    fn read(value: Value<'_>, types: &[u32], operand: &Operand) -> Option<String> {
        Execution { parameters: vec![value], parameter_types: types, ..Execution::default() }.value_of(operand)
    }

    #[test]
    fn values_in_text_form_are_taken_as_they_are() {
        let plain = parameter(false, None);
        assert_eq!(read(Value::Text(b"acme"[..].into()), &[], &plain).as_deref(), Some("acme"));
        assert_eq!(read(Value::Text(b"{7,8}"[..].into()), &[], &parameter(true, None)).as_deref(), Some("7"));
        assert_eq!(read(Value::Text(b""[..].into()), &[], &plain), None);
        assert_eq!(read(Value::Null, &[], &plain), None);
        assert_eq!(Execution::default().value_of(&plain), None);
    }

    #[test]
    fn values_in_binary_form_are_read_by_their_type() {
        let uuid = [0x0f; 16];
        let long = "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f";
        for (bytes, oid, cast, expected) in [
            (&[0, 42][..], 21, None, Some("42")),
            (&[0xff, 0xff, 0xff, 0xfe], 23, None, Some("-2")),
            (&[0, 0, 0, 0, 0, 0, 1, 0], 20, None, Some("256")),
            (&uuid, 2950, None, Some(long)),
            (b"acme", 25, None, Some("acme")),
            (b"acme", 23, None, Some("1633906021")),
            // Nothing is declared: by a cast, else by how the bytes look.
            (b"acme", 0, Some("int4"), Some("1633906021")),
            (b"acme", 0, None, Some("acme")),
            (&[0, 0, 0, 7], 0, None, Some("7")),
            (&uuid, 0, None, Some(long)),
            (&[0, 1, 2], 0, None, None),
            // numeric
            (&[0, 1, 0, 0, 0, 0, 0, 7], 1700, None, None),
        ] {
            let found = read(Value::Binary(bytes.into()), &[oid], &parameter(false, cast));
            assert_eq!(found.as_deref(), expected, "{bytes:?} {oid} {cast:?}");
        }
    }

    #[test]
    fn of_a_binary_array_the_first_element_counts() {
        let mut array: Vec<u8> = [1_u32, 0, 23, 2, 1, 4].iter().flat_map(|word| word.to_be_bytes()).collect();
        array.extend([0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 8]);
        assert_eq!(read(Value::Binary(array[..].into()), &[1007], &parameter(true, None)).as_deref(), Some("7"));
        for end in 0..28 {
            assert_eq!(read(Value::Binary(array[..end].into()), &[1007], &parameter(true, None)), None, "{end}");
        }
    }
}
