//! The lexer: SQL text to tokens, by PostgreSQL's rules (scan.l), with `standard_conforming_strings` on.
//!
//! Takes `&str` and gives tokens that borrow from it. It never fails: an unterminated string, comment or quoted
//! identifier runs to the end of the text. Must not know what any word means.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or an unquoted identifier.
    Word,
    /// `"name"` or `U&"name"`.
    QuotedIdentifier,
    /// `'text'`, with any prefix (`E`, `B`, `X`, `N`, `U&`), or a dollar-quoted text.
    String,
    /// An integer in any base, a decimal, with an exponent or without.
    Number,
    /// `$1`.
    Parameter,
    /// One operator, such as `=`, `->>` or `?`; also `::`, `:=` and `=>`.
    Operator,
    /// One of `( ) [ ] , ; . :`.
    Punctuation,
    /// `-- to the end of the line` or `/* nested */`, delimiters included.
    Comment,
    /// A character that starts nothing in SQL.
    Unknown,
}

/// A piece of SQL text. Whitespace is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: TokenKind,
    /// The text as written.
    pub text: &'a str,
    /// Byte position of the text.
    pub start: usize,
}

impl<'a> Token<'a> {
    /// Whether this is the keyword, given in lower case.
    pub fn is_word(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether this is one of the keywords, given in lower case.
    pub fn is_any_word(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is_word(keyword))
    }

    /// Whether this is the punctuation character or the operator.
    pub fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.kind, TokenKind::Punctuation | TokenKind::Operator) && self.text == symbol
    }

    /// The byte position just behind the token.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The identifier that the token names: unquoted ones in lower case, quoted ones without their quotes.
    pub fn identifier(&self) -> Option<String> {
        match self.kind {
            TokenKind::Word => Some(self.text.to_ascii_lowercase()),
            TokenKind::QuotedIdentifier => {
                let open = self.text.find('"')? + 1;
                let body = self.text.get(open..).unwrap_or_default();
                Some(body.strip_suffix('"').unwrap_or(body).replace("\"\"", "\""))
            }
            _ => None,
        }
    }
}

/// Gives the tokens of a text, comments included.
pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens { text, position: 0 }
}

/// The tokens of a text.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Tokens<'a> {
    /// Leaves the comments out.
    pub fn without_comments(self) -> impl Iterator<Item = Token<'a>> + Clone {
        self.filter(|token| token.kind != TokenKind::Comment)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.position).is_some_and(|byte| is_space(*byte)) {
            self.position += 1;
        }
        let start = self.position;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let (kind, length) = scan(rest);
        self.position = start + length;
        Some(Token { kind, text: &rest[..length], start })
    }
}

