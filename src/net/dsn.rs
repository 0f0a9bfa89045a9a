//! Connection strings as libpq reads them: `postgresql://` URIs and `key=value` pairs.
//!
//! Takes the text and gives its parts; a password in it becomes a [`Secret`] at once, and no error ever quotes a value.
//! One server only: lists of hosts are refused. Must not know the environment or what the connection is for.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::dial::{Address, Target};
use super::secret::Secret;
use super::tls::{Tls, TlsError};
use super::tls_settings::TlsSettings;

/// libpq's keys that change nothing that matters here: read, so that a DSN in use elsewhere works, and left out.
const IGNORED_KEYS: [&str; 10] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Why a text is no usable connection string. Never quotes a value: it might be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    #[error("connection string: {0}")]
    Syntax(&'static str),
    #[error("connection string: unknown key \"{0}\"")]
    UnknownKey(String),
    #[error("connection string: the value of \"{key}\" is not valid\ndetail: {detail}")]
    Value { key: &'static str, detail: String },
    #[error("connection string: it names several hosts\nhint: name the one server that is to be rehearsed on")]
    SeveralHosts,
}

/// The parts of a connection string; what it did not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dsn {
    /// A host name or the directory of a Unix socket.
    pub host: Option<String>,
    pub hostaddr: Option<IpAddr>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub database: Option<String>,
    pub password: Option<Secret>,
    /// `sslmode` and the like.
    pub tls: TlsSettings,
    pub application_name: Option<String>,
    /// Command-line options for the server, such as `-c search_path=app`.
    pub options: Option<String>,
    /// None where it said 0, which means to wait for ever.
    pub connect_timeout: Option<Duration>,
}

