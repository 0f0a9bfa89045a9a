//! The tables and views that a text names, so that a schema can name a tenant.
//!
//! Takes a text and gives names as PostgreSQL folds them. It goes by the words before a name, not by a grammar, and
//! must not know which relations exist.

use std::collections::HashSet;

use super::lex::{Token, TokenKind, tokens};

/// A table or view as it was named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelationName {
    /// None where the name was not qualified.
    pub schema: Option<String>,
    pub name: String,
}

/// The relations that a text names behind FROM, JOIN, USING, INTO, UPDATE, TABLE, COPY, TRUNCATE and their like, each
/// once, in order. Names of WITH elements and of functions in FROM are left out.
pub fn relation_names(text: &str) -> Vec<RelationName> {
    let words: Vec<Token<'_>> = tokens(text).without_comments().collect();
    let mut seen = HashSet::new();
    let names = relations(&words).into_iter().map(|relation| relation.name);
    names.filter(|name| seen.insert(name.clone())).collect()
}

/// A relation where it is named.
pub(super) struct Relation {
    pub name: RelationName,
    /// What the statement calls it.
    pub alias: Option<String>,
}

/// The relations as often as they are named.
pub(super) fn relations(words: &[Token<'_>]) -> Vec<Relation> {
    let elements = with_elements(words);
    let mut relations = Vec::new();
    let mut levels = vec![Level::default()];
    let mut at = 0;
    while at < words.len() {
        let expected = levels.last_mut().is_some_and(|level| level.expects_name(words, at));
        if words[at].is_symbol("(") {
            levels.push(Level { in_call: takes_from(&words[..at]), ..Level::default() });
        } else if words[at].is_symbol(")") && levels.len() > 1 {
            levels.pop();
        }
        at += 1;
        if !expected {
            continue;
        }
        at = skip_noise(words, at);
        let Some((name, end)) = qualified_name(words, at) else { continue };
        let is_function = words.get(end).is_some_and(|token| token.is_symbol("(")) && !may_have_columns(&words[..at]);
        let is_element = name.schema.is_none() && elements.contains(&name.name);
        if !is_function && !is_element {
            relations.push(Relation { name, alias: alias(words, end) });
        }
        at = end;
    }
    relations
}

/// The alias behind a relation's name, with AS or without.
pub(super) fn alias(words: &[Token<'_>], end: usize) -> Option<String> {
    const NO_ALIAS: [&str; 38] = [
        "where",
        "set",
        "on",
        "using",
        "join",
        "inner",
        "left",
        "right",
        "full",
        "cross",
        "natural",
        "group",
        "order",
        "having",
        "limit",
        "offset",
        "fetch",
        "union",
        "intersect",
        "except",
        "for",
        "window",
        "values",
        "select",
        "default",
        "returning",
        "overriding",
        "tablesample",
        "when",
        "then",
        "with",
        "from",
        "to",
        "into",
        "do",
        "add",
        "in",
        "is",
    ];
    match words.get(end)? {
        token if token.is_word("as") => words.get(end + 1)?.identifier(),
        token if token.is_any_word(&NO_ALIAS) => None,
        token => token.identifier(),
    }
}

/// Where in a query one pair of parentheses stands.
#[derive(Default)]
struct Level {
    /// Between FROM and the next clause: a comma is followed by another relation.
    in_from: bool,
    /// Inside `extract(... from ...)` and its like: FROM names no relation.
    in_call: bool,
}

impl Level {
    /// Whether a relation's name follows the token at `at`.
    fn expects_name(&mut self, words: &[Token<'_>], at: usize) -> bool {
        let token = words[at];
        if token.is_symbol(",") {
            return self.in_from;
        }
        if token.kind != TokenKind::Word {
            return false;
        }
        let previous_is = |keywords: &[&str]| at > 0 && words[at - 1].is_any_word(keywords);
        match token.text.to_ascii_lowercase().as_str() {
            "from" if self.in_call || previous_is(&["distinct"]) => false,
            "from" | "truncate" | "lock" => {
                self.in_from = true;
                true
            }
            "update" => !previous_is(&["for", "key", "on", "do", "before", "after", "or"]),
            "using" => at > 0 && !words.get(at + 1).is_some_and(|next| next.is_symbol("(")) && !previous_is(&["index"]),
            "join" | "into" | "table" | "copy" | "view" | "vacuum" | "analyze" => true,
            "where" | "group" | "having" | "order" | "limit" | "offset" | "window" | "union" | "intersect"
            | "except" | "for" | "set" | "returning" | "select" | "values" => {
                self.in_from = false;
                false
            }
            _ => false,
        }
    }
}

/// Whether the parenthesis behind these tokens belongs to a function whose arguments are parted by FROM.
fn takes_from(before: &[Token<'_>]) -> bool {
    before.last().is_some_and(|token| token.is_any_word(&["extract", "substring", "trim", "overlay", "position"]))
}

/// The words that may stand between the keyword and the name.
pub(super) fn skip_noise(words: &[Token<'_>], mut at: usize) -> usize {
    const NOISE: [&str; 9] = ["only", "lateral", "table", "if", "not", "exists", "concurrently", "verbose", "analyze"];
    while words.get(at).is_some_and(|token| token.is_any_word(&NOISE)) {
        at += 1;
    }
    at
}

/// `name`, `schema.name` or `catalog.schema.name`, and the position behind it.
pub(super) fn qualified_name(words: &[Token<'_>], mut at: usize) -> Option<(RelationName, usize)> {
    let mut parts = vec![
        words
            .get(at)
            .filter(|first| !first.is_any_word(&["select", "set", "values", "with", "stdin", "stdout"]))?
            .identifier()?,
    ];
    at += 1;
    while words.get(at).is_some_and(|token| token.is_symbol("."))
        && let Some(part) = words.get(at + 1).and_then(Token::identifier)
    {
        parts.push(part);
        at += 2;
    }
    let name = parts.pop()?;
    Some((RelationName { schema: parts.pop(), name }, at))
}

/// Behind INTO, TABLE and COPY, parentheses hold columns; behind FROM and JOIN, the arguments of a function.
fn may_have_columns(before: &[Token<'_>]) -> bool {
    before
        .iter()
        .rev()
        .find(|token| !token.is_any_word(&["only", "if", "not", "exists"]))
        .is_some_and(|token| token.is_any_word(&["into", "table", "copy", "view", "vacuum", "analyze", "verbose"]))
}

/// The names that WITH gives: `WITH name AS (`, `, name (columns) AS MATERIALIZED (`.
fn with_elements(words: &[Token<'_>]) -> HashSet<String> {
    if !words.iter().any(|word| word.is_word("with")) {
        return HashSet::new();
    }
    let is = |at: usize, keywords: &[&str]| words.get(at).is_some_and(|token| token.is_any_word(keywords));
    let opens = |at: usize| words.get(at).is_some_and(|token| token.is_symbol("("));
    let mut elements = HashSet::new();
    // From the end, so that the next closing parenthesis is always known.
    let mut close = words.len();
    for at in (1..words.len()).rev() {
        if words[at].is_symbol(")") {
            close = at;
        }
        if !words[at - 1].is_any_word(&["with", "recursive"]) && !words[at - 1].is_symbol(",") {
            continue;
        }
        let next = if opens(at + 1) { close + 1 } else { at + 1 };
        let body = next + 1 + usize::from(is(next + 1, &["not"]));
        let body = body + usize::from(is(body, &["materialized"]));
        if is(next, &["as"]) && opens(body) {
            elements.extend(words[at].identifier());
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        let written = |name: RelationName| match name.schema {
            Some(schema) => format!("{schema}.{}", name.name),
            None => name.name,
        };
        relation_names(text).into_iter().map(written).collect()
    }

    #[test]
    fn names_stand_behind_their_keywords() {
        for (text, expected) in [
            (
                "SELECT * FROM Acme.Orders o JOIN \"Big\".lines USING (id), public.t WHERE x = 1",
                "acme.orders Big.lines public.t",
            ),
            ("INSERT INTO acme.t (a, b) SELECT a, b FROM only s", "acme.t s"),
            ("UPDATE ONLY acme.t SET a = 1 FROM b, c WHERE d IN (SELECT e FROM f)", "acme.t b c f"),
            ("DELETE FROM db.acme.t USING u", "acme.t u"),
            ("MERGE INTO t USING s ON true", "t s"),
            ("COPY acme.t (a) FROM STDIN", "acme.t"),
            ("TRUNCATE a, acme.b", "a acme.b"),
            ("CREATE TABLE IF NOT EXISTS acme.t (a int)", "acme.t"),
        ] {
            assert_eq!(names(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_name_is_left_out() {
        for (text, expected) in [
            ("SELECT extract(year FROM ts), trim(both from x) FROM t", "t"),
            ("SELECT 1 FROM t WHERE a IS DISTINCT FROM b", "t"),
            ("SELECT 1 FROM generate_series(1, 2) g, t", "t"),
            ("WITH a AS (SELECT 1 FROM s.x), b(c) AS MATERIALIZED (SELECT 2) SELECT * FROM a, b", "s.x"),
            ("SELECT 1 FROM t FOR UPDATE OF t", "t"),
            ("INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", "t"),
            ("SELECT 1 FROM (SELECT 2) s", ""),
            ("SELECT 'FROM x' -- FROM y", ""),
        ] {
            assert_eq!(names(text).join(" "), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "\\PC*|(from|with|as|a|b|\\.|,|\\(|\\)|into|update|table| |'){0,16}") {
            relation_names(&text);
        }
    }
}
