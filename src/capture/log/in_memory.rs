//! A log that stands in memory: what tests of properties and fuzzers read.
//!
//! Takes bytes and gives what a capture of them would find. Must not know files.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::super::sort::Sorter;
use super::assembler::Assembler;
use super::capture::take;
use super::decoder::{Found, Learned, RECORD_BYTES_MAX};
use super::format::{Form, LogFormat};
use super::line_prefix::LinePrefix;
use super::reading::Reading;
use crate::tenant::Rules;
use crate::workload::record::Skipped;

/// What was found in a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadBytes {
    pub entries: u64,
    /// Simple queries and executions.
    pub requests: u64,
    pub skipped: BTreeMap<String, Skipped>,
    /// Every event in the order of the workload, as Debug shows it.
    pub events: Vec<String>,
}

/// Reads bytes as a log of this format, in pieces of this many bytes. `prefix` is the `log_line_prefix` of lines, if it is
/// not to be found out. Bytes that are no log hold nothing.
pub fn read_bytes(format: LogFormat, prefix: Option<&LinePrefix>, bytes: &[u8], piece_bytes: usize) -> ReadBytes {
    let Ok(form) = Form::of("bytes", bytes, format, prefix, 0) else { return ReadBytes::default() };
    // Bytes that stand in memory can always be read, and what they hold is not written to disk.
    read(&form, bytes, piece_bytes).unwrap_or_default()
}

fn read(form: &Form, bytes: &[u8], piece_bytes: usize) -> Option<ReadBytes> {
    let mut assembler = Assembler::new(Rules::default(), Sorter::new(&std::env::temp_dir()));
    let mut learned = Learned::default();
    let mut give = |found: Found<'_>| take(&mut assembler, found);
    let mut pieces = Pieces { bytes, piece_bytes: piece_bytes.clamp(1, RECORD_BYTES_MAX) };
    let mut reading = Reading::new(0, &mut learned, &mut give);
    reading.read(&mut pieces, form.decoder(0).as_mut(), &mut |_| {}, &|| false).ok()?;
    let mut assembled = assembler.finish().ok()?;
    let mut found = ReadBytes {
        entries: assembled.counts.entries,
        requests: assembled.counts.requests(),
        skipped: assembled.tally.skipped_by_name(),
        events: Vec::new(),
    };
    while let Some((key, event)) = assembled.events.next_event().ok()? {
        found.events.push(format!("{key:?} {event:?}"));
    }
    Some(found)
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
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STDERR: &str = "2020-03-11 20:40:50.123 CET [7] a@b ";
    const CSV: &str = "2020-03-11 20:40:50.123 CET,\"a\",\"b\",7,\"[local]\",5e69427a.7,1,\"SELECT\",2020-03-11 20:40:50 CET,3/4,0,LOG,00000,";
    const JSON: &str =
        "{\"error_severity\":\"LOG\",\"pid\":7,\"user\":\"a\",\"timestamp\":\"2020-03-11 20:40:50 CET\",\"message\":";

    /// Lines of a log of lines, and some that belong to none.
    fn stderr_lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just(format!("{STDERR}LOG:  statement: select 1\n")),
            Just(format!(
                "{STDERR}LOG:  duration: 0.1 ms  execute a: select $1\n{STDERR}DETAIL:  Parameters: $1 = 'x'\n"
            )),
            Just(format!("{STDERR}ERROR:  boo\n{STDERR}STATEMENT:  selec\n\tt 1\n")),
            Just("\tgoes on\n".to_owned()),
            Just("no line of a log\r\n\n".to_owned()),
            "[ -~\n\t]{0,20}",
        ];
        proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
    }

    /// Records of a csvlog, whole and not.
    fn csv_records() -> impl Strategy<Value = String> {
        let record = prop_oneof![
            "[a\",\n ]{0,9}".prop_map(|text| format!(
                "{CSV}\"statement: {}\",,,,,,,,,\"psql\",\"client backend\",,0\n",
                text.replace('"', "\"\"")
            )),
            Just(format!("{CSV}\"cut short\n")),
            Just("no record\r\n".to_owned()),
            "[ -~\n\t]{0,20}",
        ];
        proptest::collection::vec(record, 0..8).prop_map(|records| records.concat())
    }

    /// JSON objects in a list, one a line or spread over lines, whole and not.
    fn json_objects() -> impl Strategy<Value = String> {
        let object = prop_oneof![
            Just(format!("{JSON}\"statement: select '{{\"}}\n")),
            Just(format!("{JSON}\"statement: select 1\"}},\n").replace(',', ",\n  ")),
            Just(format!("{JSON}\"cut short\n")),
            Just("{\"events\": [".to_owned()),
            Just("no object\n".to_owned()),
            "[{}:\\[\\],\"a\n ]{0,12}",
        ];
        let opening = prop_oneof![Just("["), Just("{\"records\":["), Just("")];
        (opening, proptest::collection::vec(object, 0..8)).prop_map(|(opening, objects)| {
            format!("{JSON}\"statement: select 0\"}}\n{opening}{}]}}\n", objects.concat())
        })
    }

    fn carried(lines: &str) -> String {
        lines.lines().map(|line| format!("Feb 11 13:15:39 pc postgres[7]: {line}\n")).collect()
    }

    proptest! {
        #[test]
        fn pieces_never_change_what_is_found(
            lines in stderr_lines(),
            records in csv_records(),
            objects in json_objects(),
            piece_bytes in 1_usize..64,
        ) {
            let prefix = LinePrefix::parse("%m [%p] %u@%d ").unwrap();
            for (format, text) in [
                (LogFormat::Stderr, &lines),
                (LogFormat::Syslog, &carried(&lines)),
                (LogFormat::Csv, &records),
                (LogFormat::Json, &objects),
                (LogFormat::Json, &lines),
            ] {
                let whole = read_bytes(format, Some(&prefix), text.as_bytes(), usize::MAX);
                prop_assert_eq!(&read_bytes(format, Some(&prefix), text.as_bytes(), piece_bytes), &whole);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let prefix = LinePrefix::parse("%m [%p] ").unwrap();
            for format in [LogFormat::Auto, LogFormat::Csv, LogFormat::Json, LogFormat::Stderr, LogFormat::Syslog] {
                read_bytes(format, Some(&prefix), &bytes, 7);
            }
        }
    }

    #[test]
    fn what_is_read_in_memory_is_what_a_capture_finds() {
        let text = format!("{CSV}\"duration: 1.5 ms  statement: select 1\",,,,,,,,,\"psql\",\"client backend\",,0\n");
        let found = read_bytes(LogFormat::Auto, None, text.as_bytes(), 10);
        assert_eq!((found.entries, found.requests, found.skipped.len()), (1, 1, 0));
        assert!(found.events[1].contains("total_us: Some(1500)"), "{:?}", found.events);
    }
}
