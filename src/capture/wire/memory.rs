//! What a session has prepared: its statements and portals by name, bounded.
//!
//! Beyond the bound the longest unused goes; a request that names it later is skipped and counted. Must not know
//! messages.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::sql::tokens;

/// Names that a session's memory holds of each kind.
const NAMES_MAX: usize = 4_096;

/// A statement's text and what it was declared with.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub sql: Vec<u8>,
    pub parameter_types: Vec<u32>,
    /// The names of its columns, once the server described them.
    pub columns: OnceLock<Vec<String>>,
    /// The types of its parameters, once the server described them.
    described_types: OnceLock<Vec<u32>>,
}

/// What was bound to a portal.
#[derive(Clone, Debug)]
pub(super) struct Portal {
    pub statement: Arc<Statement>,
    pub result_formats: Vec<i16>,
}

impl Statement {
    pub fn new(sql: Vec<u8>, parameter_types: Vec<u32>) -> Self {
        Self { sql, parameter_types, columns: OnceLock::new(), described_types: OnceLock::new() }
    }

    /// The types of its parameters: as the server described them, else as they were declared.
    pub fn types(&self) -> &[u32] {
        self.described_types.get().unwrap_or(&self.parameter_types)
    }

    /// The server described the types of its parameters.
    pub fn describe_types(&self, types: Vec<u32>) {
        // A description that came earlier says the same.
        let _ = self.described_types.set(types);
    }

    /// Whether the order of its rows is asked for: ORDER BY outside of all parentheses.
    pub fn order_counts(&self) -> bool {
        if !contains_word(&self.sql, b"order") {
            return false;
        }
        let text = String::from_utf8_lossy(&self.sql);
        let (mut depth, mut after_order) = (0_i32, false);
        for token in tokens(&text).without_comments() {
            if depth == 0 && after_order && token.is_word("by") {
                return true;
            }
            depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
            after_order = token.is_word("order");
        }
        false
    }

    /// Whether it may return the rows that it writes, or values of sequences.
    pub fn may_return(&self) -> bool {
        contains_word(&self.sql, b"returning") || self.asks_sequences()
    }

    /// Whether it may ask for values of sequences.
    pub fn asks_sequences(&self) -> bool {
        [&b"nextval"[..], b"currval", b"lastval"].iter().any(|function| contains_word(&self.sql, function))
    }
}

fn contains_word(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// What a name costs beside its value and itself.
const NAME_BYTES: usize = 96;

/// Values by name.
#[derive(Debug)]
pub(super) struct Names<T> {
    named: HashMap<Vec<u8>, Named<T>>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Named<T> {
    value: T,
    /// Counts up with each use of any name.
    used: u64,
    bytes: usize,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), uses: 0, bytes: 0 }
    }
}

impl<T: Clone> Names<T> {
    pub fn get(&mut self, name: &[u8]) -> Option<T> {
        self.uses += 1;
        let named = self.named.get_mut(name)?;
        named.used = self.uses;
        Some(named.value.clone())
    }

    /// Gives what had the name before; the value holds so many bytes.
    pub fn set(&mut self, name: &[u8], value: T, bytes: usize) -> Option<T> {
        self.uses += 1;
        let bytes = bytes + name.len() + NAME_BYTES;
        let before = self.named.insert(name.to_vec(), Named { value, used: self.uses, bytes });
        self.bytes += bytes;
        self.bytes -= before.as_ref().map_or(0, |before| before.bytes);
        if self.named.len() > NAMES_MAX {
            // An eighth at a time, so that the search for the oldest is rare.
            let mut uses: Vec<_> = self.named.values().map(|named| named.used).collect();
            let (_, oldest_kept, _) = uses.select_nth_unstable(NAMES_MAX / 8);
            let oldest_kept = *oldest_kept;
            self.named.retain(|_, named| named.used >= oldest_kept);
            self.bytes = self.named.values().map(|named| named.bytes).sum();
        }
        before.map(|named| named.value)
    }

    pub fn remove(&mut self, name: &[u8]) {
        if let Some(named) = self.named.remove(name) {
            self.bytes -= named.bytes;
        }
    }

    /// Bytes that names and values hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all of them; says how many there were.
    pub fn forget(&mut self) -> u64 {
        let count = self.named.len() as u64;
        *self = Self { uses: self.uses, ..Self::default() };
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_order_counts() {
        let order_counts = |sql: &str| Statement::new(sql.into(), Vec::new()).order_counts();
        assert!(order_counts("SELECT a FROM t ORDER  BY a"));
        assert!(!order_counts("SELECT a, row_number() OVER (ORDER BY b) FROM t"));
        assert!(!order_counts("SELECT 'order by' FROM orders"));
    }

    #[test]
    fn the_longest_unused_name_is_forgotten_first() {
        let mut names = Names::default();
        for n in 0..2 * NAMES_MAX as u64 {
            names.set(&n.to_be_bytes(), n, 8);
            assert_eq!(names.get(&0_u64.to_be_bytes()), Some(0));
        }
        assert!(names.named.len() <= NAMES_MAX);
        assert_eq!(names.get(&1_u64.to_be_bytes()), None);
        assert_eq!(names.bytes(), names.named.len() * (8 + 8 + NAME_BYTES));
        for n in 0..2 * NAMES_MAX as u64 {
            names.remove(&n.to_be_bytes());
        }
        assert_eq!(names.bytes(), 0);
    }
}
