//! Patterns with `*`, as filters use them.
//!
//! Takes a pattern and a name and says whether they match. Must not know what is named.

/// A pattern in which `*` stands for any characters, none included. Everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Pattern {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As written, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut left) = name.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            // The leftmost match leaves the most for what follows.
            let Some(at) = left.find(part) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).matches(name)
    }

    #[test]
    fn a_star_stands_for_anything_and_nothing() {
        assert!(matches("acme", "acme") && !matches("acme", "acme2"));
        assert!(matches("acme*", "acme") && matches("acme*", "acme-eu"));
        assert!(matches("*eu", "acme-eu") && !matches("*eu", "acme-eu-1"));
        assert!(matches("a*m*e", "acme") && matches("*", "") && matches("**", "x"));
        assert!(!matches("ab*ba", "aba"), "the ends may not overlap");
    }
}
