//! A log file that a thread of its own reads, decompresses and hashes, some pieces ahead.
//!
//! Takes a file and gives a reader. Must not know log formats.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::super::storage::{Opened, Storage};

/// Who reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A thread of its own, which hashes it too.
    Thread,
    /// Whoever wants the bytes, and without a digest: to measure what else there is to do.
    Caller,
}

/// A log file that is being read.
pub trait LogBytes: Read {
    /// Stored bytes that were read.
    fn stored_bytes(&self) -> u64;

    /// What is known when all was read; what was not read yet is.
    ///
    /// # Errors
    /// The rest cannot be read.
    fn end(self: Box<Self>) -> io::Result<Ended>;
}

/// What is known of a file when all of it was read.
#[derive(Debug)]
pub struct Ended {
    /// Of the bytes as they are stored; empty where they were not hashed.
    pub sha256: String,
    /// Compressed data was damaged or ended too early: what could be read was given.
    pub is_damaged: bool,
}

/// Opens a file. Standard input is never read ahead: whoever waits for it must not hold up the end.
///
/// # Errors
/// It cannot be opened.
pub fn open(storage: &Storage, path: &Path, by: By) -> io::Result<Box<dyn LogBytes>> {
    Ok(match by {
        By::Caller => Box::new(storage.open_without_digest(path)?),
        By::Thread if storage.is_stdin() => Box::new(storage.open(path)?),
        By::Thread => Box::new(Ahead::new(storage.clone(), path)?),
    })
}

impl LogBytes for Opened {
    fn stored_bytes(&self) -> u64 {
        Opened::stored_bytes(self)
    }

    fn end(self: Box<Self>) -> io::Result<Ended> {
        let is_damaged = self.is_damaged();
        Ok(Ended { sha256: self.sha256()?, is_damaged })
    }
}

/// Bytes of a piece: it stays in a processor's cache from one thread to the other.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that are read ahead.
const PIECES: usize = 4;

/// Reads ahead.
struct Ahead {
    /// None when nothing more is wanted, which ends the thread.
    pieces: Option<Receiver<io::Result<Piece>>>,
    /// Where buffers go back to be filled again.
    spare: Sender<Vec<u8>>,
    piece: Piece,
    /// Bytes of the piece that were given.
    given: usize,
    thread: Option<JoinHandle<io::Result<Ended>>>,
}

#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Stored bytes that were read when it was full.
    stored_bytes: u64,
}

impl Ahead {
    fn new(storage: Storage, path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let (sender, pieces) = sync_channel(PIECES);
        let (spare, returned) = channel();
        let read = move || read_all(&storage, &path, &sender, &returned);
        let thread = std::thread::Builder::new().name("read".to_owned()).spawn(read)?;
        Ok(Self { pieces: Some(pieces), spare, piece: Piece::default(), given: 0, thread: Some(thread) })
    }

    /// Goes on to the next piece; false after the last.
    fn next_piece(&mut self) -> io::Result<bool> {
        let Some(Ok(piece)) = self.pieces.as_ref().map(Receiver::recv) else { return Ok(false) };
        let given = std::mem::replace(&mut self.piece, piece?);
        self.given = 0;
        // At the end nobody takes it back.
        let _ = self.spare.send(given.bytes);
        Ok(true)
    }

    fn wait(&mut self) -> io::Result<Ended> {
        let thread = self.thread.take().ok_or_else(|| io::Error::other("the file was read to its end before"))?;
        thread.join().map_err(|_| io::Error::other("the thread that reads has panicked"))?
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.bytes.len() && !self.next_piece()? {
            return Ok(0);
        }
        let rest = &self.piece.bytes[self.given..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.given += length;
        Ok(length)
    }
}

impl LogBytes for Ahead {
    fn stored_bytes(&self) -> u64 {
        self.piece.stored_bytes
    }

    fn end(mut self: Box<Self>) -> io::Result<Ended> {
        while self.next_piece()? {}
        self.wait()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.pieces = None;
        // Left early, for an error that is told already.
        let _ = self.wait();
    }
}

/// What the thread does. It ends early when nobody wants the pieces.
fn read_all(
    storage: &Storage,
    path: &Path,
    pieces: &SyncSender<io::Result<Piece>>,
    spare: &Receiver<Vec<u8>>,
) -> io::Result<Ended> {
    let mut file = storage.open(path)?;
    loop {
        let mut bytes = spare.try_recv().unwrap_or_default();
        match fill(&mut file, &mut bytes) {
            Ok(()) if bytes.is_empty() => return Box::new(file).end(),
            Ok(()) => {
                let piece = Piece { bytes, stored_bytes: file.stored_bytes() };
                if pieces.send(Ok(piece)).is_err() {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
            Err(error) => {
                // Whether or not anybody hears of it, there is nothing more to read.
                let _ = pieces.send(Err(error));
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }
}

/// Fills the buffer up to a piece, or to the file's end.
fn fill(file: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    file.by_ref().take(PIECE_BYTES as u64).read_to_end(bytes).map(drop)
}
