//! The parameter list of a log entry: `$1 = 'it''s', $2 = NULL`.
//!
//! Takes the text behind `parameters: ` and gives the values, byte for byte. Says where a value was cut short, for a
//! value that is not whole must never be replayed. Must not know which entry the list belongs to.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::super::logged::{ValueList, Values};

/// What a list's values are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListFacts {
    pub values: usize,
    /// Length of the longest value that ends in `...` without those three bytes: `log_parameter_max_length` cuts
    /// every value that is longer than it to that length.
    pub cut_at_bytes: Option<usize>,
    /// Length of the longest value that is surely whole.
    pub whole_bytes: usize,
    /// A value holds bytea digits that somebody took out (`\x2550......`).
    pub elided: bool,
}

/// Bytes of buffers that a list leaves behind for the next one.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// The list that was read last. A bind line and the execute line behind it hold the same one, which is read once.
#[derive(Debug, Default)]
pub struct LastList {
    text: Vec<u8>,
    facts: Option<ListFacts>,
    values: Values,
}

impl LastList {
    /// Reads a whole list; none if it is not one. An empty text is the empty list.
    pub fn read(&mut self, text: &[u8]) -> Option<ListFacts> {
        if self.text != text {
            if self.text.len() > KEPT_BYTES_MAX {
                *self = Self::default();
            }
            self.text.clear();
            self.text.extend_from_slice(text);
            self.values.clear();
            let read = read_prefix(text, &mut self.values);
            self.facts = read.and_then(|(facts, rest)| rest.is_empty().then_some(facts));
        } else if text.is_empty() {
            self.values.clear();
            self.facts = Some(ListFacts::default());
        }
        self.facts
    }

    /// The values of that list.
    pub fn values(&self) -> ValueList<'_> {
        self.values.list()
    }
}

/// Reads the list at the start of `text` into `values`, and gives what follows it.
pub fn read_prefix<'a>(text: &'a [u8], values: &mut Values) -> Option<(ListFacts, &'a [u8])> {
    let mut facts = ListFacts::default();
    let mut rest = text;
    while !rest.is_empty() {
        facts.values += 1;
        rest = numbered(rest, facts.values)?;
        if let Some(after) = rest.strip_prefix(b"NULL") {
            values.push(None);
            rest = after;
        } else {
            let (value, after) = quoted(rest.strip_prefix(b"'")?)?;
            facts.note(&value);
            values.push(Some(&value));
            rest = after;
        }
        match rest.strip_prefix(b", ") {
            Some(after) => rest = after,
            None => break,
        }
    }
    Some((facts, rest))
}

/// What follows `$7 = `, where 7 is this number.
fn numbered(text: &[u8], number: usize) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"$")?;
    let rest = match number {
        0..=9 => rest.strip_prefix(&[b'0' + number as u8])?,
        _ => rest.strip_prefix(number.to_string().as_bytes())?,
    };
    rest.strip_prefix(b" = ")
}

/// The text up to its closing quote, and what follows it.
fn quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut value = Cow::Borrowed(&text[..0]);
    let mut rest = text;
    loop {
        let quote = memchr(b'\'', rest)?;
        let piece = &rest[..quote];
        rest = &rest[quote + 1..];
        let is_doubled = rest.first() == Some(&b'\'');
        match &mut value {
            Cow::Borrowed(_) if !is_doubled => return Some((Cow::Borrowed(piece), rest)),
            Cow::Borrowed(_) => value = Cow::Owned(piece.to_vec()),
            Cow::Owned(value) => value.extend_from_slice(piece),
        }
        if !is_doubled {
            return Some((value, rest));
        }
        value.to_mut().push(b'\'');
        rest = &rest[1..];
    }
}

impl ListFacts {
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
        let mut list = LastList::default();
        let facts = list.read(text.as_bytes())?;
        assert_eq!(list.read(text.as_bytes()), Some(facts), "a list that comes again is the same");
        assert_eq!(list.values().len(), facts.values);
        Some(list.values().iter().map(|value| value.map(<[u8]>::to_vec)).collect())
    }

    fn facts(text: &[u8]) -> ListFacts {
        LastList::default().read(text).unwrap()
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
        let list = facts(b"$1 = 'abc...', $2 = 'abcdef', $3 = '\\x2550......46'");
        assert_eq!((list.cut_at_bytes, list.whole_bytes, list.elided), (Some(3), 14, true));
        assert!(!facts(b"$1 = '\\x2550', $2 = 'a..b', $3 = '\\x..y'").elided);
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
            prop_assert_eq!(self::values(&text.join(", ")), Some(bytes));
        }
    }
}
