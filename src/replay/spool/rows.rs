//! The rows that a request touches, as hashes of their tables, columns and values.
//!
//! Takes a request with its texts and bound values; gives its rows, of which two can be compared. Values are the same whether
//! they were written into a text or bound, as text or as a binary integer or uuid. Must not know sessions.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::texts::{Texts, from_base64};
use crate::sql::{Operand, OperandValue, RowAccess, TouchedRows};
use crate::workload::record::{Parameter, ParameterBytes, Request};

/// Rows of one table that a statement touches: those whose columns have all of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub access: RowAccess,
    /// Sorted hashes of table and column; beside each in `keys` that of table, column and value.
    columns: Arc<[u64]>,
    keys: Arc<[u64]>,
}

impl Rows {
    /// From hashes of column and value.
    pub fn new(access: RowAccess, columns_and_values: &[(u64, u64)]) -> Self {
        let mut sorted = columns_and_values.to_vec();
        sorted.sort_unstable();
        sorted.dedup_by_key(|(column, _)| *column);
        let columns = sorted.iter().map(|(column, _)| *column).collect();
        // The column is part of the value's hash, since a row is looked up by that alone.
        let keys = sorted.iter().map(|(column, value)| value.rotate_left(23) ^ *column).collect();
        Self { access, columns, keys }
    }

    /// By each of these the rows can be looked up.
    pub fn keys(&self) -> impl Iterator<Item = &u64> {
        self.keys.iter()
    }

    /// Whether the rows may be the same ones, and it matters who comes first: no column has different values, and one of the
    /// two writes; what both insert is not the same.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let is_free = match (self.access, other.access) {
            (RowAccess::Insert, RowAccess::Insert) => true,
            (RowAccess::Read, other) => other == RowAccess::Read,
            _ => false,
        };
        !is_free && !self.contradicts(other)
    }

    fn contradicts(&self, other: &Self) -> bool {
        self.columns.iter().zip(self.keys.iter()).any(|(column, key)| {
            let same = other.columns.binary_search(column);
            same.is_ok_and(|at| other.keys[at] != *key)
        })
    }
}

/// The rows that a request touches in its session's database.
pub(super) fn rows_of(request: &Request, database: &str, texts: &Texts) -> Vec<Rows> {
    let mut all = Vec::new();
    for executed in request.sent.executions() {
        let Some(statement) = texts.get(executed.sql) else { continue };
        all.extend(statement.touched_rows().iter().filter_map(|rows| with_values(rows, database, executed.parameters)));
    }
    all
}

/// None where a value is not known: then it cannot be said which rows they are.
fn with_values(rows: &TouchedRows, database: &str, parameters: &[Parameter]) -> Option<Rows> {
    let columns = rows.columns.iter().filter_map(|(column, operand)| {
        let place = hash(&[database.as_bytes(), rows.table.as_bytes(), column.as_bytes()]);
        Some((place, hash(&[&value_of(operand, parameters)?])))
    });
    let columns: Vec<_> = columns.collect();
    (!columns.is_empty()).then(|| Rows::new(rows.access, &columns))
}

/// A value as its text would be.
fn value_of(operand: &Operand, parameters: &[Parameter]) -> Option<Vec<u8>> {
    let number = match &operand.value {
        OperandValue::Literal(text) => return Some(text.clone().into_bytes()),
        OperandValue::Parameter(number) => *number,
    };
    match parameters.get(number.checked_sub(1)?)? {
        Parameter::Null => None,
        Parameter::Text(text) => Some(text.clone().into_bytes()),
        Parameter::Bytes(ParameterBytes::TextBase64(encoded)) => from_base64(encoded),
        Parameter::Bytes(ParameterBytes::BinaryBase64(encoded)) => Some(text_of_binary(from_base64(encoded)?)),
    }
}

/// The text of what may be a binary integer or uuid; other types stay as they are, since nothing tells them apart.
fn text_of_binary(bytes: Vec<u8>) -> Vec<u8> {
    let integer = match bytes[..] {
        [a, b] => i64::from(i16::from_be_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ if bytes.len() == 16 => {
            let hex = |range: std::ops::Range<usize>| -> String {
                bytes[range].iter().map(|byte| format!("{byte:02x}")).collect()
            };
            return [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-").into_bytes();
        }
        _ => return bytes,
    };
    integer.to_string().into_bytes()
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(part);
        hasher.update(&[0]);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    fn rows(text: &str, parameters: &[Parameter]) -> Vec<Rows> {
        sql::touched_rows(text).iter().filter_map(|rows| with_values(rows, "app", parameters)).collect()
    }

    #[test]
    fn a_value_is_the_same_however_it_was_sent() {
        let written = rows("UPDATE t SET a = 1 WHERE id = 258", &[]);
        assert_eq!(written, rows("UPDATE t SET a = 1 WHERE id = $1", &[Parameter::Text("258".into())]));
        let binary = Parameter::Bytes(ParameterBytes::BinaryBase64("AAABAg==".into()));
        assert_eq!(written, rows("UPDATE t SET a = 1 WHERE id = $1", &[binary]));
        assert_ne!(written, rows("UPDATE t SET a = 1 WHERE id = $1", &[Parameter::Text("259".into())]));
        assert_ne!(written, rows("UPDATE t SET a = 1 WHERE it = 258", &[]));
    }

    #[test]
    fn a_binary_uuid_is_its_text() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(text_of_binary(bytes), b"00010203-0405-0607-0809-0a0b0c0d0e0f");
    }

    #[test]
    fn a_value_that_is_not_known_shows_no_row() {
        assert!(rows("UPDATE t SET a = 1 WHERE id = $1", &[]).is_empty());
        assert!(rows("UPDATE t SET a = 1 WHERE id = $1", &[Parameter::Null]).is_empty());
    }

    #[test]
    fn each_database_has_rows_of_its_own() {
        let touched = sql::touched_rows("DELETE FROM t WHERE id = 1");
        let [one, other] = ["app", "ent"].map(|database| with_values(&touched[0], database, &[]));
        assert_ne!(one, other);
    }

    #[test]
    fn reads_are_free_of_each_other() {
        let [read, write] = ["SELECT 1 FROM t WHERE id = 1", "DELETE FROM t WHERE id = 1"].map(|text| rows(text, &[]));
        assert!(!read[0].conflicts_with(&read[0]));
        assert!(read[0].conflicts_with(&write[0]) && write[0].conflicts_with(&read[0]));
    }
}
