//! Folding: one text for all the texts that differ only in values and in how they are written.
//!
//! Takes a text and gives its folded form, and the fingerprint of that form. Uses the lexer alone, so both are the same
//! whatever the server's major version. Must not know where the text came from.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::lex::{Token, TokenKind, tokens};
use super::utility::{Place, Utility, needs_no_quotes, numbers_folded};
use crate::words::ids::Fingerprint;

/// The fingerprint of a text: the first eight bytes of the SHA-256 of its folded form.
pub fn fingerprint(text: &str) -> Fingerprint {
    let digest = Sha256::digest(fold(text).as_bytes());
    Fingerprint(digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The folded form of a text: literals, their signs and parameters become `?`, so that a simple query and an extended
/// execution of one statement fold to the same text; lists of values behind IN, ARRAY and VALUES lose their repetitions;
/// what SET sets a parameter to is one value; comments go; whitespace, the case of unquoted words and quotes that an
/// identifier does not need are made uniform. Names stay, but for the numbers in those that clients count up (savepoints,
/// cursors, prepared statements): these become 0. Folding twice changes nothing.
pub fn fold(text: &str) -> String {
    let mut folding = Folding::default();
    let mut significant = tokens(text).without_comments().peekable();
    while let Some(token) = significant.next() {
        folding.push(token, significant.peek());
    }
    let pieces = folding.pieces;
    let length = pieces.iter().rposition(|piece| piece.text != ";").map_or(0, |last| last + 1);
    write(&pieces[..length])
}

/// A token of the folded text. Values are operators called `?`, which is also how they are lexed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece<'a> {
    kind: TokenKind,
    text: Cow<'a, str>,
}

impl Piece<'_> {
    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.kind, TokenKind::Punctuation | TokenKind::Operator) && self.text == symbol
    }

    fn is_any_word(&self, words: &[&str]) -> bool {
        self.kind == TokenKind::Word && words.contains(&self.text.as_ref())
    }
}

/// The pieces so far, and the parentheses and brackets that are open.
#[derive(Default)]
struct Folding<'a> {
    pieces: Vec<Piece<'a>>,
    open: Vec<Level>,
    outermost: Level,
    previous_is_string: bool,
    utility: Utility,
}

/// What stands between one pair of parentheses or brackets. All positions count pieces.
#[derive(Default)]
struct Level {
    /// Where its first piece is, and where the item being read begins.
    start: usize,
    item_start: usize,
    /// The list of an IN or ARRAY: an item that equals the one before it goes.
    is_list: bool,
    previous_item: Option<(usize, usize)>,
    /// Inside the rows of a VALUES, and where the last row lies: a row that equals the one before it goes.
    in_values: bool,
    previous_row: Option<(usize, usize)>,
}

impl<'a> Folding<'a> {
    fn push(&mut self, token: Token<'a>, next: Option<&Token<'a>>) {
        let previous_is_string = std::mem::replace(&mut self.previous_is_string, token.kind == TokenKind::String);
        let place = self.utility.place(&token, self.open.is_empty());
        match token.kind {
            _ if place == Place::SetValue => {
                if !self.pieces.last().is_some_and(|piece| piece.is_symbol("?")) {
                    self.push_value();
                }
            }
            TokenKind::Word | TokenKind::QuotedIdentifier if place == Place::CountedName => {
                let text = numbers_folded(token.text);
                match token.kind {
                    TokenKind::Word => self.push_word(text.to_ascii_lowercase()),
                    _ => self.push_quoted(Cow::Owned(text)),
                }
            }
            TokenKind::QuotedIdentifier => self.push_quoted(Cow::Borrowed(token.text)),
            // 'one' 'text' on two lines is one literal.
            TokenKind::String if previous_is_string => {}
            TokenKind::String | TokenKind::Number | TokenKind::Parameter => self.push_value(),
            TokenKind::Operator if matches!(token.text, "+" | "-") && self.is_sign(next) => {}
            TokenKind::Word => self.push_word(token.text.to_ascii_lowercase()),
            TokenKind::Punctuation => self.push_punctuation(token.text),
            _ => {
                self.leave_values();
                // PostgreSQL's own lexer makes one operator of the two.
                let text = if token.is_symbol("!=") { "<>" } else { token.text };
                self.pieces.push(Piece { kind: token.kind, text: Cow::Borrowed(text) });
            }
        }
    }

