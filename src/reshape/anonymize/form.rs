//! The forms of values: what a text is, told by how it is written.
//!
//! Takes a text and gives its form. The form alone decides how a value is mapped, so that a value is mapped alike
//! wherever it stands: as a literal, a parameter, a field of COPY, a column. The SQL script (`script.sql`) tells forms
//! by the same rules. Must not know keys.

use super::{calendar, structure};

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing in it can be replaced.
    Plain,
    /// `true`, `null`, `infinity`, `now`: words that PostgreSQL understands.
    Word,
    /// Zero, however written.
    Zero,
    /// `-42`, `007`, `12.50`, `1e5`.
    Number,
    /// `2026-01-31`, with or without a time of day.
    Date,
    /// A time of day or an interval as PostgreSQL writes it: `10:30:00`, `7 days`.
    Span,
    Uuid,
    /// `10.0.0.1`, `10.0.0.0/8`.
    Ipv4,
    /// An IPv6 or MAC address.
    Colons,
    /// `\x1f`.
    Bytea,
    /// A JSON object, array or string.
    Json,
    /// `{1,2}`.
    Array,
    /// `(1.5,2.5)`: a point, or a composite value.
    Tuple,
    /// `[1,10)`.
    Range,
    /// `{[1,10),[20,30)}`.
    Multirange,
    /// `name@domain`.
    Email,
    /// A run of hexadecimal digits, as hashes are written.
    Hex,
    Text,
}

/// Words that PostgreSQL reads as values of their own; in lower case.
pub(super) const WORDS: [&str; 22] = [
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

/// Units of intervals, without the `s` of the plural.
pub(super) const UNITS: [&str; 16] = [
    "microsecond",
    "millisecond",
    "second",
    "sec",
    "minute",
    "min",
    "hour",
    "hr",
    "day",
    "week",
    "month",
    "mon",
    "year",
    "yr",
    "decade",
    "century",
];

/// Digits of a hash at least.
pub(super) const HEX_MIN: usize = 16;

/// Whether a text has a form.
type Test = fn(&str) -> bool;

/// The form of a text that neither begins nor ends with what [`trimmed`] takes off.
pub(super) fn form(text: &str) -> Form {
    if !text.chars().any(|character| super::alphabet::place(character).is_some()) {
        return Form::Plain;
    }
    if WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Form::Word;
    }
    if is_number(text) {
        let digits = text.split(['e', 'E']).next().unwrap_or_default();
        let is_zero = !digits.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        return if is_zero { Form::Zero } else { Form::Number };
    }
    if calendar::date(text).is_some() && is_behind_date(&text[10..]) {
        return Form::Date;
    }
    let tests: [(Form, Test); 11] = [
        (Form::Span, |text| calendar::is_time(text) || is_interval(text)),
        (Form::Uuid, is_uuid),
        (Form::Ipv4, is_ipv4),
        (Form::Colons, is_colons),
        (Form::Bytea, is_bytea),
        (Form::Json, structure::is_json),
        (Form::Multirange, structure::is_multirange),
        (Form::Array, structure::is_array),
        (Form::Range, structure::is_range),
        (Form::Tuple, structure::is_tuple),
        (Form::Email, is_email),
    ];
    let found = tests.iter().find(|(_, is)| is(text)).map(|(form, _)| *form);
    found.unwrap_or_else(|| if is_hex(text) { Form::Hex } else { Form::Text })
}

/// A text in three parts: what is mapped, between spaces and the `%` of a pattern. A padded `char(n)` and `'prefix%'`
/// have the middle part of the value itself.
pub(super) fn trimmed(text: &str) -> (&str, &str, &str) {
    let is_edge = |character: char| matches!(character, ' ' | '\t' | '\n' | '\r' | '%');
    let from = text.len() - text.trim_start_matches(is_edge).len();
    let to = text.trim_end_matches(is_edge).len().max(from);
    (&text[..from], &text[from..to], &text[to..])
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// `+1`, `-1.5`, `.5`, `1.`, `1e-5`.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(text);
    let rest = &text[whole..];
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(fraction) => (digits(fraction), &fraction[digits(fraction)..]),
        None => (0, rest),
    };
    let exponent_is_right = |exponent: &str| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent) == exponent.len()
    };
    whole + fraction > 0 && (rest.is_empty() || rest.strip_prefix(['e', 'E']).is_some_and(exponent_is_right))
}

fn is_behind_date(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix([' ', 'T']).is_some_and(calendar::is_time)
}

