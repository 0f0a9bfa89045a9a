//! What kind of statement a text is.
//!
//! Takes a text and gives its class. A write is what a read-only server would refuse, so that row locks count as writes.
//! Must not know other functions than the few built-in ones that such a server refuses: a SELECT that calls a user's
//! writing function is a read, and what CALL and DO run is taken for a write.

use super::lex::{Token, TokenKind, tokens};
use super::split::split;
use crate::words::class::StatementClass;

/// The class of a text. Of several statements the strongest counts, in the order write, DDL, copy, read, transaction,
/// session, other: `BEGIN; UPDATE ...; COMMIT` is a write. SQL-level `EXECUTE` is other, for what it runs stands elsewhere;
/// `PREPARE` runs nothing, whatever it prepares. A COPY or a cursor whose query writes is a write.
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
    let second_is = |keyword| words.get(1).is_some_and(|word| word.is_word(keyword));
    match first.text.to_ascii_lowercase().as_str() {
        "select" | "with" | "values" | "table" => class_of_query(words),
        "show" | "fetch" | "move" => StatementClass::Read,
        "insert" | "update" | "delete" | "merge" | "call" | "do" => StatementClass::Write,
        "lock" if locks_as_a_read(words) => StatementClass::Read,
        "lock" => StatementClass::Write,
        "explain" => class_of_explain(&words[1..]),
        "create" | "alter" | "drop" | "truncate" | "grant" | "revoke" | "comment" | "vacuum" | "analyze"
        | "analyse" | "reindex" | "cluster" | "refresh" | "security" | "reassign" | "import" => StatementClass::Ddl,
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            StatementClass::Transaction
        }
        "prepare" if second_is("transaction") => StatementClass::Transaction,
        "declare" => class_or_write(StatementClass::Session, words.iter().position(|word| word.is_word("for")), words),
        "copy" if words.get(1).is_some_and(|word| word.is_symbol("(")) => {
            class_or_write(StatementClass::Copy, Some(1), words)
        }
        "copy" => StatementClass::Copy,
        "set" | "reset" | "discard" | "prepare" | "deallocate" | "listen" | "unlisten" | "notify" | "close"
        | "load" => StatementClass::Session,
        _ => StatementClass::Other,
    }
}

