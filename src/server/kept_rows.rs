//! The rows of a reply that are kept, since a value of theirs is wanted later.
//!
//! Takes the bodies of rows as they pass, in any pieces; gives them back whole. Bounded. Must not know what is in them.

/// Bytes that are kept of one reply; rows beyond that are not.
const BYTES_MAX: usize = 256 << 10;

/// The rows of one reply so far.
#[derive(Debug, Default)]
pub struct KeptRows {
    /// Ends of the rows in `bytes`, each with the statements that had come to their end before it.
    ends: Vec<(u32, usize)>,
    bytes: Vec<u8>,
    is_full: bool,
}

impl KeptRows {
    /// Takes a part of the current row.
    pub(super) fn update(&mut self, part: &[u8]) {
        self.is_full |= self.bytes.len() + part.len() > BYTES_MAX;
        if !self.is_full {
            self.bytes.extend_from_slice(part);
        }
    }

    /// The current row is whole; so many statements of the reply came to their ends before it.
    pub(super) fn end_row(&mut self, statements: u32) {
        if !self.is_full {
            self.ends.push((statements, self.bytes.len()));
        }
    }

    /// The body of a statement's row, both from 0.
    pub fn row(&self, statement: u32, row: u32) -> Option<&[u8]> {
        let first = self.ends.partition_point(|(of, _)| *of < statement);
        let at = first + row as usize;
        let (_, end) = self.ends.get(at).filter(|(of, _)| *of == statement)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        self.bytes.get(start..*end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_statement() {
        let mut rows = KeptRows::default();
        for (statement, body) in [(0, "a"), (0, "bc"), (2, "d")] {
            body.as_bytes().chunks(1).for_each(|part| rows.update(part));
            rows.end_row(statement);
        }
        assert_eq!(rows.row(0, 1), Some(&b"bc"[..]));
        assert_eq!(rows.row(2, 0), Some(&b"d"[..]));
        assert_eq!((rows.row(0, 2), rows.row(1, 0), rows.row(2, 1)), (None, None, None));
    }

    #[test]
    fn rows_beyond_the_bound_are_not_kept() {
        let mut rows = KeptRows::default();
        for _ in 0..3 {
            rows.update(&vec![0; BYTES_MAX / 2]);
            rows.end_row(0);
        }
        assert!(rows.row(0, 1).is_some() && rows.row(0, 2).is_none());
    }
}
