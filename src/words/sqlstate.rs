//! SQLSTATE codes and what they say about availability.
//!
//! Takes the five characters that a server sends (PostgreSQL manual, appendix A) and answers the questions that
//! DESIGN-level definitions ask of them. Must not know what request got the code.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A five-character SQLSTATE code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// 42601, a syntax error: the error that tests like to provoke.
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    /// 57014, a statement cancelled on request or by statement_timeout.
    pub const QUERY_CANCELED: Self = Self(*b"57014");

    /// 3D000, a database that does not exist.
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    /// What nothing else is known of.
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");
    /// A statement was to be prepared under a name that is taken.
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self(*b"42P05");

    /// The code with these characters, if they are five letters or digits.
    pub fn new(code: &[u8]) -> Option<Self> {
        let code: [u8; 5] = code.try_into().ok()?;
        code.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()).then_some(Self(code))
    }

    /// The five characters.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters and digits get in.
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }

    /// The first two characters: the class in the sense of the standard.
    pub fn class(&self) -> &str {
        &self.as_str()[..2]
    }

    /// Whether the code says that the server could not serve: class 08, 53, 57, 58 or XX, or 55P03 (a lock not
    /// available in time). 25006 (read-only) counts only for writes: see [`Self::is_read_only`].
    pub fn is_unavailable(&self) -> bool {
        matches!(self.class(), "08" | "53" | "57" | "58" | "XX") || self.as_str() == "55P03"
    }

    /// Whether the session is over with this code: 08xxx, or 57P01 to 57P05 (shutdown, crash, cannot connect now).
    pub fn is_connection_failure(&self) -> bool {
        self.class() == "08" || matches!(self.as_str(), "57P01" | "57P02" | "57P03" | "57P04" | "57P05")
    }

    /// 25006: the transaction is read-only, which for a write means that there is no primary.
    pub fn is_read_only(&self) -> bool {
        self.as_str() == "25006"
    }

    /// Integrity violations (23) and transaction rollbacks (40): data-dependent, so no sign of an incompatibility.
    pub fn depends_on_data(&self) -> bool {
        matches!(self.class(), "23" | "40")
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SqlState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text.as_bytes()).ok_or_else(|| format!("\"{text}\" is not a SQLSTATE of five letters or digits"))
    }
}

impl Serialize for SqlState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SqlState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> SqlState {
        text.parse().unwrap()
    }

    #[test]
    fn unavailability_is_told_from_findings() {
        for unavailable in ["08006", "53300", "57014", "57P01", "57P03", "58030", "XX000", "55P03"] {
            assert!(code(unavailable).is_unavailable(), "{unavailable}");
        }
        for finding in ["22012", "23505", "40001", "42703", "55006", "25006"] {
            assert!(!code(finding).is_unavailable(), "{finding}");
        }
    }

    #[test]
    fn a_cancelled_statement_leaves_its_connection() {
        assert!(!code("57014").is_connection_failure());
        assert!(code("57P01").is_connection_failure());
    }
}
