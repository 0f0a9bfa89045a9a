//! The keys of a connection string that are about encryption: `sslmode`, certificates, how TLS begins, channel binding.
//!
//! Takes keys and values as libpq knows them and gives plain values; refuses what libpq refuses to combine. Must not read
//! files or know what a handshake is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Makes an enum of the words that a key may have.
macro_rules! words {
    ($(#[$about:meta])* $name:ident of $key:literal { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as in a DSN.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|word| word.name() == text).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|word| word.name()).collect();
                    format!("{} is one of {}", $key, words.join(", "))
                })
            }
        }
    };
}

words! {
    /// libpq's `sslmode`, from the weakest.
    SslMode of "sslmode" {
        Disable = "disable",
        /// Without TLS, and with it if the server does not let the client in otherwise.
        Allow = "allow",
        /// With TLS, and without it if the server does not offer it or does not let the client in with it.
        #[default]
        Prefer = "prefer",
        /// TLS or nothing; the certificate is looked at only if root certificates were named, as libpq does it.
        Require = "require",
        /// The certificate must be signed by a root.
        VerifyCa = "verify-ca",
        /// The certificate must be signed by a root and be the host's own.
        VerifyFull = "verify-full",
    }
}

words! {
    /// Whether the client shows a certificate.
    SslCertMode of "sslcertmode" {
        Disable = "disable",
        /// Where there is one and the server asks for it.
        #[default]
        Allow = "allow",
        /// The server must ask for it.
        Require = "require",
    }
}

words! {
    /// How TLS begins.
    SslNegotiation of "sslnegotiation" {
        /// The client asks for TLS by PostgreSQL's SSLRequest.
        #[default]
        Postgres = "postgres",
        /// The client begins the handshake unasked, which servers understand since 17.
        Direct = "direct",
    }
}

words! {
    /// Whether the proof of a password is tied to the server's certificate.
    ChannelBinding of "channel_binding" {
        Disable = "disable",
        #[default]
        Prefer = "prefer",
        /// The server must prove that it knows the password, for this very connection.
        Require = "require",
    }
}

/// The settings; what was not said is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    pub sslmode: Option<SslMode>,
    /// A file of root certificates, or `system`.
    pub sslrootcert: Option<PathBuf>,
    pub sslcert: Option<PathBuf>,
    pub sslkey: Option<PathBuf>,
    pub sslcertmode: Option<SslCertMode>,
    pub sslnegotiation: Option<SslNegotiation>,
    /// Whether the handshake names the host.
    pub sslsni: Option<bool>,
    pub channel_binding: Option<ChannelBinding>,
}

impl TlsSettings {
    /// Settings that say no more than this mode.
    pub const fn of_mode(mode: SslMode) -> Self {
        Self {
            sslmode: Some(mode),
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            sslcertmode: None,
            sslnegotiation: None,
            sslsni: None,
            channel_binding: None,
        }
    }

    /// The mode that holds: by default `prefer`, with the system's roots `verify-full`.
    pub fn mode(&self) -> SslMode {
        let default = if self.wants_system_roots() { SslMode::VerifyFull } else { SslMode::default() };
        self.sslmode.unwrap_or(default)
    }

    /// How TLS begins.
    pub fn negotiation(&self) -> SslNegotiation {
        self.sslnegotiation.unwrap_or_default()
    }

    /// Whether a password's proof is tied to the certificate.
    pub fn channel_binding(&self) -> ChannelBinding {
        self.channel_binding.unwrap_or_default()
    }

    /// Whether `sslrootcert=system` was said.
    pub fn wants_system_roots(&self) -> bool {
        self.sslrootcert.as_deref() == Some(Path::new("system"))
    }

