//! One file's bytes through its decoder, a window of them at a time.
//!
//! Takes readers and decoders. A record that goes on in the next file is carried there, with the decoder that holds its
//! beginning. Must not know what an entry says, or how files are opened.

use std::io::{self, Read};

use super::super::error::CaptureError;
use super::decoder::{Decoder, Give, Learned};
use super::entry::Position;

/// Read at a time; the buffer grows where one record is longer.
const READ_BYTES: usize = 256 << 10;

/// What editors put before UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why reading ended early.
pub enum Ended {
    Read(io::Error),
    Capture(CaptureError),
}

impl Ended {
    /// The error of a capture of this file.
    pub fn of(self, file: &str) -> CaptureError {
        match self {
            Self::Read(source) => CaptureError::Read { file: file.to_owned(), source },
            Self::Capture(error) => error,
        }
    }
}

/// The beginning of a record whose rest stands in the next file.
#[derive(Debug, Default)]
pub struct Carried {
    pub bytes: Vec<u8>,
    pub at: Position,
}

/// The reading of one file.
pub struct Reading<'r, 'g> {
    /// Of the source.
    pub index: u16,
    pub learned: &'r mut Learned,
    pub give: &'r mut Give<'g>,
    /// The number of lines, where they come the last first.
    pub lines_backwards: Option<u64>,
    pub carried: Carried,
}

impl<'r, 'g> Reading<'r, 'g> {
    /// The reading of the source with this index from its first line on.
    pub fn new(index: u16, learned: &'r mut Learned, give: &'r mut Give<'g>) -> Self {
        Self { index, learned, give, lines_backwards: None, carried: Carried::default() }
    }

    /// Reads to the end and gives the number of lines. What the last record holds stays in `carried` if it `goes_on` in
    /// the next file, which is asked at the end; else the decoder is finished.
    ///
    /// # Errors
    /// The input cannot be read, or whatever `give` answers.
    pub fn read<R: Read + ?Sized>(
        &mut self,
        input: &mut R,
        decoder: &mut dyn Decoder,
        progress: &mut dyn FnMut(&R),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<u64, Ended> {
        let mut before = std::mem::take(&mut self.carried);
        let mut window = Window::starting_with(std::mem::take(&mut before.bytes));
        let mut place = Place { line: 1, carried_bytes: window.end, at: before.at };
        loop {
            let bytes = window.bytes();
            // Whether the input ends here is known when more than what was carried has been asked for.
            if !bytes.is_empty() && window.began {
                let at = self.position(&place);
                let is_last = window.at_end && !goes_on();
                let taken = decoder.decode(bytes, is_last, at, self.learned, self.give).map_err(Ended::Capture)?;
                if taken.bytes > 0 {
                    place.pass(&bytes[..taken.bytes], taken.lines);
                    window.start += taken.bytes;
                    continue;
                }
            }
            if window.at_end {
                break;
            }
            window.fill(input).map_err(Ended::Read)?;
            progress(input);
        }
        if goes_on() {
            self.carried = Carried { at: self.position(&place), bytes: window.bytes().to_vec() };
        } else {
            decoder.finish(self.give).map_err(Ended::Capture)?;
        }
        let rest = memchr::memchr_iter(b'\n', window.bytes()).count() as u64;
        Ok(place.line - 1 + rest)
    }

    fn position(&self, place: &Place) -> Position {
        match self.lines_backwards {
            _ if place.carried_bytes > 0 => place.at,
            None => (self.index, place.line),
            Some(lines) => (self.index, (lines + 1).saturating_sub(place.line)),
        }
    }
}

/// Where the next record starts.
struct Place {
    /// Of the file that is read.
    line: u64,
    /// Bytes of the file before that were not yet taken, and where they stand there.
    carried_bytes: usize,
    at: Position,
}

impl Place {
    /// Goes on behind these bytes, which hold this many lines.
    fn pass(&mut self, taken: &[u8], lines: u64) {
        let carried = taken.len().min(self.carried_bytes);
        self.carried_bytes -= carried;
        let of_carried = match carried {
            0 => 0,
            _ => memchr::memchr_iter(b'\n', &taken[..carried]).count() as u64,
        };
        self.at.1 += of_carried;
        self.line += lines.saturating_sub(of_carried);
    }
}

/// The part of a file that is in memory.
#[derive(Default)]
struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// Bytes of the file before, which stand first until this file has begun.
    carried_bytes: usize,
    began: bool,
}

impl Window {
    fn starting_with(bytes: Vec<u8>) -> Self {
        Self { end: bytes.len(), carried_bytes: bytes.len(), buffer: bytes, ..Self::default() }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads on; what was not yet taken moves to the front.
    fn fill(&mut self, input: &mut (impl Read + ?Sized)) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < self.end + READ_BYTES {
            // Doubling keeps the work on one long record linear.
            self.buffer.resize((2 * self.end).max(self.end + READ_BYTES), 0);
        }
        let read = loop {
            match input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += read;
        self.at_end = read == 0;
        let own = self.carried_bytes;
        if !self.began && (self.end >= own + BYTE_ORDER_MARK.len() || self.at_end) {
            self.began = true;
            if self.buffer[own..self.end].starts_with(BYTE_ORDER_MARK) {
                self.buffer.copy_within(own + BYTE_ORDER_MARK.len()..self.end, own);
                self.end -= BYTE_ORDER_MARK.len();
            }
        }
        Ok(())
    }
}
