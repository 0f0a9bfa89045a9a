//! What every log format does: bytes in, entries out.
//!
//! A decoder takes a file's bytes from the start of a line and gives entries, and what it had to skip, in their order. It
//! never reads files, and gives the same whatever pieces the bytes come in.

use super::super::error::CaptureError;
use super::entry::{LogEntry, Position};
use super::processes::Processes;
use super::tally::Reason;
use super::timestamp::Zones;

/// A record longer than this is skipped: the server cuts none, but each is held in memory several times over.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// What is learned from file to file.
#[derive(Debug, Default)]
pub struct Learned {
    pub zones: Zones,
    pub processes: Processes,
}

/// Something found in a log.
pub enum Found<'a> {
    /// An entry, and whether its time zone is one that nothing tells the offset of.
    Entry {
        entry: &'a LogEntry<'a>,
        zone_unknown: bool,
    },
    Skipped(Reason, Position),
    /// The next entry's SQLSTATE was told by the words of its error, or could not be told and is `XX000`.
    SqlStateInferred {
        is_known: bool,
    },
}

/// Hears of everything that is found.
pub type Give<'g> = dyn FnMut(Found<'_>) -> Result<(), CaptureError> + 'g;

/// How much was taken from the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// 0 asks for more bytes.
    pub bytes: usize,
    pub lines: u64,
}

impl Taken {
    /// The bytes end within a record and the input goes on.
    pub const NOTHING: Self = Self { bytes: 0, lines: 0 };
}

/// Decodes one file.
pub trait Decoder {
    /// Takes one record from the start of `bytes`, which is not empty and starts at a line, this one. `at_end` says that
    /// no more bytes will come; then something is taken.
    ///
    /// # Errors
    /// Whatever `give` answers.
    fn decode(
        &mut self,
        bytes: &[u8],
        at_end: bool,
        at: Position,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<Taken, CaptureError>;

    /// Gives what still waits: the file has ended.
    ///
    /// # Errors
    /// Whatever `give` answers.
    fn finish(&mut self, give: &mut Give<'_>) -> Result<(), CaptureError> {
        let _ = give;
        Ok(())
    }
}
