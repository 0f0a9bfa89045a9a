//! Reading a workload as a stream: one line in memory, and the definitions that are live.
//!
//! Takes a file or any byte source and gives records with their line numbers, in the order of the file, each one checked
//! against those before it. Must not know what the records are for.

use std::fs::File;
use std::io::Read;

use serde::Deserialize;

use super::error::{LineFault, ReadError};
use super::input::{Input, Line, Lines, Observed};
use super::live::{Live, Statement};
use super::record::{Header, Record, SqlRef, Tenant, VERSION};
use crate::words::limits::WORKLOAD_LINE_BYTES_MAX;

/// A workload being read. The header is read when it is opened; the records behind it follow, the `end` record last.
/// After the first error nothing follows.
pub struct Reader {
    file: String,
    lines: Lines,
    buffer: Vec<u8>,
    /// Lines that were read, the one in the buffer included.
    line: u64,
    header: Header,
    live: Live,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The `end` line was given; nothing may follow it.
    Ended,
    Finished,
}

impl Reader {
    /// Opens a workload file, compressed or not, and reads its header.
    ///
    /// # Errors
    /// The file cannot be opened or read, or does not begin with a header that this program understands.
    pub fn open<'a>(input: impl Into<Input<'a>>) -> Result<Self, ReadError> {
        let Input { path, observer } = input.into();
        let file = path.display().to_string();
        match (File::open(path), observer.cloned()) {
            (Ok(source), None) => Self::new(source, &file),
            (Ok(source), Some(observer)) => Self::new(Observed { source, observer }, &file),
            (Err(source), _) => Err(ReadError::Open { file, source }),
        }
    }

    /// Reads a workload from any byte source; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(source: impl Read + Send + 'static, name: &str) -> Result<Self, ReadError> {
        let file = name.to_owned();
        let lines = Lines::new(source, WORKLOAD_LINE_BYTES_MAX).map_err(|source| ReadError::Read {
            file: file.clone(),
            last_good_line: 0,
            source,
        })?;
        let header = Header {
            version: VERSION,
            started_at: String::new(),
            sources: Vec::new(),
            server_version: None,
            tool_version: String::new(),
        };
        let buffer = Vec::new();
        let mut reader = Self { file, lines, buffer, line: 0, header, live: Live::default(), state: State::Reading };
        match reader.read_record()? {
            Some(Record::Header(header)) => reader.header = header,
            Some(_) => return Err(reader.fault(1, LineFault::NoHeader)),
            None => return Err(ReadError::Empty { file: reader.file }),
        }
        Ok(reader)
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Keeps no texts from here on, for who takes them from their lines: [`Reader::statement`] finds none by number then.
    pub fn forgetting_texts(mut self) -> Self {
        self.live.forget_texts();
        self
    }

    /// The statement behind a reference of the record that was read last, or of one before it whose definition is still
    /// live.
    pub fn statement<'a>(&'a self, reference: &'a SqlRef) -> Option<Statement<'a>> {
        self.live.statement(reference)
    }

    /// The tenant with this id, if its line has been read.
    pub fn tenant(&self, id: u32) -> Option<&Tenant> {
        self.live.tenant(id)
    }

    /// The next record with its line number (from 1); none behind the `end` record, which is given too.
    ///
    /// # Errors
    /// What is wrong, with the line. A file without an `end` line is [`ReadError::Truncated`].
    pub fn next_record(&mut self) -> Result<Option<(u64, Record)>, ReadError> {
        if self.state == State::Finished {
            return Ok(None);
        }
        let next = self.checked_record();
        if !matches!(next, Ok(Some(_))) {
            self.state = State::Finished;
        }
        next
    }

    fn checked_record(&mut self) -> Result<Option<(u64, Record)>, ReadError> {
        let Some(record) = self.read_record()? else {
            return if self.state == State::Ended { Ok(None) } else { Err(self.truncated()) };
        };
        if self.state == State::Ended {
            return Err(self.fault(1, LineFault::BehindEnd));
        }
        self.live.take(&record).map_err(|fault| self.fault(1, fault))?;
        if matches!(record, Record::End(_)) {
            self.state = State::Ended;
        }
        Ok(Some((self.line, record)))
    }

    /// The next line that is not empty.
    fn read_record(&mut self) -> Result<Option<Record>, ReadError> {
        let line = match self.lines.read_into(&mut self.buffer) {
            Ok(line) => line,
            Err(source) => {
                return Err(ReadError::Read { file: self.file.clone(), last_good_line: self.line, source });
            }
        };
        match line {
            Line::End => return Ok(None),
            // Half a line may still be the whole `end` line, written without its line break.
            Line::Unfinished if self.is_torn() => return Err(self.truncated()),
            Line::Whole | Line::Unfinished => self.line += 1,
            Line::TooLong => {
                self.line += 1;
                return Err(self.fault(1, LineFault::TooLong { limit: WORKLOAD_LINE_BYTES_MAX }));
            }
        }
        if self.line == 1 {
            self.check_version()?;
        }
        serde_json::from_slice(&self.buffer).map(Some).map_err(|error| self.unreadable(&error))
    }

    /// Whether the line in the buffer lacks more than its line break. A first line that could not become one of a
    /// workload is no torn one: the file is something else.
    fn is_torn(&self) -> bool {
        let read = serde_json::from_slice::<Record>(&self.buffer);
        read.is_err_and(|error| self.line > 0 || error.is_eof())
    }

    /// A header of a newer version may have another shape, so that its version is looked at first.
    fn check_version(&self) -> Result<(), ReadError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        match serde_json::from_slice(&self.buffer) {
            Ok(Versioned { version }) if version > VERSION => {
                Err(self.fault(1, LineFault::Newer { version, newest: VERSION }))
            }
            _ => Ok(()),
        }
    }

    fn unreadable(&self, error: &serde_json::Error) -> ReadError {
        #[derive(Deserialize)]
        struct Kinded {
            kind: String,
        }
        const KINDS: [&str; 9] = ["header", "tenant", "sql", "open", "request", "copy", "cancel", "close", "end"];
        let fault = match serde_json::from_slice(&self.buffer) {
            Ok(Kinded { kind }) if !KINDS.contains(&kind.as_str()) => LineFault::UnknownKind(kind),
            _ => {
                let reason = error.to_string();
                // serde_json counts lines within this one line.
                let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
                LineFault::Corrupt(without_values(reason))
            }
        };
        self.fault(error.column().max(1), fault)
    }

    fn fault(&self, column: usize, fault: LineFault) -> ReadError {
        ReadError::Line { file: self.file.clone(), line: self.line, column, fault }
    }

    fn truncated(&self) -> ReadError {
        ReadError::Truncated { file: self.file.clone(), last_good_line: self.line }
    }
}

