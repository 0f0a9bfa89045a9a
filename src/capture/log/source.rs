//! Log files, in the order in which the server wrote them.
//!
//! Takes paths in any order (`-` is standard input) and reads each file through its decoder. A record that a border between
//! two files parts is put together again. Must not know what an entry says.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::super::error::CaptureError;
use super::super::storage::Storage;
use super::ahead::{self, By, Ended, LogBytes};
use super::backwards::Backwards;
use super::decoder::{Decoder, Found, Give, Learned};
use super::format::{Form, LogFormat, Order, Unfit};
use super::line_prefix::LinePrefix;
use super::other_kind;
use super::reading::{BYTE_ORDER_MARK, Carried, Reading};
use super::tally::Reason;
use super::turned::Turned;
use super::twins::{self, Sample};

/// Bytes that are looked at to tell what a file is and when it begins.
const HEAD_BYTES: usize = 256 << 10;

/// Two files between whose entries more time lies than this are no neighbours: one is missing between them.
const BORDER_US_MAX: i64 = 60_000_000;

/// A file that was looked at and not yet read.
pub struct Source {
    /// Without its directory; `stdin` for standard input.
    pub name: String,
    /// As given, for errors.
    pub path: PathBuf,
    storage: Storage,
    /// None of an empty file.
    form: Option<Form>,
    sample: Sample,
}

/// What goes on from file to file.
pub struct Journey {
    /// For temporary files.
    pub directory: PathBuf,
    by: By,
    pub learned: Learned,
    /// The decoder of the file before, where that ended within a record.
    parted: Option<Parted>,
}

struct Parted {
    decoder: Box<dyn Decoder>,
    carried: Carried,
}

impl Journey {
    /// A journey that begins; files are read by a thread or without one, and temporary files go to `directory`.
    pub fn new(directory: &Path, by: By) -> Self {
        Self { directory: directory.to_owned(), by, learned: Learned::default(), parted: None }
    }
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
    let mut sources = Vec::new();
    let mut unknown = Vec::new();
    for path in paths {
        match Source::look_at(path, format, prefix) {
            Ok(source) => sources.push(source),
            Err(error) if is_about_prefix(&error) => unknown.push((path, error)),
            Err(error) => return Err(error),
        }
    }
    // A short piece of a log may not show its prefix; the other pieces do.
    for (path, error) in unknown {
        let found = sources.iter().find_map(|source| source.form.as_ref().and_then(Form::prefix).cloned());
        let Some(found) = found.filter(|_| prefix.is_none()) else { return Err(error) };
        sources.push(Source::look_at(path, format, Some(&found)).map_err(|_| error)?);
    }
    // Empty files have no time and may stand anywhere. Times may be cut to seconds, so that two files begin in the same one.
    sources.sort_by(|one, other| one.order().cmp(&other.order()));
    twins::refuse(sources.iter().map(|source| (source.path.as_path(), &source.sample)))?;
    Ok(sources)
}

/// Whether a file is a log whose prefix is not known.
fn is_about_prefix(error: &CaptureError) -> bool {
    use CaptureError::{PrefixUnknown, PrefixWithoutSession, PrefixWithoutTime};
    matches!(error, PrefixUnknown { .. } | PrefixWithoutSession { .. } | PrefixWithoutTime { .. })
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
        let sample = Sample::of(head, form.as_ref(), storage.modified_us);
        Ok(Self { name, path: path.to_owned(), storage, form, sample })
    }

    fn order(&self) -> (Option<i64>, Option<i64>, &str) {
        let form = self.form.as_ref();
        (form.and_then(|form| form.first_us), form.and_then(|form| form.last_us), &self.name)
    }

    /// Whether the next file's first lines may be the rest of this file's last record, an entry before which was written
    /// at `last_us`.
    fn goes_on_in(&self, next: &Self, last_us: Option<i64>) -> bool {
        let (Some(form), Some(next)) = (&self.form, &next.form) else { return false };
        let distance_us = last_us.zip(next.first_us).map_or(0, |(last_us, first_us)| (first_us - last_us).abs());
        next.begins_within && form.is_decoded_as(next) && distance_us <= BORDER_US_MAX
    }

    /// Bytes of the file as it is stored; 0 where that is not known.
    pub fn size_bytes(&self) -> u64 {
        self.storage.size_bytes
    }

    /// The format, as it is named in a workload.
    pub fn kind(&self) -> &'static str {
        self.form.as_ref().map_or("csvlog", Form::name)
    }

    /// Reads the file to its end, as the source of this index; `next` is the file behind it. `progress` hears of the stored
    /// bytes that were read.
    ///
    /// # Errors
    /// The file cannot be read, or whatever `give` answers.
    pub fn read(
        &self,
        index: u16,
        next: Option<&Self>,
        journey: &mut Journey,
        mut progress: impl FnMut(u64),
        give: &mut Give<'_>,
    ) -> Result<ReadSource, CaptureError> {
        let file = self.path.display().to_string();
        let failed = |source: io::Error| CaptureError::Read { file: file.clone(), source };
        let mut opened = ahead::open(&self.storage, &self.path, journey.by)
            .map_err(|source| CaptureError::Open { file: file.clone(), source })?;
        let mut told = 0;
        let mut tell = |opened: &dyn LogBytes| {
            progress(opened.stored_bytes() - told);
            told = opened.stored_bytes();
        };
        let mut lines = 0;
        if let Some(form) = &self.form {
            let last_us = Cell::new(None);
            let goes_on = || next.is_some_and(|next| self.goes_on_in(next, last_us.get()));
            let mut give = |found: Found<'_>| {
                if let Found::Entry { entry, .. } = &found {
                    last_us.set(Some(entry.time_us));
                }
                give(found)
            };
            let parted = journey.parted.take();
            let parted = parted
                .unwrap_or_else(|| Parted { decoder: form.decoder(self.modified_us()), carried: Carried::default() });
            let Parted { mut decoder, carried } = parted;
            let mut reading = Reading::new(index, &mut journey.learned, &mut give);
            reading.carried = carried;
            let directory = &journey.directory;
            let decoder_ref = decoder.as_mut();
            let read = match form.order {
                Order::Forward => {
                    let mut tell = |opened: &(dyn LogBytes + 'static)| tell(opened);
                    reading.read(opened.as_mut(), decoder_ref, &mut tell, &goes_on)
                }
                Order::LinesBackward => {
                    let mut backwards = Backwards::new(opened.as_mut(), directory, &mut tell).map_err(failed)?;
                    reading.lines_backwards = Some(backwards.lines);
                    reading.read(&mut backwards, decoder_ref, &mut |_| {}, &|| false)
                }
                Order::ObjectsBackward => {
                    let mut turned = Turned::new(&mut opened, directory).map_err(failed)?;
                    reading.lines_backwards = Some(turned.lines);
                    reading.read(&mut turned, decoder_ref, &mut |_| {}, &|| false)
                }
            };
            lines = read.map_err(|end| end.of(&file))?;
            let carried = std::mem::take(&mut reading.carried);
            journey.parted = goes_on().then_some(Parted { decoder, carried });
        }
        let Ended { sha256, is_damaged } = opened.end().map_err(failed)?;
        if is_damaged {
            give(Found::Skipped(Reason::DamagedCompression, (index, lines.max(1))))?;
        }
        Ok(ReadSource { sha256, lines })
    }

    fn modified_us(&self) -> i64 {
        self.storage.modified_us
    }
}
