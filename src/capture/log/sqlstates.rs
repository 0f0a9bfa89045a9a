//! The SQLSTATE of an error whose log line has none.
//!
//! Takes the error's English wording, and gives the code that the server uses for it, or none where the wording is not
//! known. A `log_line_prefix` with `%e` needs none of this. Must not know sessions.

use memchr::memmem;

use crate::words::sqlstate::SqlState;

/// Words that an error holds, and its code; the first that fit.
const WORDINGS: &[(&str, &str)] = &[
    ("duplicate key value violates unique constraint", "23505"),
    ("violates foreign key constraint", "23503"),
    ("violates not-null constraint", "23502"),
    ("violates check constraint", "23514"),
    ("conflicting key value violates exclusion constraint", "23P01"),
    ("canceling statement due to lock timeout", "55P03"),
    ("could not obtain lock on", "55P03"),
    ("canceling statement due to conflict with recovery", "40001"),
    ("canceling statement", "57014"),
    ("canceling autovacuum task", "57014"),
    ("could not serialize access", "40001"),
    ("deadlock detected", "40P01"),
    ("current transaction is aborted", "25P02"),
    ("in a read-only transaction", "25006"),
    ("cannot run inside a transaction block", "25001"),
    ("terminating connection due to idle-session timeout", "57P05"),
    ("terminating connection due to idle-in-transaction timeout", "25P03"),
    ("terminating connection due to transaction timeout", "25P04"),
    ("terminating connection", "57P01"),
    ("the database system is", "57P03"),
    ("division by zero", "22012"),
    ("invalid input syntax for", "22P02"),
    ("invalid input value for enum", "22P02"),
    ("malformed array literal", "22P02"),
    ("invalid byte sequence for encoding", "22021"),
    ("value too long for type", "22001"),
    ("out of range", "22003"),
    ("date/time field value out of range", "22008"),
    ("invalid regular expression", "2201B"),
    ("syntax error at", "42601"),
    ("unterminated quoted string", "42601"),
    ("permission denied", "42501"),
    ("must be owner of", "42501"),
    ("is ambiguous", "42702"),
    ("operator does not exist", "42883"),
    ("prepared statement \"", "26000"),
    ("portal \"", "34000"),
    ("cursor \"", "34000"),
    ("database \"", "3D000"),
    ("savepoint \"", "3B001"),
    ("password authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("too many clients already", "53300"),
    ("remaining connection slots are reserved", "53300"),
    ("out of memory", "53200"),
    ("more than one row returned by a subquery", "21000"),
    ("cannot affect row a second time", "21000"),
    ("could not determine data type of parameter", "42P18"),
    ("bind message supplies", "08P01"),
];

/// What an object that is there twice, or not at all, is called.
const OBJECTS: &[(&str, &str, &str)] = &[
    ("relation \"", "42P01", "42P07"),
    ("table \"", "42P01", "42P07"),
    ("view \"", "42P01", "42P07"),
    ("sequence \"", "42P01", "42P07"),
    ("missing FROM-clause entry for table", "42P01", "42P01"),
    ("column ", "42703", "42701"),
    ("function ", "42883", "42723"),
    ("procedure ", "42883", "42723"),
    ("schema \"", "3F000", "42P06"),
    ("prepared statement \"", "26000", "42P05"),
    ("cursor \"", "34000", "42P03"),
    ("portal \"", "34000", "42P03"),
    ("database \"", "3D000", "42P04"),
    ("type \"", "42704", "42710"),
    ("role \"", "42704", "42710"),
    ("index \"", "42704", "42P07"),
    ("constraint \"", "42704", "42710"),
];

/// The code of an error with this primary message and context, if its words tell it.
pub fn of(message: &[u8], context: &[u8]) -> Option<SqlState> {
    let has = |text: &[u8], words: &str| memmem::find(text, words.as_bytes()).is_some();
    let is_missing = has(message, "does not exist") || message.starts_with(b"missing FROM-clause");
    let is_there = has(message, "already exists") || has(message, "specified more than once");
    let object =
        OBJECTS.iter().filter(|_| is_missing || is_there).find(|(words, ..)| message.starts_with(words.as_bytes()));
    let code = match object {
        Some((_, missing, there)) => {
            if is_there {
                *there
            } else {
                *missing
            }
        }
        // What PL/pgSQL raises is worded as its author likes.
        None if context.starts_with(b"PL/pgSQL function ") && has(first_line(context), " at RAISE") => "P0001",
        None => WORDINGS.iter().find(|(words, _)| has(message, words))?.1,
    };
    SqlState::new(code.as_bytes())
}

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn common_errors_are_told_by_their_words() {
        for (message, context, code) in [
            ("duplicate key value violates unique constraint \"t_pkey\"", "", "23505"),
            ("relation \"nope\" does not exist at character 15", "", "42P01"),
            ("relation \"t\" already exists", "", "42P07"),
            ("column \"a\" does not exist", "", "42703"),
            ("column t.a does not exist at character 8", "", "42703"),
            ("canceling statement due to statement timeout", "", "57014"),
            ("value \"99999999999\" is out of range for type integer", "", "22003"),
            ("boo", "PL/pgSQL function inline_code_block line 1 at RAISE", "P0001"),
        ] {
            let told = of(message.as_bytes(), context.as_bytes()).unwrap();
            assert_eq!(told.as_str(), code, "{message}");
        }
        assert_eq!(of(b"something of an extension", b""), None);
    }

    #[test]
    fn every_code_is_one() {
        let codes = WORDINGS.iter().map(|(_, code)| code).chain(OBJECTS.iter().flat_map(|(_, a, b)| [a, b]));
        assert!(codes.into_iter().all(|code| SqlState::new(code.as_bytes()).is_some()));
    }
}
