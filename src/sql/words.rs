//! The tokens of a text, looked at by their places: a place behind the last one holds nothing.
//!
//! Must not know what any word means.

use super::lex::{Token, TokenKind};

/// The tokens of a text, comments left out.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(pub &'a [Token<'a>]);

impl Words<'_> {
    /// Whether the token at `at` is this punctuation character or operator.
    pub fn is_symbol(self, at: usize, symbol: &str) -> bool {
        self.0.get(at).is_some_and(|token| token.is_symbol(symbol))
    }

    /// Whether the token at `at` is one of these keywords, given in lower case.
    pub fn is_word(self, at: usize, words: &[&str]) -> bool {
        self.0.get(at).is_some_and(|token| token.is_any_word(words))
    }

    pub fn is_operator(self, at: usize) -> bool {
        self.0.get(at).is_some_and(|token| token.kind == TokenKind::Operator)
    }

    pub fn is_identifier(self, at: usize) -> bool {
        self.0.get(at).is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdentifier))
    }

    /// The identifier that the token at `at` names, if it can be one.
    pub fn identifier(self, at: usize) -> Option<String> {
        self.0.get(at)?.identifier()
    }
}
