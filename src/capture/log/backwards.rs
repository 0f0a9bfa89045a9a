//! The lines of a log that has its newest first, turned around.
//!
//! Takes a reader and gives one. Must not know log formats.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::ahead::LogBytes;

/// Read at a time.
const READ_BYTES: usize = 256 << 10;

/// The lines of a reader, the last first, by way of a temporary file without a name.
pub struct Backwards {
    file: File,
    /// Bytes before this one were not given yet.
    rest_bytes: u64,
    /// Whole lines that are next, in their new order, up to `at`.
    ready: Vec<u8>,
    at: usize,
    /// The end of a line whose start was not read yet.
    tail: Vec<u8>,
    pub lines: u64,
}

impl Backwards {
    /// Reads all of it. `read` hears now and then that it goes on.
    ///
    /// # Errors
    /// It cannot be read, or the temporary file cannot be written.
    pub fn new(source: &mut dyn LogBytes, directory: &Path, mut read: impl FnMut(&dyn LogBytes)) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(directory)?);
        let mut buffer = vec![0; READ_BYTES];
        let (mut lines, mut last) = (0, b'\n');
        let mut rest_bytes = 0;
        loop {
            let length = match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if length == 0 {
                break;
            }
            read(source);
            lines += memchr::memchr_iter(b'\n', &buffer[..length]).count() as u64;
            last = buffer[length - 1];
            file.write_all(&buffer[..length])?;
            rest_bytes += length as u64;
        }
        if last != b'\n' {
            file.write_all(b"\n")?;
            (rest_bytes, lines) = (rest_bytes + 1, lines + 1);
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, rest_bytes, ready: Vec::new(), at: 0, tail: Vec::new(), lines })
    }

    /// Puts the lines of the block before into `ready`.
    fn turn(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        while self.ready.is_empty() && self.rest_bytes > 0 {
            let length = self.rest_bytes.min(READ_BYTES as u64);
            self.rest_bytes -= length;
            let mut block = vec![0; length as usize];
            self.file.seek(SeekFrom::Start(self.rest_bytes))?;
            self.file.read_exact(&mut block)?;
            let mut end = block.len();
            for line_end in memchr::memrchr_iter(b'\n', &block) {
                // What follows a line's end is the start of the line whose end is the tail.
                self.ready.extend_from_slice(&block[line_end + 1..end]);
                self.ready.append(&mut self.tail);
                end = line_end + 1;
            }
            let mut tail = block[..end].to_vec();
            tail.append(&mut self.tail);
            self.tail = tail;
        }
        if self.rest_bytes == 0 {
            self.ready.append(&mut self.tail);
        }
        Ok(())
    }
}

impl Read for Backwards {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            self.turn()?;
        }
        let length = buffer.len().min(self.ready.len() - self.at);
        buffer[..length].copy_from_slice(&self.ready[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
