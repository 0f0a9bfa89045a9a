//! Cuts what a server sends into messages, without copying.
//!
//! Takes bytes as they come, however they are split, and gives "need more" or one message: its tag and its body. Rows
//! and other kinds that nobody reads are passed over by their length, so they may be larger than any buffer; of a
//! message that is kept only the first part is kept if it is very long, so memory stays bounded whatever comes. Must
//! not know what the messages mean.

/// Bytes of tag and length in front of every body.
const HEADER_BYTES: usize = 5;

/// The longest frame that a server can send: it builds them in a buffer of less than 1 GiB.
pub(super) const FRAME_BYTES_MAX: u32 = 0x3fff_ffff;

/// How much of a kept message's body is given; an error's severity, code and primary message stand in front.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Every tag that a server sends in protocol 3.
pub(super) const TAGS: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

/// What the bytes so far give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// All input was taken as far as it goes: come back with what is left of it and more behind it.
    NeedMore,
    /// A message of a kept kind; `cut` when the body was longer than [`BODY_BYTES_MAX`] and only its first part is here.
    Message { tag: u8, body: &'a [u8], cut: bool },
    /// A message of another kind came to its end; `frame_bytes` with tag and length.
    PassedOver { tag: u8, frame_bytes: u64 },
}

/// What no server sends: the stream is not PostgreSQL's, or its framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the server sent a message of unknown type 0x{0:02x}")]
    UnknownTag(u8),
    #[error("the server sent a message of type \"{tag}\" with the impossible length {length}")]
    BadLength { tag: char, length: u32 },
}

/// The state between two calls: how much of a long message is still to be passed over.
#[derive(Debug)]
pub struct Frames {
    keep: fn(u8) -> bool,
    passing: Option<Passing>,
}

#[derive(Clone, Copy, Debug)]
struct Passing {
    tag: u8,
    left_bytes: usize,
    frame_bytes: u64,
    /// The rest of a message whose first part was already given.
    given: bool,
}

impl Frames {
    /// `keep` says which tags the caller wants to see with their bodies.
    pub fn new(keep: fn(u8) -> bool) -> Self {
        Self { keep, passing: None }
    }