/// The class of a statement around a query that begins behind `before`: write if the query writes.
fn class_or_write(class: StatementClass, before: Option<usize>, words: &[Token<'_>]) -> StatementClass {
    let query = before.and_then(|before| words.get(before + 1..)).unwrap_or_default();
    let parentheses = query.iter().take_while(|word| word.is_symbol("(")).count();
    let query = &query[parentheses..];
    let writes = match query.first() {
        Some(first) if first.is_any_word(&["insert", "update", "delete", "merge"]) => true,
        Some(first) if first.is_any_word(&["select", "with", "values", "table"]) => {
            class_of_query(query) == StatementClass::Write
        }
        _ => false,
    };
    if writes { StatementClass::Write } else { class }
}

/// `LOCK ... IN ACCESS SHARE MODE` takes what every SELECT takes.
fn locks_as_a_read(words: &[Token<'_>]) -> bool {
    words.windows(3).any(|words| words[0].is_word("access") && words[1].is_word("share") && words[2].is_word("mode"))
}

/// A query is a read unless it locks rows, holds a writing WITH element, writes by a built-in function, makes a table
/// (SELECT INTO), or does what SET and NOTIFY do.
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
    match () {
        () if makes_table => StatementClass::Ddl,
        () if is_session_function(words) => StatementClass::Session,
        () => StatementClass::Read,
    }
}

/// `SELECT set_config(...)` and `SELECT pg_notify(...)`, alone.
fn is_session_function(words: &[Token<'_>]) -> bool {
    let rest = words.get(1..).unwrap_or_default();
    let rest =
        if rest.first().is_some_and(|word| word.is_word("pg_catalog")) { &rest[2.min(rest.len())..] } else { rest };
    let calls = rest.first().is_some_and(|word| word.is_any_word(&["set_config", "pg_notify"]));
    words[0].is_word("select") && calls && !rest.iter().any(|word| word.is_word("from"))
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

/// The built-in functions that a read-only transaction refuses.
fn calls_writer(words: &[Token<'_>]) -> bool {
    const WRITERS: [&str; 11] = [
        "nextval",
        "setval",
        "lo_creat",
        "lo_create",
        "lo_from_bytea",
        "lo_import",
        "lo_put",
        "lo_truncate",
        "lo_truncate64",
        "lo_unlink",
        "lowrite",
    ];
    words.get(1).is_some_and(|next| next.is_symbol("("))
        && (words[0].is_any_word(&WRITERS)
            || (words[0].kind == TokenKind::QuotedIdentifier
                && words[0].identifier().is_some_and(|name| WRITERS.contains(&name.as_str())))
            || (words[0].is_word("lo_open") && opens_for_writing(&words[2..])))
}

/// Whether the mode among these arguments of `lo_open` holds INV_WRITE; not known where it is no plain number.
fn opens_for_writing(arguments: &[Token<'_>]) -> bool {
    const INV_WRITE: u64 = 0x0002_0000;
    let own = arguments.iter().take_while(|token| !token.is_symbol(")"));
    let mode = own.filter(|token| token.kind == TokenKind::Number).last().map(|token| {
        let hexadecimal = token.text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
        hexadecimal.unwrap_or_else(|| token.text.parse())
    });
    mode.is_some_and(|mode| mode.is_ok_and(|mode| mode & INV_WRITE != 0))
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
    let statement = &statement[parentheses..];
    match statement.first() {
        // No statement explains another EXPLAIN.
        Some(first) if first.is_word("explain") => StatementClass::Other,
        _ if analyzes => class_of(statement),
        _ => StatementClass::Read,
    }
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
                "LOCK TABLE t IN ACCESS SHARE MODE",
                "SELECT pg_advisory_xact_lock(1)",
                "SELECT my_function(1)",
                "SELECT lo_open(4711, 262144)",
                "SELECT currval('s'), lastval()",
                "MOVE 5 IN c",
                "SELECT nextval FROM t",
                "SELECT a FROM t WHERE b = 'FOR UPDATE' -- FOR UPDATE",
                "WITH a AS (SELECT 'DELETE FROM t') SELECT * FROM a",
                "EXPLAIN (ANALYZE, BUFFERS) SELECT 1",
                "EXPLAIN SELECT nextval('s')",
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
                "LOCK TABLE t IN ROW EXCLUSIVE MODE",
                "SELECT * FROM (SELECT * FROM t FOR UPDATE) s",
                "SELECT pg_catalog.setval('s', 1)",
                "SELECT \"nextval\"('s')",
                "SELECT lo_unlink(1)",
                "SELECT lo_open(4711, 393216)",
                "SELECT lo_open(4711, 0x20000)",
                "TABLE t FOR UPDATE",
                "VALUES (nextval('s'))",
                "EXPLAIN (ANALYZE, FORMAT json) MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
                "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING RETURNING id",
                "WITH a AS (SELECT 1), b AS NOT MATERIALIZED (UPDATE t SET x = 1 RETURNING x) SELECT * FROM b",
                "(WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a)",
                "INSERT INTO t SELECT * FROM u",
                "COPY (INSERT INTO t VALUES (1) RETURNING id) TO STDOUT",
                "COPY (WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a) TO STDOUT",
                "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
                "EXPLAIN ANALYZE WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
            ],
        );
    }

    #[test]
    fn the_other_classes() {
        assert_class(
            Ddl,
            &[
                "CREATE TABLE t ()",
                "SELECT 1 INTO t",
                "WITH a AS (SELECT 1) SELECT * INTO t FROM a",
                "VACUUM",
                "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
                "REFRESH MATERIALIZED VIEW v",
                "ANALYZE t",
                "CLUSTER t",
            ],
        );
        assert_class(Transaction, &["BEGIN", "end", "ROLLBACK TO a", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"]);
        assert_class(
            Session,
            &[
                "SET a = 1",
                "PREPARE p AS DELETE FROM t",
                "DISCARD ALL",
                "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                "CLOSE c",
                "LISTEN c",
                "NOTIFY c, 'x'",
                "SELECT pg_notify('c', 'x')",
                "SELECT pg_catalog.set_config('search_path', '', false)",
            ],
        );
        assert_class(Copy, &["COPY t FROM STDIN", "copy (select 1) to stdout", "COPY t TO '/tmp/x'"]);
        assert_class(
            Other,
            &["", ";", "-- nothing", "EXECUTE p", "CHECKPOINT", "'", "EXPLAIN ANALYZE EXPLAIN SELECT 1"],
        );
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
