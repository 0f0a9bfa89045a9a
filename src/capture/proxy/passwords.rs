//! Takes passwords out of what goes to disk.
//!
//! What a client says to authenticate itself becomes zeros of the same length, before it is written. Follows each
//! connection's login as far as that takes: where its messages cannot be told apart, everything that the client says is
//! blanked until the server is seen to have let it in. Must not know files.

use std::collections::HashMap;

use memchr::memmem;

use super::super::wire::Side;
use super::journal::{self, What};
use crate::pgwire::client::First;
use crate::pgwire::pieces::{Framing, Piece, Pieces};

/// ReadyForQuery of an idle session, which ends every login.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// The logins under way, by connection.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    logins: HashMap<u32, Login>,
}

#[derive(Debug)]
struct Login {
    client: Client,
    pieces: Pieces,
    body: Vec<u8>,
    is_password: bool,
    /// The end of what the server said, for a message that lies across two pieces.
    server_tail: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// The first message comes.
    Startup,
    /// The server answers with one byte whether it encrypts.
    Encryption,
    Messages,
    /// Its messages cannot be told apart.
    Lost,
}

/// What a look at a login said.
#[derive(PartialEq, Eq)]
enum After {
    LoggingIn,
    /// Nothing secret comes any more: the client is in, or speaks in cipher, or wanted to cancel something.
    Over,
}

impl Passwords {
    /// Blanks the passwords in a batch of entries.
    pub fn blank(&mut self, mut batch: &mut [u8]) {
        while let Some(entry) = journal::take(&mut batch) {
            match entry.what {
                What::Opened => {
                    self.logins.insert(entry.connection, Login::new());
                }
                What::Closed => {
                    self.logins.remove(&entry.connection);
                }
                What::Said(side, bytes) => {
                    let Some(login) = self.logins.get_mut(&entry.connection) else { continue };
                    let after = match side {
                        Side::Client => login.client_said(bytes),
                        Side::Server => login.server_said(bytes),
                    };
                    if after == After::Over {
                        self.logins.remove(&entry.connection);
                    }
                }
                What::Lost(side, _) => {
                    if let Some(login) = self.logins.get_mut(&entry.connection) {
                        login.lost(side);
                    }
                }
                What::Unrecorded(_) => {}
            }
        }
    }
}

impl Login {
    fn new() -> Self {
        Self {
            client: Client::Startup,
            pieces: Pieces::default(),
            body: Vec::new(),
            is_password: false,
            server_tail: Vec::new(),
        }
    }

    fn lost(&mut self, side: Side) {
        match side {
            Side::Client => self.client = Client::Lost,
            Side::Server => self.server_tail.clear(),
        }
        // The byte that says whether the rest is encrypted may be what was lost.
        if self.client == Client::Encryption {
            self.client = Client::Lost;
        }
    }

    fn server_said(&mut self, bytes: &[u8]) -> After {
        if self.client == Client::Encryption {
            match bytes.first() {
                Some(b'S' | b'G') => return After::Over,
                Some(b'N') => self.client = Client::Startup,
                // A server that knows no encryption says so in an error, and the client begins anew.
                _ => self.client = Client::Lost,
            }
            return After::LoggingIn;
        }
        self.server_tail.extend_from_slice(bytes);
        if memmem::find(&self.server_tail, READY).is_some() {
            return After::Over;
        }
        let kept = self.server_tail.len().saturating_sub(READY.len() - 1);
        self.server_tail.drain(..kept);
        After::LoggingIn
    }

