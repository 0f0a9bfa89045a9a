//! Small identities that must not be mixed up: fingerprints, majors and server versions.
//!
//! Takes and gives their written forms. Must not know how any of them is found out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The identity of a statement text with its literals and parameters folded; 16 hexadecimal digits when written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|_| text.len() == 16)
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is not a fingerprint of 16 hexadecimal digits"))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A PostgreSQL major version since 10, such as 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PgMajor(pub u16);

impl fmt::Display for PgMajor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PgMajor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(major @ 10..=99) => Ok(Self(major)),
            _ => Err(format!("\"{text}\" is not a PostgreSQL major version such as 16 or 18")),
        }
    }
}

/// An exact server version since 10, such as 16.14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PgVersion {
    pub major: PgMajor,
    pub minor: u16,
}

impl fmt::Display for PgVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for PgVersion {
    type Err = String;

    /// Reads `16.14`, also with something after it, as `SHOW server_version` and `postgres --version` give it
    /// (`16.14 (Debian 16.14-1)`). A version without a minor (`19devel`, `19beta1`) counts as minor 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let first = text.split_whitespace().next().unwrap_or_default();
        let digits_end = |part: &str| part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (major_text, rest) = first.split_at(digits_end(first));
        let major = major_text.parse()?;
        let minor = rest.strip_prefix('.').map_or(Ok(0), |minor| minor[..digits_end(minor)].parse());
        minor.map(|minor| Self { major, minor }).map_err(|_| format!("\"{text}\" is not a PostgreSQL version"))
    }
}

impl Serialize for PgVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PgVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        let version: PgVersion = "16.14 (Debian 16.14-1.pgdg12+1)".parse().unwrap();
        assert_eq!((version.major, version.minor), (PgMajor(16), 14));
        assert_eq!("19beta1".parse::<PgVersion>().unwrap().to_string(), "19.0");
        assert!("nine".parse::<PgVersion>().is_err());
    }

    #[test]
    fn a_fingerprint_is_sixteen_hexadecimal_digits() {
        let fingerprint = Fingerprint(0xbeef);
        assert_eq!(fingerprint.to_string(), "000000000000beef");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert!("beef".parse::<Fingerprint>().is_err());
    }
}