/// The kind and length of the token that `rest`, which is not empty and starts with no whitespace, begins with.
fn scan(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let second = bytes.get(1).copied().unwrap_or_default();
    match bytes[0] {
        b'-' if second == b'-' => (TokenKind::Comment, line_comment(bytes)),
        b'/' if second == b'*' => (TokenKind::Comment, block_comment(bytes)),
        b'\'' => (TokenKind::String, quoted(bytes, 1, b'\'', false)),
        b'"' => (TokenKind::QuotedIdentifier, quoted(bytes, 1, b'"', false)),
        b'e' | b'E' if second == b'\'' => (TokenKind::String, quoted(bytes, 2, b'\'', true)),
        b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if second == b'\'' => {
            (TokenKind::String, quoted(bytes, 2, b'\'', false))
        }
        b'u' | b'U' if second == b'&' && bytes.get(2) == Some(&b'\'') => {
            (TokenKind::String, quoted(bytes, 3, b'\'', false))
        }
        b'u' | b'U' if second == b'&' && bytes.get(2) == Some(&b'"') => {
            (TokenKind::QuotedIdentifier, quoted(bytes, 3, b'"', false))
        }
        b'$' => dollar(rest),
        b'0'..=b'9' => (TokenKind::Number, number(bytes)),
        b'.' if second.is_ascii_digit() => (TokenKind::Number, number(bytes)),
        first if is_word_start(first) => (TokenKind::Word, run(bytes, is_word_part)),
        b':' if matches!(second, b':' | b'=') => (TokenKind::Operator, 2),
        b'(' | b')' | b'[' | b']' | b',' | b';' | b'.' | b':' => (TokenKind::Punctuation, 1),
        first if is_operator(first) => (TokenKind::Operator, operator(bytes)),
        _ => (TokenKind::Unknown, rest.chars().next().map_or(1, char::len_utf8)),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

/// Every byte of a multi-byte character counts as a letter, as in PostgreSQL.
fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

fn run(bytes: &[u8], belongs: fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

fn line_comment(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len())
}

fn block_comment(bytes: &[u8]) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'/', b'*') => (depth, at) = (depth + 1, at + 2),
            (b'*', b'/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// The length of a quoted text whose body starts at `body`. A doubled quote stays inside; with `escapes`, so does
/// whatever follows a backslash.
fn quoted(bytes: &[u8], body: usize, quote: u8, escapes: bool) -> usize {
    let mut at = body;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `$1`, `$$text$$`, `$tag$text$tag$`, or a lone dollar sign.
fn dollar(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let digits = run(&bytes[1..], |byte| byte.is_ascii_digit());
    if digits > 0 {
        return (TokenKind::Parameter, 1 + digits);
    }
    let tag = run(&bytes[1..], |byte| is_word_part(byte) && byte != b'$');
    if bytes.get(1 + tag) != Some(&b'$') {
        return (TokenKind::Unknown, 1);
    }
    let delimiter = &rest[..tag + 2];
    let length = rest[delimiter.len()..].find(delimiter).map_or(rest.len(), |at| at + 2 * delimiter.len());
    (TokenKind::String, length)
}

fn number(bytes: &[u8]) -> usize {
    let digit_or_underscore: fn(u8) -> bool = |byte| byte.is_ascii_digit() || byte == b'_';
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B')) {
        let body = run(&bytes[2..], |byte| byte.is_ascii_hexdigit() || byte == b'_');
        if body > 0 {
            return 2 + body;
        }
    }
    let mut at = run(bytes, digit_or_underscore);
    // `1..10` is a range in PL/pgSQL: neither dot belongs to the number.
    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1) != Some(&b'.') {
        at += 1 + run(&bytes[at + 1..], digit_or_underscore);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let digits = run(&bytes[(at + 1 + sign).min(bytes.len())..], |byte| byte.is_ascii_digit());
        if digits > 0 {
            at += 1 + sign + digits;
        }
    }
    at
}

/// An operator ends before a comment, and a long one ends in `+` or `-` only if it holds a character that standard
/// operators do not have, so that `a=-1` is `=` and `-`. PostgreSQL knows no longer one than a name may be, so that the
/// work for each is bounded.
fn operator(bytes: &[u8]) -> usize {
    const LENGTH_MAX: usize = 63;
    let mut length = run(&bytes[..bytes.len().min(LENGTH_MAX)], is_operator);
    if let Some(comment) = bytes[..length].windows(2).position(|pair| pair == b"--" || pair == b"/*") {
        length = comment.max(1);
    }
    if !bytes[..length].iter().any(|byte| b"~!@#%^&|`?".contains(byte)) {
        while length > 1 && matches!(bytes[length - 1], b'+' | b'-') {
            length -= 1;
        }
    }
    length
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokens(sql).map(|token| token.text).collect()
    }

    fn kinds(sql: &str) -> Vec<TokenKind> {
        tokens(sql).map(|token| token.kind).collect()
    }

    #[test]
    fn strings_end_where_postgresql_ends_them() {
        assert_eq!(
            texts(r"'it''s' E'it\'s' 'back\' $$a;b$$ $t$ $$ $t$"),
            ["'it''s'", r"E'it\'s'", r"'back\'", "$$a;b$$", "$t$ $$ $t$"]
        );
        assert_eq!(
            kinds("U&'d' x'1F' \"Q\"\"q\" U&\"q\""),
            [TokenKind::String, TokenKind::String, TokenKind::QuotedIdentifier, TokenKind::QuotedIdentifier]
        );
    }

    #[test]
    fn comments_nest_and_operators_stop_before_them() {
        assert_eq!(texts("1+/* a /* b */ c */2--x\n3"), ["1", "+", "/* a /* b */ c */", "2", "--x", "3"]);
    }

    #[test]
    fn operators_and_numbers_are_cut_as_in_scan_l() {
        assert_eq!(texts("a=-1"), ["a", "=", "-", "1"]);
        assert_eq!(texts("a@-1"), ["a", "@-", "1"]);
        assert_eq!(texts("1.5e-3 .5 1..2 0x1F 1_000 5."), ["1.5e-3", ".5", "1", ".", ".2", "0x1F", "1_000", "5."]);
        assert_eq!(texts("x::int d->>'k'"), ["x", "::", "int", "d", "->>", "'k'"]);
        assert_eq!(texts("$1+$23"), ["$1", "+", "$23"]);
    }

    #[test]
    fn what_is_not_closed_runs_to_the_end() {
        for sql in ["'a;", "\"a;", "/* a;", "$x$ a;", "E'a\\"] {
            assert_eq!(texts(sql), [sql]);
        }
    }

    proptest! {
        #[test]
        fn tokens_cover_everything_but_whitespace(sql in "\\PC*|[-'\"$/*;()a1.:? \\\\\n]{0,40}") {
            let mut end = 0;
            for token in tokens(&sql) {
                prop_assert!(sql[end..token.start].bytes().all(is_space));
                prop_assert_eq!(&sql[token.start..token.end()], token.text);
                prop_assert!(!token.text.is_empty());
                end = token.end();
            }
            prop_assert!(sql[end..].bytes().all(is_space));
        }
    }
}
