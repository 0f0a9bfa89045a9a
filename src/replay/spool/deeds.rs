//! What the statements of a text do, found out once for each shape of text.
//!
//! Takes texts with their classes; gives what a replay has to know of them. Clients that write values into their texts send
//! many texts of few shapes, all of which do the same. Bounded. Must not know sessions.

use std::sync::Arc;

use super::transaction::Deed;
use crate::sql::{self, ByShape};
use crate::words::class::StatementClass;

/// What a text's statements do.
#[derive(Debug)]
pub(super) struct Deeds {
    /// One for each statement.
    pub deeds: Vec<Deed>,
    pub changes_session: bool,
    /// What it does may hang on a name that it uses or gives, or it sets something.
    pub goes_by_names: bool,
    /// On the same data it gives the same rows again: no function in it tells the time or makes something new.
    pub repeats: bool,
    /// It waits for data of the client, which only a wire capture has.
    pub copies_from_client: bool,
}

/// Functions that give something else each time.
const CHANGING_FUNCTIONS: [&str; 24] = [
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "age",
    "random",
    "random_normal",
    "gen_random_uuid",
    "gen_random_bytes",
    "uuid_generate_v1",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
    "nextval",
    "currval",
    "lastval",
    "setval",
    "pg_backend_pid",
    "txid_current",
    "pg_current_xact_id",
    "pg_current_wal_lsn",
    "version",
    "current_setting",
];

/// Words that do so by themselves, or name what another text tells.
const CHANGING_WORDS: [&str; 12] = [
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "xmin",
    "xmax",
    "ctid",
    "fetch",
    "execute",
    "explain",
    "show",
];

/// Whether the text should give the same rows again on the same data. What INSERT returns may be new each time.
fn repeats(text: &str) -> bool {
    let mut inserts = false;
    let mut tokens = sql::tokens(text).peekable();
    while let Some(token) = tokens.next() {
        let is_call = tokens.peek().is_some_and(|next| next.is_symbol("("));
        inserts |= token.is_word("insert");
        let changes = (is_call && token.is_any_word(&CHANGING_FUNCTIONS)) || token.is_any_word(&CHANGING_WORDS);
        if changes || (inserts && token.is_word("returning")) {
            return false;
        }
    }
    true
}

/// Whether the statement prepares, executes or explains something, is about a cursor, or sets something.
fn goes_by_names(statement: &str) -> bool {
    const WORDS: [&str; 8] = ["prepare", "execute", "explain", "declare", "fetch", "move", "close", "set"];
    let mut tokens = sql::tokens(statement).without_comments();
    tokens.next().is_some_and(|first| first.is_any_word(&WORDS)) || tokens.any(|token| token.is_word("set_config"))
}

impl Deeds {
    fn of(text: &[u8], class: StatementClass) -> Self {
        let readable = String::from_utf8_lossy(text);
        let parts = sql::split(&readable);
        Self {
            deeds: match parts[..] {
                [only] => vec![deed(only, class)],
                _ => parts.iter().map(|part| deed(part, sql::classify(part))).collect(),
            },
            changes_session: parts.iter().any(|part| sql::session_effect(part).is_some()),
            goes_by_names: parts.iter().any(|part| goes_by_names(part)),
            repeats: repeats(&readable),
            copies_from_client: parts.iter().any(|part| sql::copies_from_client(part)),
        }
    }
}

/// The deeds of texts, found out once for each shape of a class.
#[derive(Debug, Default)]
pub(super) struct KnownDeeds([ByShape<Arc<Deeds>>; StatementClass::ALL.len()]);

impl KnownDeeds {
    /// The deeds of a text of this class.
    pub fn of(&mut self, text: &[u8], class: StatementClass) -> Arc<Deeds> {
        self.0[class as usize].of(text, || Arc::new(Deeds::of(text, class)))
    }
}

/// What one statement of this class does.
pub(super) fn deed(statement: &str, class: StatementClass) -> Deed {
    if let Some(control) = sql::transaction_control(statement) {
        return Deed::Control(control);
    }
    match class {
        StatementClass::Read => Deed::Read,
        StatementClass::Write | StatementClass::Ddl => Deed::Write,
        StatementClass::Copy if copies_into_table(statement) => Deed::Write,
        StatementClass::Copy => Deed::Read,
        StatementClass::Session => Deed::Session,
        StatementClass::Transaction | StatementClass::Other => Deed::Other,
    }
}

/// Whether a COPY reads into a table: FROM stands outside of any parentheses.
fn copies_into_table(statement: &str) -> bool {
    let mut depth = 0_usize;
    sql::tokens(statement).any(|token| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && token.is_word("from")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deeds(sql: &str) -> Arc<Deeds> {
        let mut known = KnownDeeds::default();
        let first = known.of(sql.as_bytes(), sql::classify(sql));
        let again = known.of(sql.as_bytes(), sql::classify(sql));
        assert_eq!(first.deeds, again.deeds);
        first
    }

    #[test]
    fn copy_writes_only_into_a_table() {
        assert_eq!(deeds("COPY t (a, b) FROM '/tmp/x'").deeds, [Deed::Write]);
        assert_eq!(deeds("COPY (SELECT a FROM t) TO STDOUT").deeds, [Deed::Read]);
        assert!(deeds("COPY t FROM STDIN").copies_from_client);
    }

    #[test]
    fn each_statement_of_a_text_has_its_deed() {
        let deeds = deeds("BEGIN; UPDATE t SET a = 1; SELECT 1; COMMIT");
        assert_eq!(deeds.deeds.len(), 4);
        assert_eq!(deeds.deeds[1..3], [Deed::Write, Deed::Read]);
    }

    #[test]
    fn what_tells_the_time_is_not_to_give_the_same_again() {
        assert!(deeds("SELECT a FROM t WHERE b = 'now'").repeats);
        assert!(!deeds("SELECT a, NOW() FROM t").repeats);
        assert!(deeds("SELECT age, version FROM t").repeats, "columns and not functions");
        assert!(!deeds("INSERT INTO t (a) VALUES (1) RETURNING id").repeats);
        assert!(deeds("UPDATE t SET a = 1 RETURNING a").repeats);
    }

    #[test]
    fn settings_are_told_from_reads() {
        assert!(deeds("SET search_path = a, b").changes_session);
        assert!(!deeds("SELECT 1").changes_session);
    }

    #[test]
    fn names_and_settings_are_looked_for_at_the_start_of_a_statement() {
        assert!(deeds("BEGIN; /* x */ EXECUTE q(1)").goes_by_names);
        assert!(!deeds("UPDATE t SET prepare = 1").goes_by_names);
    }

    #[test]
    fn texts_of_one_shape_share_what_is_known() {
        let mut known = KnownDeeds::default();
        let mut of = |sql: &str| known.of(sql.as_bytes(), sql::classify(sql));
        assert!(Arc::ptr_eq(&of("SELECT a FROM t WHERE b = 1"), &of("SELECT a FROM t WHERE b = 2")));
        assert!(!Arc::ptr_eq(&of("SELECT a FROM t WHERE b = 1"), &of("DELETE FROM t WHERE b = 1")));
    }
}
