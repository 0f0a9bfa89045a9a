//! The bytes of an input: opened, decompressed, and hashed as they are stored.
//!
//! Takes a path (`-` is standard input) and gives a reader. Must not know what the bytes mean.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

/// Read at a time.
const READ_BYTES: usize = 256 << 10;

/// Stored bytes of standard input that are kept to look at them first: more than a block of any compression.
const STDIN_HEAD_BYTES: u64 = 2 << 20;

/// A file that was looked at, with its first bytes where it can be read only once.
#[derive(Clone, Debug)]
pub struct Storage {
    is_stdin: bool,
    head: Vec<u8>,
    pub size_bytes: u64,
    /// When it was last written, microseconds since the epoch.
    pub modified_us: i64,
    compression: Option<Compression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Bzip2,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => return None,
        })
    }

    fn reader<'r>(self, stored: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        let stored = BufReader::with_capacity(READ_BYTES, stored);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stored)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
        })
    }
}

impl Storage {
    /// Looks at a file; gives its first bytes too, decompressed, at most `head_bytes`.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub fn look_at(path: &Path, head_bytes: usize) -> io::Result<(Self, Vec<u8>)> {
        let is_stdin = path == Path::new("-");
        let mut stored = Vec::new();
        let mut size_bytes = 0;
        let mut modified = SystemTime::now();
        if is_stdin {
            io::stdin().lock().take(STDIN_HEAD_BYTES).read_to_end(&mut stored)?;
        } else {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            size_bytes = metadata.len();
            modified = metadata.modified().unwrap_or(modified);
            file.take(16).read_to_end(&mut stored)?;
        }
        let compression = Compression::of(&stored);
        let source: Box<dyn Read + '_> =
            if is_stdin { Box::new(stored.as_slice()) } else { Box::new(File::open(path)?) };
        let mut source = match compression {
            Some(compression) => compression.reader(source)?,
            None => source,
        };
        let mut head = Vec::with_capacity(head_bytes);
        let read = source.by_ref().take(head_bytes as u64).read_to_end(&mut head);
        drop(source);
        // What is damaged, or cut by our own limit, is told when it is read.
        if compression.is_none() {
            read?;
        }
        let modified_us = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let kept = if is_stdin { stored } else { Vec::new() };
        Ok((Self { is_stdin, head: kept, size_bytes, modified_us, compression }, head))
    }

    /// Whether the file is compressed.
    pub fn is_compressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Whether it is standard input.
    pub fn is_stdin(&self) -> bool {
        self.is_stdin
    }

    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, path: &Path) -> io::Result<Opened> {
        self.open_with(path, Some(Sha256::new()))
    }

    /// Opens the file to be read without a digest.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open_without_digest(&self, path: &Path) -> io::Result<Opened> {
        self.open_with(path, None)
    }

    fn open_with(&self, path: &Path, hasher: Option<Sha256>) -> io::Result<Opened> {
        let stored: Box<dyn Read> = match self.is_stdin {
            true => Box::new(io::Cursor::new(self.head.clone()).chain(io::stdin())),
            false => Box::new(File::open(path)?),
        };
        let counted = Stored(Rc::new(Counted { stored: RefCell::new((stored, hasher)), read: Cell::new(0) }));
        let bytes: Box<dyn Read> = match self.compression {
            Some(compression) => compression.reader(counted.clone())?,
            None => Box::new(counted.clone()),
        };
        Ok(Opened { bytes, stored: counted, is_compressed: self.compression.is_some(), is_damaged: false })
    }
}

/// A file that is being read.
pub struct Opened {
    bytes: Box<dyn Read>,
    stored: Stored,
    is_compressed: bool,
    is_damaged: bool,
}

impl Opened {
    /// Stored bytes that were read.
    pub fn stored_bytes(&self) -> u64 {
        self.stored.0.read.get()
    }

    /// Whether compressed data was damaged or ended too early: what could be read was given.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// The SHA-256 of the bytes as they are stored, to their end; empty without a digest.
    ///
    /// # Errors
    /// The rest cannot be read.
    pub fn sha256(mut self) -> io::Result<String> {
        drop(self.bytes);
        io::copy(&mut self.stored, &mut io::sink())?;
        let digest = self.stored.0.stored.borrow().1.clone().map(Sha256::finalize);
        Ok(digest.iter().flatten().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(buffer) {
            Err(error) if self.is_compressed && is_of_data(&error) => {
                self.is_damaged = true;
                Ok(0)
            }
            other => other,
        }
    }
}

/// Whether an error is about the data, not about reading it.
fn is_of_data(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Other) && error.raw_os_error().is_none()
}

/// The stored bytes, counted and hashed as they go by. Shared, since a decompressor keeps its source to itself.
#[derive(Clone)]
struct Stored(Rc<Counted>);

struct Counted {
    stored: RefCell<(Box<dyn Read>, Option<Sha256>)>,
    read: Cell<u64>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stored, hasher) = &mut *self.0.stored.borrow_mut();
        let read = stored.read(buffer)?;
        if let Some(hasher) = hasher {
            hasher.update(&buffer[..read]);
        }
        self.0.read.set(self.0.read.get() + read as u64);
        Ok(read)
    }
}
