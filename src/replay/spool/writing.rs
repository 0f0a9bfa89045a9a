//! Which requests write: what a read-only replay leaves out.
//!
//! Takes a session's requests in their order; remembers what its PREPAREs and cursors do, so that what executes them is known.
//! What cannot be known counts as writing: EXECUTE of a name that nobody prepared, and calls of functions by the fast path.
//! Bounded. Must not know transactions.

use std::collections::{HashMap, HashSet};

use super::deeds::deed;
use super::sending::Sending;
use super::texts::Statement;
use super::transaction::Deed;
use crate::sql::{self, SessionEffect, Token, TokenKind, TransactionControl};

/// Names that are remembered for one session; an EXECUTE of another counts as writing.
const NAMES_MAX: usize = 4_096;

/// What a session's own names stand for.
#[derive(Debug, Default)]
pub(super) struct WritingNames {
    /// By SQL's PREPARE: whether the statement writes.
    prepared: HashMap<String, bool>,
    /// Cursors whose queries write or lock rows.
    cursors: HashSet<String>,
}

impl WritingNames {
    /// The session had this prepared when the capture began.
    pub fn carried_in(&mut self, name: &str, statement: &Statement) {
        let writes = statement.does.deeds.iter().any(writes);
        self.remember(name, writes);
    }

    /// Whether the session's next request writes.
    pub fn request_writes(&mut self, sending: &Sending) -> bool {
        if sending.only_prepares {
            return sending.calls_function;
        }
        let of_statements = sending.executed.iter().map(|statement| self.statement_writes(statement));
        // Every statement is looked at: one may prepare what another request executes.
        of_statements.fold(sending.calls_function, |any, writes| any | writes)
    }

    fn statement_writes(&mut self, statement: &Statement) -> bool {
        let does = &statement.does;
        if !does.goes_by_names {
            return does.deeds.iter().any(writes);
        }
        let text = statement.text();
        let parts = sql::split(&text);
        let of_parts = parts.iter().zip(&does.deeds).map(|(part, deed)| writes(deed) | self.part_writes(part, deed));
        of_parts.fold(false, |any, writes| any | writes)
    }

    /// Whether a statement writes by what a name stands for, or by letting the session write.
    fn part_writes(&mut self, part: &str, does: &Deed) -> bool {
        if let Some(call) = sql::prepared_call(part) {
            return self.prepared.get(&call.name).is_none_or(|writes| *writes);
        }
        if let Some(SessionEffect::Prepare { name }) = sql::session_effect(part) {
            let writes = sql::prepared_body(part).is_none_or(|body| writes(&deed(body, sql::classify(body))));
            self.remember(&name, writes);
            return false;
        }
        let words: Vec<Token<'_>> = sql::tokens(part).without_comments().collect();
        let Some(first) = words.first() else { return false };
        let is_of_cursor = first.is_any_word(&["fetch", "move", "close"]);
        if first.is_word("declare") && *does == Deed::Write && self.cursors.len() < NAMES_MAX {
            self.cursors.extend(words.get(1).and_then(Token::identifier));
        }
        let last = words.iter().rev().find_map(Token::identifier);
        (is_of_cursor && last.is_some_and(|name| self.cursors.contains(&name)))
            // EXPLAIN ANALYZE of an EXECUTE is the only EXPLAIN whose class is not known.
            || (first.is_word("explain") && *does == Deed::Other)
            || (first.is_word("set") && lets_write(&words))
            || words.windows(3).any(|call| call[0].is_word("set_config") && sets_what_lets_write(&call[2]))
    }

    fn remember(&mut self, name: &str, writes: bool) {
        if let Some(known) = self.prepared.get_mut(name) {
            *known = writes;
        } else if self.prepared.len() < NAMES_MAX {
            self.prepared.insert(name.to_owned(), writes);
        }
    }
}

fn writes(deed: &Deed) -> bool {
    use TransactionControl::{CommitPrepared, PrepareTransaction, RollbackPrepared};
    matches!(deed, Deed::Write | Deed::Control(PrepareTransaction | CommitPrepared | RollbackPrepared))
}

/// The settings that keep a session or transaction from writing.
pub const READ_ONLY_SETTINGS: [&str; 2] = ["default_transaction_read_only", "transaction_read_only"];