impl Dsn {
    /// Reads a URI or `key=value` pairs.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let mut dsn = Self::default();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => dsn.read_uri(rest)?,
            None => dsn.read_pairs(text)?,
        }
        dsn.tls.check().map_err(|(key, detail)| DsnError::Value { key, detail })?;
        Ok(dsn)
    }

    /// The server that it names, `localhost:5432` by default. Reads the certificates that `sslmode`
    /// needs and those of the client.
    pub fn target(&self) -> Result<Target, TlsError> {
        let port = self.port();
        let host = self.host();
        if host.starts_with('/') && self.hostaddr.is_none() {
            return Ok(Target { tls: Tls::without(self.tls.channel_binding()), ..Target::unix(host, port) });
        }
        let tls = Tls::new(&self.tls)?;
        Ok(Target { address: Address::Tcp { host, address: self.hostaddr, port }, tls })
    }

    /// The host, its address where only that is known, or `localhost`.
    pub fn host(&self) -> String {
        self.host
            .clone()
            .or_else(|| self.hostaddr.map(|address| address.to_string()))
            .unwrap_or_else(|| "localhost".to_owned())
    }

    /// The port, 5432 by default.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(5432)
    }

    /// `key=value` pairs with `***` for the password: for people.
    pub fn display_redacted(&self) -> String {
        let mut text = self.without_password();
        if self.password.is_some() {
            text.push_str(" password=***");
        }
        text
    }

    /// `key=value` pairs without the password: for programs that have the password from elsewhere.
    pub fn without_password(&self) -> String {
        let pairs: [(&str, Option<String>); 8] = [
            ("host", self.host.clone()),
            ("hostaddr", self.hostaddr.map(|address| address.to_string())),
            ("port", self.port.map(|port| port.to_string())),
            ("user", self.user.clone()),
            ("dbname", self.database.clone()),
            ("application_name", self.application_name.clone()),
            ("options", self.options.clone()),
            ("connect_timeout", self.connect_timeout.map(|timeout| timeout.as_secs().to_string())),
        ];
        let written: Vec<String> = pairs
            .into_iter()
            .chain(self.tls.pairs())
            .filter_map(|(key, value)| value.map(|value| format!("{key}={}", quoted(&value))))
            .collect();
        written.join(" ")
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), DsnError> {
        // libpq takes an empty value for one that is not there.
        let value = Some(value).filter(|value| !value.is_empty());
        match key {
            "host" => self.host = single(value)?,
            "hostaddr" => self.hostaddr = parsed("hostaddr", single(value)?)?,
            "port" => self.port = parsed("port", single(value)?)?,
            "user" => self.user = value,
            "dbname" => self.database = value,
            "password" => self.password = value.map(Secret::new),
            "application_name" => self.application_name = value,
            "options" => self.options = value,
            "connect_timeout" => {
                let seconds: Option<u64> = parsed("connect_timeout", value)?;
                self.connect_timeout = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
            }
            ignored if IGNORED_KEYS.contains(&ignored) => {}
            key if self.tls.set(key, value).map_err(|(key, detail)| DsnError::Value { key, detail })? => {}
            unknown => return Err(DsnError::UnknownKey(unknown.chars().take(40).collect())),
        }
        Ok(())
    }

    /// `[user[:password]@][host][:port][/dbname][?key=value&...]`, everything percent-encoded.
    fn read_uri(&mut self, rest: &str) -> Result<(), DsnError> {
        let (front, query) = rest.split_once('?').map_or((rest, None), |(front, query)| (front, Some(query)));
        let (authority, database) =
            front.split_once('/').map_or((front, None), |(authority, database)| (authority, Some(database)));
        let (login, place) =
            authority.rsplit_once('@').map_or((None, authority), |(login, place)| (Some(login), place));
        if let Some(login) = login {
            let (user, password) = login.split_once(':').map_or((login, None), |(user, pw)| (user, Some(pw)));
            self.set("user", percent_decoded(user)?)?;
            self.set("password", percent_decoded(password.unwrap_or_default())?)?;
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, behind) =
                    bracketed.split_once(']').ok_or(DsnError::Syntax("\"[\" of an IPv6 address has no \"]\""))?;
                (host, behind.strip_prefix(':').unwrap_or_default())
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        self.set("host", percent_decoded(host)?)?;
        self.set("port", percent_decoded(port)?)?;
        self.set("dbname", percent_decoded(database.unwrap_or_default())?)?;
        for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or(DsnError::Syntax("a key behind \"?\" has no \"=\" and value"))?;
            match (percent_decoded(key)?.as_str(), percent_decoded(value)?) {
                ("ssl", value) if value == "true" => self.set("sslmode", "require".to_owned())?,
                (key, value) => self.set(key, value)?,
            }
        }
        Ok(())
    }

    /// `key = value` pairs, a value in single quotes where it holds spaces, `\'` and `\\` inside.
    fn read_pairs(&mut self, text: &str) -> Result<(), DsnError> {
        let mut characters = text.chars().peekable();
        loop {
            while characters.next_if(|c| c.is_whitespace()).is_some() {}
            if characters.peek().is_none() {
                return Ok(());
            }
            let mut key = String::new();
            while let Some(character) = characters.next_if(|c| *c != '=' && !c.is_whitespace()) {
                key.push(character);
            }
            while characters.next_if(|c| c.is_whitespace()).is_some() {}
            characters.next_if_eq(&'=').ok_or(DsnError::Syntax("\"=\" is missing behind a key"))?;
            while characters.next_if(|c| c.is_whitespace()).is_some() {}
            let in_quotes = characters.next_if_eq(&'\'').is_some();
            let mut value = String::new();
            loop {
                match characters.next() {
                    Some('\\') => value.extend(characters.next()),
                    Some('\'') if in_quotes => break,
                    Some(character) if !in_quotes && character.is_whitespace() => break,
                    Some(character) => value.push(character),
                    None if in_quotes => return Err(DsnError::Syntax("a quoted value has no end")),
                    None => break,
                }
            }
            self.set(&key, value)?;
        }
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display_redacted())
    }
}

fn single(value: Option<String>) -> Result<Option<String>, DsnError> {
    match value {
        Some(list) if list.contains(',') => Err(DsnError::SeveralHosts),
        one => Ok(one),
    }
}

