//! Cuts either side's stream into messages, a piece of a body at a time.
//!
//! Takes bytes as they come, however they are split, and gives what they hold: where a message begins, a part of its
//! body, where it ends. Keeps five bytes at most, so a row or a COPY may be of any size. What is to be kept of a
//! body is
//! the caller's to say. Must not know what the messages mean.

use super::frames::{FRAME_BYTES_MAX, FrameError, TAGS};

/// Every tag that a client sends in protocol 3.
const CLIENT_TAGS: &[u8] = b"BCDEFHPQSXcdfp";

/// The longest startup packet that a server takes (`MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_BYTES_MAX: u32 = 10_000;

/// How messages are framed at this point of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Startup, SSLRequest, GSSENCRequest and CancelRequest: a length and no tag; given with tag 0.
    Startup,
    Client,
    Server,
}

/// What the bytes hold next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Begin { tag: u8, body_bytes: usize },
    Body(&'a [u8]),
    End,
}

/// The state between two calls.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    header: [u8; 5],
    header_bytes: usize,
    /// Of the body, while in a message.
    left_bytes: Option<usize>,
}

impl Pieces {
    /// Whether the next byte begins a message.
    pub fn is_between(&self) -> bool {
        self.left_bytes.is_none() && self.header_bytes == 0
    }

    /// Takes the next piece from the front of `input`; none when all of it is taken.
    ///
    /// # Errors
    /// The stream is not PostgreSQL's, or its framing is lost.
    pub fn next<'a>(&mut self, input: &mut &'a [u8], framing: Framing) -> Result<Option<Piece<'a>>, FrameError> {
        match self.left_bytes {
            Some(0) => {
                self.left_bytes = None;
                Ok(Some(Piece::End))
            }
            Some(left_bytes) if !input.is_empty() => {
                let (body, rest) = input.split_at(left_bytes.min(input.len()));
                *input = rest;
                self.left_bytes = Some(left_bytes - body.len());
                Ok(Some(Piece::Body(body)))
            }
            Some(_) => Ok(None),
            None => self.begin(input, framing),
        }
    }

    fn begin<'a>(&mut self, input: &mut &'a [u8], framing: Framing) -> Result<Option<Piece<'a>>, FrameError> {
        let wanted = if framing == Framing::Startup { 4 } else { 5 };
        let taken = (wanted - self.header_bytes).min(input.len());
        self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&input[..taken]);
        self.header_bytes += taken;
        *input = &input[taken..];
        if self.header_bytes < wanted {
            return Ok(None);
        }
        self.header_bytes = 0;
        let (tag, length) = match framing {
            Framing::Startup => (0, &self.header[..4]),
            Framing::Client | Framing::Server => (self.header[0], &self.header[1..]),
        };
        let length = length.iter().fold(0, |length, byte| length << 8 | u32::from(*byte));
        let is_known = match framing {
            Framing::Startup => true,
            Framing::Client => CLIENT_TAGS.contains(&tag),
            Framing::Server => TAGS.contains(&tag),
        };
        if !is_known {
            return Err(FrameError::UnknownTag(tag));
        }
        let lengths = if framing == Framing::Startup { 8..=STARTUP_BYTES_MAX } else { 4..=FRAME_BYTES_MAX };
        if !lengths.contains(&length) {
            return Err(FrameError::BadLength { tag: tag.into(), length });
        }
        let body_bytes = length as usize - 4;
        self.left_bytes = Some(body_bytes);
        Ok(Some(Piece::Begin { tag, body_bytes }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Messages that are whole, and the error at the end if there is one.
    fn read(stream: &[u8], cuts: &[usize], framing: Framing) -> (Vec<(u8, Vec<u8>)>, Option<FrameError>) {
        let (mut pieces, mut messages, mut current) = (Pieces::default(), Vec::new(), None);
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            let mut input = &stream[from..to];
            from = to;
            loop {
                match pieces.next(&mut input, framing) {
                    Err(error) => return (messages, Some(error)),
                    Ok(None) => break,
                    Ok(Some(Piece::Begin { tag, .. })) => current = Some((tag, Vec::new())),
                    Ok(Some(Piece::Body(body))) => current.as_mut().unwrap().1.extend(body),
                    Ok(Some(Piece::End)) => messages.push(current.take().unwrap()),
                }
            }
        }
        (messages, None)
    }

    proptest! {
        #[test]
        fn where_the_stream_is_split_changes_nothing(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            splits in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            noise in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                stream.push(b'D');
                stream.extend((body.len() as u32 + 4).to_be_bytes());
                stream.extend(body);
            }
            stream.extend(noise);
            let mut cuts: Vec<_> = splits.iter().map(|split| split.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let whole = read(&stream, &[], Framing::Server);
            prop_assert!(whole.0.len() >= bodies.len());
            prop_assert_eq!(read(&stream, &cuts, Framing::Server), whole);
        }
    }
}
