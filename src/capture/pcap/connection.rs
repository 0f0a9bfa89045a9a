//! One TCP connection to a session of the workload.
//!
//! Takes its segments, tells by their content whether PostgreSQL is spoken, and passes on what is said. Must not know files
//! or link types.

use std::io;

use super::super::held::Holding;
use super::super::session::{Session, Shared};
use super::super::wire::Side;
use super::opening::{Opening, is_tls};
use super::packet::Segment;
use super::reassembly::{Delivered, Piece, Reassembly};
use crate::pgwire::backend::CancelKey;
use crate::pgwire::pieces::Framing;
use crate::pgwire::plausible::is_plausible;

/// Ports of servers where none is given: PostgreSQL's and PgBouncer's.
const PORTS: [u16; 2] = [5432, 6432];

/// What is known of the speakers.
enum Speech {
    /// What was heard of the client does not tell yet.
    Unknown,
    Postgres(Box<Session>),
    /// Another protocol.
    Other,
}

/// Both ends of a connection, as far as they are known.
struct Speakers {
    /// Of the two ends in their order: whether the first is the client.
    first_is_client: Option<bool>,
    began_in_middle: bool,
    speech: Speech,
    /// The client's first bytes, until they tell what it speaks.
    opening: Vec<u8>,
    opened_us: Option<i64>,
    source: u16,
    last: (i64, u64),
}

/// One connection.
pub(super) struct Connection {
    speakers: Speakers,
    reassembly: Reassembly,
    ended: [bool; 2],
    is_reset: bool,
}

impl Connection {
    /// A connection that begins with this segment, or begins to be captured with it. `ports` are the servers'.
    pub fn new(segment: &Segment<'_>, is_first: bool, ports: &[u16]) -> Self {
        let is_server = |port: u16| ports.contains(&port) || (ports.is_empty() && PORTS.contains(&port));
        let by_port = match (is_server(segment.from.port()), is_server(segment.to.port())) {
            (false, true) => Some(is_first),
            (true, false) => Some(!is_first),
            _ => None,
        };
        // The second end answers a SYN with one that acknowledges; it is the server.
        let by_syn = segment.syn.then_some(is_first == segment.acknowledged.is_none());
        let speakers = Speakers {
            first_is_client: by_syn.or(by_port),
            began_in_middle: !segment.syn,
            speech: Speech::Unknown,
            opening: Vec::new(),
            opened_us: None,
            source: 0,
            last: (0, 0),
        };
        Self { speakers, reassembly: Reassembly::default(), ended: [false; 2], is_reset: false }
    }

    /// Whether anything was said: a SYN then begins another connection between the same ends.
    pub fn has_spoken(&self) -> bool {
        !matches!(self.speakers.speech, Speech::Unknown) || self.speakers.opened_us.is_some()
    }

    /// Whether both ends, or a reset, ended it, and nothing of it is still to come.
    pub fn is_finished(&self) -> bool {
        self.is_reset || (self.ended == [true; 2] && self.reassembly.is_whole())
    }

    /// Takes a segment, seen at `time_us`; `at` is the index of its file and its number there.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn take(
        &mut self,
        segment: &Segment<'_>,
        is_first: bool,
        time_us: i64,
        at: (u16, u64),
        shared: &mut Shared,
    ) -> io::Result<()> {
        self.speakers.source = at.0;
        self.speakers.last = (time_us, at.1);
        self.ended[usize::from(!is_first)] |= segment.fin;
        self.is_reset |= segment.rst;
        if matches!(self.speakers.speech, Speech::Other) {
            return Ok(());
        }
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        if segment.syn {
            self.reassembly.begin(!is_first, sequence);
        }
        let piece = Piece {
            from_second: !is_first,
            sequence,
            acknowledged: segment.acknowledged.filter(|_| !segment.rst),
            bytes: segment.payload,
            is_end: segment.fin,
            time_us,
            packet: at.1,
        };
        let mut out = Vec::new();
        self.reassembly.take(&piece, &mut out);
        self.speakers.hear(out, shared)
    }

    /// Says to the session with this key that its client wants to cancel.
    pub fn cancelled(&mut self, key: &CancelKey, time_us: i64) -> Option<bool> {
        match &mut self.speakers.speech {
            Speech::Postgres(session) => session.cancelled(key, time_us),
            Speech::Unknown | Speech::Other => None,
        }
    }

    /// The connection, or its capture, is over.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(mut self, shared: &mut Shared) -> io::Result<()> {
        let is_over = self.is_finished() || self.ended == [true; 2];
        let mut out = Vec::new();
        self.reassembly.finish(&mut out);
        self.speakers.hear(out, shared)?;
        let Speakers { speech, source, last: (last_us, packet), .. } = self.speakers;
        match speech {
            Speech::Postgres(session) => session.finish(is_over.then_some(last_us), last_us, (source, packet), shared),
            Speech::Unknown | Speech::Other => Ok(()),
        }
    }
}