    fn client_said(&mut self, bytes: &mut [u8]) -> After {
        let mut at = 0;
        loop {
            match self.client {
                Client::Lost | Client::Encryption => {
                    bytes[at..].fill(0);
                    return After::LoggingIn;
                }
                // A TLS handshake without a question before it (sslnegotiation=direct).
                Client::Startup if self.pieces.is_between() && bytes.get(at) == Some(&0x16) => return After::Over,
                Client::Startup | Client::Messages => {}
            }
            let framing = if self.client == Client::Startup { Framing::Startup } else { Framing::Client };
            let mut rest = &bytes[at..];
            let before_bytes = rest.len();
            let piece = self.pieces.next(&mut rest, framing);
            let (taken, part_bytes) = match &piece {
                Ok(Some(Piece::Body(part))) => (before_bytes - rest.len(), part.len()),
                _ => (before_bytes - rest.len(), 0),
            };
            match piece {
                Ok(None) => return After::LoggingIn,
                Ok(Some(Piece::Begin { tag, .. })) => {
                    self.is_password = tag == b'p';
                    self.body.clear();
                }
                Ok(Some(Piece::Body(part))) if framing == Framing::Startup => self.body.extend_from_slice(part),
                Ok(Some(Piece::Body(_))) => {
                    if self.is_password {
                        bytes[at..at + part_bytes].fill(0);
                    }
                }
                Ok(Some(Piece::End)) if framing == Framing::Startup => match First::parse(&self.body) {
                    Some(First::Encryption) => self.client = Client::Encryption,
                    Some(First::Startup(_)) => self.client = Client::Messages,
                    Some(First::Cancel(_)) => return After::Over,
                    // Whatever it is, perhaps a protocol before 3.0, it may bring a password.
                    None => self.client = Client::Lost,
                },
                Ok(Some(Piece::End)) => {}
                Err(_) => self.client = Client::Lost,
            }
            at += taken;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::journal::Entry;
    use super::*;
    use crate::pgwire::{PROTOCOL_3_0, frontend, serve};

    const PASSWORD: &[u8] = b"correct horse";
    const QUERY: &[u8] = b"SELECT 'behind the login'";

    /// What a client says to log in with a password, and what it asks then.
    fn client() -> Vec<u8> {
        let mut out = BytesMut::new();
        frontend::startup(&mut out, PROTOCOL_3_0, [("user", "app")]).unwrap();
        frontend::sasl_initial_response(&mut out, "SCRAM-SHA-256", PASSWORD).unwrap();
        frontend::sasl_response(&mut out, PASSWORD).unwrap();
        frontend::password(&mut out, PASSWORD).unwrap();
        out.to_vec()
    }

    fn query() -> Vec<u8> {
        let mut out = BytesMut::new();
        frontend::query(&mut out, QUERY).unwrap();
        out.to_vec()
    }

    fn welcome() -> Vec<u8> {
        let mut out = BytesMut::new();
        serve::welcome(&mut out, "18.4");
        out.to_vec()
    }

    /// What goes to disk of these, each in pieces of `piece_bytes`.
    fn blanked(said: &[What<&[u8]>], piece_bytes: usize) -> Vec<u8> {
        let mut passwords = Passwords::default();
        let mut disk = Vec::new();
        let entry = |what| Entry { connection: 1, time_us: 0, what };
        let mut opened = Vec::new();
        journal::push(&mut opened, &entry(What::Opened));
        passwords.blank(&mut opened);
        for what in said {
            let pieces: Vec<What<&[u8]>> = match what {
                What::Said(side, bytes) => bytes.chunks(piece_bytes).map(|piece| What::Said(*side, piece)).collect(),
                What::Lost(side, count) => vec![What::Lost(*side, *count)],
                _ => Vec::new(),
            };
            for what in pieces {
                let mut batch = Vec::new();
                journal::push(&mut batch, &entry(what));
                passwords.blank(&mut batch);
                let mut rest = &mut batch[..];
                if let Some(Entry { what: What::Said(_, bytes), .. }) = journal::take(&mut rest) {
                    disk.extend_from_slice(bytes);
                }
            }
        }
        disk
    }

    fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
        memmem::find(bytes, wanted).is_some()
    }

    proptest! {
        #[test]
        fn a_password_is_blanked_however_it_is_split(piece_bytes in 1_usize..200) {
            let (client, welcome, query) = (client(), welcome(), query());
            let said =
                [What::Said(Side::Client, &client[..]), What::Said(Side::Server, &welcome), What::Said(Side::Client, &query)];
            let disk = blanked(&said, piece_bytes);
            prop_assert_eq!(disk.len(), client.len() + welcome.len() + query.len());
            prop_assert!(!holds(&disk, PASSWORD));
            prop_assert!(holds(&disk, b"user\0app") && holds(&disk, QUERY));
        }

        #[test]
        fn where_part_of_a_login_was_lost_no_password_slips_through(from in 0_usize..100, piece_bytes in 1_usize..200) {
            let (client, welcome, query) = (client(), welcome(), query());
            let from = from.min(client.len());
            let said = [
                What::Lost(Side::Client, from as u64),
                What::Said(Side::Client, &client[from..]),
                What::Said(Side::Server, &welcome),
                What::Said(Side::Client, &query),
            ];
            let disk = blanked(&said, piece_bytes);
            prop_assert!(!holds(&disk, PASSWORD) && holds(&disk, QUERY));
        }
    }
}
