//! What still stands in a damaged workload file.
//!
//! Takes a file that stops too early or has damage in it, and writes its good lines, as they are, into another, with a new
//! `end`. Goes on behind a damaged zstd frame at the next one. Must not know what the records are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::error::{LineFault, ReadError, WriteError};
use super::live::Live;
use super::output::Output;
use super::record::{Close, End, Record};
use crate::words::limits::{WORKLOAD_FRAME_BYTES, WORKLOAD_LINE_BYTES_MAX};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const CHUNK_BYTES: usize = 256 << 10;

/// Lines are held back until their frame has proved whole, up to this many bytes.
const HELD_BYTES_MAX: usize = WORKLOAD_FRAME_BYTES + WORKLOAD_LINE_BYTES_MAX;

/// Why nothing could be salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(
        "the first line of \"{file}\" is no workload's header\n\
         detail: without it, neither the format nor the time of the events is known\n\
         hint: capture it again"
    )]
    NoHeader { file: String },
}

/// What was kept and what was lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Salvaged {
    pub end: End,
    /// Whether nothing was wrong with the file.
    pub was_whole: bool,
    /// Damaged zstd frames, with all their lines.
    pub frames_lost: u64,
    /// Byte position of the first of them.
    pub first_frame_lost_at: Option<u64>,
    /// Lines that were read and could not be kept: by reason, how many, and the first. Lines of lost frames do not count.
    pub lines_lost: BTreeMap<&'static str, (u64, u64)>,
    /// Whether there was an `end` line.
    pub had_end: bool,
}

/// Writes the good lines of `input` into `output`, which gets its name only when all is there.
///
/// # Errors
/// The input cannot be read or lacks its header, or the output cannot be written.
pub fn salvage(input: &Path, output: &Path) -> Result<Salvaged, SalvageError> {
    let name = input.display().to_string();
    let failed = |source| ReadError::Read { file: name.clone(), last_good_line: 0, source };
    let file = File::open(input).map_err(|source| ReadError::Open { file: name.clone(), source })?;
    let mut source = BufReader::with_capacity(CHUNK_BYTES, file);
    let is_compressed = source.fill_buf().map_err(failed)?.starts_with(&MAGIC);
    let created = |source| WriteError::Create { file: output.to_owned(), source };
    let mut keeping = Keeping {
        output: Output::create(output).map_err(created)?,
        live: Live::default(),
        line: 0,
        has_header: false,
        open: BTreeSet::new(),
        salvaged: Salvaged::default(),
    };
    let kept = match is_compressed {
        true => frames(&mut source, &mut keeping),
        false => plain(&mut source, &mut keeping),
    };
    match kept {
        Err(Stop::Read(source)) => return Err(failed(source).into()),
        Err(Stop::Write(source)) => return Err(WriteError::Write { file: output.to_owned(), source }.into()),
        Err(Stop::NoHeader) => return Err(SalvageError::NoHeader { file: name }),
        Ok(()) if !keeping.has_header => return Err(SalvageError::NoHeader { file: name }),
        Ok(()) => {}
    }
    keeping.finish().map_err(|source| WriteError::Write { file: output.to_owned(), source }.into())
}

enum Stop {
    Read(io::Error),
    Write(io::Error),
    NoHeader,
}

fn plain(source: &mut impl Read, keeping: &mut Keeping) -> Result<(), Stop> {
    let mut held = Held::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut chunk).map_err(Stop::Read)? {
            0 => break,
            read => held.bytes.extend_from_slice(&chunk[..read]),
        }
        held.release(keeping)?;
    }
    held.release_last(keeping)
}

fn frames(source: &mut BufReader<File>, keeping: &mut Keeping) -> Result<(), Stop> {
    let mut held = Held::default();
    while let Some(at) = next_magic(source).map_err(Stop::Read)? {
        let behind = frame(source, &mut held, keeping)?;
        match behind {
            FrameEnd::Whole => {}
            // What there was of the last frame stands.
            FrameEnd::Truncated => held.release(keeping)?,
            FrameEnd::Damaged => {
                held = Held::default();
                keeping.salvaged.frames_lost += 1;
                keeping.salvaged.first_frame_lost_at.get_or_insert(at);
            }
        }
        if behind != FrameEnd::Whole {
            source.seek(SeekFrom::Start(at + MAGIC.len() as u64)).map_err(Stop::Read)?;
        }
        if behind == FrameEnd::Truncated {
            break;
        }
    }
    held.release_last(keeping)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameEnd {
    Whole,
    Truncated,
    Damaged,
}

/// Reads one frame; its lines are kept when its checksum has proved them.
fn frame(source: &mut BufReader<File>, held: &mut Held, keeping: &mut Keeping) -> Result<FrameEnd, Stop> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source).map_err(Stop::Read)?.single_frame();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => held.bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(FrameEnd::Truncated),
            // A read that the operating system refused is no damage of the file.
            Err(error) if error.raw_os_error().is_some() => return Err(Stop::Read(error)),
            Err(_) => return Ok(FrameEnd::Damaged),
        }
        if held.bytes.len() > HELD_BYTES_MAX {
            held.release(keeping)?;
        }
    }
    held.release(keeping)?;
    Ok(FrameEnd::Whole)
}