fn parsed<T: std::str::FromStr>(key: &'static str, value: Option<String>) -> Result<Option<T>, DsnError>
where
    T::Err: fmt::Display,
{
    let parsed = value.map(|value| value.parse()).transpose();
    parsed.map_err(|error: T::Err| DsnError::Value { key, detail: error.to_string() })
}

fn percent_decoded(text: &str) -> Result<String, DsnError> {
    const BROKEN: DsnError = DsnError::Syntax("\"%\" is not followed by two hexadecimal digits of UTF-8 text");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(BROKEN),
        }
    }
    String::from_utf8(bytes).map_err(|_| BROKEN)
}

fn quoted(value: &str) -> String {
    if !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '\'' || c == '\\') {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::tls_settings::SslMode;
    use super::*;

    #[test]
    fn a_uri_gives_every_part() {
        let dsn = Dsn::parse(
            "postgresql://an%40n:s%3Acret@db.example:5433/shop?sslmode=verify-full&application_name=a%20b&connect_timeout=3",
        )
        .unwrap();
        assert_eq!(dsn.user.as_deref(), Some("an@n"));
        assert_eq!(dsn.password.as_ref().map(Secret::expose), Some("s:cret"));
        assert_eq!((dsn.host().as_str(), dsn.port()), ("db.example", 5433));
        assert_eq!(dsn.database.as_deref(), Some("shop"));
        assert_eq!(dsn.tls.sslmode, Some(SslMode::VerifyFull));
        assert_eq!(dsn.connect_timeout, Some(Duration::from_secs(3)));
    }

    #[test]
    fn pairs_may_be_quoted() {
        let dsn = Dsn::parse(r"host=/run/pg port = 6000 user='a\'b c' password='x y' dbname=shop").unwrap();
        assert_eq!(dsn.user.as_deref(), Some("a'b c"));
        assert_eq!(dsn.target().unwrap().address, Address::Unix { directory: "/run/pg".into(), port: 6000 });
    }

    #[test]
    fn a_socket_directory_and_an_ipv6_address_fit_in_a_uri() {
        let dsn = Dsn::parse("postgres://%2Frun%2Fpg/shop").unwrap();
        assert_eq!(dsn.host().as_str(), "/run/pg");
        let dsn = Dsn::parse("postgres://ann@[::1]:5433").unwrap();
        assert_eq!((dsn.host().as_str(), dsn.port()), ("::1", 5433));
        assert_eq!(Dsn::parse("postgres:///shop?host=/run/pg").unwrap().host.as_deref(), Some("/run/pg"));
    }

    #[test]
    fn passwords_are_never_shown() {
        let dsn = Dsn::parse("postgres://ann:hush@h/shop").unwrap();
        for text in [dsn.to_string(), format!("{dsn:?}"), dsn.without_password()] {
            assert!(!text.contains("hush"), "{text}");
        }
        assert_eq!(dsn.to_string(), "host=h user=ann dbname=shop password=***");
    }

    #[test]
    fn what_cannot_be_used_is_said_without_its_value() {
        for (text, said) in [
            ("postgres://a,b/shop", "several hosts"),
            ("host=a,b", "several hosts"),
            ("port=hush", "\"port\""),
            ("passwort=hush", "unknown key \"passwort\""),
            ("postgres://h?sslmode=hush", "disable, allow, prefer"),
            ("sslmode=allow sslnegotiation=direct", "too weak"),
            ("user='hush", "no end"),
            ("hush", "\"=\" is missing"),
            ("postgres://a:%zz@h", "hexadecimal"),
        ] {
            let error = Dsn::parse(text).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("hush"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(postgres://)?[ -~]{0,60}") {
            let _ = Dsn::parse(&text);
        }

        #[test]
        fn what_is_written_can_be_read_back(user in "[ -~]{1,20}", database in "\\PC{1,20}", port in 1u16..) {
            let dsn = Dsn { user: Some(user), database: Some(database), port: Some(port), ..Dsn::default() };
            prop_assert_eq!(Dsn::parse(&dsn.without_password()), Ok(dsn));
        }
    }
}
