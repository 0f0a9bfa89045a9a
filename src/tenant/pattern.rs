//! A regular expression that finds a tenant in a statement's text.
//!
//! Takes a pattern and, for a text, gives what its first group matched. Must not know SQL.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast;

/// Memory for a compiled pattern, and for the cache that matching fills.
const COMPILED_BYTES_MAX: usize = 2 << 20;

/// A pattern with at least one group. It is compiled once, and its time grows with the text's length alone.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The position counts characters from 1.
    #[error("character {position} of the pattern: {reason}")]
    Syntax { position: usize, reason: String },
    #[error("the pattern has no group\nhint: put what names the tenant in parentheses, as in sql:tenant_id = ([0-9]+)")]
    NoGroup,
    #[error("the pattern needs more than {limit} bytes of memory\nhint: repeat less, as in [0-9]+ for [0-9]{{1,1000}}")]
    TooLarge { limit: usize },
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It is no regular expression, has no group, or is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        ast::parse::Parser::new().parse(text).map_err(|error| PatternError::Syntax {
            position: text.get(..error.span().start.offset).map_or(0, |before| before.chars().count()) + 1,
            reason: error.kind().to_string(),
        })?;
        let built = RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build();
        let regex = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => PatternError::TooLarge { limit },
            // What is left is about whole classes, such as one that Unicode does not have.
            other => {
                let reason = other.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                PatternError::Syntax { position: 1, reason: reason.to_owned() }
            }
        })?;
        if regex.captures_len() < 2 { Err(PatternError::NoGroup) } else { Ok(Self(regex)) }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What the first group matched, if it matched anything.
    pub fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        let group = self.0.captures(text)?.get(1)?;
        (!group.is_empty()).then(|| group.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_counts() {
        let pattern = Pattern::new(r"(?i)/tenant/(\w+)|org_(\d+)").unwrap();
        assert_eq!(pattern.find("SELECT 1 /* GET /Tenant/acme/users */"), Some("acme"));
        assert_eq!(pattern.find("SELECT 1 FROM org_17"), None, "only the second group matched");
        assert_eq!(Pattern::new("t=([a-z]*)").unwrap().find("t=1"), None, "an empty name is none");
    }

    #[test]
    fn a_pattern_that_cannot_be_used_says_why() {
        let error = Pattern::new("é(a[)").unwrap_err();
        assert!(matches!(error, PatternError::Syntax { position: 4, .. }), "{error}");
        assert_eq!(Pattern::new("tenant"), Err(PatternError::NoGroup));
        assert!(matches!(Pattern::new("((a{1000}){1000})"), Err(PatternError::TooLarge { .. })));
        assert!(matches!(Pattern::new(r"(\p{Nonsense})"), Err(PatternError::Syntax { .. })));
    }
}
