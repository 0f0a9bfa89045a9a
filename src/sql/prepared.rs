//! SQL's own prepared statements: what PREPARE prepares, and what EXECUTE gives it.
//!
//! Takes one statement and gives names, texts and literals. Must not know sessions.

use super::lex::{Token, tokens};
use super::operand::{OperandValue, operand};

/// Arguments of an EXECUTE that are read: the protocol allows no more parameters.
const ARGUMENTS_MAX: usize = 65_535;

/// `EXECUTE name (arguments)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedCall {
    pub name: String,
    /// Literals as a person would write them; none for NULL, and for what is computed.
    pub arguments: Vec<Option<String>>,
}

/// The call of a prepared statement; none for every other statement.
pub fn prepared_call(statement: &str) -> Option<PreparedCall> {
    let mut words = tokens(statement).without_comments();
    words.next().filter(|first| first.is_word("execute"))?;
    let name = words.next()?.identifier()?;
    let words: Vec<Token<'_>> = words.collect();
    let mut arguments = Vec::new();
    let mut at = 1;
    if words.first().is_some_and(|token| token.is_symbol("(")) {
        while at < words.len() && arguments.len() < ARGUMENTS_MAX {
            let end = end_of_argument(&words, at);
            arguments.push(operand(&words, at).filter(|(_, behind)| *behind == end).and_then(|(operand, _)| {
                match operand.value {
                    OperandValue::Literal(value) => Some(value),
                    OperandValue::Parameter(_) => None,
                }
            }));
            if !words.get(end).is_some_and(|token| token.is_symbol(",")) {
                break;
            }
            at = end + 1;
        }
    }
    Some(PreparedCall { name, arguments })
}

/// Where the comma or the parenthesis behind the argument is.
fn end_of_argument(words: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in words.iter().enumerate().skip(start) {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "," if depth == 0 => return at,
            ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words.len()
}

/// What stands behind AS in `PREPARE name (types) AS statement`.
pub fn prepared_body(statement: &str) -> Option<&str> {
    let body = &statement[tokens(statement).find(|token| token.is_word("as"))?.end()..];
    Some(body.trim()).filter(|body| !body.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_execute_gives_literals_by_their_places() {
        let arguments = |text: &str| {
            let call = prepared_call(text).unwrap();
            call.arguments.into_iter().map(|value| value.unwrap_or("?".to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(prepared_call("execute \"Q 1\"").unwrap(), PreparedCall { name: "Q 1".into(), arguments: vec![] });
        assert_eq!(
            arguments("EXECUTE q(7, 'a,b'::text, -1, NULL, f(1, 2), ARRAY[1,2])"),
            ["7", "a,b", "-1", "?", "?", "1"]
        );
        assert_eq!(arguments("EXECUTE q(1 + 1, (2))"), ["?", "2"]);
        assert_eq!(arguments("EXECUTE q(1"), ["1"]);
        for text in ["SELECT 1", "EXECUTE", "EXPLAIN EXECUTE q", "-- EXECUTE q"] {
            assert_eq!(prepared_call(text), None, "{text}");
        }
    }

    #[test]
    fn a_prepare_holds_its_statement() {
        assert_eq!(prepared_body("PREPARE q (int, text) AS  SELECT $1 AS a "), Some("SELECT $1 AS a"));
        assert_eq!(prepared_body("PREPARE q AS"), None);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "(execute|q|\\(|\\)|,|'x'|1|\\$1|::|int|\\[|\\]|array| ){0,20}") {
            prepared_call(&format!("execute q {text}"));
            prepared_body(&text);
        }
    }
}