    /// `"users"` is the same identifier as `users`.
    fn push_quoted(&mut self, text: Cow<'a, str>) {
        match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|name| needs_no_quotes(name)) {
            Some(name) => self.push_word(name.to_owned()),
            None => {
                self.leave_values();
                self.pieces.push(Piece { kind: TokenKind::QuotedIdentifier, text });
            }
        }
    }

    fn push_value(&mut self) {
        self.leave_values();
        self.pieces.push(Piece { kind: TokenKind::Operator, text: Cow::Borrowed("?") });
    }

    fn push_word(&mut self, word: String) {
        let is_value = matches!(word.as_str(), "true" | "false" | "null")
            && !self
                .pieces
                .last()
                .is_some_and(|piece| piece.is_any_word(&["is", "not", "set"]) || piece.is_symbol("."));
        if is_value {
            return self.push_value();
        }
        let level = self.open.last_mut().unwrap_or(&mut self.outermost);
        (level.in_values, level.previous_row) = (word == "values", None);
        self.pieces.push(Piece { kind: TokenKind::Word, text: Cow::Owned(word) });
    }

    fn push_punctuation(&mut self, symbol: &'a str) {
        let opener = self.pieces.last();
        let is_list = match symbol {
            "(" => opener.is_some_and(|piece| piece.is_any_word(&["in"])),
            "[" => {
                let is_nested = self.open.last().is_some_and(|level| level.is_list)
                    && opener.is_some_and(|piece| piece.is_symbol("[") || piece.is_symbol(","));
                is_nested || opener.is_some_and(|piece| piece.is_any_word(&["array"]))
            }
            _ => false,
        };
        match symbol {
            ")" | "]" | "," => self.end_item(),
            "(" => {}
            _ => self.leave_values(),
        }
        self.pieces.push(Piece { kind: TokenKind::Punctuation, text: Cow::Borrowed(symbol) });
        let here = self.pieces.len();
        match symbol {
            "(" | "[" => self.open.push(Level { start: here, item_start: here, is_list, ..Level::default() }),
            ")" | "]" => {
                if let Some(closed) = self.open.pop() {
                    self.end_row(closed.start.saturating_sub(1));
                }
            }
            "," => self.open.last_mut().unwrap_or(&mut self.outermost).item_start = here,
            _ => {}
        }
    }

    /// A sign belongs to its number unless something stands before it that can be added to or subtracted from.
    fn is_sign(&self, next: Option<&Token<'a>>) -> bool {
        const NO_OPERAND: [&str; 27] = [
            "select",
            "where",
            "and",
            "or",
            "not",
            "limit",
            "offset",
            "then",
            "else",
            "when",
            "case",
            "between",
            "in",
            "like",
            "returning",
            "by",
            "return",
            "having",
            "on",
            "to",
            "from",
            "default",
            "fetch",
            "move",
            "absolute",
            "relative",
            "any",
        ];
        next.is_some_and(|next| next.kind == TokenKind::Number)
            && self.pieces.last().is_none_or(|piece| match piece.kind {
                TokenKind::Operator => piece.text != "?",
                TokenKind::Punctuation => !matches!(piece.text.as_ref(), ")" | "]"),
                TokenKind::Word => piece.is_any_word(&NO_OPERAND),
                _ => false,
            })
    }

    fn leave_values(&mut self) {
        let level = self.open.last_mut().unwrap_or(&mut self.outermost);
        (level.in_values, level.previous_row) = (false, None);
    }

    fn end_item(&mut self) {
        let Some(level) = self.open.last_mut().filter(|level| level.is_list) else { return };
        let is_query =
            self.pieces.get(level.start).is_some_and(|piece| piece.is_any_word(&["select", "with", "values", "table"]));
        if is_query {
            return;
        }
        let item = (level.item_start, self.pieces.len());
        match level.previous_item {
            Some((start, end)) if self.pieces[start..end] == self.pieces[item.0..item.1] => self.pieces.truncate(end),
            _ => level.previous_item = Some(item),
        }
    }

    fn end_row(&mut self, start: usize) {
        let level = self.open.last_mut().unwrap_or(&mut self.outermost);
        if !level.in_values {
            return;
        }
        let row = (start, self.pieces.len());
        match level.previous_row {
            Some((start, end)) if end + 1 == row.0 && self.pieces[start..end] == self.pieces[row.0..row.1] => {
                self.pieces.truncate(end);
            }
            _ => level.previous_row = Some(row),
        }
    }
}

fn write(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 && parted(&pieces[at - 1], piece) {
            text.push(' ');
        }
        text.push_str(&piece.text);
    }
    text
}

/// Whether a space stands between two pieces. Where there is none, the lexer must cut at the same place.
fn parted(left: &Piece<'_>, right: &Piece<'_>) -> bool {
    const CALLED_BY_NO_NAME: [&str; 24] = [
        "in", "values", "and", "or", "not", "where", "on", "using", "select", "from", "join", "as", "over", "filter",
        "any", "all", "some", "by", "set", "when", "then", "else", "union", "with",
    ];
    let hugs_right = |piece: &Piece<'_>| ["(", "[", ".", "::"].iter().any(|symbol| piece.is_symbol(symbol));
    let hugs_left = |piece: &Piece<'_>| [")", "]", ".", "::", ",", ";"].iter().any(|symbol| piece.is_symbol(symbol));
    let is_name = matches!(left.kind, TokenKind::Word | TokenKind::QuotedIdentifier);
    if [left, right].iter().any(|piece| piece.kind == TokenKind::Unknown || piece.is_symbol(":")) {
        return true;
    }
    if right.is_symbol("(") && is_name {
        return left.is_any_word(&CALLED_BY_NO_NAME);
    }
    if right.is_symbol("[") && (is_name || left.is_symbol("]") || left.is_symbol(")")) {
        return false;
    }
    !hugs_right(left) && !hugs_left(right)
}

#[cfg(test)]
mod tests;
