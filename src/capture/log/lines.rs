//! Logs of lines: stderr's own, and those that syslog or logplex carry.
//!
//! Takes a file's bytes and gives entries. Must not know files.

use super::super::error::CaptureError;
use super::carrier::{self, Years};
use super::decoder::{Decoder, Found, Give, Learned, RECORD_BYTES_MAX, Taken};
use super::entry::Position;
use super::line_prefix::LinePrefix;
use super::tally::Reason;
use super::weaver::{Otherwise, Piece, Weaver};

/// Decodes a log of lines.
pub struct Lines {
    prefix: LinePrefix,
    /// Where something carries the lines.
    years: Option<Years>,
    weaver: Weaver,
    /// The server ends its lines in CR LF.
    carriage_returns: Option<bool>,
}

impl Lines {
    /// A log that the server wrote itself.
    pub fn of_server(prefix: LinePrefix) -> Self {
        Self { prefix, years: None, weaver: Weaver::default(), carriage_returns: None }
    }

    /// A log that syslog or logplex carried, last written at `now_us`.
    pub fn of_carrier(prefix: LinePrefix, now_us: i64) -> Self {
        Self { years: Some(Years::new(now_us)), ..Self::of_server(prefix) }
    }

    fn push(
        &mut self,
        line: &[u8],
        at: Position,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<(), CaptureError> {
        let Some(years) = &mut self.years else {
            let piece =
                Piece { at, text: line, time: None, process: None, number: None, otherwise: Otherwise::Foreign };
            return self.weaver.push(piece, &self.prefix, learned, give);
        };
        let Some(carried) = carrier::read(line) else {
            return give(Found::Skipped(Reason::ForeignLine, at));
        };
        let piece = Piece {
            at,
            text: b"",
            time: Some(years.epoch_us(carried.time)),
            process: carried.process,
            number: carried.piece,
            otherwise: Otherwise::RestOfLine,
        };
        push_lines(&mut self.weaver, piece, &carried.text, &self.prefix, learned, give)
    }
}

/// Gives each line of a text that came as one to the weaver.
///
/// # Errors
/// Whatever `give` answers.
pub fn push_lines(
    weaver: &mut Weaver,
    first: Piece<'_>,
    text: &[u8],
    prefix: &LinePrefix,
    learned: &mut Learned,
    give: &mut Give<'_>,
) -> Result<(), CaptureError> {
    let mut piece = first;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        weaver.push(Piece { text: line, ..piece }, prefix, learned, give)?;
        piece = Piece { number: None, otherwise: Otherwise::FurtherLine, ..piece };
    }
    Ok(())
}

/// The first line of the bytes without its end, and what it takes; none where its end has not come yet.
pub fn first_line(bytes: &[u8], at_end: bool) -> Option<(&[u8], Taken)> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => Some((&bytes[..end], Taken { bytes: end + 1, lines: 1 })),
        None if at_end || bytes.len() >= RECORD_BYTES_MAX => Some((bytes, Taken { bytes: bytes.len(), lines: 1 })),
        None => None,
    }
}

impl Decoder for Lines {
    fn decode(
        &mut self,
        bytes: &[u8],
        at_end: bool,
        at: Position,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<Taken, CaptureError> {
        let Some((line, taken)) = first_line(bytes, at_end) else { return Ok(Taken::NOTHING) };
        let ends_in_both = line.last() == Some(&b'\r');
        let line = match *self.carriage_returns.get_or_insert(ends_in_both) && ends_in_both {
            true => &line[..line.len() - 1],
            false => line,
        };
        self.push(line, at, learned, give)?;
        if taken.bytes == line.len() {
            // Nothing tells whether the rest of the last line is missing; half a statement must never be replayed.
            self.weaver.break_last();
        }
        Ok(taken)
    }

    fn finish(&mut self, give: &mut Give<'_>) -> Result<(), CaptureError> {
        self.weaver.finish(give)
    }
}
