//! The bytes of a workload file as lines, whether they are compressed or not.
//!
//! Takes any byte source and gives lines of bounded length. Must not know what stands in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 256 << 10;

/// The SHA-256 of the file's bytes, in hexadecimal digits.
///
/// # Errors
/// What the operating system said.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Is told how many bytes of a file were read, as they are: for whoever shows how far a reading is.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(u64) + Send + Sync>);

impl Observer {
    /// `take` is called with the bytes of each single read.
    pub fn new(take: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }
}

/// A workload file to be read, and who is told how far that is.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub(super) path: &'a Path,
    pub(super) observer: Option<&'a Observer>,
}

impl<'a> Input<'a> {
    /// A file whose reading is observed.
    pub fn observed(path: &'a Path, observer: &'a Observer) -> Self {
        Self { path, observer: Some(observer) }
    }

    /// The file.
    pub fn path(self) -> &'a Path {
        self.path
    }
}

impl<'a, P: AsRef<Path> + ?Sized> From<&'a P> for Input<'a> {
    fn from(path: &'a P) -> Self {
        Self { path: path.as_ref(), observer: None }
    }
}

/// A source that tells how much of it was read.
pub(super) struct Observed<R> {
    pub(super) source: R,
    pub(super) observer: Observer,
}

impl<R: Read> Read for Observed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        (self.observer.0)(read as u64);
        Ok(read)
    }
}

/// What became of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line, without its line break, stands in the buffer.
    Whole,
    /// The data ended without a line break; what there was stands in the buffer.
    Unfinished,
    TooLong,
    /// The data ended.
    End,
}

/// Lines of a byte source.
pub(super) struct Lines {
    source: Box<dyn BufRead + Send>,
    line_bytes_max: usize,
}

impl Lines {
    /// Decompresses what begins like zstd, and takes everything else as it is.
    pub(super) fn new(source: impl Read + Send + 'static, line_bytes_max: usize) -> io::Result<Self> {
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, source);
        let compressed = plain.fill_buf()?.starts_with(&ZSTD_MAGIC);
        let source: Box<dyn BufRead + Send> = if compressed {
            let decoder = zstd::stream::read::Decoder::with_buffer(plain)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            Box::new(plain)
        };
        Ok(Self { source, line_bytes_max })
    }

    /// Reads the next line into `buffer`, replacing what was there. Compressed data that stops in the middle of a frame
    /// is an unfinished line.
    pub(super) fn read_into(&mut self, buffer: &mut Vec<u8>) -> io::Result<Line> {
        buffer.clear();
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Line::Unfinished),
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(if buffer.is_empty() { Line::End } else { Line::Unfinished });
            }
            let line_break = available.iter().position(|byte| *byte == b'\n');
            let taken = line_break.unwrap_or(available.len());
            if buffer.len() + taken > self.line_bytes_max {
                return Ok(Line::TooLong);
            }
            buffer.extend_from_slice(&available[..taken]);
            self.source.consume(taken + usize::from(line_break.is_some()));
            if line_break.is_some() {
                return Ok(Line::Whole);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(data: &'static [u8]) -> Vec<(Line, Vec<u8>)> {
        let mut lines = Lines::new(data, 5).unwrap();
        let mut all = Vec::new();
        loop {
            let mut buffer = Vec::new();
            let line = lines.read_into(&mut buffer).unwrap();
            let ended = line != Line::Whole;
            all.push((line, buffer));
            if ended {
                return all;
            }
        }
    }

    #[test]
    fn a_line_without_a_break_is_told_from_a_whole_one() {
        assert_eq!(read(b"a\nb\n").last(), Some(&(Line::End, vec![])));
        assert_eq!(read(b"a\nb").last(), Some(&(Line::Unfinished, b"b".to_vec())));
        assert_eq!(read(b""), [(Line::End, vec![])]);
    }

    #[test]
    fn a_line_has_a_greatest_length() {
        assert_eq!(read(b"12345\n").len(), 2);
        assert_eq!(read(b"123456\n")[0].0, Line::TooLong);
    }
}
