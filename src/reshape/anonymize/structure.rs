//! Values made of values: JSON, arrays and ranges as PostgreSQL writes them.
//!
//! Takes a text and gives its parts in order: what stays, and the values between. Must not know how values are mapped.

use super::form::{Form, form};

/// A piece of a structured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Stays as written: brackets, keys, spaces, `null`.
    Fixed(&'a str),
    /// A number or an unquoted element.
    Bare(&'a str),
    /// A value in quotes, without them and without its escapes.
    Quoted(String),
    /// A key of a JSON object, decoded.
    Key(String),
}

/// Whether a text is a JSON object, array or string.
pub(super) fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[', '"']) && json_parts(text).is_some()
}

/// The parts of a JSON text; none where it is no JSON.
pub(super) fn json_parts(text: &str) -> Option<Vec<Part<'_>>> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let bytes = text.as_bytes();
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let end = at
            + match bytes[at] {
                b'"' => string_length(&bytes[at..]),
                b'-' | b'0'..=b'9' => run(&bytes[at..], |byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)),
                _ => run(&bytes[at..], |byte| !byte.is_ascii_digit() && byte != b'"' && byte != b'-').max(1),
            };
        let token = &text[at..end];
        let is_key = || text[end..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with(':');
        parts.push(match bytes[at] {
            b'"' => {
                let decoded = serde_json::from_str::<String>(token).ok().filter(|decoded| !decoded.contains('\0'))?;
                if is_key() { Part::Key(decoded) } else { Part::Quoted(decoded) }
            }
            b'-' | b'0'..=b'9' => Part::Bare(token),
            _ => Part::Fixed(token),
        });
        at = end;
    }
    Some(parts)
}

/// A JSON string as PostgreSQL's `to_json` writes it.
pub(super) fn json_string(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// Whether a text is an array as `array_out` writes it.
pub(super) fn is_array(text: &str) -> bool {
    array_parts(text).is_some()
}

/// The parts of an array; none where it is none.
pub(super) fn array_parts(text: &str) -> Option<Vec<Part<'_>>> {
    let bytes = text.as_bytes();
    let mut at = bounds_length(bytes);
    let mut parts = vec![Part::Fixed(&text[..at])];
    let (mut depth, mut expects_element) = (0_u32, true);
    while at < bytes.len() {
        let (part, length) = match bytes[at] {
            b'{' if expects_element && (depth > 0 || at == bounds_length(bytes)) => {
                depth += 1;
                (Part::Fixed(&text[at..=at]), 1)
            }
            b'}' if depth > 0 && (!expects_element || bytes[at - 1] == b'{') => {
                depth -= 1;
                expects_element = false;
                (Part::Fixed(&text[at..=at]), 1)
            }
            b',' if depth > 0 && !expects_element => {
                expects_element = true;
                (Part::Fixed(&text[at..=at]), 1)
            }
            b'"' if depth > 0 && expects_element => {
                let length = string_length(&bytes[at..]);
                let body = text.get(at + 1..at + length - 1).filter(|_| length >= 2)?;
                if !is_closed(&bytes[at..at + length]) {
                    return None;
                }
                expects_element = false;
                (Part::Quoted(without_backslashes(body)), length)
            }
            byte if depth > 0 && expects_element && !b"{},\"\\ \t\n\r".contains(&byte) => {
                let length = run(&bytes[at..], |byte| !b"{},\"\\\t\n\r".contains(&byte));
                let element = &text[at..at + length];
                if element.ends_with(' ') {
                    return None;
                }
                expects_element = false;
                let is_null = element.eq_ignore_ascii_case("null");
                (if is_null { Part::Fixed(element) } else { Part::Bare(element) }, length)
            }
            _ => return None,
        };
        parts.push(part);
        at += length;
        if depth == 0 && at < bytes.len() {
            return None;
        }
    }
    (depth == 0 && text.ends_with('}')).then_some(parts)
}

/// The length of `[0:2][1:3]=`, where an array begins with it.
fn bounds_length(bytes: &[u8]) -> usize {
    let length = run(bytes, |byte| byte.is_ascii_digit() || b"[]:-+".contains(&byte));
    if length > 0 && bytes[0] == b'[' && bytes.get(length) == Some(&b'=') { length + 1 } else { 0 }
}

/// Whether a quoted text ends with a quote that is not escaped.
fn is_closed(quoted: &[u8]) -> bool {
    let escapes = quoted[..quoted.len() - 1].iter().rev().take_while(|byte| **byte == b'\\').count();
    quoted.len() > 1 && quoted.ends_with(b"\"") && escapes.is_multiple_of(2)
}

fn without_backslashes(body: &str) -> String {
    let (mut text, mut escaped) = (String::with_capacity(body.len()), false);
    for character in body.chars() {
        escaped = character == '\\' && !escaped;
        if !escaped {
            text.push(character);
        }
    }
    text
}

