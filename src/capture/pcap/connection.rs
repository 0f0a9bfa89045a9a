//! One TCP connection to a session of the workload.
//!
//! Takes its segments, tells by their content whether PostgreSQL is spoken, and passes on what the conversation finds.
//! Must not know files or link types.

use std::io;

use super::super::session::{Session, Shared};
use super::super::wire::Side;
use super::packet::Segment;
use super::reassembly::{Delivered, Direction};
use crate::pgwire::backend::CancelKey;
use crate::pgwire::pieces::{Framing, is_plausible};

/// A gap is lost when what waits behind it has waited this long.
const GAP_US_MAX: i64 = 1_000_000;

/// What is known of the speakers.
enum Speech {
    /// Nothing was said yet.
    Unknown,
    Postgres(Box<Session>),
    /// Another protocol.
    Other,
}

/// One connection.
pub(super) struct Connection {
    /// Of the two ends in their order: whether the first is the client, as far as known.
    first_is_client: Option<bool>,
    began_in_middle: bool,
    directions: [Direction; 2],
    finished: [bool; 2],
    speech: Speech,
    source: u16,
    last: (i64, u64),
}

impl Connection {
    pub fn new(segment: &Segment<'_>, is_first: bool, source: u16) -> Self {
        // The second end answers a SYN with one that acknowledges; it is the server.
        let first_is_client = segment.syn.then_some(is_first == (segment.acknowledged == 0));
        Self {
            first_is_client,
            began_in_middle: !segment.syn,
            directions: Default::default(),
            finished: [false; 2],
            speech: Speech::Unknown,
            source,
            last: (0, 0),
        }
    }

    /// Whether anything was said: a SYN then begins another connection between the same ends.
    pub fn has_spoken(&self) -> bool {
        !matches!(self.speech, Speech::Unknown)
    }

    /// Whether both sides, or a reset, ended it.
    pub fn is_finished(&self) -> bool {
        self.finished == [true; 2]
    }

    pub fn take(
        &mut self,
        segment: &Segment<'_>,
        is_first: bool,
        time_us: i64,
        packet: u64,
        shared: &mut Shared,
    ) -> io::Result<()> {
        self.last = (time_us, packet);
        let index = usize::from(!is_first);
        let mut out = Vec::new();
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        if segment.syn {
            self.directions[index].begin(sequence);
        }
        // A keep-alive repeats one byte, so a direction begins with the first segment that has more to say.
        self.directions[index].take(sequence, segment.payload, time_us, packet, &mut out);
        self.pass_on(index, out, shared)?;
        for waiting in 0..2 {
            let since_us = self.directions[waiting].waits_since_us();
            if since_us.is_some_and(|since_us| time_us.saturating_sub(since_us) > GAP_US_MAX) {
                let mut out = Vec::new();
                self.directions[waiting].pass_gap(&mut out);
                self.pass_on(waiting, out, shared)?;
            }
        }
        self.finished[index] |= segment.fin;
        if segment.rst {
            self.finished = [true; 2];
        }
        Ok(())
    }

    fn pass_on(&mut self, index: usize, out: Vec<Delivered>, shared: &mut Shared) -> io::Result<()> {
        for delivered in out {
            match delivered {
                Delivered::Bytes { bytes, time_us, packet } => {
                    let at = (self.source, packet);
                    if matches!(self.speech, Speech::Unknown) {
                        self.recognise(index, &bytes, time_us, shared);
                    }
                    let side = self.side(index);
                    if let Speech::Postgres(session) = &mut self.speech {
                        session.said(side, &bytes, time_us, at, shared)?;
                    }
                }
                Delivered::Lost(count) => {
                    let (side, at) = (self.side(index), (self.source, self.last.1));
                    if let Speech::Postgres(session) = &mut self.speech {
                        session.lost(side, count, self.last.0, at, shared)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn side(&self, index: usize) -> Side {
        match (index == 0) == self.first_is_client.unwrap_or(true) {
            true => Side::Client,
            false => Side::Server,
        }
    }

    /// Tells by the first bytes what is spoken, and who speaks.
    fn recognise(&mut self, index: usize, bytes: &[u8], time_us: i64, shared: &Shared) {
        let is_startup = starts_a_session(bytes);
        let side = if is_startup || is_plausible(bytes, Framing::Client) {
            Side::Client
        } else if is_plausible(bytes, Framing::Server) && bytes.len() > 5 {
            Side::Server
        } else {
            self.speech = if self.began_in_middle { Speech::Unknown } else { Speech::Other };
            return;
        };
        if self.began_in_middle {
            self.first_is_client = Some((index == 0) == (side == Side::Client));
        } else if !is_startup {
            self.speech = Speech::Other;
            return;
        }
        let opened_us = is_startup.then_some(time_us);
        self.speech = Speech::Postgres(Box::new(Session::new(opened_us, shared.first_us)));
    }

    /// Says to the session with this key that its client wants to cancel.
    pub fn cancelled(&mut self, key: &CancelKey, time_us: i64) -> Option<bool> {
        match &mut self.speech {
            Speech::Postgres(session) => session.cancelled(key, time_us),
            _ => None,
        }
    }

    /// The connection, or its capture, is over.
    pub fn finish(mut self, shared: &mut Shared) -> io::Result<()> {
        for index in 0..2 {
            let mut out = Vec::new();
            self.directions[index].finish(&mut out);
            self.pass_on(index, out, shared)?;
        }
        let over_us = self.is_finished().then_some(self.last.0);
        let at = (self.source, self.last.1);
        match self.speech {
            Speech::Postgres(session) => session.finish(over_us, self.last.0, at, shared),
            Speech::Unknown | Speech::Other => Ok(()),
        }
    }
}

/// StartupMessage of any protocol, SSLRequest, GSSENCRequest or CancelRequest.
fn starts_a_session(bytes: &[u8]) -> bool {
    let code = bytes.get(4..8).map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
    is_plausible(bytes, Framing::Startup) && code.is_some_and(|code| matches!(code >> 16, 2 | 3 | 1234))
}
