//! A conversation between one client and one server, from its first byte to its last.
//!
//! Takes both sides' bytes in the order of time, split anywhere, and what was lost of them. Knows framing, login and
//! encryption; what messages mean to each other is `exchange`'s. Must not know where the bytes come from.

use std::io;

use super::Sink;
use super::exchange::Exchange;
use super::found::{Found, Reason, Side};
use crate::pgwire::backend::{CancelKey, ServerError, parameter_status};
use crate::pgwire::client::First;
use crate::pgwire::pieces::{Framing, Piece, Pieces};
use crate::pgwire::plausible::is_plausible;

/// The longest message that is kept.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// When something was seen, and where: index of the source, line or packet number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub time_us: i64,
    pub at: (u16, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client's first message comes.
    Startup,
    /// The server answers with one byte whether it encrypts.
    Encryption,
    Messages,
    /// Bytes are counted, for this reason, and not read.
    Unread(Reason),
    /// What is said cannot be read, which was counted.
    Lost,
}

/// One side's stream.
#[derive(Debug, Default)]
struct Half {
    pieces: Pieces,
    tag: u8,
    body: Vec<u8>,
    is_whole: bool,
    seen: Option<Seen>,
    /// The next message boundary is unknown.
    is_searching: bool,
    /// The end of what was searched, for a ReadyForQuery that lies across two pieces.
    searched: Vec<u8>,
}

/// The two streams of one connection.
#[derive(Debug)]
pub struct Conversation {
    phase: Phase,
    client: Half,
    server: Half,
    exchange: Exchange,
    is_authenticated: bool,
    is_replication: bool,
    began_in_middle: bool,
    closed: bool,
}

impl Conversation {
    /// A connection; `began_in_middle` if its first bytes were not seen.
    pub fn new(began_in_middle: bool) -> Self {
        let half = || Half { is_searching: began_in_middle, ..Half::default() };
        Self {
            phase: if began_in_middle { Phase::Messages } else { Phase::Startup },
            client: half(),
            server: half(),
            exchange: Exchange::default(),
            is_authenticated: began_in_middle,
            is_replication: false,
            began_in_middle,
            closed: false,
        }
    }

    /// A connection whose first bytes were not seen, and which is encrypted.
    pub fn encrypted() -> Self {
        Self { phase: Phase::Unread(Reason::EncryptedBytes), ..Self::new(true) }
    }

    /// Bytes that are kept for what comes next.
    pub fn held_bytes(&self) -> usize {
        self.client.body.capacity() + self.server.body.capacity() + self.exchange.held_bytes()
    }

