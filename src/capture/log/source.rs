//! Log files as records, in the order in which the server wrote them.
//!
//! Takes paths in any order (`-` is standard input) and gives each file's records with their line numbers, hashing what
//! it reads. Tells a file that is no csvlog by its first bytes. Must not know what a record says.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::error::CaptureError;
use super::csv::{Cut, Fields, cut};
use super::timestamp::{LogTime, Zones};

/// Bytes that are looked at to tell what a file is and when it begins.
const HEAD_BYTES: usize = 64 << 10;

/// Read at a time; the buffer grows where one record is longer.
const READ_BYTES: usize = 1 << 20;

/// A file that was looked at and not yet read.
pub struct Source {
    /// Without its directory; `stdin` for standard input.
    pub name: String,
    /// As given, for errors.
    pub path: PathBuf,
    pub size_bytes: u64,
    /// Only of standard input, which can be read once.
    head: Vec<u8>,
    first_us: Option<i64>,
}

/// Something found in a file, with the line at which it starts (1-based).
pub enum Found<'a> {
    Record { bytes: &'a [u8], fields: &'a Fields },
    Foreign,
    Truncated,
}

/// Looks at every file and puts them in the order of their first records.
///
/// # Errors
/// A file cannot be opened, or is no csvlog.
pub fn look_at(paths: &[PathBuf]) -> Result<Vec<Source>, CaptureError> {
    if paths.is_empty() {
        return Err(CaptureError::NoInput);
    }
    let limit = usize::from(u16::MAX);
    if paths.len() > limit {
        return Err(CaptureError::TooManyFiles { limit });
    }
    let mut sources = paths.iter().map(|path| Source::look_at(path)).collect::<Result<Vec<_>, _>>()?;
    // Empty files have no time and may stand anywhere.
    sources.sort_by_key(|source| source.first_us);
    Ok(sources)
}

impl Source {
    fn look_at(path: &Path) -> Result<Self, CaptureError> {
        let is_stdin = path == Path::new("-");
        let name = match is_stdin {
            true => "stdin".to_owned(),
            false => path.file_name().unwrap_or(OsStr::new("log")).to_string_lossy().into_owned(),
        };
        let file = path.display().to_string();
        let mut head = Vec::new();
        let mut size_bytes = 0;
        let read = match is_stdin {
            true => io::stdin().lock().take(HEAD_BYTES as u64).read_to_end(&mut head),
            false => {
                let opened = File::open(path).map_err(|source| CaptureError::Open { file: file.clone(), source })?;
                size_bytes = opened.metadata().map_or(0, |metadata| metadata.len());
                opened.take(HEAD_BYTES as u64).read_to_end(&mut head)
            }
        };
        read.map_err(|source| CaptureError::Read { file: file.clone(), source })?;
        let first_us = first_time(&head);
        if first_us.is_none()
            && let Some((kind, hint)) = other_kind(&head)
        {
            return Err(CaptureError::WrongKind { file, kind, hint });
        }
        if !is_stdin {
            head = Vec::new();
        }
        Ok(Self { name, path: path.to_owned(), size_bytes, head, first_us })
    }

    /// Reads the file to its end. `progress` hears of every read's bytes. Gives the SHA-256 and the number of lines.
    ///
    /// # Errors
    /// The file cannot be read, or whatever `found` answers.
    pub fn read(
        self,
        mut progress: impl FnMut(u64),
        mut found: impl FnMut(Found<'_>, u64) -> Result<(), CaptureError>,
    ) -> Result<(String, u64), CaptureError> {
        let file = self.path.display().to_string();
        let mut input: Box<dyn Read> = match self.path == Path::new("-") {
            true => Box::new(io::Cursor::new(self.head).chain(io::stdin().lock())),
            false => {
                Box::new(File::open(&self.path).map_err(|source| CaptureError::Open { file: file.clone(), source })?)
            }
        };
        let mut hasher = Sha256::new();
        let mut window = Window::default();
        let mut fields = Fields::default();
        let mut columns = None;
        let mut line = 1;
        loop {
            let bytes = window.bytes();
            let cut = if bytes.is_empty() { Cut::NeedMore } else { cut(bytes, window.at_end, columns, &mut fields) };
            let taken = match cut {
                Cut::NeedMore if window.at_end => break,
                Cut::NeedMore => {
                    let read = window
                        .fill(&mut input, &mut hasher)
                        .map_err(|source| CaptureError::Read { file: file.clone(), source })?;
                    progress(read as u64);
                    continue;
                }
                Cut::Record { length, lines } => {
                    columns = Some(fields.count());
                    found(Found::Record { bytes: &bytes[..length], fields: &fields }, line)?;
                    (length, lines)
                }
                Cut::Foreign { length } => {
                    found(Found::Foreign, line)?;
                    (length, 1)
                }
                Cut::Truncated { length, lines } => {
                    found(Found::Truncated, line)?;
                    (length, lines)
                }
            };
            window.start += taken.0;
            line += taken.1;
        }
        let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((sha256, line - 1))
    }
}

/// The part of a file that is in memory.
#[derive(Default)]
struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    began: bool,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads on; what was not yet taken moves to the front.
    fn fill(&mut self, input: &mut dyn Read, hasher: &mut Sha256) -> io::Result<usize> {
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
        hasher.update(&self.buffer[self.end..self.end + read]);
        self.end += read;
        self.at_end = read == 0;
        if !self.began && (self.end >= BYTE_ORDER_MARK.len() || self.at_end) {
            self.began = true;
            if self.bytes().starts_with(BYTE_ORDER_MARK) {
                self.start += BYTE_ORDER_MARK.len();
            }
        }
        Ok(read)
    }
}