/// `7 days`, `1 year 2 mons -3 days +04:05:06`, `1 day ago`.
fn is_interval(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut words = text.strip_suffix(" ago").unwrap_or(&text).split(' ');
    let mut counted = false;
    while let Some(word) = words.next() {
        let amount = word.strip_prefix(['+', '-']).unwrap_or(word);
        let has_zone = || amount.contains(|one: char| !one.is_ascii_digit() && one != ':' && one != '.');
        if counted && calendar::is_time(amount) && !has_zone() {
            return words.next().is_none();
        }
        let is_amount = is_number(amount) && !amount.starts_with(['+', '-']) && !amount.contains(['e', 'E']);
        let is_unit = words
            .next()
            .is_some_and(|unit| UNITS.contains(&unit.strip_suffix('s').unwrap_or(unit)) || unit == "centuries");
        if !is_amount || !is_unit {
            return false;
        }
        counted = true;
    }
    counted
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The address before a `/`, and the rest with it.
pub(super) fn address_and_mask(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn is_mask(mask: &str, digits_max: usize) -> bool {
    mask.is_empty() || (2..=digits_max + 1).contains(&mask.len()) && digits(&mask[1..]) == mask.len() - 1
}

fn is_ipv4(text: &str) -> bool {
    let (address, mask) = address_and_mask(text);
    let is_octet = |octet: &str| {
        let written = octet.len() == 1 || !octet.starts_with('0');
        (1..=3).contains(&octet.len()) && digits(octet) == octet.len() && written && octet.parse::<u8>().is_ok()
    };
    is_mask(mask, 2) && address.split('.').count() == 4 && address.split('.').all(is_octet)
}

fn is_colons(text: &str) -> bool {
    let (address, mask) = address_and_mask(text);
    let is_group = |group: &str| group.len() <= 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_mask(mask, 3) && address.matches(':').count() >= 2 && address.split(':').all(is_group)
}

fn is_bytea(text: &str) -> bool {
    text.strip_prefix("\\x")
        .is_some_and(|hex| hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_email(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        && text.matches('@').count() == 1
        && !text.starts_with('@')
        && !text.ends_with('@')
}

fn is_hex(text: &str) -> bool {
    let of = |lowest: u8| move |byte: u8| byte.is_ascii_digit() || (lowest..lowest + 6).contains(&byte);
    text.len() >= HEX_MIN
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && (text.bytes().all(of(b'a')) || text.bytes().all(of(b'A')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_follows_from_how_a_value_is_written() {
        let forms: [(Form, &[&str]); 18] = [
            (Form::Plain, &["", "--", "@", "{}", "…"]),
            (Form::Word, &["true", "T", "NULL", "-infinity", "NaN"]),
            (Form::Zero, &["0", "-0", "0.00", "0e5", ".0"]),
            (Form::Number, &["42", "-7", "+1", "007", "12.50", ".5", "5.", "1e-5", "123456789012345678901234567890"]),
            (Form::Date, &["2026-01-31", "2026-01-31 10:00:00+00", "2026-01-31T10:00:00.123Z"]),
            (Form::Span, &["10:30", "7 days", "1 year 2 mons -3 days +04:05:06", "1.5 hours ago"]),
            (Form::Uuid, &["0b0c9a5e-9f3c-4c62-8d8a-1de1c1a4a0a5"]),
            (Form::Ipv4, &["10.0.0.1", "192.168.0.0/16"]),
            (Form::Colons, &["::1", "2001:db8::1/64", "08:00:2b:01:02:03"]),
            (Form::Bytea, &["\\x", "\\x1f00"]),
            (Form::Json, &["{\"a\": 1}", "[1, 2]", "\"text\"", "[]a".get(..2).unwrap_or_default()]),
            (Form::Array, &["{1,2}", "{a,\"b c\",NULL}"]),
            (Form::Range, &["[1,10)", "(,5)", "[2026-01-01,2026-02-01)", "(2026-01-01,infinity)"]),
            (Form::Multirange, &["{[1,3),[5,9)}", "{(,2026-01-01)}"]),
            (Form::Tuple, &["(1.5,-2.5)", "(1,,open)"]),
            (Form::Email, &["ann@example.org", "a@b"]),
            (Form::Hex, &["d41d8cd98f00b204e9800998ecf8427e"]),
            (Form::Text, &["open", "7 apples", "1.2.3", "2026-02-30", "a b@c", "{a", "12:3", "1.2.3.256", "deadbeef"]),
        ];
        for (expected, texts) in forms {
            for text in texts {
                let is_plain = *text == "[]";
                assert_eq!(form(text), if is_plain { Form::Plain } else { expected }, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_form(text in "\\PC{0,30}|[-0-9a-f:.{}\\[\\]()\",\\\\ xe@/+TZ]{0,30}") {
            form(trimmed(&text).1);
        }
    }
}
