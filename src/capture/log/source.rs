//! Log files, in the order in which the server wrote them.
//!
//! Takes paths in any order (`-` is standard input) and reads each file through its decoder, a window of it at a time.
//! Must not know what an entry says.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::error::CaptureError;
use super::super::storage::{Opened, Storage};
use super::backwards::Backwards;
use super::decoder::{Decoder, Found, Give, Learned, RECORD_BYTES_MAX};
use super::entry::Position;
use super::format::{Form, LogFormat, Unfit};
use super::line_prefix::LinePrefix;
use super::other_kind;
use super::tally::Reason;

/// Bytes that are looked at to tell what a file is and when it begins.
const HEAD_BYTES: usize = 256 << 10;

/// Read at a time; the buffer grows where one record is longer.
const READ_BYTES: usize = 1 << 20;

/// A file that was looked at and not yet read.
pub struct Source {
    /// Without its directory; `stdin` for standard input.
    pub name: String,
    /// As given, for errors.
    pub path: PathBuf,
    storage: Storage,
    /// None of an empty file.
    form: Option<Form>,
}

/// What was read of a file.
pub struct ReadSource {
    pub sha256: String,
    pub lines: u64,
}

/// Looks at every file and puts them in the order of their first records.
///
/// # Errors
/// A file cannot be opened, or is no server log.
pub fn look_at(paths: &[PathBuf], format: LogFormat, prefix: Option<&LinePrefix>) -> Result<Vec<Source>, CaptureError> {
    if paths.is_empty() {
        return Err(CaptureError::NoInput);
    }
    let limit = usize::from(u16::MAX);
    if paths.len() > limit {
        return Err(CaptureError::TooManyFiles { limit });
    }
    let mut sources = paths.iter().map(|path| Source::look_at(path, format, prefix)).collect::<Result<Vec<_>, _>>()?;
    // Empty files have no time and may stand anywhere.
    sources.sort_by_key(|source| source.form.as_ref().and_then(|form| form.first_us));
    Ok(sources)
}

impl Source {
    fn look_at(path: &Path, format: LogFormat, prefix: Option<&LinePrefix>) -> Result<Self, CaptureError> {
        let name = match path == Path::new("-") {
            true => "stdin".to_owned(),
            false => path.file_name().unwrap_or(OsStr::new("log")).to_string_lossy().into_owned(),
        };
        let file = path.display().to_string();
        let (storage, head) = Storage::look_at(path, HEAD_BYTES).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                CaptureError::Open { file: file.clone(), source }
            }
            _ => CaptureError::Read { file: file.clone(), source },
        })?;
        let is_empty = head.trim_ascii().is_empty();
        if is_empty && storage.is_compressed() {
            return Err(CaptureError::EmptyCompressed { file });
        }
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);
        let form = match is_empty {
            true => None,
            false => match Form::of(&file, head, format, prefix, storage.modified_us) {
                Ok(form) => Some(form),
                Err(Unfit::Error(error)) => return Err(error),
                Err(Unfit::OtherKind) => {
                    let (kind, hint) = other_kind::of(head);
                    let kind = match storage.is_compressed() {
                        true => format!("{kind}, compressed"),
                        false => kind.to_owned(),
                    };
                    return Err(CaptureError::WrongKind { file, kind, hint });
                }
            },
        };
        Ok(Self { name, path: path.to_owned(), storage, form })
    }

    /// Bytes of the file as it is stored; 0 where that is not known.
    pub fn size_bytes(&self) -> u64 {
        self.storage.size_bytes
    }

    /// The format, as it is named in a workload.
    pub fn kind(&self) -> &'static str {
        self.form.as_ref().map_or("csvlog", Form::name)
    }

    /// Reads the file to its end, as the source of this index. `progress` hears of the stored bytes that were read;
    /// temporary files go to `directory`.
    ///
    /// # Errors
    /// The file cannot be read, or whatever `give` answers.
    pub fn read(
        self,
        index: u16,
        directory: &Path,
        learned: &mut Learned,
        mut progress: impl FnMut(u64),
        give: &mut Give<'_>,
    ) -> Result<ReadSource, CaptureError> {
        let file = self.path.display().to_string();
        let failed = |source: io::Error| CaptureError::Read { file: file.clone(), source };
        let modified_us = self.storage.modified_us;
        let mut opened = self
            .storage
            .open(&self.path)
            .map_err(|source| CaptureError::Open { file: self.path.display().to_string(), source })?;
        let mut told = 0;
        let mut tell = |opened: &Opened| {
            progress(opened.stored_bytes() - told);
            told = opened.stored_bytes();
        };
        let mut lines = 0;
        if let Some(form) = &self.form {
            let mut decoder = form.decoder(modified_us);
            let mut reading = Reading { index, learned, give, lines_backwards: None };
            if form.is_newest_first {
                let mut backwards = Backwards::new(&mut opened, directory, &mut tell).map_err(failed)?;
                reading.lines_backwards = Some(backwards.lines);
                lines = reading.read(&mut backwards, decoder.as_mut(), &mut |_| {}).map_err(|end| end.of(&file))?;
            } else {
                lines = reading.read(&mut opened, decoder.as_mut(), &mut tell).map_err(|end| end.of(&file))?;
            }
        }
        if opened.is_damaged() {
            give(Found::Skipped(Reason::DamagedCompression, (index, lines.max(1))))?;
        }
        let sha256 = opened.sha256().map_err(failed)?;
        Ok(ReadSource { sha256, lines })
    }
}