/// Whether set_config's first argument names such a setting, or may.
fn sets_what_lets_write(name: &Token<'_>) -> bool {
    let is_named = |name: &str| READ_ONLY_SETTINGS.iter().any(|setting| setting.eq_ignore_ascii_case(name));
    name.kind != TokenKind::String || is_named(&sql::string_value(name.text))
}

/// Whether a SET takes away the read-only default of a session or transaction.
fn lets_write(words: &[Token<'_>]) -> bool {
    let is_setting = |word: &Token<'_>| word.is_any_word(&READ_ONLY_SETTINGS);
    words.iter().any(is_setting) || words.windows(2).any(|pair| pair[0].is_word("read") && pair[1].is_word("write"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::super::texts::Texts;
    use super::*;
    use crate::workload::record::SqlRef;

    fn statement(text: &str) -> Arc<Statement> {
        let inline =
            serde_json::json!({"text": text, "fingerprint": sql::fingerprint(text), "class": sql::classify(text)});
        Texts::default().get(&serde_json::from_value::<SqlRef>(inline).unwrap()).unwrap()
    }

    /// Which of a session's texts write.
    fn writing<'a>(texts: &[&'a str]) -> Vec<&'a str> {
        let mut names = WritingNames::default();
        names.carried_in("early", &statement("DELETE FROM t"));
        let mut writes =
            |text: &str| names.request_writes(&Sending { executed: vec![statement(text)], ..Sending::default() });
        texts.iter().copied().filter(|text| writes(text)).collect()
    }

    #[test]
    fn what_writes_is_told_from_what_reads() {
        let reads =
            ["SELECT 1", "BEGIN", "COMMIT", "SET a = 1", "SHOW a", "COPY t TO STDOUT", "EXPLAIN DELETE FROM t", ""];
        assert!(writing(&reads).is_empty());
        let writes = [
            "INSERT INTO t VALUES (1)",
            "COPY t FROM STDIN",
            "CREATE TABLE t ()",
            "SELECT a FROM t FOR UPDATE",
            "BEGIN; UPDATE t SET a = 1; COMMIT",
            "PREPARE TRANSACTION 'x'",
            "COMMIT PREPARED 'x'",
            "ROLLBACK PREPARED 'x'",
        ];
        assert_eq!(writing(&writes), writes);
    }

    #[test]
    fn an_execute_writes_if_what_was_prepared_does() {
        let texts = [
            "PREPARE reads AS SELECT a FROM t",
            "PREPARE writes (int) AS UPDATE t SET a = $1",
            "EXECUTE reads",
            "EXECUTE writes(1)",
            "EXECUTE early",
            "BEGIN; EXECUTE Writes(2); COMMIT",
            "EXECUTE unknown",
            "EXPLAIN ANALYZE EXECUTE reads",
            "PREPARE writes AS SELECT 1; EXECUTE writes",
        ];
        assert_eq!(writing(&texts), texts[3..8]);
    }

    #[test]
    fn a_cursor_that_is_left_out_is_not_fetched_from() {
        let texts = [
            "DECLARE r CURSOR FOR SELECT a FROM t",
            "FETCH ALL FROM r",
            "DECLARE w CURSOR FOR SELECT a FROM t FOR UPDATE",
            "FETCH 10 FROM w",
            "MOVE w",
            "CLOSE w",
            "FETCH r",
            "CLOSE r",
        ];
        assert_eq!(writing(&texts), texts[2..6]);
    }

    #[test]
    fn a_session_is_not_made_writable() {
        let texts = [
            "SET default_transaction_read_only = off",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET TRANSACTION READ WRITE",
            "SET TRANSACTION READ ONLY",
        ];
        assert_eq!(writing(&texts), texts[..3]);
    }

    #[test]
    fn nor_by_a_function() {
        let texts = [
            "SELECT set_config('default_transaction_read_only', 'off', false)",
            "SELECT pg_catalog.Set_Config ( E'Transaction_Read_Only', 'off', true)",
            "SELECT set_config($1, $2, false)",
            "SELECT set_config('search_path', 'acme', false)",
            "SELECT 'set_config', set_config",
        ];
        assert_eq!(writing(&texts), texts[..3]);
    }

    #[test]
    fn a_fast_path_call_writes_and_a_parse_does_not() {
        let mut names = WritingNames::default();
        assert!(names.request_writes(&Sending { calls_function: true, ..Sending::default() }));
        let executed = vec![statement("DELETE FROM t")];
        assert!(!names.request_writes(&Sending { executed, only_prepares: true, ..Sending::default() }));
    }
}
