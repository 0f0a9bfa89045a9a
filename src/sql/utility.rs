//! What folding must know of utility statements: where SET's values are, and which names clients count up.
//!
//! Takes the tokens of a text in order and says what each one is. Must not know what is made of them.

use super::lex::{Token, TokenKind};

/// What a token of a utility statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ordinary,
    /// Part of what SET sets a parameter to.
    SetValue,
    /// The name of a savepoint, cursor or prepared statement.
    CountedName,
}

/// How far the statement being read is.
#[derive(Debug, Default)]
pub struct Utility {
    state: State,
    /// The word before is CURRENT, or CURRENT OF.
    current: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Begins,
    Ordinary,
    /// Before the `=` or `TO` of a SET.
    Set,
    /// Behind it.
    SetValue,
    /// The next identifier is a name that clients count up.
    CountedNext,
    /// Every identifier of the statement is one, for its keywords have no digits.
    Counted,
}

impl Utility {
    /// Takes the next token, comments left out; `is_outermost` where it stands in no parentheses.
    pub fn place(&mut self, token: &Token<'_>, is_outermost: bool) -> Place {
        if token.is_symbol(";") && is_outermost {
            *self = Self::default();
            return Place::Ordinary;
        }
        let is_name = matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdentifier);
        let is_of_current = self.current == 2 && is_name && !matches!(self.state, State::Set | State::SetValue);
        self.current = match self.current {
            1 if token.is_word("of") => 2,
            _ => u8::from(token.is_word("current")),
        };
        if is_of_current {
            return Place::CountedName;
        }
        let (state, place) = match self.state {
            State::Begins => (begins(token), Place::Ordinary),
            State::Ordinary => (State::Ordinary, Place::Ordinary),
            State::Set if token.is_symbol("=") || token.is_word("to") => (State::SetValue, Place::Ordinary),
            State::Set => (State::Set, Place::Ordinary),
            // SET x TO DEFAULT sets nothing, it resets.
            State::SetValue if token.is_word("default") => (State::Ordinary, Place::Ordinary),
            State::SetValue => (State::SetValue, Place::SetValue),
            State::CountedNext => (State::Ordinary, if is_name { Place::CountedName } else { Place::Ordinary }),
            State::Counted => (State::Counted, if is_name { Place::CountedName } else { Place::Ordinary }),
        };
        self.state = state;
        place
    }
}

fn begins(first: &Token<'_>) -> State {
    if first.kind != TokenKind::Word {
        return State::Ordinary;
    }
    match first.text.to_ascii_lowercase().as_str() {
        "set" => State::Set,
        "declare" | "prepare" | "execute" => State::CountedNext,
        "savepoint" | "release" | "rollback" | "close" | "deallocate" | "fetch" | "move" => State::Counted,
        _ => State::Ordinary,
    }
}

/// A name with each of its numbers made 0: `s140_x12` becomes `s0_x0`.
pub fn numbers_folded(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        match c.is_ascii_digit() {
            true if folded.ends_with('0') => {}
            true => folded.push('0'),
            false => folded.push(c),
        }
    }
    folded
}

/// Whether an identifier means the same without its quotes. Words with a meaning of their own for the grammar or for
/// folding keep them.
pub fn needs_no_quotes(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'$';
    starts && name.bytes().all(is_part) && RESERVED.binary_search(&name).is_err()
}

/// PostgreSQL's reserved words (of all majors up to 18), and those that folding looks for. In order.
const RESERVED: [&str; 114] = [
    "absolute",
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "binary",
    "both",
    "by",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "filter",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "move",
    "natural",
    "not",
    "notnull",
    "null",
    "of",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "over",
    "overlaps",
    "placing",
    "primary",
    "references",
    "relative",
    "return",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "set",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_a_meaning_are_in_order_and_keep_their_quotes() {
        assert!(RESERVED.is_sorted());
        for name in ["order", "user", "values", "set", "1a", "Users", "a b", "é", ""] {
            assert!(!needs_no_quotes(name), "{name}");
        }
        for name in ["users", "_x1", "a$b"] {
            assert!(needs_no_quotes(name), "{name}");
        }
    }

    #[test]
    fn numbers_in_counted_names_are_all_one() {
        assert_eq!(numbers_folded("s139_x12"), "s0_x0");
        assert_eq!(numbers_folded("C_1"), "C_0");
        assert_eq!(numbers_folded("plan"), "plan");
    }
}
