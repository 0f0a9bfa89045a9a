//! Reads the parts of a server's messages.
//!
//! Takes the body of one message, as [`super::frames`] gives it, and gives its fields; texts are bytes, or `str` with
//! what is not UTF-8 replaced. A body that is not what its tag promises gives `None`: the caller calls it a protocol
//! error. Must not know about connections or what follows from an answer.

use std::fmt;

use crate::words::limits::MESSAGE_CHARS_MAX;
use crate::words::sqlstate::SqlState;

/// An ErrorResponse or NoticeResponse, as far as it is kept: never DETAIL, HINT or WHERE, which may quote row values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// `ERROR`, `FATAL`, `PANIC`, `WARNING`, ... not translated where the server is 9.6 or newer.
    pub severity: Box<str>,
    pub sqlstate: SqlState,
    /// The primary message, at most `MESSAGE_CHARS_MAX` characters.
    pub message: Box<str>,
}

impl ServerError {
    /// Reads the fields of an ErrorResponse or NoticeResponse; a body that was cut may end anywhere behind the code.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (mut severity, mut sqlstate, mut message) = (None, None, None);
        let mut rest = body;
        while let [kind @ 1..=255, tail @ ..] = rest {
            let end = tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len());
            let value = &tail[..end];
            match *kind {
                b'V' => severity = Some(value),
                b'S' => severity = severity.or(Some(value)),
                b'C' => sqlstate = SqlState::new(value),
                b'M' => message = Some(value),
                _ => {}
            }
            rest = tail.get(end + 1..).unwrap_or_default();
        }
        let shortened = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(MESSAGE_CHARS_MAX).collect();
        Some(Self {
            severity: shortened(severity?),
            sqlstate: sqlstate?,
            message: shortened(message.unwrap_or_default()),
        })
    }

    /// Whether the server ends the session with it.
    pub fn is_fatal(&self) -> bool {
        matches!(&*self.severity, "FATAL" | "PANIC")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

/// A command tag, such as `INSERT 0 1`, kept in place: tags are at most 63 bytes long (`COMPLETION_TAG_BUFSIZE`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommandTag {
    length: u8,
    bytes: [u8; Self::BYTES_MAX],
}

impl CommandTag {
    const BYTES_MAX: usize = 63;

    /// No tag: an empty query, a suspended portal, or no statement at all.
    pub const NONE: Self = Self { length: 0, bytes: [0; Self::BYTES_MAX] };

    /// Reads the body of a CommandComplete.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let text = body.strip_suffix(b"\0")?;
        let mut tag = Self::NONE;
        tag.bytes.get_mut(..text.len())?.copy_from_slice(text);
        tag.length = text.len() as u8;
        std::str::from_utf8(text).is_ok().then_some(tag)
    }

    /// The tag as the server wrote it; empty for [`Self::NONE`].
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// The tag without its numbers: `INSERT`, `CREATE TABLE`, `COMMIT`.
    pub fn command(&self) -> &str {
        self.as_str().trim_end_matches(|c: char| c == ' ' || c.is_ascii_digit())
    }

    /// Rows selected, written or copied, where the tag says it.
    pub fn rows(&self) -> Option<u64> {
        self.as_str().rsplit_once(' ')?.1.parse().ok()
    }
}

impl fmt::Debug for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// What an Authentication message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    Ok,
    CleartextPassword,
    Md5Password {
        salt: [u8; 4],
    },
    /// The mechanisms that the server offers.
    Sasl {
        mechanisms: Vec<&'a str>,
    },
    SaslContinue(&'a [u8]),
    SaslFinal(&'a [u8]),
    /// Kerberos, GSSAPI, SSPI: the code of the request.
    Other(u32),
}

impl<'a> Authentication<'a> {
    /// Reads the body of an Authentication message.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (code, rest) = body.split_first_chunk()?;
        Some(match u32::from_be_bytes(*code) {
            0 => Self::Ok,
            3 => Self::CleartextPassword,
            5 => Self::Md5Password { salt: rest.try_into().ok()? },
            10 => Self::Sasl { mechanisms: texts(rest).collect::<Option<_>>()? },
            11 => Self::SaslContinue(rest),
            12 => Self::SaslFinal(rest),
            other => Self::Other(other),
        })
    }
}

