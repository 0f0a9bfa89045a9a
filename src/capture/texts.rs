//! Statement texts that come again: kept once, with what their readers ask of each.
//!
//! Takes texts and gives numbers for those that were seen before, so that a text is looked into once and stored once
//! however often it runs. Bounded: texts beyond the bounds, and those seen the first time, have no number and are looked
//! into each time. Must not know where texts come from.

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::sql::{TokenKind, copies_from_client, split, tokens};

/// Texts with a number.
const TEXTS_MAX: usize = 65_536;

/// Bytes of the texts with a number.
const TEXT_BYTES_MAX: usize = 12 << 20;

/// Marks of texts that were seen once: a text is kept when it comes again, so that values written into texts, which never
/// come again, do not fill the table.
const SEEN: usize = 1 << 16;

/// What is known of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextFacts {
    /// Its number, where it has one.
    pub id: Option<u32>,
    /// The highest `$n`.
    pub parameters: usize,
    /// It holds a COPY whose data the client sends.
    pub copies_from_client: bool,
}

/// The texts of one capture.
#[derive(Debug, Default)]
pub struct Texts {
    by_hash: FxHashMap<u64, u32>,
    texts: Vec<(Box<[u8]>, TextFacts)>,
    bytes: usize,
    seen: Vec<u32>,
}

impl Texts {
    /// What is known of this text.
    pub fn look_up(&mut self, sql: &[u8]) -> TextFacts {
        let hash = xxh3_64(sql);
        if let Some(id) = self.by_hash.get(&hash) {
            // Two texts of one hash: the second has no number.
            return match &self.texts[*id as usize] {
                (text, facts) if **text == *sql => *facts,
                _ => facts_of(sql),
            };
        }
        let facts = facts_of(sql);
        let is_full = self.texts.len() >= TEXTS_MAX || self.bytes + sql.len() > TEXT_BYTES_MAX;
        if is_full || !self.was_seen(hash) {
            return facts;
        }
        let id = self.texts.len() as u32;
        let facts = TextFacts { id: Some(id), ..facts };
        self.by_hash.insert(hash, id);
        self.texts.push((sql.into(), facts));
        self.bytes += sql.len();
        facts
    }

    /// The text with this number.
    pub fn get(&self, id: u32) -> Option<&[u8]> {
        self.texts.get(id as usize).map(|(text, _)| &**text)
    }

    /// Whether a text of this hash came before, as far as is remembered.
    fn was_seen(&mut self, hash: u64) -> bool {
        if self.seen.is_empty() {
            self.seen = vec![0; SEEN];
        }
        let (place, mark) = (hash as usize % SEEN, (hash >> 32) as u32);
        std::mem::replace(&mut self.seen[place], mark) == mark
    }
}

fn facts_of(sql: &[u8]) -> TextFacts {
    TextFacts { id: None, parameters: parameters_in(sql), copies_from_client: copies_from_stdin(sql) }
}

/// The highest `$n` of a text.
fn parameters_in(sql: &[u8]) -> usize {
    if !memchr::memchr_iter(b'$', sql).any(|at| sql.get(at + 1).is_some_and(u8::is_ascii_digit)) {
        return 0;
    }
    tokens(&String::from_utf8_lossy(sql))
        .filter(|token| token.kind == TokenKind::Parameter)
        .filter_map(|token| token.text[1..].parse().ok())
        .max()
        .unwrap_or(0)
}

/// Whether a text holds a COPY whose data the client sent.
fn copies_from_stdin(sql: &[u8]) -> bool {
    // Most texts hold no such word, and each is looked at.
    let is_there = |at: usize| {
        at.checked_sub(3).and_then(|start| sql.get(start..=at)).is_some_and(|word| word.eq_ignore_ascii_case(b"copy"))
    };
    memchr::memchr2_iter(b'y', b'Y', sql).any(is_there)
        && split(&String::from_utf8_lossy(sql)).into_iter().any(copies_from_client)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_number_when_it_comes_again() {
        let mut texts = Texts::default();
        let facts = texts.look_up(b"select $2 from t where a = $1");
        assert_eq!(facts, TextFacts { id: None, parameters: 2, copies_from_client: false });
        let again = texts.look_up(b"select $2 from t where a = $1");
        assert_eq!(again, TextFacts { id: Some(0), ..facts });
        assert_eq!(texts.look_up(b"select $2 from t where a = $1"), again);
        assert_eq!(texts.get(0), Some(b"select $2 from t where a = $1".as_slice()));
        assert_eq!(texts.look_up(b"select 1").id, None);
    }

    #[test]
    fn a_copy_from_the_client_is_seen_in_any_case() {
        for (sql, expected) in [
            ("COPY t FROM STDIN", true),
            ("begin; copy t (a) from StdIn with (format csv)", true),
            ("copy t to stdout", false),
            ("select 'copy t from stdin'", false),
        ] {
            assert_eq!(Texts::default().look_up(sql.as_bytes()).copies_from_client, expected, "{sql}");
        }
    }

    #[test]
    fn what_never_comes_again_takes_no_number() {
        let mut texts = Texts::default();
        let numbered =
            (0..1_000_000).filter(|number| texts.look_up(format!("select {number}").as_bytes()).id.is_some());
        assert_eq!(numbered.count(), 0);
    }
}
