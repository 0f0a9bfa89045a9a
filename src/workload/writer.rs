//! Writing a workload as a stream, in bounded memory.
//!
//! Takes records in the order of the file and refuses what a reader would refuse. Gives each statement text one
//! definition, and counts what the `end` line says. Must not know where the records come from.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

use super::error::{LineFault, WriteError};
use super::marks::{KnownMarks, Marks};
use super::output::Output;
use super::plain::{PlainRequest, PlainSql};
use super::record::{End, Header, InlineSql, Record, Skipped, SqlRef, SqlText, Tenant, Text};
use crate::words::limits::{WORKLOAD_LINE_BYTES_MAX, WORKLOAD_LIVE_SQL_BYTES_MAX, WORKLOAD_LIVE_SQL_MAX};

/// A workload being written beside its final name, which it takes in [`Writer::finish`]. Dropped before that, it leaves
/// nothing.
pub struct Writer {
    output: Output,
    line: Vec<u8>,
    texts: Texts,
    marks: KnownMarks,
    tenants: FxHashSet<u32>,
    open_sessions: FxHashSet<u32>,
    previous_us: u64,
    end: End,
}

/// The texts that have a definition, by what tells them apart: 128 bits of hash of the text and its parameter types, under
/// a seed of this process, so that nobody can write two texts that meet. The texts themselves need not stay in memory.
struct Texts {
    ids: FxHashMap<u128, u32>,
    bytes: usize,
    seed: u64,
}

impl Texts {
    fn new() -> Self {
        Self { ids: FxHashMap::default(), bytes: 0, seed: RandomState::new().hash_one(0) }
    }

    fn key(&self, bytes: &[u8], parameter_types: &[u32]) -> u128 {
        if parameter_types.is_empty() {
            return xxh3_128_with_seed(bytes, self.seed);
        }
        let mut hasher = Xxh3::with_seed(self.seed);
        hasher.update(bytes);
        parameter_types.iter().for_each(|oid| hasher.update(&oid.to_be_bytes()));
        hasher.digest128()
    }
}

