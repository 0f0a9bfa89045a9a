//! The JSON objects of a log whose newest stand first, the last first.
//!
//! Takes a reader and gives one, by way of temporary files without names. An object keeps its lines, and what stands between
//! two of them goes with the first. Must not know what an object's fields mean.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::objects::{Cut, Objects};

/// Read at a time.
const READ_BYTES: usize = 256 << 10;

/// Bytes of one object's length in its file.
const LENGTH_BYTES: u64 = 8;

/// Objects backwards.
pub struct Turned {
    texts: File,
    lengths: File,
    /// What was not given yet.
    rest_bytes: u64,
    rest_objects: u64,
    ready: Vec<u8>,
    at: usize,
    pub lines: u64,
}

impl Turned {
    /// Reads all of it.
    ///
    /// # Errors
    /// It cannot be read, or a temporary file cannot be written.
    pub fn new(source: &mut impl Read, directory: &Path) -> io::Result<Self> {
        let mut texts = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(directory)?);
        let mut lengths = BufWriter::new(tempfile::tempfile_in(directory)?);
        let mut objects = Objects::default();
        let (mut buffer, mut end, mut at_end) = (vec![0; READ_BYTES], 0, false);
        let (mut length, mut rest_bytes, mut rest_objects, mut lines) = (0_u64, 0, 0, 0);
        while !at_end {
            if end == buffer.len() {
                buffer.resize(2 * end, 0);
            }
            let read = match source.read(&mut buffer[end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            end += read;
            at_end = read == 0;
            let mut start = 0;
            while start < end {
                let cut = objects.cut(&buffer[start..end], at_end);
                let bytes = match cut {
                    Cut::NeedMore => break,
                    Cut::Object { bytes } => {
                        lengths.write_all(&length.to_le_bytes())?;
                        (length, rest_objects) = (0, rest_objects + 1);
                        bytes
                    }
                    Cut::Between { bytes } | Cut::Foreign { bytes } | Cut::Truncated { bytes } => bytes,
                };
                length += bytes as u64;
                start += bytes;
            }
            lines += memchr::memchr_iter(b'\n', &buffer[..start]).count() as u64;
            texts.write_all(&buffer[..start])?;
            rest_bytes += start as u64;
            buffer.copy_within(start..end, 0);
            end -= start;
        }
        lengths.write_all(&length.to_le_bytes())?;
        let texts = texts.into_inner().map_err(io::IntoInnerError::into_error)?;
        let lengths = lengths.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { texts, lengths, rest_bytes, rest_objects: rest_objects + 1, ready: Vec::new(), at: 0, lines })
    }

    /// Puts the object before into `ready`.
    fn turn(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        while self.ready.is_empty() && self.rest_objects > 0 {
            self.rest_objects -= 1;
            let mut length = [0; LENGTH_BYTES as usize];
            self.lengths.seek(SeekFrom::Start(self.rest_objects * LENGTH_BYTES))?;
            self.lengths.read_exact(&mut length)?;
            let length = u64::from_le_bytes(length);
            self.rest_bytes -= length;
            self.texts.seek(SeekFrom::Start(self.rest_bytes))?;
            self.ready.resize(length as usize, 0);
            self.texts.read_exact(&mut self.ready)?;
        }
        Ok(())
    }
}

impl Read for Turned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut given = 0;
        // As many objects as there is room for: decoders look at all that is there again and again.
        while given < buffer.len() {
            if self.at == self.ready.len() {
                self.turn()?;
                if self.ready.is_empty() {
                    break;
                }
            }
            let length = (buffer.len() - given).min(self.ready.len() - self.at);
            buffer[given..given + length].copy_from_slice(&self.ready[self.at..self.at + length]);
            self.at += length;
            given += length;
        }
        Ok(given)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn turned(text: &str) -> (String, u64) {
        let directory = tempfile::tempdir().unwrap();
        let mut turned = Turned::new(&mut text.as_bytes(), directory.path()).unwrap();
        let mut backwards = String::new();
        turned.read_to_string(&mut backwards).unwrap();
        (backwards, turned.lines)
    }

    #[test]
    fn objects_come_backwards_with_their_lines() {
        let (text, lines) = turned("[\n{\"a\":\n1},\n{\"a\":2}\n]\n");
        assert_eq!((text.as_str(), lines), ("{\"a\":2}\n]\n{\"a\":\n1},\n[\n", 5));
        assert_eq!(turned("{\"a\":1}\n{\"a\":2}").0, "{\"a\":2}{\"a\":1}\n");
        assert_eq!(turned("").0, "");
    }
}