/// What editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// When the first record of a csvlog was written: a time and a comma start it.
fn first_time(head: &[u8]) -> Option<i64> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let time = head.split(|byte| *byte == b'\n').find_map(|line| {
        let comma = memchr::memchr(b',', &line[..line.len().min(64)])?;
        LogTime::parse(&line[..comma])
    })?;
    Some(Zones::default().epoch_us(time).0)
}

/// What a file is that is no csvlog, and what to do; none for an empty one.
fn other_kind(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const CSVLOG: &str = "capture log reads csvlog: set log_destination = 'csvlog' and give the .csv file";
    let text = head.trim_ascii_start();
    let contains = |needle: &[u8]| memchr::memmem::find(head, needle).is_some();
    Some(match text {
        [] => return None,
        [0x1f, 0x8b, ..] => {
            ("gzip-compressed data", "decompress it first: gzip -dc FILE | pgrehearse capture log - ...")
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            ("zstd-compressed data", "decompress it first: zstd -dc FILE | pgrehearse capture log - ...")
        }
        [b'B', b'Z', b'h', ..] => {
            ("bzip2-compressed data", "decompress it first: bzip2 -dc FILE | pgrehearse capture log - ...")
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            ("xz-compressed data", "decompress it first: xz -dc FILE | pgrehearse capture log - ...")
        }
        [b'{', ..] if contains(b"\"kind\":\"header\"") => {
            ("a workload", "it is captured already: give it to a scenario")
        }
        [b'{', ..] => ("a jsonlog or another JSON file", CSVLOG),
        _ if contains(b" S: ") || contains(b"pgbouncer") => ("a log of pgbouncer", CSVLOG),
        _ if [b"LOG:  ".as_slice(), b"ERROR:  ", b"FATAL:  "].iter().any(|word| contains(word)) => {
            ("a stderr or syslog log", CSVLOG)
        }
        _ if memchr::memchr(0, head).is_some() => ("binary data", CSVLOG),
        _ => ("other text", CSVLOG),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_told_by_their_first_bytes() {
        let kind = |head: &[u8]| other_kind(head).map(|(kind, _)| kind);
        assert_eq!(kind(b""), None);
        assert_eq!(kind(b"\x1f\x8b\x08"), Some("gzip-compressed data"));
        assert_eq!(kind(b"{\"timestamp\":\"2026"), Some("a jsonlog or another JSON file"));
        assert_eq!(kind(b"2026-11-22 15:09:15 UTC [1] LOG:  statement: x\n"), Some("a stderr or syslog log"));
        assert_eq!(kind(b"id,name\n1,x\n"), Some("other text"));
    }

    #[test]
    fn the_first_record_gives_the_time_of_a_file() {
        assert_eq!(first_time(b"\xef\xbb\xbf1970-01-01 00:00:01 UTC,\"u\""), Some(1_000_000));
        assert_eq!(first_time(b"rest of a line\n1970-01-01 00:00:02.5 UTC,,"), Some(2_500_000));
        assert_eq!(first_time(b"1970-01-01 00:00:02.5 UTC [1] LOG:  a,b"), None);
    }

    #[test]
    fn records_come_with_their_lines_and_the_files_hash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        let record = format!("1970-01-01 00:00:01.000 UTC,{}\"two\nlines\"{}\n", ",".repeat(12), ",".repeat(12));
        std::fs::write(&path, format!("{record}no record\n{record}1970-01-01 00:00:02 UTC,\"cut")).unwrap();
        let mut seen = Vec::new();
        let source = look_at(&[path]).unwrap().pop().unwrap();
        let (sha256, lines) = source
            .read(
                |_| {},
                |found, line| {
                    seen.push((
                        line,
                        match found {
                            Found::Record { .. } => "record",
                            Found::Foreign => "foreign",
                            Found::Truncated => "truncated",
                        },
                    ));
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(seen, [(1, "record"), (3, "foreign"), (4, "record"), (6, "truncated")]);
        assert_eq!((sha256.len(), lines), (64, 6));
    }
}
