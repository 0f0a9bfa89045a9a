//! Literals of SQL: what a literal means, and how another value is written in the same way.
//!
//! Takes a token as it is written and gives its value with the way of writing; takes another value and writes it that
//! way. Must not know what values are mapped to.

/// How a string is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quoting<'a> {
    style: Style<'a>,
    /// Whether the closing quote is there: a text that was cut may end in the middle of a string.
    is_closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Style<'a> {
    /// `'text'` and `N'text'`, with what stands before the quote.
    Plain(&'a str),
    /// `E'text'`; whether its escapes made bytes that are no UTF-8.
    Escaped(&'a str, bool),
    /// `U&'text'` with its escape character.
    Unicode(&'a str, char),
    /// `$tag$text$tag$` with its delimiter.
    Dollar(&'a str),
}

/// Whether a string token is a bit string: `B'101'`, `X'1F'`.
pub(super) fn is_bits(token: &str) -> bool {
    token.starts_with(['b', 'B', 'x', 'X'])
}

/// The value of a string token and how it is written. `escape` is what UESCAPE names for a `U&''` string.
pub(super) fn read_string(token: &str, escape: Option<char>) -> (Quoting<'_>, String) {
    if token.starts_with('$') {
        return read_dollar(token);
    }
    let open = token.find('\'').unwrap_or_default();
    let (prefix, body) = (&token[..open], token.get(open + 1..).unwrap_or_default());
    let has_escapes = prefix.eq_ignore_ascii_case("e");
    let is_closed = ends_with_quote(body, has_escapes);
    let body = if is_closed { &body[..body.len() - 1] } else { body };
    let (style, value) = match prefix.to_ascii_lowercase().as_str() {
        "e" => {
            let (value, is_raw) = without_escapes(body);
            (Style::Escaped(prefix, is_raw), value)
        }
        "u&" => {
            let escape = escape.unwrap_or('\\');
            (Style::Unicode(prefix, escape), without_unicode_escapes(&body.replace("''", "'"), escape))
        }
        _ => (Style::Plain(prefix), body.replace("''", "'")),
    };
    (Quoting { style, is_closed }, value)
}

fn read_dollar(token: &str) -> (Quoting<'_>, String) {
    let length = token[1..].find('$').map_or(token.len(), |at| at + 2);
    let (delimiter, rest) = token.split_at(length);
    let body = rest.strip_suffix(delimiter);
    let quoting = Quoting { style: Style::Dollar(delimiter), is_closed: body.is_some() };
    (quoting, body.unwrap_or(rest).to_owned())
}

/// Whether a body ends with the quote that closes it, which is neither doubled nor escaped.
fn ends_with_quote(body: &str, has_escapes: bool) -> bool {
    let bytes = body.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if has_escapes => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return at + 1 == bytes.len(),
            _ => at += 1,
        }
    }
    false
}

/// Follows the escapes of `E''` and undoubles quotes. Bytes that are no UTF-8 become the characters of their numbers.
fn without_escapes(body: &str) -> (String, bool) {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.chars().peekable();
    let mut one = [0; 4];
    while let Some(character) = rest.next() {
        if character == '\'' && rest.peek() == Some(&'\'') {
            rest.next();
        }
        let escaped = match character {
            '\\' => rest.next().unwrap_or('\\'),
            other => {
                bytes.extend_from_slice(other.encode_utf8(&mut one).as_bytes());
                continue;
            }
        };
        let mut code = |first: Option<char>, radix: u32, digits_max: usize| {
            let mut text: String = first.into_iter().collect();
            while text.len() < digits_max && rest.peek().is_some_and(|next| next.is_digit(radix)) {
                text.extend(rest.next());
            }
            u32::from_str_radix(&text, radix).ok()
        };
        let character = match escaped {
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'x' => {
                bytes.push(code(None, 16, 2).map_or(b'x', |byte| byte as u8));
                continue;
            }
            '0'..='7' => {
                bytes.push(code(Some(escaped), 8, 3).unwrap_or_default() as u8);
                continue;
            }
            'u' => code(None, 16, 4).and_then(char::from_u32),
            'U' => code(None, 16, 8).and_then(char::from_u32),
            other => Some(other),
        };
        bytes.extend_from_slice(character.unwrap_or('\u{fffd}').encode_utf8(&mut one).as_bytes());
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (error.as_bytes().iter().copied().map(char::from).collect(), true),
    }
}

/// Follows `\0041` and `\+000041`.
fn without_unicode_escapes(body: &str, escape: char) -> String {
    let mut value = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find(escape) {
        value.push_str(&rest[..at]);
        rest = &rest[at + escape.len_utf8()..];
        let (skipped, digits) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
        let code = rest.get(skipped..skipped + digits).and_then(|code| u32::from_str_radix(code, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => {
                value.push(character);
                rest = &rest[skipped + digits..];
            }
            None => {
                value.push(escape);
                rest = rest.strip_prefix(escape).unwrap_or(rest);
            }
        }
    }
    value + rest
}

impl Quoting<'_> {
    /// Another value, written in this way.
    pub(super) fn write(&self, value: &str) -> String {
        let close = if self.is_closed { "'" } else { "" };
        match &self.style {
            Style::Plain(prefix) => format!("{prefix}'{}{close}", value.replace('\'', "''")),
            Style::Escaped(prefix, is_raw) => {
                let mut text = format!("{prefix}'");
                value.chars().for_each(|character| push_escaped(&mut text, character, *is_raw));
                text + close
            }
            Style::Unicode(prefix, escape) => {
                let doubled = [*escape, *escape].iter().collect::<String>();
                format!("{prefix}'{}{close}", value.replace(*escape, &doubled).replace('\'', "''"))
            }
            Style::Dollar(delimiter) => {
                let mut delimiter = (*delimiter).to_owned();
                while format!("{value}{delimiter}").find(&delimiter) != Some(value.len()) {
                    delimiter.insert(1, '_');
                }
                format!("{delimiter}{value}{}", if self.is_closed { delimiter.as_str() } else { "" })
            }
        }
    }
}

fn push_escaped(text: &mut String, character: char, is_raw: bool) {
    match character {
        '\'' => text.push_str("''"),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        other if other < ' ' || is_raw && !other.is_ascii() => text.push_str(&format!("\\x{:02x}", u32::from(other))),
        other => text.push(other),
    }
}

/// How a number is written, beside its decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notation<'a> {
    text: &'a str,
    radix: u32,
}

