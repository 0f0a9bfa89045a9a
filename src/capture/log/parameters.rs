//! The parameter list of a log entry: `$1 = 'it''s', $2 = NULL`.
//!
//! Takes the text behind `parameters: ` and gives the values, byte for byte. Says where a value was cut short, for a
//! value that is not whole must never be replayed. Must not know which entry the list belongs to.

use memchr::{memchr, memmem};

/// The values of a list and what may be wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterList {
    /// None is NULL.
    pub values: Vec<Option<Vec<u8>>>,
    /// Length of the longest value that ends in `...` without those three bytes: `log_parameter_max_length` cuts
    /// every value that is longer than it to that length.
    pub cut_at_bytes: Option<usize>,
    /// Length of the longest value that is surely whole.
    pub whole_bytes: usize,
    /// A value holds bytea digits that somebody took out (`\x2550......`).
    pub elided: bool,
}

/// Reads a whole list; none if it is not one. An empty text is the empty list.
pub fn parse(text: &[u8]) -> Option<ParameterList> {
    let (list, rest) = parse_prefix(text)?;
    rest.is_empty().then_some(list)
}

/// Reads the list at the start of `text`, and gives what follows it.
pub fn parse_prefix(text: &[u8]) -> Option<(ParameterList, &[u8])> {
    let mut list = ParameterList::default();
    let mut rest = text;
    while !rest.is_empty() {
        let number = (list.values.len() + 1).to_string();
        rest = rest.strip_prefix(b"$")?.strip_prefix(number.as_bytes())?.strip_prefix(b" = ")?;
        if let Some(after) = rest.strip_prefix(b"NULL") {
            list.values.push(None);
            rest = after;
        } else {
            let (value, after) = quoted(rest.strip_prefix(b"'")?)?;
            list.note(&value);
            list.values.push(Some(value));
            rest = after;
        }
        match rest.strip_prefix(b", ") {
            Some(after) => rest = after,
            None => break,
        }
    }
    Some((list, rest))
}

/// The text up to its closing quote, and what follows it.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let quote = memchr(b'\'', rest)?;
        value.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix(b"'") {
            Some(after) => {
                value.push(b'\'');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

impl ParameterList {
    fn note(&mut self, value: &[u8]) {
        if let Some(kept) = value.strip_suffix(b"...") {
            self.cut_at_bytes = self.cut_at_bytes.max(Some(kept.len()));
        } else {
            self.whole_bytes = self.whole_bytes.max(value.len());
        }
        let is_bytea = |digits: &[u8]| digits.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'.');
        if value.strip_prefix(b"\\x").is_some_and(|digits| memmem::find(digits, b"..").is_some() && is_bytea(digits)) {
            self.elided = true;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Option<Vec<Option<Vec<u8>>>> {
        parse(text.as_bytes()).map(|list| list.values)
    }

    #[test]
    fn quotes_are_doubled_and_null_has_none() {
        let expected = vec![Some(b"it's, $2 = 'x'".to_vec()), None, Some(Vec::new()), Some(b"NULL".to_vec())];
        assert_eq!(values("$1 = 'it''s, $2 = ''x''', $2 = NULL, $3 = '', $4 = 'NULL'"), Some(expected));
        assert_eq!(values(""), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["$1 = 'open", "$2 = 'x'", "$1 = x", "$1 = 'x' and more", "prepare: PREPARE p AS SELECT 1"] {
            assert_eq!(values(text), None, "{text}");
        }
    }

    #[test]
    fn values_that_are_not_whole_are_told() {
        let list = parse(b"$1 = 'abc...', $2 = 'abcdef', $3 = '\\x2550......46'").unwrap();
        assert_eq!((list.cut_at_bytes, list.whole_bytes, list.elided), (Some(3), 14, true));
        assert!(!parse(b"$1 = '\\x2550', $2 = 'a..b', $3 = '\\x..y'").unwrap().elided);
    }

    proptest! {
        #[test]
        fn a_list_survives_the_way_through_the_log(
            values in proptest::collection::vec(proptest::option::of("[a', $1=N\n\\\\é]{0,8}"), 0..12)
        ) {
            let text: Vec<String> = values.iter().enumerate().map(|(index, value)| match value {
                None => format!("${} = NULL", index + 1),
                Some(value) => format!("${} = '{}'", index + 1, value.replace('\'', "''")),
            }).collect();
            let bytes: Vec<_> = values.iter().map(|value| value.clone().map(String::into_bytes)).collect();
            prop_assert_eq!(parse(text.join(", ").as_bytes()).map(|list| list.values), Some(bytes));
        }
    }
}