/// What serde expected, without what it found in its place: that may be a value of the workload's.
fn without_values(reason: &str) -> String {
    match reason.split_once(", expected ") {
        Some((_, expected)) if expected.contains("enum Record") => "expected a JSON object".to_owned(),
        Some((_, expected)) => format!("expected {expected}"),
        None => reason.to_owned(),
    }
}

impl Iterator for Reader {
    type Item = Result<(u64, Record), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));
    const HEADER: &str =
        r#"{"kind":"header","version":1,"started_at":"2026-01-05T09:00:00Z","sources":[],"tool_version":"0"}"#;
    const END: &str = r#"{"kind":"end","sessions":0,"requests":0,"tenants":0,"span_us":0}"#;

    fn read(text: &str) -> Result<Vec<(u64, Record)>, ReadError> {
        Reader::new(Cursor::new(text.to_owned()), "w.jsonl")?.collect()
    }

    fn message(lines: &[&str]) -> String {
        read(&lines.join("\n")).unwrap_err().to_string()
    }

    #[test]
    fn version_1_is_read_as_it_was_written() {
        let mut reader = Reader::new(GOLDEN.as_bytes(), "w.jsonl").unwrap();
        assert_eq!(reader.header().server_version.as_deref(), Some("16.14"));
        let mut texts = Vec::new();
        let mut last = None;
        while let Some((line, record)) = reader.next_record().unwrap() {
            if let Record::Request(request) = &record {
                for sql in request.sent.executed() {
                    texts.push(reader.statement(sql).unwrap().text.text().into_owned());
                }
            }
            last = Some((line, record));
        }
        assert_eq!(
            texts,
            [
                "BEGIN",
                "select \u{fffd} from t where id = $1",
                "UPDATE t SET a = 'b'",
                "select \u{fffd} from t where id = $1",
                "COPY t FROM STDIN",
                "COPY t FROM STDIN"
            ]
        );
        assert!(
            matches!(last, Some((21, Record::End(end))) if end.requests == 7 && end.skipped["copy_data"].count == 2)
        );
    }

    #[test]
    fn golden_lines_are_written_as_they_were_read() {
        for line in GOLDEN.lines() {
            let record: Record = serde_json::from_str(line).unwrap();
            let written: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            assert_eq!(written, record);
        }
    }

    #[test]
    fn wherever_a_file_is_cut_the_last_good_line_is_named() {
        let whole_lines = |cut: usize| GOLDEN[..cut].matches('\n').count() as u64;
        for cut in 0..GOLDEN.len() - 1 {
            match read(&GOLDEN[..cut]) {
                Err(ReadError::Truncated { last_good_line, .. }) => {
                    // A line that lacks nothing but its line break is good.
                    let bounds = whole_lines(cut)..=whole_lines(cut) + 1;
                    assert!(bounds.contains(&last_good_line), "cut at {cut}: {last_good_line}");
                }
                Err(ReadError::Empty { .. }) => assert_eq!(cut, 0),
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
        assert!(read(GOLDEN.trim_end()).is_ok());
    }

    #[test]
    fn a_corrupt_line_is_named_with_its_column() {
        assert_eq!(
            message(&[HEADER, "{\"kind\":\"end\",,}", END]),
            "w.jsonl:2:15: not a line of a workload: key must be a string\ndetail: the last good line is 1"
        );
        assert_eq!(
            message(&[HEADER, r#"{"kind":"trigger"}"#, END]),
            "w.jsonl:2:17: unknown kind \"trigger\"\ndetail: the last good line is 1"
        );
        let secret = r#"{"kind":"request","t_us":"secret","session":1,"sequence":0,"simple":{"sql":7}}"#;
        assert_eq!(
            message(&[HEADER, secret, END]),
            "w.jsonl:2:1: not a line of a workload: expected u64\ndetail: the last good line is 1"
        );
        assert!(message(&["one two three", END]).starts_with("w.jsonl:1:1: not a line of a workload"));
    }

    #[test]
    fn rules_of_order_are_kept() {
        let open = r#"{"kind":"open","t_us":9,"session":1,"database":"d","user":"u"}"#;
        let request = |t_us: u64, session: u32, rest: &str| {
            format!(r#"{{"kind":"request","t_us":{t_us},"session":{session},"sequence":0,"simple":{{"sql":7}}{rest}}}"#)
        };
        let sql = r#"{"kind":"sql","id":7,"text":"SELECT 1","fingerprint":"e1c71d1661ae46e0","class":"read"}"#;
        for (lines, fault) in [
            (vec![END], "begins with a \"header\""),
            (vec![HEADER, HEADER], "only one \"header\""),
            (vec![HEADER, open, &request(9, 1, "")], "sql 7 is used before it is defined"),
            (vec![HEADER, sql, &request(9, 1, "")], "session 1 is not open"),
            (vec![HEADER, sql, open, &request(9, 1, r#","tenant":3"#)], "tenant 3 is used before"),
            (vec![HEADER, sql, open, &request(8, 1, "")], "time goes back from 9 to 8"),
            (vec![HEADER, open, open], "opened while it is open"),
            (vec![HEADER, END, open], "a line follows"),
        ] {
            assert!(message(&lines).contains(fault), "{lines:?}: {}", message(&lines));
        }
        assert!(read(&[HEADER, sql, open, &request(9, 1, ""), END].join("\n")).is_ok());
    }

    #[test]
    fn unknown_keys_are_ignored_and_newer_versions_are_not() {
        let later = END.replace("\"span_us\"", "\"mood\":\"good\",\"span_us\"");
        assert!(read(&[HEADER, &later].join("\n")).is_ok());
        let newer = HEADER.replace("\"version\":1", "\"version\":2").replace("started_at", "began_at");
        assert!(message(&[&newer, END]).contains("workload version 2 is newer than this program"));
    }
}
