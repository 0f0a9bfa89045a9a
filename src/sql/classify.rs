//! What kind of statement a text is.
//!
//! Takes a text and gives its class. Must not know functions: a SELECT that calls a writing function is a read, but for
//! the few built-in ones that a read-only server refuses.

use super::lex::{Token, tokens};
use super::split::split;
use crate::words::class::StatementClass;

/// The class of a text. Of several statements the strongest counts, in the order write, DDL, copy, read, transaction,
/// session, other: `BEGIN; UPDATE ...; COMMIT` is a write. SQL-level `EXECUTE` is other: what it runs stands elsewhere.
pub fn classify(text: &str) -> StatementClass {
    split(text)
        .into_iter()
        .map(class_of_statement)
        .max_by_key(|class| strength(*class))
        .unwrap_or(StatementClass::Other)
}

/// Whether the statement is a COPY that takes data from the client: `COPY t FROM STDIN`.
pub fn copies_from_client(statement: &str) -> bool {
    let mut words = tokens(statement).without_comments();
    let is_copy = words.next().is_some_and(|token| token.is_word("copy"));
    let mut previous_is_from = false;
    is_copy
        && words.any(|token| {
            let found = previous_is_from && token.is_word("stdin");
            previous_is_from = token.is_word("from");
            found
        })
}

fn strength(class: StatementClass) -> u8 {
    match class {
        StatementClass::Write => 6,
        StatementClass::Ddl => 5,
        StatementClass::Copy => 4,
        StatementClass::Read => 3,
        StatementClass::Transaction => 2,
        StatementClass::Session => 1,
        StatementClass::Other => 0,
    }
}

fn class_of_statement(statement: &str) -> StatementClass {
    let words: Vec<Token<'_>> = tokens(statement).without_comments().skip_while(|token| token.is_symbol("(")).collect();
    class_of(&words)
}

fn class_of(words: &[Token<'_>]) -> StatementClass {
    let Some(first) = words.first() else { return StatementClass::Other };
    match first.text.to_ascii_lowercase().as_str() {
        "select" | "with" | "values" | "table" => class_of_query(words),
        "show" | "fetch" | "move" => StatementClass::Read,
        "insert" | "update" | "delete" | "merge" | "call" | "do" | "lock" => StatementClass::Write,
        "explain" => class_of_explain(&words[1..]),
        "create" | "alter" | "drop" | "truncate" | "grant" | "revoke" | "comment" | "vacuum" | "analyze"
        | "analyse" | "reindex" | "cluster" | "refresh" | "security" | "reassign" | "import" => StatementClass::Ddl,
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            StatementClass::Transaction
        }
        "prepare" if words.get(1).is_some_and(|word| word.is_word("transaction")) => StatementClass::Transaction,
        "set" | "reset" | "discard" | "prepare" | "deallocate" | "listen" | "unlisten" | "notify" | "declare"
        | "close" | "load" => StatementClass::Session,
        "copy" => StatementClass::Copy,
        _ => StatementClass::Other,
    }
}

