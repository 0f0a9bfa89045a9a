//! The options of COPY: in which format its data is.
//!
//! Takes a text and gives the options of every COPY in it whose data goes over the connection. Must not know the data.

use super::literal::read_string;
use crate::sql::{Token, TokenKind, split, tokens};

/// A format of COPY data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CopyFormat {
    #[default]
    Text,
    Csv,
    Binary,
}

/// How the data of a COPY is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CopyOptions {
    pub(super) from_client: bool,
    pub(super) format: CopyFormat,
    pub(super) delimiter: u8,
    pub(super) null: Vec<u8>,
    pub(super) quote: u8,
    pub(super) escape: u8,
    /// Whether the first line names the columns.
    pub(super) has_header: bool,
}

/// The options of each COPY of a text that reads from or writes to its client.
pub(super) fn copy_options(text: &str) -> Vec<CopyOptions> {
    split(text).into_iter().filter_map(options).collect()
}

fn options(statement: &str) -> Option<CopyOptions> {
    let words: Vec<Token<'_>> = tokens(statement).without_comments().collect();
    words.first()?.is_word("copy").then_some(())?;
    let mut depth = 0_i32;
    let at = words.iter().position(|token| {
        depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
        depth == 0 && token.is_any_word(&["stdin", "stdout"])
    })?;
    let before = words.get(at.checked_sub(1)?)?;
    before.is_any_word(&["from", "to"]).then_some(())?;
    let has_word = |word: &str| words[at..].iter().any(|token| token.is_word(word));
    let format = match () {
        () if has_word("csv") => CopyFormat::Csv,
        () if has_word("binary") || words.get(1)?.is_word("binary") => CopyFormat::Binary,
        () => CopyFormat::Text,
    };
    let value = |name: &str| named(&words[at..], name);
    let byte = |name: &str| value(name).and_then(|value| value.bytes().next());
    let quote = byte("quote").unwrap_or(b'"');
    let default_null = if format == CopyFormat::Csv { "" } else { "\\N" };
    Some(CopyOptions {
        from_client: before.is_word("from"),
        format,
        delimiter: byte("delimiter").or_else(|| byte("delimiters")).unwrap_or(if format == CopyFormat::Csv {
            b','
        } else {
            b'\t'
        }),
        null: value("null").unwrap_or_else(|| default_null.to_owned()).into_bytes(),
        quote,
        escape: byte("escape").unwrap_or(quote),
        has_header: has_header(&words[at..]),
    })
}

/// The string behind an option's name: `NULL 'x'`, `NULL AS 'x'`; `FORCE NULL (a)` is another option.
fn named(words: &[Token<'_>], name: &str) -> Option<String> {
    words.iter().enumerate().find_map(|(at, token)| {
        token.is_word(name).then_some(())?;
        let next = words.get(at + 1).filter(|next| !next.is_word("as")).or_else(|| words.get(at + 2))?;
        (next.kind == TokenKind::String).then(|| read_string(next.text, None).1)
    })
}

fn has_header(words: &[Token<'_>]) -> bool {
    let Some(at) = words.iter().position(|token| token.is_word("header")) else { return false };
    let is_off = |next: &Token<'_>| {
        let value = next.identifier().unwrap_or_else(|| next.text.trim_matches('\'').to_owned());
        matches!(value.as_str(), "false" | "off" | "0")
    };
    !words.get(at + 1).is_some_and(is_off)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_both_syntaxes() {
        let csv = CopyOptions {
            from_client: true,
            format: CopyFormat::Csv,
            delimiter: b';',
            null: b"NA".to_vec(),
            quote: b'\'',
            escape: b'\\',
            has_header: true,
        };
        for text in [
            "COPY t (a, b) FROM STDIN WITH (FORMAT csv, DELIMITER ';', NULL 'NA', QUOTE '''', ESCAPE '\\', HEADER true)",
            "copy t from stdin with delimiter as ';' null as 'NA' csv header quote as '''' escape as '\\'",
        ] {
            assert_eq!(copy_options(text), std::slice::from_ref(&csv), "{text}");
        }
        let plain = copy_options("SELECT 1; COPY (SELECT * FROM t WHERE a = 'stdin') TO STDOUT").pop().unwrap();
        assert_eq!((plain.from_client, plain.format, plain.delimiter), (false, CopyFormat::Text, b'\t'));
        assert_eq!(copy_options("COPY t FROM STDIN (FORMAT binary)")[0].format, CopyFormat::Binary);
        assert_eq!(copy_options("COPY BINARY t FROM STDIN")[0].format, CopyFormat::Binary);
        assert_eq!(copy_options("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (a), HEADER off)")[0].null, b"");
        assert_eq!(copy_options("COPY t FROM '/tmp/x'"), []);
    }
}