/// Why reading ended early.
enum Ended {
    Read(io::Error),
    Capture(CaptureError),
}

impl Ended {
    fn of(self, file: &str) -> CaptureError {
        match self {
            Self::Read(source) => CaptureError::Read { file: file.to_owned(), source },
            Self::Capture(error) => error,
        }
    }
}

/// The reading of one file.
struct Reading<'r, 'g> {
    index: u16,
    learned: &'r mut Learned,
    give: &'r mut Give<'g>,
    /// The number of lines, where they come the last first.
    lines_backwards: Option<u64>,
}

impl Reading<'_, '_> {
    fn read<R: Read>(
        &mut self,
        input: &mut R,
        decoder: &mut dyn Decoder,
        progress: &mut dyn FnMut(&R),
    ) -> Result<u64, Ended> {
        let mut window = Window::default();
        let mut line = 1;
        loop {
            let bytes = window.bytes();
            if !bytes.is_empty() {
                let taken = decoder
                    .decode(bytes, window.at_end, self.position(line), self.learned, self.give)
                    .map_err(Ended::Capture)?;
                if taken.bytes > 0 {
                    window.start += taken.bytes;
                    line += taken.lines;
                    continue;
                }
            }
            if window.at_end {
                break;
            }
            window.fill(input).map_err(Ended::Read)?;
            progress(input);
        }
        decoder.finish(self.give).map_err(Ended::Capture)?;
        Ok(line - 1)
    }

    fn position(&self, line: u64) -> Position {
        (self.index, self.lines_backwards.map_or(line, |lines| (lines + 1).saturating_sub(line)))
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
    fn fill(&mut self, input: &mut impl Read) -> io::Result<()> {
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
        if !self.began && (self.end >= BYTE_ORDER_MARK.len() || self.at_end) {
            self.began = true;
            if self.bytes().starts_with(BYTE_ORDER_MARK) {
                self.start += BYTE_ORDER_MARK.len();
            }
        }
        Ok(())
    }
}

/// What editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads bytes as a log of this format, in pieces of this many bytes, and gives the number of entries and of skips: what
/// a fuzzer calls. `prefix` is the `log_line_prefix` of stderr and syslog.
pub fn read_bytes(format: LogFormat, prefix: &str, bytes: &[u8], piece_bytes: usize) -> (u64, u64) {
    let Ok(prefix) = LinePrefix::parse(prefix) else { return (0, 0) };
    let Ok(form) = Form::of("bytes", bytes, format, Some(&prefix), 0) else { return (0, 0) };
    let (mut entries, mut skips) = (0, 0);
    let mut count = |found: Found<'_>| {
        match found {
            Found::Entry { .. } => entries += 1,
            Found::Skipped(..) => skips += 1,
            Found::SqlStateInferred { .. } => {}
        }
        Ok(())
    };
    let mut learned = Learned::default();
    let mut reading = Reading { index: 0, learned: &mut learned, give: &mut count, lines_backwards: None };
    let mut pieces = Pieces { bytes, piece_bytes: piece_bytes.clamp(1, RECORD_BYTES_MAX) };
    // Bytes in memory can always be read, and counting never fails.
    let _ = reading.read(&mut pieces, form.decoder(0).as_mut(), &mut |_| {});
    (entries, skips)
}

/// Bytes that come in pieces.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece_bytes: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.len().min(self.piece_bytes).min(buffer.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STDERR: &str = "2020-03-11 20:40:50.123 CET [7] a@b ";

    /// Lines of a log of lines, and some that belong to none.
    fn stderr_lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just(format!("{STDERR}LOG:  statement: select 1\n")),
            Just(format!("{STDERR}ERROR:  boo\n{STDERR}STATEMENT:  selec\n\tt 1\n")),
            Just("\tgoes on\n".to_owned()),
            Just("no line of a log\r\n\n".to_owned()),
            "[ -~\n\t]{0,20}",
        ];
        proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn pieces_never_change_what_is_found(text in stderr_lines(), piece_bytes in 1_usize..64) {
            let carried: String = text.lines().map(|line| format!("Feb 11 13:15:39 pc postgres[7]: {line}\n")).collect();
            let json = format!("{{\"error_severity\":\"LOG\",\"pid\":7,\"timestamp\":\"2020-03-11 20:40:50 CET\",\"message\":\"x\"}}\n{text}");
            for (format, bytes) in [(LogFormat::Stderr, &text), (LogFormat::Syslog, &carried), (LogFormat::Json, &json)] {
                let whole = read_bytes(format, "%m [%p] %u@%d ", bytes.as_bytes(), usize::MAX);
                prop_assert_eq!(read_bytes(format, "%m [%p] %u@%d ", bytes.as_bytes(), piece_bytes), whole);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for format in [LogFormat::Auto, LogFormat::Csv, LogFormat::Json, LogFormat::Stderr, LogFormat::Syslog] {
                read_bytes(format, "%m [%p] ", &bytes, 7);
            }
        }
    }
}