    /// Gives up what is kept for later, since there is no room for it: what was not answered is given as it is, and what was
    /// prepared is forgotten.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn forget(&mut self, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        for half in [&mut self.client, &mut self.server] {
            half.is_whole &= half.body.is_empty();
            half.body = Vec::new();
        }
        self.exchange.forget(at, sink)
    }

    /// Takes the next bytes of one side, seen at `time_us`; `at` is the source's index and the place in it.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn take(
        &mut self,
        side: Side,
        mut bytes: &[u8],
        time_us: i64,
        at: (u16, u64),
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let seen = Seen { time_us, at };
        while !bytes.is_empty() {
            match (self.phase, side) {
                (Phase::Lost, _) => return Ok(()),
                (Phase::Unread(reason), _) => {
                    return sink(Found::Skipped { reason, count: bytes.len() as u64, at });
                }
                (Phase::Encryption, Side::Server) => bytes = self.encryption_answer(bytes),
                (Phase::Startup | Phase::Encryption, Side::Client) => self.startup(&mut bytes, seen, sink)?,
                (Phase::Startup, Side::Server) => return Ok(()),
                (Phase::Messages, _) => {
                    if self.half(side).is_searching && !self.search(side, &mut bytes, seen, sink)? {
                        return Ok(());
                    }
                    self.messages(side, &mut bytes, seen, sink)?;
                }
            }
        }
        Ok(())
    }

    /// The capture lost bytes of one side here.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn lost(&mut self, side: Side, count: u64, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        sink(Found::Skipped { reason: Reason::LostBytes, count, at })?;
        if matches!(self.phase, Phase::Startup | Phase::Encryption) {
            self.phase = Phase::Messages;
            (self.client.is_searching, self.server.is_searching) = (true, true);
        }
        self.search_again(side);
        if side == Side::Client {
            self.exchange.client_lost(at, sink)?;
        }
        Ok(())
    }

    /// The client's wish to cancel, sent on another connection, reached this session. Says whether it met a request.
    pub fn cancelled(&mut self, time_us: i64) -> bool {
        self.exchange.cancelled(time_us)
    }

    /// The connection is closed: what was not answered is given as it is.
    ///
    /// # Errors
    /// Whatever `sink` answers.
    pub fn closed(&mut self, at: (u16, u64), sink: &mut Sink<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        if self.phase == Phase::Messages && !self.is_authenticated {
            sink(Found::Skipped { reason: Reason::FailedLogin, count: 1, at })?;
        }
        self.exchange.closed(sink)
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// `S` and `G` begin encryption; `N`, and an old server's error, leave the text plain.
    fn encryption_answer<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match bytes[0] {
            b'S' | b'G' => self.phase = Phase::Unread(Reason::EncryptedBytes),
            b'N' => self.phase = Phase::Startup,
            _ => {
                self.phase = Phase::Messages;
                return bytes;
            }
        }
        &bytes[1..]
    }

    fn startup(&mut self, bytes: &mut &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        // A TLS handshake without a question before it (sslnegotiation=direct).
        if self.client.pieces.is_between() && bytes[0] == 0x16 {
            self.phase = Phase::Unread(Reason::EncryptedBytes);
            return Ok(());
        }
        loop {
            match self.client.pieces.next(bytes, Framing::Startup) {
                Ok(None) => return Ok(()),
                Ok(Some(Piece::Begin { .. })) => self.client.body.clear(),
                Ok(Some(Piece::Body(part))) => {
                    self.client.body.extend_from_slice(part);
                }
                Ok(Some(Piece::End)) => return self.first_message(seen, sink),
                Err(_) => {
                    self.phase = Phase::Lost;
                    *bytes = &[];
                    return sink(Found::Skipped { reason: Reason::FramingLost, count: 1, at: seen.at });
                }
            }
        }
    }

    fn first_message(&mut self, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        let body = std::mem::take(&mut self.client.body);
        match First::parse(&body) {
            Some(First::Encryption) => self.phase = Phase::Encryption,
            Some(First::Cancel(key)) => {
                self.closed = true;
                sink(Found::CancelRequest(key))?;
            }
            Some(First::Startup(parameters)) => {
                self.phase = Phase::Messages;
                let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let parameters: Vec<_> = parameters.iter().map(|(name, value)| (lossy(name), lossy(value))).collect();
                let off = ["", "false", "off", "no", "0"];
                self.is_replication =
                    parameters.iter().any(|(name, value)| name == "replication" && !off.contains(&value.as_str()));
                sink(Found::Startup(parameters))?;
            }
            None => {
                self.phase = Phase::Lost;
                sink(Found::Skipped { reason: Reason::OldProtocol, count: 1, at: seen.at })?;
            }
        }
        Ok(())
    }

    fn search_again(&mut self, side: Side) {
        let half = self.half(side);
        *half = Half { is_searching: true, ..Half::default() };
        self.exchange.lost_its_way(side);
    }

    /// Looks for a message boundary; says whether one was found, with `bytes` behind it.
    fn search(&mut self, side: Side, bytes: &mut &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<bool> {
        let framing = framing(side);
        if is_plausible(bytes, framing) {
            self.half(side).is_searching = false;
            if side == Side::Server {
                self.exchange.found_its_way();
            }
            return Ok(true);
        }
        if side == Side::Client {
            if !self.began_in_middle {
                sink(Found::Skipped { reason: Reason::LostBytes, count: bytes.len() as u64, at: seen.at })?;
            }
            return Ok(false);
        }
        let mut searched = std::mem::take(&mut self.server.searched);
        let before = searched.len();
        searched.extend_from_slice(bytes);
        let ready = |window: &[u8]| window[..5] == *b"Z\0\0\0\x05" && b"ITE".contains(&window[5]);
        let Some(found) = searched.windows(6).position(ready) else {
            self.server.searched = searched.split_off(searched.len().saturating_sub(5));
            return Ok(false);
        };
        *bytes = &bytes[(found + 6).saturating_sub(before).min(bytes.len())..];
        self.server.is_searching = false;
        if !std::mem::replace(&mut self.is_authenticated, true) {
            sink(Found::Authenticated)?;
        }
        self.exchange.found_ready(searched[found + 5], sink)?;
        Ok(true)
    }

    fn messages(&mut self, side: Side, bytes: &mut &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        loop {
            let half = self.half(side);
            match half.pieces.next(bytes, framing(side)) {
                Ok(None) => return Ok(()),
                Ok(Some(Piece::Begin { tag, body_bytes })) => {
                    half.body.clear();
                    (half.tag, half.seen) = (tag, Some(seen));
                    // A password is dropped unseen; rows and COPY data stream by.
                    half.is_whole = body_bytes <= MESSAGE_BYTES_MAX && !matches!((side, tag), (Side::Client, b'p'));
                    half.is_whole &= !streams(side, tag);
                    self.exchange.begins(side, tag, seen, sink)?;
                }
                Ok(Some(Piece::Body(part))) => match half.is_whole {
                    true => half.body.extend_from_slice(part),
                    false => {
                        let tag = half.tag;
                        self.exchange.part(side, tag, part, seen, sink)?;
                    }
                },
                Ok(Some(Piece::End)) => {
                    self.message(side, seen, sink)?;
                    if matches!(self.phase, Phase::Unread(_) | Phase::Lost) {
                        return Ok(());
                    }
                }
                Err(_) => {
                    *bytes = &[];
                    sink(Found::Skipped { reason: Reason::FramingLost, count: 1, at: seen.at })?;
                    self.search_again(side);
                    return Ok(());
                }
            }
        }
    }

    fn message(&mut self, side: Side, seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        let half = self.half(side);
        let (tag, body) = (half.tag, std::mem::take(&mut half.body));
        let body_read = half.is_whole.then_some(&body[..]);
        let began = half.seen.take().unwrap_or(seen);
        match side {
            Side::Client => self.exchange.client(tag, body_read, began, sink)?,
            Side::Server => {
                if !self.is_authenticated || matches!(tag, b'S' | b'K' | b'W') {
                    self.login(tag, &body, seen, sink)?;
                }
                self.exchange.server(tag, body_read, seen, sink)?;
            }
        }
        let half = self.half(side);
        if body.capacity() <= 64 << 10 {
            half.body = body;
        }
        Ok(())
    }

    fn login(&mut self, tag: u8, body: &[u8], seen: Seen, sink: &mut Sink<'_>) -> io::Result<()> {
        match tag {
            b'Z' => {
                self.is_authenticated = true;
                if self.is_replication {
                    self.phase = Phase::Unread(Reason::ReplicationBytes);
                    return Ok(());
                }
                sink(Found::Authenticated)
            }
            b'S' => match parameter_status(body) {
                Some((name, value)) => sink(Found::Parameter { name: name.to_owned(), value: value.to_owned() }),
                None => Ok(()),
            },
            b'K' => match CancelKey::parse(body) {
                Some(key) => sink(Found::CancelKey(key)),
                None => Ok(()),
            },
            b'W' => {
                self.phase = Phase::Unread(Reason::ReplicationBytes);
                Ok(())
            }
            b'E' if ServerError::parse(body).is_none_or(|error| error.is_fatal()) => {
                // Nothing follows it.
                self.closed = true;
                sink(Found::Skipped { reason: Reason::FailedLogin, count: 1, at: seen.at })
            }
            _ => Ok(()),
        }
    }
}

fn framing(side: Side) -> Framing {
    match side {
        Side::Client => Framing::Client,
        Side::Server => Framing::Server,
    }
}

/// Messages whose bodies are looked at as they pass.
fn streams(side: Side, tag: u8) -> bool {
    matches!((side, tag), (_, b'd') | (Side::Server, b'D'))
}
