//! How a session begins where the proxy itself answers clients who ask for encryption.
//!
//! TLS to the client ends here, and TLS to the server begins here, so that what is said between can be recorded. Takes a
//! client up to its first message, and sees the server's offer of ways to log in through. Must not know the journal.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::{Identity, Stream};
use crate::pgwire::client::First;
use crate::pgwire::pieces::STARTUP_BYTES_MAX;

/// A client asks for GSSAPI and for TLS at most, each once.
const QUESTIONS_MAX: usize = 3;

/// What begins every TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The longest message of a server that is looked into before the client is let in.
const OFFER_BYTES_MAX: usize = 64 << 10;

/// Messages before the server asks for a password, at most: a protocol version to agree on, notices.
const MESSAGES_BEFORE_MAX: usize = 16;

/// The way to log in that is bound to the certificate that the client sees.
const BOUND_TO_CHANNEL: &[u8] = b"SCRAM-SHA-256-PLUS";

/// AuthenticationSASL.
const SASL: [u8; 4] = [0, 0, 0, 10];

/// Who answers clients that ask for encryption.
#[derive(Clone, Debug)]
pub enum Encryption {
    /// The server: what is encrypted passes through and cannot be read.
    PassedOn,
    /// The proxy: with TLS where it has a certificate to show, else that there is none.
    Answered(Option<Identity>),
}

/// A client whose first message has come.
#[derive(Debug)]
pub(super) struct Greeted {
    pub client: Stream,
    /// The whole message: StartupMessage or CancelRequest, as it was sent.
    pub first: Vec<u8>,
    pub is_cancel: bool,
}

/// Answers what the client asks about encryption: TLS where there is a certificate to show, else none.
///
/// # Errors
/// The client goes away, does not agree, or speaks something else.
pub(super) async fn greet(mut client: Stream, identity: Option<&Identity>) -> io::Result<Greeted> {
    for _ in 0..=QUESTIONS_MAX {
        if let (Stream::Tcp(tcp), Some(identity)) = (&client, identity) {
            // A handshake without a question before it (sslnegotiation=direct).
            let mut first = [0];
            if tcp.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE {
                client = shake_hands(client, identity).await?;
            }
        }
        let first = read_first(&mut client).await?;
        match First::parse(&first[4..]) {
            // Whatever it is, the server may know it, and says so if not.
            Some(First::Startup(_)) | None => return Ok(Greeted { client, first, is_cancel: false }),
            Some(First::Cancel(_)) => return Ok(Greeted { client, first, is_cancel: true }),
            Some(First::Encryption) => {
                let wants_tls = first[4..] == SSL_REQUEST;
                match identity {
                    Some(identity) if wants_tls && matches!(client, Stream::Tcp(_)) => {
                        client.write_all(b"S").await?;
                        client = shake_hands(client, identity).await?;
                    }
                    _ => client.write_all(b"N").await?,
                }
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the client asks for encryption again and again"))
}

/// 1234.5679.
const SSL_REQUEST: [u8; 4] = (1234_u32 << 16 | 5679).to_be_bytes();

async fn shake_hands(client: Stream, identity: &Identity) -> io::Result<Stream> {
    match client {
        Stream::Tcp(tcp) => identity.accept(tcp).await,
        other => Ok(other),
    }
}

/// Exactly one message, so that whatever an attacker put behind a question becomes part of the handshake and breaks it.
async fn read_first(client: &mut Stream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length).await?;
    let message_bytes = u32::from_be_bytes(length);
    if !(8..=STARTUP_BYTES_MAX).contains(&message_bytes) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not PostgreSQL's protocol"));
    }
    let mut message = vec![0; message_bytes as usize];
    message[..4].copy_from_slice(&length);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// Reads what the server says up to its offer of ways to log in, without the way that is bound to its certificate, for a
/// client who cannot see that certificate: without TLS it would take the offer for an attack.
///
/// # Errors
/// The server goes away.
pub(super) async fn read_offer(server: &mut Stream) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    for _ in 0..MESSAGES_BEFORE_MAX {
        let mut head = [0; 5];
        server.read_exact(&mut head).await?;
        let body_bytes = (u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize).saturating_sub(4);
        said.extend_from_slice(&head);
        if body_bytes > OFFER_BYTES_MAX {
            return Ok(said);
        }
        let mut body = vec![0; body_bytes];
        server.read_exact(&mut body).await?;
        match head[0] {
            b'R' => {
                said.truncate(said.len() - head.len());
                said.extend(without_channel_binding(&head, &body));
                return Ok(said);
            }
            b'E' => {
                said.extend(body);
                return Ok(said);
            }
            _ => said.extend(body),
        }
    }
    Ok(said)
}

/// The message without the way that is bound to a certificate, if it leaves another.
fn without_channel_binding(head: &[u8; 5], body: &[u8]) -> Vec<u8> {
    let as_it_is = [head, body].concat();
    let Some(list) = body.strip_prefix(&SASL) else { return as_it_is };
    let offered: Vec<&[u8]> = list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    let left: Vec<&[u8]> = offered.iter().copied().filter(|name| *name != BOUND_TO_CHANNEL).collect();
    if left.is_empty() || left.len() == offered.len() {
        return as_it_is;
    }
    let mut body = SASL.to_vec();
    for name in left {
        body.extend_from_slice(name);
        body.push(0);
    }
    body.push(0);
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&head[..1], &length, &body].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::pgwire::serve;

    fn offer(mechanisms: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        serve::authentication(&mut out, 10, mechanisms);
        out.to_vec()
    }

    fn stripped(message: &[u8]) -> Vec<u8> {
        without_channel_binding(message.first_chunk().unwrap(), &message[5..])
    }

    #[test]
    fn only_the_way_that_is_bound_to_a_certificate_is_taken_off() {
        let both = offer(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let plain = offer(b"SCRAM-SHA-256\0\0");
        assert_eq!(stripped(&both), plain);
        assert_eq!(stripped(&plain), plain);
        let bound = offer(b"SCRAM-SHA-256-PLUS\0\0");
        assert_eq!(stripped(&bound), bound, "nothing else would be left");
        let mut md5 = BytesMut::new();
        serve::authentication(&mut md5, 5, b"salt");
        assert_eq!(stripped(&md5), md5);
    }
}