impl Holding for Connection {
    fn held_bytes(&self) -> usize {
        let session = match &self.speakers.speech {
            Speech::Postgres(session) => session.held_bytes(),
            Speech::Unknown | Speech::Other => 0,
        };
        session + self.reassembly.waiting_bytes() + self.speakers.opening.len()
    }

    fn forget(&mut self, shared: &mut Shared) -> io::Result<()> {
        let mut out = Vec::new();
        self.reassembly.flush(&mut out);
        self.speakers.hear(out, shared)?;
        let ((time_us, packet), source) = (self.speakers.last, self.speakers.source);
        match &mut self.speakers.speech {
            Speech::Postgres(session) => session.forget(time_us, (source, packet), shared),
            Speech::Unknown | Speech::Other => Ok(()),
        }
    }
}

impl Speakers {
    fn hear(&mut self, delivered: Vec<Delivered>, shared: &mut Shared) -> io::Result<()> {
        for delivered in delivered {
            match delivered {
                Delivered::Bytes { from_second, bytes, time_us, packet } => {
                    let at = (self.source, packet);
                    if let Speech::Postgres(session) = &mut self.speech {
                        let side = side(self.first_is_client, from_second);
                        session.said(side, &bytes, time_us, at, shared)?;
                    } else if matches!(self.speech, Speech::Unknown) {
                        self.recognise(from_second, &bytes, time_us, at, shared)?;
                    }
                }
                Delivered::Lost { from_second, count, packet } => {
                    let (last_us, side) = (self.last.0, side(self.first_is_client, from_second));
                    match &mut self.speech {
                        Speech::Postgres(session) => {
                            session.lost(side, count, last_us, (self.source, packet), shared)?;
                        }
                        _ => self.began_in_middle = true,
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells by what is said what is spoken, and who speaks.
    fn recognise(
        &mut self,
        from_second: bool,
        bytes: &[u8],
        time_us: i64,
        at: (u16, u64),
        shared: &mut Shared,
    ) -> io::Result<()> {
        if self.began_in_middle {
            return self.recognise_in_middle(from_second, bytes, time_us, at, shared);
        }
        if side(self.first_is_client, from_second) == Side::Server {
            // PostgreSQL's server never speaks first.
            self.speech = Speech::Other;
            return Ok(());
        }
        let opened_us = *self.opened_us.get_or_insert(time_us);
        self.opening.extend_from_slice(bytes);
        match Opening::of(&self.opening) {
            Opening::Unclear => Ok(()),
            Opening::Other => {
                self.speech = Speech::Other;
                self.opening = Vec::new();
                Ok(())
            }
            Opening::Postgres => {
                let mut session = Session::new(Some(opened_us), shared.first_us);
                let opening = std::mem::take(&mut self.opening);
                session.said(Side::Client, &opening, time_us, at, shared)?;
                self.speech = Speech::Postgres(Box::new(session));
                Ok(())
            }
        }
    }

    /// The first bytes were not captured: these are whose messages they can be.
    fn recognise_in_middle(
        &mut self,
        from_second: bool,
        bytes: &[u8],
        time_us: i64,
        at: (u16, u64),
        shared: &mut Shared,
    ) -> io::Result<()> {
        let known = self.first_is_client.map(|first_is_client| side(Some(first_is_client), from_second));
        let may_be = |side, framing| known.is_none_or(|known| known == side) && is_plausible(bytes, framing);
        let is_encrypted = known.is_some() && is_tls(bytes);
        let said_by = match (may_be(Side::Client, Framing::Client), may_be(Side::Server, Framing::Server)) {
            (true, false) => Side::Client,
            (false, true) => Side::Server,
            _ => match known.filter(|_| is_encrypted) {
                Some(side) => side,
                None => return Ok(()),
            },
        };
        self.first_is_client = Some(from_second == (said_by == Side::Server));
        let mut session = match is_encrypted {
            true => Session::encrypted(shared.first_us),
            false => Session::new(None, shared.first_us),
        };
        session.said(said_by, bytes, time_us, at, shared)?;
        self.speech = Speech::Postgres(Box::new(session));
        Ok(())
    }
}

fn side(first_is_client: Option<bool>, from_second: bool) -> Side {
    match first_is_client.unwrap_or(true) == from_second {
        true => Side::Server,
        false => Side::Client,
    }
}