impl Writer {
    /// Creates the file as `<path>.tmp` and writes the header; a path that ends in `.zst` is compressed.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub fn create(path: &Path, header: &Header) -> Result<Self, WriteError> {
        let output = Output::create(path).map_err(|source| WriteError::Create { file: path.to_owned(), source })?;
        let mut writer = Self {
            output,
            line: Vec::new(),
            texts: Texts::new(),
            marks: KnownMarks::default(),
            tenants: FxHashSet::default(),
            open_sessions: FxHashSet::default(),
            previous_us: 0,
            end: End::default(),
        };
        writer.write_line(&Record::Header(header.clone()))?;
        Ok(writer)
    }

    /// Defines a tenant; to be done once, before its first request.
    ///
    /// # Errors
    /// The id is taken, or the file cannot be written.
    pub fn define_tenant(&mut self, tenant: &Tenant) -> Result<(), WriteError> {
        if !self.tenants.insert(tenant.id) {
            return Err(WriteError::Misplaced(LineFault::RepeatedTenant(tenant.id)));
        }
        self.end.tenants += 1;
        self.write_line(&Record::Tenant(tenant.clone()))
    }

    /// The reference to a statement text, whose `sql` line is written before its first use. When
    /// `WORKLOAD_LIVE_SQL_MAX` texts are defined, a new one stands inline.
    ///
    /// # Errors
    /// The text is longer than a line may be (it can be left out), or the file cannot be written.
    pub fn sql_ref(&mut self, text: &str) -> Result<SqlRef, WriteError> {
        self.sql_ref_of_bytes(text.as_bytes(), &[])
    }

    /// As [`Writer::sql_ref`], for a text that may not be UTF-8, with its parameter types where they are known.
    ///
    /// # Errors
    /// As [`Writer::sql_ref`].
    pub fn sql_ref_of_bytes(&mut self, bytes: &[u8], parameter_types: &[u32]) -> Result<SqlRef, WriteError> {
        let key = self.texts.key(bytes, parameter_types);
        if let Some(id) = self.texts.ids.get(&key) {
            return Ok(SqlRef::Id(*id));
        }
        let marks = self.marks.of(bytes);
        if let Some(id) = self.define(key, bytes, parameter_types, marks)? {
            return Ok(SqlRef::Id(id));
        }
        let (Marks { fingerprint, class }, parameter_types) = (marks, parameter_types.to_vec());
        Ok(SqlRef::Inline(Box::new(InlineSql { text: text_of(bytes), fingerprint, class, parameter_types })))
    }

    /// As [`Writer::sql_ref_of_bytes`], for a plain request; `marks` are those of the text, where they are known already.
    ///
    /// # Errors
    /// As [`Writer::sql_ref`].
    pub fn plain_sql<'a>(&mut self, text: &'a [u8], marks: Option<Marks>) -> Result<PlainSql<'a>, WriteError> {
        let key = self.texts.key(text, &[]);
        if let Some(id) = self.texts.ids.get(&key) {
            return Ok(PlainSql::Id(*id));
        }
        let marks = marks.unwrap_or_else(|| self.marks.of(text));
        Ok(self.define(key, text, &[], marks)?.map_or(PlainSql::Inline { text, marks }, PlainSql::Id))
    }

    /// Writes the `sql` line of a text and gives its id; none where there are too many.
    fn define(&mut self, key: u128, bytes: &[u8], types: &[u32], marks: Marks) -> Result<Option<u32>, WriteError> {
        let is_full = self.texts.ids.len() >= WORKLOAD_LIVE_SQL_MAX
            || self.texts.bytes + bytes.len() > WORKLOAD_LIVE_SQL_BYTES_MAX;
        if is_full {
            return Ok(None);
        }
        let id = u32::try_from(self.texts.ids.len()).unwrap_or(u32::MAX);
        let (Marks { fingerprint, class }, parameter_types) = (marks, types.to_vec());
        self.write_line(&Record::Sql(SqlText { id, text: text_of(bytes), fingerprint, class, parameter_types }))?;
        self.texts.ids.insert(key, id);
        self.texts.bytes += bytes.len();
        Ok(Some(id))
    }

    /// Writes an event: an open, request, copy, cancel or close. Tenants, texts and the end have methods of their own.
    ///
    /// # Errors
    /// Time goes back, a session or tenant is not there, the line is too long (nothing of it is written then), or the
    /// file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<(), WriteError> {
        let (t_us, session) = match record {
            Record::Open(open) => (open.t_us, open.session),
            Record::Request(request) => (request.t_us, request.session),
            Record::Copy(copy) => (copy.t_us, copy.session),
            Record::Cancel(cancel) => (cancel.t_us, cancel.session),
            Record::Close(close) => (close.t_us, close.session),
            Record::Tenant(tenant) => return self.define_tenant(tenant),
            Record::Header(_) | Record::Sql(_) | Record::End(_) => {
                return Err(WriteError::Misplaced(LineFault::Corrupt("not an event".to_owned())));
            }
        };
        let tenant = match record {
            Record::Request(request) => request.tenant,
            _ => None,
        };
        self.check(matches!(record, Record::Open(_)), t_us, session, tenant).map_err(WriteError::Misplaced)?;
        self.write_line(record)?;
        self.passed(t_us);
        match record {
            Record::Open(_) => {
                self.open_sessions.insert(session);
                self.end.sessions += 1;
            }
            Record::Request(_) => self.end.requests += 1,
            Record::Close(_) => {
                self.open_sessions.remove(&session);
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes a plain request, as [`Writer::write`] would write its record.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn write_plain<'a, P>(&mut self, request: PlainRequest<'a, P>) -> Result<(), WriteError>
    where
        P: Iterator<Item = Option<&'a [u8]>>,
    {
        let t_us = request.t_us;
        self.check(false, t_us, request.session, request.tenant).map_err(WriteError::Misplaced)?;
        self.line.clear();
        request.append_to(&mut self.line);
        self.end_line()?;
        self.passed(t_us);
        self.end.requests += 1;
        Ok(())
    }

    /// Writes the `end` line, brings the file to the disk and gives it its name.
    ///
    /// # Errors
    /// The file cannot be written or renamed; nothing stands under its name then.
    pub fn finish(mut self, skipped: BTreeMap<String, Skipped>) -> Result<End, WriteError> {
        self.end.skipped = skipped;
        let end = std::mem::take(&mut self.end);
        self.write_line(&Record::End(end.clone()))?;
        let file = self.output.target().to_owned();
        self.output.finish().map_err(|source| WriteError::Write { file, source })?;
        Ok(end)
    }

    fn check(&self, opens: bool, t_us: u64, session: u32, tenant: Option<u32>) -> Result<(), LineFault> {
        if t_us < self.previous_us {
            return Err(LineFault::TimeGoesBack { previous_us: self.previous_us, t_us });
        }
        match (opens, self.open_sessions.contains(&session)) {
            (true, true) => return Err(LineFault::SessionOpen(session)),
            (true, false) | (false, true) => {}
            (false, false) => return Err(LineFault::SessionNotOpen(session)),
        }
        match tenant {
            Some(tenant) if !self.tenants.contains(&tenant) => Err(LineFault::UndefinedTenant(tenant)),
            _ => Ok(()),
        }
    }

    fn passed(&mut self, t_us: u64) {
        self.previous_us = t_us;
        self.end.span_us = t_us;
    }

    fn write_line(&mut self, record: &Record) -> Result<(), WriteError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)
            .map_err(|error| WriteError::Write { file: self.output.target().to_owned(), source: error.into() })?;
        self.end_line()
    }

    fn end_line(&mut self) -> Result<(), WriteError> {
        if self.line.len() > WORKLOAD_LINE_BYTES_MAX {
            return Err(WriteError::LineTooLong { bytes: self.line.len(), limit: WORKLOAD_LINE_BYTES_MAX });
        }
        self.line.push(b'\n');
        let written = self.output.write_line(&self.line);
        written.map_err(|source| WriteError::Write { file: self.output.target().to_owned(), source })
    }
}

