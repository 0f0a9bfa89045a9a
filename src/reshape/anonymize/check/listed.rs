//! The classes of values that may stay wherever they stand.
//!
//! Takes a value and gives its class. Must not use the mapping: these rules are the check's own.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

const WORDS: &[&str] = &[
    "true",
    "false",
    "t",
    "f",
    "yes",
    "no",
    "y",
    "n",
    "on",
    "off",
    "null",
    "nan",
    "infinity",
    "-infinity",
    "inf",
    "-inf",
    "now",
    "today",
    "tomorrow",
    "yesterday",
    "epoch",
    "allballs",
];

const SMALLEST: [&str; 3] = ["32768", "2147483648", "9223372036854775808"];

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

static ZERO: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[-+]?(0+\.?0*|\.0+)([eE][-+]?\d+)?$"));
static SPAN: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"[-+]?\d{2,}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|GMT|[-+]\d{2}(:?\d{2}){0,2}))?";
    let units =
        "(microsecond|millisecond|second|sec|minute|min|hour|hr|day|week|month|mon|year|yr|decade|centurie|century)s?";
    let amounts = format!(r"[-+]?\d+(\.\d+)? {units}( [-+]?\d+(\.\d+)? {units})*");
    pattern(&format!("(?i)^({time}|{amounts}( {time})?( ago)?)$"))
});
static NUMBER_RANGE: LazyLock<Regex> = LazyLock::new(|| {
    let number = r#""?[-+]?[\d.]+([eE][-+]?\d+)?"?"#;
    let open = format!(r"\(,{number}[\])]|[\[(]{number},\)");
    let closed = format!(r"\[{number},{number}[\])]|\({number},{number}\]");
    pattern(&format!(r"^(\{{?({open}|{closed}),?)+\}}?$"))
});
static ZERO_ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([0.]+|[0:]+)(/\d+)?$"));

/// Why a value may stay; none where it may not. `allowed` is in lower case.
pub(super) fn class(value: &str, allowed: &HashSet<String>) -> Option<&'static str> {
    let value = value.trim_matches([' ', '\t', '\n', '\r', '%']);
    let folded = value.to_lowercase();
    Some(match () {
        () if !value.chars().any(char::is_alphanumeric) => "empty, or nothing but signs",
        () if WORDS.contains(&folded.as_str()) => "words that PostgreSQL understands (true, now, infinity)",
        () if allowed.contains(&folded) || allowed.contains(folded.trim_start_matches(['+', '-'])) => "allowed values",
        () if ZERO.is_match(value) || ZERO_ADDRESS.is_match(value) => "zero",
        () if SPAN.is_match(value) => "intervals and times of day",
        () if NUMBER_RANGE.is_match(value) => "ranges of numbers",
        () if SMALLEST.contains(&value.trim_start_matches('-')) => "the smallest numbers of the integer types",
        () if is_list(value, allowed) => "lists of such values",
        () => return None,
    })
}

/// Whether a text is an array or a tuple of values that may stay.
fn is_list(value: &str, allowed: &HashSet<String>) -> bool {
    let is_of = |open: char, close: char| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let Some(body) = is_of('{', '}').or_else(|| is_of('(', ')')) else { return false };
    let parts = body.split(',').map(|part| part.trim_matches(['{', '}', '"', ' ']));
    body.contains(char::is_alphanumeric) && parts.into_iter().all(|part| class(part, allowed).is_some())
}

/// Whether a text is a date with or without a time of day.
pub(super) fn is_date(value: &str) -> bool {
    static DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d{4}-\d{2}-\d{2}([ T].*)?$"));
    DATE.is_match(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stay_has_a_class() {
        let allowed = HashSet::from(["open".to_owned(), "7".to_owned()]);
        for value in [
            "",
            "--",
            "{}",
            "TRUE",
            "Open",
            "-7",
            "0.00",
            "0e5",
            "10:30:00.5+02",
            "1 year 2 mons -3 days 04:05:06",
            "[1,10)",
            "(,5]",
            "0.0.0.0/0",
            "{[1,3),[5,9]}",
            "{open,0}",
            "(0,open)",
            "-32768",
        ] {
            assert!(class(value, &allowed).is_some(), "{value}");
        }
        for value in ["a", "5", "opened", "2026-01-31", "10.0.0.1", "12 monkeys", "1:2", "[a,b]", "(1,5)", "{open,1}"] {
            assert_eq!(class(value, &allowed), None, "{value}");
        }
    }
}
