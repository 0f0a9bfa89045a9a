//! What happens to log files on their way: rotated, split, turned around, wrapped by clouds, compressed, damaged, given
//! twice. The requests stay those of the log as its server wrote it.

use std::io::Write;
use std::path::{Path, PathBuf};

use pgrehearse::capture::log::{CaptureOptions, LogFormat, capture};
use pgrehearse::capture::{CaptureError, CaptureReport};
use pgrehearse::tenant::Rules;
use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{Record, Sent};

/// Executions in `tests/capture/traffic.sql`, counted by hand.
const TRAFFIC_EXECUTIONS: usize = 35;

/// A directory in which a test arranges its files.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn capture(&self, inputs: &[PathBuf]) -> Result<(Vec<String>, CaptureReport), CaptureError> {
        let output = self.directory.path().join("out.jsonl");
        let options = CaptureOptions {
            inputs: inputs.to_vec(),
            output: output.clone(),
            format: LogFormat::Auto,
            prefix: None,
            tenant_rules: Rules::default(),
            tenants: None,
        };
        let report = capture(&options, |_| {})?;
        Ok((requests(&output), report))
    }

    /// The requests of files of which nothing is lost.
    fn whole(&self, inputs: &[PathBuf]) -> Vec<String> {
        let (requests, report) = self.capture(inputs).unwrap_or_else(|error| panic!("{inputs:?}: {error}"));
        assert!(report.skipped.is_empty(), "{inputs:?}: {:?}", report.skipped);
        requests
    }
}

/// Every request of a workload: its text, parameters, error, time and place in its session.
fn requests(workload: &Path) -> Vec<String> {
    let mut reader = Reader::open(workload).unwrap();
    let mut requests = Vec::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        let Record::Request(request) = record else { continue };
        let (sql, bound) = match &request.sent {
            Sent::Simple { sql } => (sql, None),
            Sent::Execute(execute) => (&execute.sql, Some((&execute.statement, &execute.parameters))),
            Sent::Messages(_) => panic!("no log gives messages"),
        };
        let text = reader.statement(sql).unwrap().text.text().into_owned();
        let sqlstate = request.results.first().and_then(|result| result.sqlstate);
        requests.push(format!("{} {} {text} {bound:?} {sqlstate:?}", request.t_us, request.sequence));
    }
    requests
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capture").join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}

/// The requests of a fixture, as they are where nothing happens to it.
fn expected(name: &str) -> Vec<String> {
    let files = Files::new();
    let requests = files.whole(&[files.file(name, fixture(name))]);
    assert_eq!(requests.len(), TRAFFIC_EXECUTIONS);
    requests
}

#[test]
fn a_log_that_was_split_anywhere_is_put_together_again() {
    for name in ["pg18-formats.csv", "pg18-formats.json", "pg18-formats.log"] {
        let whole = fixture(name);
        let expected = expected(name);
        // A third of the file each, the borders wandering over lines, fields and statements.
        for shift in (0..400).step_by(13) {
            let (first, second) = (whole.len() / 3 + shift, 2 * whole.len() / 3 + shift);
            let files = Files::new();
            let parts = [&whole[..first], &whole[first..second], &whole[second..]];
            let [one, two, three] = [0, 1, 2].map(|part: usize| files.file(&format!("{part}-{name}"), parts[part]));
            assert_eq!(files.whole(&[three, one, two]), expected, "{name} at {first} and {second}");
        }
    }
}

#[test]
fn json_is_read_however_clouds_arrange_it() {
    let json = text("pg18-formats.json");
    let expected = expected("pg18-formats.json");
    let rows: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let backwards: Vec<_> = rows.iter().rev().collect();
    let wrapped = |name: &str| rows.iter().map(|row| serde_json::json!({ name: row })).collect::<Vec<_>>();
    let one_a_line: String = wrapped("jsonPayload").iter().map(|row| format!("{row}\n")).collect();
    for (form, text) in [
        ("a list over many lines", serde_json::to_string_pretty(&rows).unwrap()),
        ("a list on one line", serde_json::to_string(&rows).unwrap()),
        ("a list whose newest stand first", serde_json::to_string_pretty(&backwards).unwrap()),
        ("lines whose newest stand first", json.lines().rev().map(|line| format!("{line}\n")).collect()),
        ("objects one behind the other", json.replace('\n', "")),
        ("records of Azure", format!("{}\n", serde_json::json!({ "records": wrapped("properties") }))),
        ("Cloud Logging", one_a_line),
        ("entries of Cloud Logging", serde_json::to_string_pretty(&wrapped("jsonPayload")).unwrap()),
    ] {
        let files = Files::new();
        let found = files.whole(&[files.file("log.json", text)]);
        assert_eq!(found, expected, "{form}");
    }
}

