//! The shape of a text: what is left of it without its plain literals and comments.
//!
//! Takes bytes and gives a shorter text in which plain numbers, plain strings and comments all look alike. Two texts of one
//! shape have the same tokens but for what stands in those, so they have one fingerprint and one class: finding out the
//! shape costs a small part of folding the text. Texts with anything that would need the lexer to be sure have no shape.

/// Appends the shape; false where the text has none.
pub fn shape(text: &[u8], shape: &mut Vec<u8>) -> bool {
    shape.reserve(text.len());
    let mut copied = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let end = match byte {
            b'0'..=b'9' => number(text, at),
            b'\'' if !before(text, at).is_some_and(begins_string) => Found::at(string(text, at)),
            b'"' => match closing(text, at, b'"') {
                Some(end) => Found::Kept(end),
                None => return false,
            },
            b'/' if text.get(at + 1) == Some(&b'*') && !before(text, at).is_some_and(is_operator) => {
                Found::at(comment(text, at))
            }
            b'$' if text.get(at + 1).is_some_and(u8::is_ascii_digit) => Found::Kept(at + 1),
            b'\'' | b'$' => return false,
            b'/' | b'-' if text.get(at + 1) == Some(if *byte == b'/' { &b'*' } else { &b'-' }) => return false,
            _ => Found::Kept(at + 1),
        };
        match end {
            Found::Nothing => return false,
            Found::Kept(end) => at = end,
            Found::Literal(end) => {
                shape.extend_from_slice(&text[copied..at]);
                // A number, a string or a comment, told by how it began. A comment parts what stands around it.
                shape.extend_from_slice(match byte {
                    b'\'' => b"''",
                    b'/' => b"/**/",
                    _ => b"1",
                });
                (copied, at) = (end, end);
            }
        }
    }
    shape.extend_from_slice(&text[copied..]);
    true
}

/// What a piece of the text is, up to a position.
enum Found {
    Kept(usize),
    Literal(usize),
    /// Something that only the lexer can tell.
    Nothing,
}

impl Found {
    fn at(end: Option<usize>) -> Self {
        end.map_or(Self::Nothing, Self::Literal)
    }
}

fn before(text: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).map(|before| text[before])
}

/// Whether what follows belongs to a word or a number that this byte is part of.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.') || byte >= 0x80
}

/// Whether a quote behind this byte may begin a string with escapes, or one that is no literal of its own.
fn begins_string(byte: u8) -> bool {
    is_part(byte) || byte == b'&'
}

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

/// `12` or `12.5`, with nothing before or behind it that makes it part of something else. 0 stays: an option may be that.
fn number(text: &[u8], start: usize) -> Found {
    let digits =
        |from: usize| text[from..].iter().position(|byte| !byte.is_ascii_digit()).map_or(text.len(), |n| from + n);
    let mut end = digits(start);
    if before(text, start).is_some_and(is_part) {
        return Found::Kept(end);
    }
    if text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    match text.get(end).copied().is_some_and(is_part) || text[start..end] == *b"0" {
        true => Found::Kept(end),
        false => Found::Literal(end),
    }
}

/// A string, its doubled quotes included.
fn string(text: &[u8], start: usize) -> Option<usize> {
    let mut end = closing(text, start, b'\'')?;
    while text.get(end) == Some(&b'\'') {
        end = closing(text, end, b'\'')?;
    }
    Some(end)
}

/// The position behind the quote that closes what one opens at `start`.
fn closing(text: &[u8], start: usize, quote: u8) -> Option<usize> {
    memchr::memchr(quote, &text[start + 1..]).map(|length| start + length + 2)
}

/// A comment without another one in it.
fn comment(text: &[u8], start: usize) -> Option<usize> {
    let body = &text[start + 2..];
    let length = memchr::memmem::find(body, b"*/")?;
    memchr::memmem::find(&body[..length + 1], b"/*").is_none().then_some(start + 2 + length + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{classify, fingerprint};
    use super::*;

    fn shape_of(text: &str) -> Option<String> {
        let mut bytes = Vec::new();
        shape(text.as_bytes(), &mut bytes).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn literals_and_comments_go_and_names_stay() {
        for (text, expected) in [
            (
                "select 12, -3.50 from t1 where a = 'it''s' and \"b 7\" = $2",
                "select 1, -1 from t1 where a = '' and \"b 7\" = $2",
            ),
            ("explain (analyze 0) select 7 /*trace='x 1'*/", "explain (analyze 0) select 1 /**/"),
            ("select 1e5, 0x1F, 1_000, a.1, 5::int", "select 1e5, 0x1F, 1_000, a.1, 1::int"),
        ] {
            assert_eq!(shape_of(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_needs_the_lexer_has_no_shape() {
        for text in
            ["select E'\\''", "select $$a$$", "a -- b", "/* /* */ */", "*/*c*/", "select 'open", "u&\"", "date'1'"]
        {
            assert_eq!(shape_of(text), None, "{text}");
        }
    }

    /// Texts of pieces that meet in every way, so that literals stand beside everything.
    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let piece = proptest::sample::select(vec![
            "select ",
            "explain ",
            "analyze ",
            "(",
            ")",
            ",",
            ";",
            " ",
            "\n",
            "a",
            "e",
            "U&",
            "t1",
            "1",
            "0",
            "23",
            "4.5",
            ".",
            "_",
            "'",
            "'a'",
            "'b''c'",
            "''",
            "\"",
            "\"q 1\"",
            "$",
            "$1",
            "$$",
            "-",
            "--",
            "/",
            "*",
            "/*x*/",
            "/*1'*/",
            "=",
            "in ",
            "é",
            "set x = ",
            "savepoint s",
            "values ",
            "::",
            "E",
            "\\",
        ]);
        proptest::collection::vec(piece, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn texts_of_one_shape_have_one_fingerprint_and_one_class(pieces in pieces(), seed in any::<u64>()) {
            let text = pieces.concat();
            // Other digits, and other letters where strings or comments may be.
            let mut random = seed;
            let other: String = text.chars().map(|c| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match (c, random >> 61) {
                    ('1'..='9', n) => char::from(b'1' + n as u8),
                    ('a'..='c' | 'x', 0..2) => 'q',
                    _ => c,
                }
            }).collect();
            if let (Some(one), Some(two)) = (shape_of(&text), shape_of(&other)) && one == two {
                prop_assert_eq!(fingerprint(&text), fingerprint(&other), "{} and {}", text, other);
                prop_assert_eq!(classify(&text), classify(&other), "{} and {}", text, other);
            }
            // The shape is such a text too.
            if let Some(shape) = shape_of(&text) {
                prop_assert_eq!(fingerprint(&text), fingerprint(&shape), "{} and {}", text, shape);
                prop_assert_eq!(classify(&text), classify(&shape), "{} and {}", text, shape);
            }
        }
    }
}
