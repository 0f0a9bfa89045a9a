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
}

/// What was bound to a portal.
#[derive(Clone, Debug)]
pub(super) struct Portal {
    pub statement: Arc<Statement>,
    pub result_formats: Vec<i16>,
}

impl Statement {
    pub fn new(sql: Vec<u8>, parameter_types: Vec<u32>) -> Self {
        Self { sql, parameter_types, columns: OnceLock::new() }
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

    /// Whether it may return the rows that it writes.
    pub fn may_return(&self) -> bool {
        contains_word(&self.sql, b"returning")
    }
}

fn contains_word(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// Values by name.
#[derive(Debug)]
pub(super) struct Names<T> {
    named: HashMap<Vec<u8>, (T, u64)>,
    uses: u64,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), uses: 0 }
    }
}

impl<T: Clone> Names<T> {
    pub fn get(&mut self, name: &[u8]) -> Option<T> {
        self.uses += 1;
        let (value, used) = self.named.get_mut(name)?;
        *used = self.uses;
        Some(value.clone())
    }

    /// Gives what had the name before.
    pub fn set(&mut self, name: &[u8], value: T) -> Option<T> {
        self.uses += 1;
        let before = self.named.insert(name.to_vec(), (value, self.uses));
        if self.named.len() > NAMES_MAX {
            // An eighth at a time, so that the search for the oldest is rare.
            let mut uses: Vec<_> = self.named.values().map(|(_, used)| *used).collect();
            let (_, oldest_kept, _) = uses.select_nth_unstable(NAMES_MAX / 8);
            let oldest_kept = *oldest_kept;
            self.named.retain(|_, (_, used)| *used >= oldest_kept);
        }
        before.map(|(value, _)| value)
    }

    pub fn remove(&mut self, name: &[u8]) {
        self.named.remove(name);
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
            names.set(&n.to_be_bytes(), n);
            assert_eq!(names.get(&0_u64.to_be_bytes()), Some(0));
        }
        assert!(names.named.len() <= NAMES_MAX);
        assert_eq!(names.get(&1_u64.to_be_bytes()), None);
    }
}