#[test]
fn lines_of_a_server_are_read_out_of_the_events_of_clouds() {
    let log = text("pg18-formats.log");
    let expected = expected("pg18-formats.log");
    // A message of several lines is one event.
    let mut messages: Vec<String> = Vec::new();
    for line in log.lines() {
        match messages.last_mut().filter(|_| line.starts_with('\t')) {
            Some(message) => message.push_str(&format!("\n{line}")),
            None => messages.push(line.to_owned()),
        }
    }
    let events: Vec<_> = messages
        .iter()
        .map(|message| serde_json::json!({ "timestamp": 1_795_360_155_000_u64, "message": message, "eventId": "1" }))
        .collect();
    let payloads: Vec<_> = messages
        .iter()
        .map(|message| serde_json::json!({ "insertId": "x", "textPayload": message, "timestamp": "2026-11-22T15:09:15Z" }))
        .collect();
    for (form, text) in [
        (
            "filter-log-events",
            serde_json::json!({ "events": events, "searchedLogStreams": [{ "a": true }] }).to_string(),
        ),
        (
            "get-log-events",
            serde_json::to_string_pretty(&serde_json::json!({ "events": events, "nextForwardToken": "f/1" })).unwrap(),
        ),
        ("a subscription", serde_json::json!({ "messageType": "DATA_MESSAGE", "logEvents": events }).to_string()),
        ("Cloud SQL", serde_json::to_string_pretty(&payloads).unwrap()),
    ] {
        let files = Files::new();
        assert_eq!(files.whole(&[files.file("log.json", text)]), expected, "{form}");
    }
}

#[test]
fn lines_keep_their_meaning_with_other_line_ends_and_marks() {
    for name in ["pg18-formats.csv", "pg18-formats.json", "pg18-formats.log"] {
        let expected = expected(name);
        let log = text(name);
        let files = Files::new();
        let windows = files.file("windows", log.replace('\n', "\r\n"));
        assert_eq!(files.whole(&[windows]), expected, "{name} with CR LF");
        let marked = files.file("marked", format!("\u{feff}{log}"));
        assert_eq!(files.whole(&[marked]), expected, "{name} with a byte order mark");
        let backwards: String = log.lines().rev().map(|line| format!("{line}\n")).collect();
        let turned = files.file("turned", backwards);
        assert_eq!(files.whole(&[turned]), expected, "{name} turned around");
    }
}

#[test]
fn compressed_and_plain_files_make_one_log() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let whole = fixture("pg18-formats.csv");
    let expected = expected("pg18-formats.csv");
    let middle = whole.len() / 2;
    let files = Files::new();
    let first = files.file("a.csv.gz", [gzip(&whole[..100]), gzip(&whole[100..middle])].concat());
    let second = files.file("b.csv", &whole[middle..]);
    assert_eq!(files.whole(&[second, first]), expected);

    let plain = files.file("c.csv", &whole);
    let compressed = files.file("c.csv.gz", gzip(&whole));
    let error = files.capture(&[plain.clone(), compressed]).unwrap_err();
    assert!(matches!(error, CaptureError::SameContent { .. }), "{error}");
    for other in ["pg18-formats.json", "pg18-formats.log"] {
        let error = files.capture(&[files.file(other, fixture(other)), plain.clone()]).unwrap_err();
        assert!(matches!(error, CaptureError::SameEntries { .. }), "{other}: {error}");
    }
}

/// Every reason with the number of its lines and the first of them.
fn skipped(report: &CaptureReport) -> Vec<(&str, u64, u64)> {
    report.skipped.iter().map(|(reason, skipped)| (reason.as_str(), skipped.count, skipped.first.1)).collect()
}

#[test]
fn what_stands_between_the_lines_of_a_log_is_counted_and_harms_nothing() {
    let dump = "TopMemoryContext: 97696 total in 5 blocks; 12192 free (13 chunks); 85504 used\n\
                \x20 dynahash: 8192 total in 1 block; 560 free (0 chunks); 7632 used\n\
                Grand total: 1136632 bytes in 189 blocks; 340408 free (183 chunks); 796224 used\n";
    for name in ["pg18-formats.csv", "pg18-formats.json", "pg18-formats.log"] {
        let expected = expected(name);
        let log = fixture(name);
        // Behind the third line, which ends an entry in every format.
        let third = log.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0 + 1;
        let between = [dump.as_bytes(), b"caf\xe9 is no line of this log\n", b"\0\0\0\0\n"].concat();
        let files = Files::new();
        let path = files.file(name, [&log[..third], &between, &log[third..]].concat());
        let (requests, report) = files.capture(&[path]).unwrap();
        assert_eq!(requests, expected, "{name}");
        let lines: u64 = skipped(&report).iter().map(|(_, count, _)| count).sum();
        assert_eq!(lines, 5, "{name}: {:?}", report.skipped);
        assert!(skipped(&report).iter().all(|(_, _, first)| (4..=8).contains(first)), "{name}: {:?}", report.skipped);
    }
}

#[test]
fn a_file_that_ends_within_an_entry_loses_that_one_alone() {
    for name in ["pg18-formats.csv", "pg18-formats.json", "pg18-formats.log"] {
        let expected = expected(name);
        let log = fixture(name);
        let files = Files::new();
        let path = files.file(name, &log[..log.len() / 2]);
        let (requests, report) = files.capture(&[path]).unwrap();
        assert!(requests.len() > 5 && expected.starts_with(&requests), "{name}");
        assert_eq!(report.skipped["record cut short"].count, 1, "{name}: {:?}", report.skipped);
    }
}
