//! A run of events: in memory, being sorted, or in a temporary file, one behind the other.
//!
//! Must not know what the events mean, or how many runs there are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};

use super::event::Key;

/// Read at a time from each run.
const READ_BYTES: usize = 128 << 10;

/// Events in memory: compact forms one behind the other, and where each lies.
#[derive(Debug, Default)]
pub struct Memory {
    bytes: Vec<u8>,
    index: Vec<Place>,
    /// Of the index, once it is sorted.
    next: usize,
}

/// An event's key, and where its compact form lies. Sorted as it stands: keys are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: Key,
    start: usize,
    length: usize,
}

impl Memory {
    /// Takes an event whose compact form `encode` appends.
    pub fn push(&mut self, key: Key, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.index.push(Place { key, start, length: self.bytes.len() - start });
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.index.len() * size_of::<Place>()
    }

    /// Does something to every event's compact form, which keeps its length.
    pub fn for_each(&mut self, change: &mut dyn FnMut(&mut [u8])) {
        for Place { start, length, .. } in &self.index {
            change(&mut self.bytes[*start..start + length]);
        }
    }

    pub fn sorted(mut self) -> Self {
        self.index.sort_unstable();
        self
    }

    /// Forgets the events and keeps the space.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
        self.next = 0;
    }

    pub fn peek(&self) -> Option<Key> {
        self.index.get(self.next).map(|place| place.key)
    }

    /// The next event; none after the last.
    pub fn next(&mut self) -> Option<(Key, &[u8])> {
        let Place { key, start, length } = *self.index.get(self.next)?;
        self.next += 1;
        Some((key, &self.bytes[start..start + length]))
    }
}

/// Reads a run of a temporary file.
#[derive(Debug)]
pub struct RunReader {
    file: BufReader<File>,
    head: Option<(Key, usize)>,
}

impl RunReader {
    /// Reads from the start.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let head = read_head(&mut file)?;
        Ok(Self { file, head })
    }

    pub fn peek(&self) -> Option<Key> {
        self.head.map(|(key, _)| key)
    }

    /// Appends the compact form of the event at the head and goes on to the next.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn take(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some((_, length)) = self.head.take() {
            match self.file.buffer().get(..length) {
                Some(bytes) => {
                    out.extend_from_slice(bytes);
                    self.file.consume(length);
                }
                None => {
                    let start = out.len();
                    out.resize(start + length, 0);
                    self.file.read_exact(&mut out[start..])?;
                }
            }
            self.head = read_head(&mut self.file)?;
        }
        Ok(())
    }
}

/// Time, session, order and length, each little-endian.
const HEAD_BYTES: usize = 8 + 4 + 8 + 8;

/// Writes an event to a run.
///
/// # Errors
/// The file cannot be written.
pub fn write_event(out: &mut impl Write, key: Key, bytes: &[u8]) -> io::Result<()> {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&key.time_us.to_le_bytes());
    head[8..12].copy_from_slice(&key.session.to_le_bytes());
    head[12..20].copy_from_slice(&key.order.to_le_bytes());
    head[20..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.write_all(&head)?;
    out.write_all(bytes)
}

fn read_head(file: &mut BufReader<File>) -> io::Result<Option<(Key, usize)>> {
    let mut head = [0; HEAD_BYTES];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        // Runs are written whole, so an end can only lie between events.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let eight = |at: usize| -> [u8; 8] { std::array::from_fn(|byte| head[at + byte]) };
    let session = u32::from_le_bytes(std::array::from_fn(|byte| head[8 + byte]));
    let key = Key { time_us: i64::from_le_bytes(eight(0)), session, order: u64::from_le_bytes(eight(12)) };
    Ok(Some((key, u64::from_le_bytes(eight(20)) as usize)))
}