/// An element of an array in quotes.
pub(super) fn array_string(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a text is a range of numbers or dates.
pub(super) fn is_range(text: &str) -> bool {
    range_bounds(text).is_some()
}

/// The two bounds of a range, without quotes; an empty one is none.
pub(super) fn range_bounds(text: &str) -> Option<[&str; 2]> {
    let body = text.strip_prefix(['[', '('])?.strip_suffix([']', ')'])?;
    let (lower, upper) = body.split_once(',')?;
    let bare = |bound: &'_ str| bound.len() >= 2 && bound.starts_with('"') && bound.ends_with('"');
    let bounds = [lower, upper].map(|bound| if bare(bound) { &bound[1..bound.len() - 1] } else { bound });
    let is_of = |is: fn(&str) -> bool| bounds.iter().all(|bound| bound.is_empty() || is(bound));
    // `(1,2)` is a point rather than a range: those of numbers mostly include their lower bound.
    let is_open = text.starts_with('(') && text.ends_with(')') && !lower.is_empty() && !upper.is_empty();
    (is_of(is_moment) || !is_open && is_of(is_number)).then_some(bounds)
}

/// Whether a bound is a date or without end.
pub(super) fn is_moment(bound: &str) -> bool {
    let is_endless = matches!(bound, "infinity" | "-infinity");
    is_endless || bound.starts_with(|first: char| first.is_ascii_digit()) && form(bound) == Form::Date
}

fn is_number(bound: &str) -> bool {
    let is_written = bound.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_written && matches!(form(bound), Form::Zero | Form::Number)
}

/// Whether a text is a set of ranges in braces.
pub(super) fn is_multirange(text: &str) -> bool {
    let ranges = multirange_parts(text);
    !ranges.is_empty() && ranges.iter().all(|range| is_range(range))
}

/// The ranges of a multirange; none where it has none.
pub(super) fn multirange_parts(text: &str) -> Vec<&str> {
    let body = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let mut rest = body.unwrap_or_default();
    let mut ranges = Vec::new();
    while let Some(end) = rest.find([']', ')']) {
        ranges.push(&rest[..=end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.is_empty() => return ranges,
            None => break,
        }
    }
    Vec::new()
}

/// Whether a text is two or more values in parentheses, none of them in quotes.
pub(super) fn is_tuple(text: &str) -> bool {
    let body = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    body.is_some_and(|body| body.contains(',') && !body.contains(['(', ')', '"', '\\', ' ', '\t', '\n', '\r']))
}

/// The parts of a tuple.
pub(super) fn tuple_parts(text: &str) -> Vec<Part<'_>> {
    let pieces = text.split_inclusive(['(', ',', ')']);
    let parts = pieces.flat_map(|piece| {
        let (value, sign) = piece.split_at(piece.len() - 1);
        [Part::Bare(value), Part::Fixed(sign)]
    });
    parts.filter(|part| *part != Part::Bare("")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_cut_at_its_values() {
        assert_eq!(
            json_parts("{\"k\" : [-1.5e3, \"a\\\"\\u00e9\", true]}"),
            Some(vec![
                Part::Fixed("{"),
                Part::Key("k".to_owned()),
                Part::Fixed(" : ["),
                Part::Bare("-1.5e3"),
                Part::Fixed(", "),
                Part::Quoted("a\"é".to_owned()),
                Part::Fixed(", true]}"),
            ])
        );
        for text in ["{a}", "{\"a\":}", "[1,]", "\"", "\"\\ud800\"", "\"\\u0000\""] {
            assert!(!is_json(text), "{text}");
        }
    }

    #[test]
    fn arrays_are_read_as_postgresql_writes_them() {
        for text in ["{}", "{1,2}", "{{a,b},{c,NULL}}", "{\"a b\",\"q\\\"\\\\\"}", "[0:1]={1,2}", "{a b}"] {
            assert!(is_array(text), "{text}");
        }
        for text in
            ["{", "{1,}", "{,1}", "{1}}", "{1} ", "x{1}", "{\"a}", "{\"a\"b}", "{a }", "{\"\\\"}", "1}", "[0:1]="]
        {
            assert!(!is_array(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_piece_of_a_structure_is_lost(text in "[{}\\[\\],:\"\\\\a1 n-]{0,20}|\\PC{0,12}") {
            is_range(&text);
            if let Some(parts) = array_parts(&text) {
                let written: String = parts.iter().map(|part| match part {
                    Part::Fixed(text) | Part::Bare(text) => (*text).to_owned(),
                    Part::Quoted(value) | Part::Key(value) => array_string(value),
                }).collect();
                prop_assert_eq!(array_parts(&written).map(|parts| parts.len()), Some(parts.len()));
            }
            if let Some(parts) = json_parts(&text) {
                let written: String = parts.iter().map(|part| match part {
                    Part::Fixed(text) | Part::Bare(text) => (*text).to_owned(),
                    Part::Quoted(value) | Part::Key(value) => json_string(value),
                }).collect();
                prop_assert_eq!(json_parts(&written), Some(parts));
            }
        }
    }
}