fn text_of(bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) => Text::Text(text.to_owned()),
        Err(_) => Text::Base64(STANDARD.encode(bytes)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::error::ReadError;
    use super::super::reader::Reader;
    use super::super::record::{Close, Open, Request, Sent, VERSION};
    use super::*;
    use crate::words::limits::WORKLOAD_FRAME_BYTES;

    fn header() -> Header {
        Header {
            version: VERSION,
            started_at: "2026-01-05T09:00:00Z".to_owned(),
            sources: Vec::new(),
            server_version: None,
            tool_version: "0.1.0".to_owned(),
        }
    }

    fn request(t_us: u64, sequence: u64, sql: SqlRef) -> Record {
        let sent = Sent::Simple { sql };
        let (results, transaction) = (Vec::new(), None);
        Record::Request(Request { t_us, session: 1, sequence, tenant: None, sent, results, transaction, at: None })
    }

    fn open(t_us: u64) -> Record {
        Record::Open(Open { t_us, session: 1, ..Open::default() })
    }

    fn write_workload(path: &Path, requests: u64, text: &str) -> End {
        let mut writer = Writer::create(path, &header()).unwrap();
        writer.write(&open(0)).unwrap();
        for sequence in 0..requests {
            let sql = writer.sql_ref(&format!("SELECT {} {text}", sequence % 100)).unwrap();
            writer.write(&request(sequence, sequence, sql)).unwrap();
        }
        writer.write(&Record::Close(Close { t_us: requests, session: 1 })).unwrap();
        writer.finish(BTreeMap::new()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_compressed_or_not() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["w.jsonl", "w.jsonl.zst"] {
            let path = directory.path().join(name);
            let end = write_workload(&path, 1000, "");
            assert_eq!((end.sessions, end.requests, end.span_us), (1, 1000, 1000));
            let records: Vec<Record> = Reader::open(&path).unwrap().map(|record| record.unwrap().1).collect();
            let texts = records.iter().filter(|record| matches!(record, Record::Sql(_))).count();
            assert_eq!(texts, 100);
            assert_eq!(records.last(), Some(&Record::End(end)));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_compressed_file_that_was_cut_is_truncated_behind_its_whole_frames() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.jsonl.zst");
        let text = "x".repeat(WORKLOAD_FRAME_BYTES / 100);
        write_workload(&path, 150, &text);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [4, bytes.len() / 3, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = Reader::open(&path).and_then(|reader| reader.collect::<Result<Vec<_>, _>>()).unwrap_err();
            let ReadError::Truncated { last_good_line, .. } = error else { panic!("{error}") };
            assert!(cut != bytes.len() - 1 || last_good_line > 100, "{cut}: {last_good_line}");
        }
    }

    #[test]
    fn damaged_frames_are_found_by_their_checksum() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.jsonl.zst");
        write_workload(&path, 1000, "");
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Reader::open(&path).and_then(|reader| reader.collect::<Result<Vec<_>, _>>()).unwrap_err();
        assert!(matches!(error, ReadError::Read { .. }), "{error}");
    }

    #[test]
    fn nothing_is_left_of_a_workload_that_was_not_finished() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&directory.path().join("w.jsonl.zst"), &header()).unwrap();
        writer.write(&open(0)).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_reader_would_refuse_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.jsonl");
        let mut writer = Writer::create(&path, &header()).unwrap();
        let sql = writer.sql_ref("SELECT 1").unwrap();
        assert!(matches!(
            writer.write(&request(0, 0, sql.clone())),
            Err(WriteError::Misplaced(LineFault::SessionNotOpen(1)))
        ));
        writer.write(&open(5)).unwrap();
        assert!(matches!(
            writer.write(&request(4, 0, sql.clone())),
            Err(WriteError::Misplaced(LineFault::TimeGoesBack { .. }))
        ));
        writer.write(&request(5, 0, sql)).unwrap();
        writer.finish(BTreeMap::new()).unwrap();
        assert!(Reader::open(&path).unwrap().all(|record| record.is_ok()));
    }

    #[test]
    fn bytes_that_are_not_utf_8_survive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.jsonl");
        let mut writer = Writer::create(&path, &header()).unwrap();
        let sql = writer.sql_ref_of_bytes(b"SELECT '\xe9'", &[23]).unwrap();
        writer.finish(BTreeMap::new()).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        reader.next_record().unwrap();
        let statement = reader.statement(&sql).unwrap();
        assert_eq!(statement.text.bytes().as_ref(), b"SELECT '\xe9'");
        assert_eq!(statement.parameter_types, [23]);
    }
}