/// The value of a number token in decimal digits, and how it is written.
pub(super) fn read_number(token: &str) -> (Notation<'_>, String) {
    let digits = token.replace('_', "");
    let radix = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let value = match radix {
        10 => None,
        _ => u64::from_str_radix(&digits[2..], radix).ok(),
    };
    match value {
        Some(value) => (Notation { text: token, radix }, value.to_string()),
        None => (Notation { text: token, radix: 10 }, digits),
    }
}

impl Notation<'_> {
    /// Another number in the same notation; digits are parted where the old ones were.
    pub(super) fn write(&self, decimal: &str) -> String {
        let (prefix, digits) = match (self.radix, decimal.parse::<u64>()) {
            (16, Ok(value)) => (&self.text[..2], format!("{value:x}")),
            (8, Ok(value)) => (&self.text[..2], format!("{value:o}")),
            (2, Ok(value)) => (&self.text[..2], format!("{value:b}")),
            _ => ("", decimal.to_owned()),
        };
        let old = &self.text[prefix.len()..];
        if old.len() - old.matches('_').count() != digits.len() {
            return format!("{prefix}{digits}");
        }
        let mut next = digits.chars();
        let parted = old.chars().map(|character| if character == '_' { '_' } else { next.next().unwrap_or('0') });
        prefix.chars().chain(parted).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sql::{TokenKind, tokens};

    #[test]
    fn a_string_is_read_as_postgresql_reads_it() {
        for (token, value) in [
            ("'it''s'", "it's"),
            (r"'back\slash'", r"back\slash"),
            (r"E'a\'b\\c\n\x41\101\u00e9\U0001F600'", "a'b\\c\nAAé😀"),
            (r"e'\xc3\xa9'", "é"),
            (r"E'\xe9'", "é"),
            (r"U&'d\0061t\+000061\\'", r"data\"),
            ("N'x'", "x"),
            ("$$it's$$", "it's"),
            ("$t$a$$b$t$", "a$$b"),
            ("'open", "open"),
            ("$x$open", "open"),
            (r"E'a\'", "a'"),
            ("''", ""),
        ] {
            let (quoting, read) = read_string(token, None);
            assert_eq!(read, value, "{token}");
            assert_eq!(read_string(&quoting.write(&read), None).1, value, "{token}");
        }
        assert_eq!(read_string("U&'d!0061'", Some('!')).1, "da");
        assert_eq!(read_string("E'\\xe9'", None).0.write("ö"), "E'\\xf6'");
    }

    #[test]
    fn a_number_keeps_its_notation() {
        for (token, value, other, written) in [
            ("42", "42", "17", "17"),
            ("0x1F", "31", "25", "0x19"),
            ("0b11", "3", "2", "0b10"),
            ("1_000", "1000", "7531", "7_531"),
            ("1.50e-3", "1.50e-3", "7.10e-3", "7.10e-3"),
        ] {
            let (notation, read) = read_number(token);
            assert_eq!((read.as_str(), notation.write(other).as_str()), (value, written));
            assert_eq!(notation.write(&read).to_lowercase(), token.to_lowercase());
        }
    }

    proptest! {
        #[test]
        fn any_value_can_be_written_in_any_way(
            token in "'[a-z]{0,3}'|[eE]'[a-z]'|[uU]&'x'|[nN]'x'|\\$[a-z]{0,2}\\$y\\$[a-z]{0,2}\\$",
            value in "\\PC{0,12}|[-'\\\\$a\n\t{}]{0,12}",
        ) {
            let token = tokens(&token).next().unwrap().text.to_owned();
            prop_assume!(!token.is_empty() && token.contains(['\'', '$']));
            let (quoting, _) = read_string(&token, None);
            prop_assume!(quoting.is_closed);
            let written = quoting.write(&value);
            let read: Vec<_> = tokens(&written).collect();
            prop_assert_eq!(read.len(), 1, "{}", written);
            prop_assert_eq!(read[0].kind, TokenKind::String);
            prop_assert_eq!(&read_string(&written, None).1, &value);
        }
    }
}