/// A query is a read unless it locks rows, holds a writing WITH element, writes by a built-in function, or makes a table
/// (SELECT INTO).
fn class_of_query(words: &[Token<'_>]) -> StatementClass {
    let mut depth = 0_i32;
    let mut makes_table = false;
    let mut is_main_select = !words[0].is_word("with");
    for (at, word) in words.iter().enumerate() {
        if word.is_symbol("(") {
            depth += 1;
        } else if word.is_symbol(")") {
            depth -= 1;
        } else if locks_rows(&words[at..]) || writes(words, at) || calls_writer(&words[at..]) {
            return StatementClass::Write;
        } else if depth <= 0 && word.is_word("select") {
            is_main_select = true;
        } else if depth <= 0 && is_main_select && word.is_word("into") {
            makes_table = true;
        }
    }
    if makes_table { StatementClass::Ddl } else { StatementClass::Read }
}

/// `FOR UPDATE`, `FOR NO KEY UPDATE`, `FOR SHARE`, `FOR KEY SHARE`.
fn locks_rows(words: &[Token<'_>]) -> bool {
    let is = |at: usize, keywords: &[&str]| words.get(at).is_some_and(|word| word.is_any_word(keywords));
    is(0, &["for"])
        && (is(1, &["update", "share"])
            || (is(1, &["key"]) && is(2, &["share"]))
            || (is(1, &["no"]) && is(2, &["key"]) && is(3, &["update"])))
}

/// Whether a data-modifying statement starts at `at`: as a WITH element, after `AS (`, or as the main statement behind
/// the last element. The four words are not reserved, so their neighbours decide.
fn writes(words: &[Token<'_>], at: usize) -> bool {
    let next_is = |keyword| words.get(at + 1).is_some_and(|next| next.is_word(keyword));
    let begins = match words[at].text.to_ascii_lowercase().as_str() {
        "insert" | "merge" => next_is("into"),
        "delete" => next_is("from"),
        "update" => {
            !next_is("from") && !next_is("as") && words.get(at + 1).is_some_and(|next| next.identifier().is_some())
        }
        _ => return false,
    };
    let before = |back: usize| at.checked_sub(back).map(|index| words[index]);
    let is_element = before(1).is_some_and(|token| token.is_symbol("("))
        && before(2).is_some_and(|token| token.is_any_word(&["as", "materialized"]));
    let is_main = words[0].is_word("with") && before(1).is_some_and(|token| token.is_symbol(")"));
    begins && (is_element || is_main)
}

fn calls_writer(words: &[Token<'_>]) -> bool {
    words[0].is_any_word(&["nextval", "setval"]) && words.get(1).is_some_and(|next| next.is_symbol("("))
}

/// EXPLAIN runs its statement only with ANALYZE.
fn class_of_explain(words: &[Token<'_>]) -> StatementClass {
    let (analyzes, statement) = if words.first().is_some_and(|word| word.is_symbol("(")) {
        let close = words.iter().position(|word| word.is_symbol(")")).unwrap_or(words.len());
        let (options, rest) = words.split_at(close);
        (options_analyze(options), rest.get(1..).unwrap_or_default())
    } else {
        let options = words.iter().take_while(|word| word.is_any_word(&["analyze", "analyse", "verbose"])).count();
        let analyzes = words[..options].iter().any(|word| word.is_any_word(&["analyze", "analyse"]));
        (analyzes, &words[options..])
    };
    let parentheses = statement.iter().take_while(|word| word.is_symbol("(")).count();
    if analyzes { class_of(&statement[parentheses..]) } else { StatementClass::Read }
}

fn options_analyze(options: &[Token<'_>]) -> bool {
    let at = options.iter().position(|word| word.is_any_word(&["analyze", "analyse"]));
    at.is_some_and(|at| {
        !options.get(at + 1).is_some_and(|value| value.is_any_word(&["false", "off"]) || value.text == "0")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::StatementClass::*;
    use super::*;

    fn assert_class(class: StatementClass, texts: &[&str]) {
        for text in texts {
            assert_eq!(classify(text), class, "{text}");
        }
    }

    #[test]
    fn reads_take_no_row_locks() {
        assert_class(
            Read,
            &[
                "/* c */ (SELECT 1) UNION (SELECT 2)",
                "select substring(a from 1 for 2) from t",
                "VALUES (1)",
                "TABLE t",
                "SHOW work_mem",
                "EXPLAIN DELETE FROM t",
                "EXPLAIN (ANALYZE off, COSTS) DELETE FROM t",
                "EXPLAIN ANALYZE SELECT 1",
                "WITH a AS (SELECT 1) SELECT * FROM a",
                "SELECT update FROM t",
                "FETCH 10 FROM c",
            ],
        );
    }

    #[test]
    fn writes_hide_in_many_places() {
        assert_class(
            Write,
            &[
                "INSERT INTO t VALUES (1)",
                "merge into t using s on true when matched then delete",
                "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
                "WITH a AS MATERIALIZED (SELECT 1) UPDATE t SET x = 1",
                "WITH a(x) AS (SELECT 1) DELETE FROM t",
                "SELECT * FROM t WHERE id = 1 FOR UPDATE SKIP LOCKED",
                "SELECT * FROM t FOR NO KEY UPDATE",
                "SELECT * FROM t FOR KEY SHARE OF t",
                "SELECT nextval('s')",
                "EXPLAIN (VERBOSE, ANALYZE) UPDATE t SET x = 1",
                "EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES (1)",
                "CALL p()",
                "DO $$ begin end $$",
                "LOCK TABLE t",
            ],
        );
    }

    #[test]
    fn the_other_classes() {
        assert_class(
            Ddl,
            &["CREATE TABLE t ()", "SELECT 1 INTO t", "WITH a AS (SELECT 1) SELECT * INTO t FROM a", "VACUUM"],
        );
        assert_class(Transaction, &["BEGIN", "end", "ROLLBACK TO a", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"]);
        assert_class(
            Session,
            &["SET a = 1", "PREPARE p AS DELETE FROM t", "DISCARD ALL", "DECLARE c CURSOR FOR SELECT 1"],
        );
        assert_class(Copy, &["COPY t FROM STDIN", "copy (select 1) to stdout"]);
        assert_class(Other, &["", ";", "-- nothing", "EXECUTE p", "CHECKPOINT", "'"]);
    }

    #[test]
    fn of_several_statements_the_strongest_counts() {
        assert_class(Write, &["BEGIN; UPDATE t SET a = 1; COMMIT", "CREATE TABLE t (); INSERT INTO t VALUES (1)"]);
        assert_class(Read, &["BEGIN; SELECT 1; COMMIT"]);
        assert_class(Transaction, &["SET a = 1; COMMIT"]);
    }

    #[test]
    fn only_a_copy_from_stdin_waits_for_the_client() {
        assert!(copies_from_client("COPY t (a, b) FROM STDIN WITH CSV"));
        assert!(!copies_from_client("COPY t FROM '/tmp/stdin'"));
        assert!(!copies_from_client("COPY t TO STDOUT"));
    }

    proptest! {
        #[test]
        fn any_text_has_a_class(text in "\\PC*|(with|as|explain|\\(|analyze|delete|for|update| |;|'){0,12}") {
            classify(&text);
        }
    }
}