/// What a cancel request needs: 4 bytes of secret before protocol 3.2, up to 256 since.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    pub process_id: i32,
    pub secret: Box<[u8]>,
}

impl CancelKey {
    /// Reads the body of a BackendKeyData.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (process_id, secret) = body.split_first_chunk()?;
        (4..=256)
            .contains(&secret.len())
            .then(|| Self { process_id: i32::from_be_bytes(*process_id), secret: secret.into() })
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}

/// ReadyForQuery: what transaction the session is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionStatus {
    #[default]
    Idle,
    InTransaction,
    /// In a transaction that can only be rolled back.
    Failed,
}

impl TransactionStatus {
    /// Reads the body of a ReadyForQuery.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::InTransaction),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }

    /// The byte that stands for it on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// Reads the body of a ParameterStatus: name and value.
pub fn parameter_status(body: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(body).ok()?;
    let (name, value) = text.strip_suffix('\0')?.split_once('\0')?;
    (!value.contains('\0')).then_some((name, value))
}

/// The zero-terminated texts of a list that ends with an empty one; `None` for one that is not UTF-8 or lacks its end.
fn texts(body: &[u8]) -> impl Iterator<Item = Option<&str>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() || rest == b"\0" {
            return None;
        }
        let Some(end) = rest.iter().position(|byte| *byte == 0) else {
            rest = &[];
            return Some(None);
        };
        let text = std::str::from_utf8(&rest[..end]).ok();
        rest = &rest[end + 1..];
        Some(text)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_gives_severity_code_and_primary_message_only() {
        let body = b"SFEHLER\0VERROR\0C23505\0Mduplicate key\0DKey (id)=(7) already exists.\0\0";
        let error = ServerError::parse(body).unwrap();
        assert_eq!(&*error.severity, "ERROR");
        assert_eq!(error.to_string(), "duplicate key (SQLSTATE 23505)");
        assert!(!error.is_fatal());
    }

    #[test]
    fn an_error_that_was_cut_is_still_read() {
        let error = ServerError::parse(b"SFATAL\0C57P01\0Mterminating conn").unwrap();
        assert!(error.is_fatal());
        assert_eq!(&*error.message, "terminating conn");
        assert_eq!(ServerError::parse(b"SERROR\0Mno code\0\0"), None);
    }

    #[test]
    fn tags_say_command_and_rows() {
        let tag = CommandTag::parse(b"INSERT 0 15\0").unwrap();
        assert_eq!((tag.command(), tag.rows()), ("INSERT", Some(15)));
        let tag = CommandTag::parse(b"CREATE TABLE\0").unwrap();
        assert_eq!((tag.command(), tag.rows()), ("CREATE TABLE", None));
        assert_eq!(CommandTag::parse(&[b'x'; 80]), None);
    }

    #[test]
    fn cancel_keys_of_protocol_3_2_are_long() {
        let mut body = vec![0, 0, 0, 9];
        body.extend([1; 32]);
        assert_eq!(CancelKey::parse(&body).unwrap().secret.len(), 32);
        assert_eq!(CancelKey::parse(&body[..6]), None);
    }

    #[test]
    fn sasl_lists_its_mechanisms() {
        let asked = Authentication::parse(b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").unwrap();
        assert_eq!(asked, Authentication::Sasl { mechanisms: vec!["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] });
    }

    #[test]
    fn a_parameter_may_be_empty() {
        assert_eq!(parameter_status(b"application_name\0\0"), Some(("application_name", "")));
        assert_eq!(parameter_status(b"server_version\x0016.14\0"), Some(("server_version", "16.14")));
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = ServerError::parse(&body);
            let _ = CommandTag::parse(&body).map(|tag| (tag.command().len(), tag.rows()));
            let _ = Authentication::parse(&body);
            let _ = (CancelKey::parse(&body), TransactionStatus::parse(&body), parameter_status(&body));
        }
    }
}