/// Moves to where the next frame may begin, and says where that is.
fn next_magic(source: &mut BufReader<File>) -> io::Result<Option<u64>> {
    let mut matched = 0;
    loop {
        let available = source.fill_buf()?;
        if available.is_empty() {
            return Ok(None);
        }
        let mut taken = 0;
        for byte in available {
            taken += 1;
            // The magic's first byte does not come again in it.
            matched = if *byte == MAGIC[matched] { matched + 1 } else { usize::from(*byte == MAGIC[0]) };
            if matched == MAGIC.len() {
                break;
            }
        }
        source.consume(taken);
        if matched == MAGIC.len() {
            return source.seek(SeekFrom::Current(-(MAGIC.len() as i64))).map(Some);
        }
    }
}

/// Bytes that were read and not looked at yet.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Within a line that is too long to be one.
    is_overlong: bool,
}

impl Held {
    /// Takes the whole lines out.
    fn release(&mut self, keeping: &mut Keeping) -> Result<(), Stop> {
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.bytes[start..]) {
            if std::mem::take(&mut self.is_overlong) || length > WORKLOAD_LINE_BYTES_MAX {
                keeping.lose_line("longer than a line may be");
            } else {
                keeping.take(&self.bytes[start..start + length])?;
            }
            start += length + 1;
        }
        self.bytes.drain(..start);
        if self.bytes.len() > WORKLOAD_LINE_BYTES_MAX {
            self.is_overlong = true;
            self.bytes.clear();
        }
        Ok(())
    }

    /// Half a line may still be a whole one without its line break.
    fn release_last(&mut self, keeping: &mut Keeping) -> Result<(), Stop> {
        if !self.bytes.is_empty() {
            self.bytes.push(b'\n');
            self.release(keeping)?;
        }
        Ok(())
    }
}

struct Keeping {
    output: Output,
    live: Live,
    line: u64,
    has_header: bool,
    /// Sessions that are open, so that one whose `close` was lost can be opened again.
    open: BTreeSet<u32>,
    salvaged: Salvaged,
}

impl Keeping {
    fn lose_line(&mut self, reason: &'static str) {
        self.line += 1;
        self.count_lost(reason);
    }

    fn count_lost(&mut self, reason: &'static str) {
        self.salvaged.lines_lost.entry(reason).or_insert((0, self.line)).0 += 1;
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Stop> {
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let record: Record = match serde_json::from_slice(line) {
            Ok(record) => record,
            Err(_) if !self.has_header => return Err(Stop::NoHeader),
            Err(_) => {
                self.count_lost("damaged");
                return Ok(());
            }
        };
        match (&record, self.has_header) {
            (Record::Header(header), false) if header.version <= super::record::VERSION => {
                self.has_header = true;
                return self.write(line);
            }
            (_, false) => return Err(Stop::NoHeader),
            (Record::End(end), true) => {
                self.salvaged.had_end = true;
                self.salvaged.end.skipped.clone_from(&end.skipped);
                return Ok(());
            }
            (Record::Open(open), true) if self.open.contains(&open.session) => {
                let close = Record::Close(Close { t_us: open.t_us, session: open.session });
                if self.live.take(&close).is_ok() {
                    let line = serde_json::to_vec(&close).map_err(|error| Stop::Write(error.into()))?;
                    self.write(&line)?;
                }
            }
            _ => {}
        }
        match self.live.take(&record) {
            Ok(()) => {
                self.count_kept(&record);
                self.write(line)
            }
            Err(fault) => {
                self.count_lost(reason(&fault));
                Ok(())
            }
        }
    }

    fn count_kept(&mut self, record: &Record) {
        let end = &mut self.salvaged.end;
        match record {
            Record::Tenant(_) => end.tenants += 1,
            Record::Request(_) => end.requests += 1,
            Record::Open(open) => {
                end.sessions += 1;
                self.open.insert(open.session);
            }
            Record::Close(close) => {
                self.open.remove(&close.session);
            }
            _ => {}
        }
        if let Some((t_us, _)) = record.place() {
            end.span_us = t_us;
        }
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Stop> {
        let line = [line, b"\n"].concat();
        self.output.write_line(&line).map_err(Stop::Write)
    }

    fn finish(mut self) -> io::Result<Salvaged> {
        let line = serde_json::to_vec(&Record::End(self.salvaged.end.clone()))?;
        self.output.write_line(&[line.as_slice(), b"\n"].concat())?;
        self.output.finish()?;
        let salvaged = &mut self.salvaged;
        salvaged.was_whole = salvaged.had_end && salvaged.frames_lost == 0 && salvaged.lines_lost.is_empty();
        Ok(self.salvaged)
    }
}

fn reason(fault: &LineFault) -> &'static str {
    match fault {
        LineFault::UndefinedSql(_) => "its statement's text is lost",
        LineFault::UndefinedTenant(_) => "its tenant's definition is lost",
        LineFault::SessionNotOpen(_) => "its session's beginning is lost",
        LineFault::TimeGoesBack { .. } => "earlier than the line before",
        LineFault::TooManyLiveTexts { .. } => "too many statement texts",
        _ => "does not fit the lines before",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::Reader;
    use super::*;

    const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));