    /// Takes the next message from the front of `input` and moves `input` behind it.
    ///
    /// # Errors
    /// After an error the stream cannot be read any further.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Step<'a>, FrameError> {
        self.next_seeing(input, &mut |_, _| {})
    }

    /// As [`Self::next`]; `see` is given the tag and the body of what is passed over, in pieces.
    ///
    /// # Errors
    /// After an error the stream cannot be read any further.
    pub fn next_seeing<'a>(
        &mut self,
        input: &mut &'a [u8],
        see: &mut impl FnMut(u8, &[u8]),
    ) -> Result<Step<'a>, FrameError> {
        if let Some(step) = self.pass_over(input, see) {
            return Ok(step);
        }
        let Some((header, rest)) = input.split_at_checked(HEADER_BYTES) else {
            return Ok(Step::NeedMore);
        };
        let tag = header[0];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        if !TAGS.contains(&tag) {
            return Err(FrameError::UnknownTag(tag));
        }
        if !(4..=FRAME_BYTES_MAX).contains(&length) {
            return Err(FrameError::BadLength { tag: tag.into(), length });
        }
        let body_bytes = length as usize - 4;
        let frame_bytes = u64::from(length) + 1;
        if !(self.keep)(tag) {
            self.passing = Some(Passing { tag, left_bytes: body_bytes, frame_bytes, given: false });
            *input = rest;
            return Ok(self.pass_over(input, see).unwrap_or(Step::NeedMore));
        }
        let kept_bytes = body_bytes.min(BODY_BYTES_MAX);
        let Some((body, rest)) = rest.split_at_checked(kept_bytes) else {
            return Ok(Step::NeedMore);
        };
        *input = rest;
        let cut = kept_bytes < body_bytes;
        if cut {
            self.passing = Some(Passing { tag, left_bytes: body_bytes - kept_bytes, frame_bytes, given: true });
        }
        Ok(Step::Message { tag, body, cut })
    }

    /// Goes on passing over a message; `None` when none is being passed over and a header comes next.
    fn pass_over<'a>(&mut self, input: &mut &'a [u8], see: &mut impl FnMut(u8, &[u8])) -> Option<Step<'a>> {
        let passing = self.passing.as_mut()?;
        let taken = passing.left_bytes.min(input.len());
        if !passing.given {
            see(passing.tag, &input[..taken]);
        }
        *input = &input[taken..];
        passing.left_bytes -= taken;
        if passing.left_bytes > 0 {
            return Some(Step::NeedMore);
        }
        let Passing { tag, frame_bytes, given, .. } = *passing;
        self.passing = None;
        (!given).then_some(Step::PassedOver { tag, frame_bytes })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(tag: u8) -> bool {
        !matches!(tag, b'D' | b'd' | b'T')
    }

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend((body.len() as u32 + 4).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// What comes out when the stream arrives in pieces that end at `cuts`.
    fn read_in_pieces(stream: &[u8], cuts: &[usize]) -> Result<Vec<String>, FrameError> {
        let mut frames = Frames::new(kept);
        let mut waiting = Vec::new();
        let mut seen = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            waiting.extend(&stream[from..to.max(from)]);
            from = to.max(from);
            let mut input = &waiting[..];
            loop {
                match frames.next(&mut input)? {
                    Step::NeedMore => break,
                    step => seen.push(format!("{step:?}")),
                }
            }
            waiting = input.to_vec();
        }
        assert!(waiting.len() < HEADER_BYTES + BODY_BYTES_MAX);
        Ok(seen)
    }

    #[test]
    fn a_row_larger_than_the_buffer_is_passed_over_and_counted() {
        let mut stream = frame(b'D', &vec![7; 300_000]);
        stream.extend(frame(b'Z', b"I"));
        let cuts: Vec<usize> = (0..stream.len()).step_by(1000).collect();
        let seen = read_in_pieces(&stream, &cuts).unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0], "PassedOver { tag: 68, frame_bytes: 300005 }");
    }

    #[test]
    fn of_a_very_long_kept_message_the_first_part_is_given() {
        let mut stream = frame(b'E', &vec![b'x'; BODY_BYTES_MAX + 10]);
        stream.extend(frame(b'Z', b"I"));
        let mut frames = Frames::new(kept);
        let mut input = &stream[..];
        let first = frames.next(&mut input).unwrap();
        assert!(matches!(first, Step::Message { tag: b'E', body, cut: true } if body.len() == BODY_BYTES_MAX));
        assert_eq!(frames.next(&mut input), Ok(Step::Message { tag: b'Z', body: b"I", cut: false }));
    }

    #[test]
    fn what_is_not_the_protocol_is_an_error() {
        let mut web = &b"HTTP/1.1 400 Bad Request\r\n"[..];
        assert!(matches!(Frames::new(kept).next(&mut web), Err(FrameError::BadLength { tag: 'H', .. })));
        let mut unknown = &b"\x00\x00\x00\x00\x04"[..];
        assert_eq!(Frames::new(kept).next(&mut unknown), Err(FrameError::UnknownTag(0)));
        let mut short = &b"Z\x00\x00\x00\x03"[..];
        assert!(matches!(Frames::new(kept).next(&mut short), Err(FrameError::BadLength { tag: 'Z', length: 3 })));
    }

    proptest! {
        #[test]
        fn where_the_stream_is_split_changes_nothing(
            messages in prop::collection::vec(
                (prop::sample::select(TAGS.to_vec()), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
            splits in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|(tag, body)| frame(*tag, body)).collect();
            let mut cuts: Vec<usize> = splits.iter().map(|at| at.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let whole = read_in_pieces(&stream, &[]).unwrap();
            prop_assert_eq!(whole.len(), messages.len());
            prop_assert_eq!(read_in_pieces(&stream, &cuts).unwrap(), whole);
        }

        #[test]
        fn any_bytes_give_messages_or_an_error(
            stream in prop::collection::vec(any::<u8>(), 0..400),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = read_in_pieces(&stream, &[]);
            prop_assert_eq!(read_in_pieces(&stream, &[cut.index(stream.len() + 1)]), whole);
        }
    }
}
