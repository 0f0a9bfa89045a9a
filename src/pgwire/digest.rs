//! A digest of the rows of a result, for telling whether two results are the same.
//!
//! Takes the bodies of rows as they pass, in any pieces, and gives a text: `o:` where the order of rows counts, `u:`
//! where
//! it does not. Keeps no row. Must not know SQL.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

/// An odd number without a pattern, so that each row's place counts.
const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// A digest as a capture has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDigest {
    pub order_counts: bool,
    pub value: u128,
}

impl KnownDigest {
    /// Reads what [`RowsDigest::text`] wrote; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(':')?;
        let order_counts = match kind {
            "o" => true,
            "u" => false,
            _ => return None,
        };
        Some(Self { order_counts, value: u128::from_str_radix(value, 16).ok()? })
    }
}

/// The rows so far.
#[derive(Clone)]
pub struct RowsDigest {
    row: Xxh3,
    rows: u64,
    unordered: u128,
    ordered: u128,
}

impl Default for RowsDigest {
    fn default() -> Self {
        Self { row: Xxh3::new(), rows: 0, unordered: 0, ordered: 0 }
    }
}

impl fmt::Debug for RowsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsDigest").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl RowsDigest {
    /// Takes a part of the current row.
    pub fn update(&mut self, part: &[u8]) {
        self.row.update(part);
    }

    /// The current row is whole.
    pub fn end_row(&mut self) {
        let hash = self.row.digest128();
        self.row.reset();
        self.rows += 1;
        self.unordered = self.unordered.wrapping_add(hash);
        self.ordered = self.ordered.wrapping_mul(FACTOR).wrapping_add(hash);
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether these are the rows of that digest.
    pub fn is(&self, known: KnownDigest) -> bool {
        known.value == if known.order_counts { self.ordered } else { self.unordered }
    }

    /// The digest as a text.
    pub fn text(&self, order_counts: bool) -> String {
        match order_counts {
            true => format!("o:{:032x}", self.ordered),
            false => format!("u:{:032x}", self.unordered),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn digest(rows: &[&str], order_counts: bool) -> String {
        let mut digest = RowsDigest::default();
        for row in rows {
            row.bytes().for_each(|byte| digest.update(&[byte]));
            digest.end_row();
        }
        digest.text(order_counts)
    }

    #[test]
    fn the_order_of_rows_counts_only_where_it_is_asked_for() {
        assert_eq!(digest(&["a", "b"], false), digest(&["b", "a"], false));
        assert_ne!(digest(&["a", "b"], true), digest(&["b", "a"], true));
        assert_ne!(digest(&["a", "b"], false), digest(&["a", "a", "b"], false));
        assert_ne!(digest(&["ab"], false), digest(&["a", "b"], false));
    }

    #[test]
    fn a_digest_is_known_again_from_its_text() {
        let mut rows = RowsDigest::default();
        rows.update(b"a");
        rows.end_row();
        for order_counts in [true, false] {
            let known = KnownDigest::parse(&rows.text(order_counts)).unwrap();
            assert!(rows.is(known));
            assert!(!RowsDigest::default().is(known));
        }
        assert_eq!(KnownDigest::parse("x:00"), None);
    }
}