    /// Sets a key; false if the key is not one of these.
    ///
    /// # Errors
    /// The key and what its value should be.
    pub(super) fn set(&mut self, key: &str, value: Option<String>) -> Result<bool, (&'static str, String)> {
        match key {
            "sslmode" => self.sslmode = parsed("sslmode", value)?,
            "sslrootcert" => self.sslrootcert = value.map(PathBuf::from),
            "sslcert" => self.sslcert = value.map(PathBuf::from),
            "sslkey" => self.sslkey = value.map(PathBuf::from),
            "sslcertmode" => self.sslcertmode = parsed("sslcertmode", value)?,
            "sslnegotiation" => self.sslnegotiation = parsed("sslnegotiation", value)?,
            "sslsni" => {
                self.sslsni = match value.as_deref() {
                    None => None,
                    Some("0") => Some(false),
                    Some("1") => Some(true),
                    Some(_) => return Err(("sslsni", "sslsni is 0 or 1".to_owned())),
                }
            }
            "channel_binding" => self.channel_binding = parsed("channel_binding", value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses what libpq does not combine, and certificates without their keys.
    ///
    /// # Errors
    /// The key that is at odds with others, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let weak =
            |key: &str, needed: &str| format!("sslmode {} is too weak for {key}\nhint: {needed}", self.mode().name());
        if self.wants_system_roots() && self.mode() != SslMode::VerifyFull {
            return Err(("sslmode", weak("sslrootcert=system", "use verify-full")));
        }
        if self.negotiation() == SslNegotiation::Direct && self.mode() < SslMode::Require {
            return Err(("sslmode", weak("sslnegotiation=direct", "use require, verify-ca or verify-full")));
        }
        match (&self.sslcert, &self.sslkey) {
            (Some(_), None) => {
                Err(("sslcert", "the certificate's key is missing\nhint: name its file as sslkey".into()))
            }
            (None, Some(_)) => {
                Err(("sslkey", "the key's certificate is missing\nhint: name its file as sslcert".into()))
            }
            (None, None) if self.sslcertmode == Some(SslCertMode::Require) => {
                Err(("sslcertmode", "require needs a certificate\nhint: name its files as sslcert and sslkey".into()))
            }
            _ => Ok(()),
        }
    }

    /// Key and value of everything that was said.
    pub(super) fn pairs(&self) -> [(&'static str, Option<String>); 8] {
        let path = |path: &Option<PathBuf>| path.as_deref().map(|path| path.display().to_string());
        [
            ("sslmode", self.sslmode.map(|word| word.name().to_owned())),
            ("sslrootcert", path(&self.sslrootcert)),
            ("sslcert", path(&self.sslcert)),
            ("sslkey", path(&self.sslkey)),
            ("sslcertmode", self.sslcertmode.map(|word| word.name().to_owned())),
            ("sslnegotiation", self.sslnegotiation.map(|word| word.name().to_owned())),
            ("sslsni", self.sslsni.map(|named| u8::from(named).to_string())),
            ("channel_binding", self.channel_binding.map(|word| word.name().to_owned())),
        ]
    }
}

fn parsed<T: FromStr>(key: &'static str, value: Option<String>) -> Result<Option<T>, (&'static str, String)>
where
    T::Err: fmt::Display,
{
    value.map(|value| value.parse()).transpose().map_err(|error: T::Err| (key, error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_libpq() {
        for mode in SslMode::ALL {
            assert_eq!(mode.name().parse(), Ok(*mode));
        }
        assert!("sometimes".parse::<SslMode>().unwrap_err().contains("verify-ca, verify-full"));
    }

    fn checked(pairs: &[(&str, &str)]) -> Result<TlsSettings, (&'static str, String)> {
        let mut settings = TlsSettings::default();
        for (key, value) in pairs {
            assert!(settings.set(key, Some((*value).to_owned()))?, "{key}");
        }
        settings.check().map(|()| settings)
    }

    #[test]
    fn what_libpq_does_not_combine_is_refused_in_any_order() {
        for pairs in [
            [("sslrootcert", "system"), ("sslmode", "require")],
            [("sslmode", "prefer"), ("sslnegotiation", "direct")],
            [("sslcertmode", "require"), ("sslmode", "require")],
            [("sslcert", "a.pem"), ("sslmode", "require")],
            [("sslkey", "a.key"), ("sslmode", "require")],
            [("sslsni", "yes"), ("sslmode", "require")],
            [("channel_binding", "maybe"), ("sslmode", "require")],
        ] {
            assert!(checked(&pairs).is_err(), "{pairs:?}");
            assert!(checked(&[pairs[1], pairs[0]]).is_err(), "{pairs:?}");
        }
        assert_eq!(checked(&[("sslrootcert", "system")]).unwrap().mode(), SslMode::VerifyFull);
        assert!(checked(&[("sslmode", "require"), ("sslnegotiation", "direct")]).is_ok());
    }
}
