//! Tells by a client's first bytes what it speaks.
//!
//! Takes what was heard of them so far. Must not know packets or what follows.

use crate::pgwire::pieces::STARTUP_BYTES_MAX;

/// A record of TLS: kind, version and length stand before its content.
const TLS_HEADER_BYTES: usize = 5;
const TLS_RECORD_BYTES_MAX: usize = 1 << 14;

/// The protocol's name as a ClientHello offers it where no SSLRequest came before (`sslnegotiation=direct`).
const ALPN: &[u8] = b"\x0apostgresql";

/// What a connection's client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Too little was heard to tell.
    Unclear,
    /// StartupMessage of any protocol, SSLRequest, GSSENCRequest, CancelRequest, or TLS for PostgreSQL.
    Postgres,
    Other,
}

impl Opening {
    /// Judges a client's first bytes.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.first() == Some(&0x16) {
            return Self::of_tls(bytes);
        }
        // A startup packet is far shorter than 64 KiB, so it begins with two zeros.
        if !bytes.iter().take(2).all(|byte| *byte == 0) {
            return Self::Other;
        }
        let Some(head) = bytes.first_chunk::<8>() else { return Self::Unclear };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let code = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        match (8..=STARTUP_BYTES_MAX).contains(&length) && matches!(code >> 16, 2 | 3 | 1234) {
            true => Self::Postgres,
            false => Self::Other,
        }
    }

    fn of_tls(bytes: &[u8]) -> Self {
        let Some(head) = bytes.first_chunk::<TLS_HEADER_BYTES>() else { return Self::Unclear };
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if head[1] != 3 || length > TLS_RECORD_BYTES_MAX {
            return Self::Other;
        }
        match memchr::memmem::find(bytes, ALPN) {
            Some(_) => Self::Postgres,
            None if bytes.len() < TLS_HEADER_BYTES + length => Self::Unclear,
            None => Self::Other,
        }
    }
}

/// Whether these bytes, from the middle of a connection, begin with a record of TLS.
pub(super) fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17, 3, 0..=4, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_startup_is_told_however_it_is_cut() {
        let startup = b"\0\0\0\x10\0\x03\0\0user\0a\0\0";
        for cut in 1..8 {
            assert_eq!(Opening::of(&startup[..cut]), Opening::Unclear, "{cut}");
        }
        for cut in 8..=startup.len() {
            assert_eq!(Opening::of(&startup[..cut]), Opening::Postgres, "{cut}");
        }
        assert_eq!(Opening::of(b"\0\0\0\x08\x04\xd2\x16\x2f"), Opening::Postgres);
        assert_eq!(Opening::of(b"GET / HTTP/1.1\r\n"), Opening::Other);
        assert_eq!(Opening::of(b"\0\0\0\x08\0\0\0\x01"), Opening::Other);
    }

    #[test]
    fn tls_is_for_postgresql_where_its_hello_says_so() {
        let hello = |protocol: &[u8]| {
            let content = [&[1, 0, 0, 40, 3, 3][..], protocol].concat();
            [&[0x16, 3, 1, 0, content.len() as u8][..], &content].concat()
        };
        let ours = hello(b"\x0apostgresql");
        assert_eq!(Opening::of(&ours), Opening::Postgres);
        assert_eq!(Opening::of(&ours[..12]), Opening::Unclear);
        assert_eq!(Opening::of(&hello(b"\x02h2\x08http/1.1")), Opening::Other);
    }
}
