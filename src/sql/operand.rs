//! A literal or a parameter where an expression stands, with its casts and parentheses.
//!
//! Takes tokens and gives the value at a place. Must not know what it is compared with.

use super::lex::{Token, TokenKind};
use super::literal::string_value;

/// Parentheses and calls of CAST around a value.
const DEPTH_MAX: usize = 8;

/// Tokens of an array that are looked at for its end.
const ARRAY_TOKENS_MAX: usize = 1_024;

/// A value as a text gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    pub value: OperandValue,
    /// The name of the type that it is first cast to, in lower case; of an array, that of its elements.
    pub cast: Option<String>,
    /// An array of which the first element is meant.
    pub is_array: bool,
}

/// A literal's value, or the number of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperandValue {
    Literal(String),
    /// Counts from 1, as in `$1`.
    Parameter(usize),
}

/// The operand that begins at `at`, and the place behind it. Of `ARRAY[...]`, it is the first element. NULL is none.
pub(super) fn operand(words: &[Token<'_>], at: usize) -> Option<(Operand, usize)> {
    nested(words, at, DEPTH_MAX)
}

fn nested(words: &[Token<'_>], at: usize, depth: usize) -> Option<(Operand, usize)> {
    let depth = depth.checked_sub(1)?;
    let token = words.get(at)?;
    let next = words.get(at + 1);
    let is_next = |kind| next.is_some_and(|next| next.kind == kind);
    let literal =
        |value: String, end| (Operand { value: OperandValue::Literal(value), cast: None, is_array: false }, end);
    let (operand, end) = match token.kind {
        TokenKind::String => literal(string_value(token.text), at + 1),
        TokenKind::Number => literal(token.text.to_owned(), at + 1),
        TokenKind::Parameter => {
            let number = token.text[1..].parse().ok()?;
            (Operand { value: OperandValue::Parameter(number), cast: None, is_array: false }, at + 1)
        }
        TokenKind::Operator if matches!(token.text, "-" | "+") && is_next(TokenKind::Number) => {
            let sign = token.text.trim_start_matches('+');
            literal(format!("{sign}{}", next?.text), at + 2)
        }
        TokenKind::Punctuation if token.text == "(" => {
            let (operand, end) = nested(words, at + 1, depth)?;
            (operand, closed(words, end)?)
        }
        TokenKind::Word if token.is_word("cast") && next?.is_symbol("(") => {
            let (mut operand, end) = nested(words, at + 2, depth)?;
            words.get(end)?.is_word("as").then_some(())?;
            let (name, end) = type_name(words, end + 1)?;
            operand.cast.get_or_insert(name);
            (operand, closed(words, end)?)
        }
        TokenKind::Word if token.is_word("array") && next?.is_symbol("[") => {
            let (operand, _) = nested(words, at + 2, depth)?;
            let ends = |token: &Token<'_>| token.is_symbol("]");
            // Where the array ends does not matter any more once it is very long.
            let length = words[at + 2..].iter().take(ARRAY_TOKENS_MAX).position(ends);
            (operand, length.map_or(words.len(), |length| at + 3 + length))
        }
        // uuid '...', date '...'
        TokenKind::Word | TokenKind::QuotedIdentifier if is_next(TokenKind::String) => {
            let (mut operand, end) = literal(string_value(next?.text), at + 2);
            operand.cast = token.identifier();
            (operand, end)
        }
        _ => return None,
    };
    Some(with_casts(words, operand, end))
}

/// Follows `::type`, as often as it stands there.
fn with_casts(words: &[Token<'_>], mut operand: Operand, mut end: usize) -> (Operand, usize) {
    while words.get(end).is_some_and(|token| token.is_symbol("::"))
        && let Some((name, behind)) = type_name(words, end + 1)
    {
        operand.cast.get_or_insert(name);
        end = behind;
    }
    (operand, end)
}

/// Behind the casts that stand at `at`.
pub(super) fn behind_casts(words: &[Token<'_>], mut at: usize) -> usize {
    while words.get(at).is_some_and(|token| token.is_symbol("::"))
        && let Some((_, behind)) = type_name(words, at + 1)
    {
        at = behind;
    }
    at
}

fn closed(words: &[Token<'_>], at: usize) -> Option<usize> {
    words.get(at)?.is_symbol(")").then_some(at + 1)
}

/// `schema.type(20)[]`, `character varying`: the name without its schema, and the place behind the type.
fn type_name(words: &[Token<'_>], at: usize) -> Option<(String, usize)> {
    let is = |at: usize, symbol: &str| words.get(at).is_some_and(|token| token.is_symbol(symbol));
    let mut name = words.get(at)?.identifier()?;
    let mut end = at + 1;
    while is(end, ".") {
        name = words.get(end + 1)?.identifier()?;
        end += 2;
    }
    if words.get(end).is_some_and(|token| token.is_any_word(&["varying", "precision"])) {
        end += 1;
    }
    for (open, close) in [("(", ")"), ("[", "]"), ("[", "]")] {
        let behind = (end + 1..end + 5).find(|at| is(*at, close)).filter(|_| is(end, open));
        end = behind.map_or(end, |close| close + 1);
    }
    Some((name, end))
}

#[cfg(test)]
mod tests {
    use super::super::lex::tokens;
    use super::*;

    fn read(text: &str) -> Option<(String, Option<String>, usize)> {
        let words: Vec<_> = tokens(text).collect();
        let (operand, end) = operand(&words, 0)?;
        let value = match operand.value {
            OperandValue::Literal(value) => value,
            OperandValue::Parameter(number) => format!("${number}"),
        };
        Some((value, operand.cast, words.len() - end))
    }

    #[test]
    fn values_stand_in_many_forms() {
        for (text, value, cast) in [
            ("42", "42", None),
            ("- 7", "-7", None),
            ("'a''b'", "a'b", None),
            ("$2", "$2", None),
            ("((('x')))", "x", None),
            ("$1::pg_catalog.uuid", "$1", Some("uuid")),
            ("'x'::character varying(20)::text", "x", Some("character")),
            ("CAST(($1) AS bigint)", "$1", Some("bigint")),
            ("uuid 'x'", "x", Some("uuid")),
            ("ARRAY[$3, $4]::int[]", "$3", Some("int")),
            ("($1)::int[]", "$1", Some("int")),
        ] {
            assert_eq!(read(text), Some((value.to_owned(), cast.map(str::to_owned), 0)), "{text}");
        }
    }

    #[test]
    fn what_is_computed_is_no_value() {
        for text in ["", "NULL", "lower('x')", "a", "(select 1)", "((((((((((1))))))))))", "cast(1 as", "array[]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
