//! Tells by their content whether bytes are PostgreSQL's messages, and whose.
//!
//! Takes bytes that may begin at a message. Every whole message must have the form of its tag, so that another protocol,
//! the other side's messages, or the middle of a row are hardly ever taken for one. Must not know about connections.

use super::backend::{Authentication, CancelKey, CommandTag, ServerError, TransactionStatus, parameter_status};
use super::client::{self, Bind, Parse};
use super::pieces::{Framing, Piece, Pieces};

/// Whether these bytes begin with a message of that framing, and go on with others up to their end: what is cut short
/// there counts as long as something came before it.
pub fn is_plausible(bytes: &[u8], framing: Framing) -> bool {
    let (mut pieces, mut input, mut whole) = (Pieces::default(), bytes, 0);
    let (mut tag_now, mut body_now): (u8, &[u8]) = (0, &[]);
    loop {
        match pieces.next(&mut input, framing) {
            Err(_) => return false,
            Ok(None) => return whole > 0,
            Ok(Some(Piece::Begin { tag, .. })) => (tag_now, body_now) = (tag, &[]),
            Ok(Some(Piece::Body(body))) => body_now = body,
            Ok(Some(Piece::End)) if !has_form(framing, tag_now, body_now) => return false,
            Ok(Some(Piece::End)) => whole += 1,
        }
    }
}

/// Whether a body is what its tag promises.
fn has_form(framing: Framing, tag: u8, body: &[u8]) -> bool {
    match (framing, tag) {
        (Framing::Startup, _) | (_, b'd') | (Framing::Client, b'p') => true,
        (Framing::Client, b'B') => Bind::parse(body).is_some(),
        (Framing::Client, b'C' | b'D') => client::named(body).is_some(),
        (Framing::Client, b'E') => client::execute(body).is_some(),
        (Framing::Client, b'F') => body.len() >= 10,
        (Framing::Client, b'P') => Parse::read(body).is_some(),
        (Framing::Client, b'Q') => client::query(body).is_some(),
        (Framing::Client, b'f') => body.ends_with(&[0]),
        (Framing::Client, _) => body.is_empty(),
        (Framing::Server, b'A') => body.len() >= 6 && body.ends_with(&[0]),
        (Framing::Server, b'C') => CommandTag::parse(body).is_some(),
        (Framing::Server, b'D') => client::row(body).is_some(),
        (Framing::Server, b'E' | b'N') => ServerError::parse(body).is_some(),
        (Framing::Server, b'G' | b'H' | b'W') => body.len() >= 3,
        (Framing::Server, b'K') => CancelKey::parse(body).is_some(),
        (Framing::Server, b'R') => Authentication::parse(body).is_some(),
        (Framing::Server, b'S') => parameter_status(body).is_some(),
        (Framing::Server, b'T') => client::columns(body).is_some(),
        (Framing::Server, b'Z') => TransactionStatus::parse(body).is_some(),
        (Framing::Server, b'1' | b'2' | b'3' | b'I' | b'c' | b'n' | b's') => body.is_empty(),
        (Framing::Server, _) => body.len() >= 2,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::{frontend, serve};
    use super::*;

    #[test]
    fn another_protocol_is_not_plausible() {
        assert!(!is_plausible(b"GET / HTTP/1.1\r\nHost: a\r\n", Framing::Client));
        assert!(!is_plausible(b"\x16\x03\x01\x00\xc4\x01\x00", Framing::Server));
        assert!(is_plausible(b"Q\0\0\0\x0dSELECT 1\0", Framing::Client));
        assert!(is_plausible(b"\0\0\0\x08\x04\xd2\x16\x2f", Framing::Startup));
    }

    #[test]
    fn rows_are_no_describes_and_describes_are_no_rows() {
        let mut rows = BytesMut::new();
        serve::data_row(&mut rows, &[Some(b"1")]);
        serve::data_row(&mut rows, &[None]);
        assert!(is_plausible(&rows, Framing::Server) && !is_plausible(&rows, Framing::Client));
        let mut describe = BytesMut::new();
        frontend::describe(&mut describe, frontend::Named::Statement(b"s")).unwrap();
        assert!(is_plausible(&describe, Framing::Client) && !is_plausible(&describe, Framing::Server));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for framing in [Framing::Startup, Framing::Client, Framing::Server] {
                is_plausible(&bytes, framing);
            }
        }
    }
}