    /// What is kept of these bytes, and the kept file's lines, which a reader has accepted.
    fn salvaged(bytes: &[u8]) -> Result<(Salvaged, Vec<String>), SalvageError> {
        let directory = tempfile::tempdir().unwrap();
        let (input, output) = (directory.path().join("in"), directory.path().join("out.jsonl"));
        std::fs::write(&input, bytes).unwrap();
        let salvaged = salvage(&input, &output)?;
        Reader::open(&output).unwrap().for_each(|record| assert!(record.is_ok(), "{record:?}"));
        let text = std::fs::read_to_string(&output).unwrap();
        Ok((salvaged, text.lines().map(str::to_owned).collect()))
    }

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_whole_file_stays_as_it_is() {
        let (salvaged, lines) = salvaged(GOLDEN.as_bytes()).unwrap();
        assert!(salvaged.was_whole);
        assert_eq!(lines, GOLDEN.lines().collect::<Vec<_>>());
    }

    #[test]
    fn frames_behind_a_damaged_one_are_kept() {
        let lines: Vec<&str> = GOLDEN.split_inclusive('\n').collect();
        let parts = [lines[..7].concat(), lines[7..9].concat(), lines[9..].concat()];
        let mut frames: Vec<Vec<u8>> = parts.iter().map(|part| compressed(part)).collect();
        *frames[1].last_mut().unwrap() ^= 1;
        let (salvaged, kept) = salvaged(&frames.concat()).unwrap();
        assert_eq!((salvaged.frames_lost, salvaged.first_frame_lost_at), (1, Some(frames[0].len() as u64)));
        assert!(salvaged.had_end && !salvaged.was_whole);
        assert_eq!(salvaged.end.requests, 5);
        assert_eq!(kept.len(), GOLDEN.lines().count() - 2);
    }

    #[test]
    fn a_line_whose_definition_is_lost_is_counted() {
        let text = GOLDEN.replacen(r#""kind":"open","t_us":10"#, r#""kind":"op"#, 1);
        let (salvaged, _) = salvaged(text.as_bytes()).unwrap();
        assert_eq!(salvaged.lines_lost["damaged"], (1, 7));
        assert_eq!(salvaged.lines_lost["its session's beginning is lost"].0, 7);
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        for bytes in [b"".as_slice(), b"LOG: statement\n", &MAGIC] {
            assert!(matches!(salvaged(bytes), Err(SalvageError::NoHeader { .. })));
        }
    }

    proptest! {
        #[test]
        fn what_stands_before_a_cut_is_kept(cut in 0_usize..=GOLDEN.len()) {
            let whole = GOLDEN[..cut].lines().count() - usize::from(!GOLDEN[..cut].ends_with('\n') && cut > 0);
            match salvaged(&GOLDEN.as_bytes()[..cut]) {
                Ok((_, kept)) => prop_assert!(kept[..kept.len() - 1].len() >= whole.min(GOLDEN.lines().count() - 1)),
                Err(error) => prop_assert!(whole == 0, "{error}"),
            }
        }

        #[test]
        fn a_cut_of_a_compressed_file_leaves_a_readable_one(cut in 0_usize..600) {
            let bytes = compressed(GOLDEN);
            let _ = salvaged(&bytes[..cut.min(bytes.len())]);
        }
    }
}
