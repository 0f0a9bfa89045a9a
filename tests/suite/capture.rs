//! Captures of real servers' logs, with the number of executions known from the SQL that was sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgrehearse::capture::log::{CaptureOptions, LogFormat, capture};
use pgrehearse::capture::{CaptureError, CaptureReport};
use pgrehearse::tenant::Rules;
use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{Record, Request, Sent};

use crate::corpora::corpora;

/// Executions in `tests/capture/traffic.sql`, counted by hand.
const TRAFFIC_EXECUTIONS: u64 = 35;

/// Its requests that fail, in their order.
const TRAFFIC_ERRORS: [&str; 12] =
    ["23505", "22P02", "42P01", "22012", "42601", "42P01", "22012", "22012", "25P02", "P0001", "57014", "57014"];

const LOGS: [&str; 6] = [
    "pg16-log-statement.csv",
    "pg16-log-duration.csv",
    "pg16-both.csv",
    "pg18-log-statement.csv",
    "pg18-log-duration.csv",
    "pg18-both.csv",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capture").join(name)
}

/// A directory for the workload, the report, and the workload's requests.
struct Captured {
    report: CaptureReport,
    requests: Vec<(String, Request)>,
}

fn try_capture(inputs: Vec<PathBuf>) -> Result<Captured, CaptureError> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.jsonl.zst");
    let options = CaptureOptions {
        inputs,
        output: output.clone(),
        format: LogFormat::Auto,
        prefix: None,
        tenant_rules: Rules::default(),
        tenants: None,
    };
    let report = capture(&options, |_| {}).inspect_err(|_| {
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "a failed capture leaves nothing");
    })?;
    let mut reader = Reader::open(&output).unwrap();
    let mut requests = Vec::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        if let Record::Request(request) = record {
            let text = match &request.sent {
                Sent::Simple { sql } => reader.statement(sql).unwrap().text.text().into_owned(),
                Sent::Execute(execute) => reader.statement(&execute.sql).unwrap().text.text().into_owned(),
                Sent::Messages(_) => panic!("no log gives messages"),
            };
            requests.push((text.trim_end().to_owned(), request));
        }
    }
    Ok(Captured { report, requests })
}

#[test]
fn every_logging_style_of_every_major_gives_the_same_executions() {
    let mut texts: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    for log in LOGS {
        let Captured { report, requests } = try_capture(vec![fixture(log)]).unwrap();
        assert_eq!(report.executions(), TRAFFIC_EXECUTIONS, "{log}");
        assert_eq!(requests.len() as u64, TRAFFIC_EXECUTIONS, "{log}");
        let errors: Vec<_> = requests
            .iter()
            .filter_map(|(_, request)| request.results.first()?.sqlstate)
            .map(|code| code.to_string())
            .collect();
        assert_eq!(errors, TRAFFIC_ERRORS, "{log}");
        assert!(report.skipped.is_empty(), "{log}: {:?}", report.skipped);
        assert_eq!((report.sessions, report.began_before_capture), (1, 0), "{log}");
        let of_log = requests.into_iter().map(|(text, _)| text).collect();
        texts.entry(of_log).or_default().push(log);
    }
    assert_eq!(texts.len(), 1, "the same texts in the same order: {texts:#?}");
}

/// The same traffic, logged in three formats at once.
#[test]
fn every_format_of_one_server_gives_the_same_requests() {
    let told = |log: &str| -> Vec<_> {
        let Captured { requests, .. } = try_capture(vec![fixture(log)]).unwrap();
        let told = |(text, request): (String, Request)| {
            let sqlstate = request.results.first().and_then(|result| result.sqlstate);
            let parameters = match &request.sent {
                Sent::Execute(execute) => serde_json::to_value((&execute.statement, &execute.parameters)).unwrap(),
                _ => serde_json::Value::Null,
            };
            (text, parameters, sqlstate, request.t_us, request.sequence)
        };
        requests.into_iter().map(told).collect()
    };
    let csv = told("pg18-formats.csv");
    assert_eq!(csv.len() as u64, TRAFFIC_EXECUTIONS);
    assert_eq!(told("pg18-formats.json"), csv);
    assert_eq!(told("pg18-formats.log"), csv);
}

#[test]
fn parameters_and_names_come_as_they_were_bound() {
    for log in LOGS {
        let Captured { requests, .. } = try_capture(vec![fixture(log)]).unwrap();
        let executes: Vec<_> = requests
            .iter()
            .filter_map(|(text, request)| match &request.sent {
                Sent::Execute(execute) => Some((text.as_str(), execute)),
                _ => None,
            })
            .collect();
        let (text, first) = executes[0];
        assert_eq!(text, "select $1::text", "{log}");
        let value = serde_json::to_value(&first.parameters).unwrap();
        assert_eq!(value, serde_json::json!(["it's, $2 = 'x'"]), "{log}");
        let names: Vec<_> = executes[1..4].iter().map(|(_, execute)| execute.statement.as_str()).collect();
        // Where parse lines are logged, the slash is known to belong to the name.
        let expected = if log.contains("log-statement") { "in" } else { "in/s" };
        assert_eq!(names, [expected; 3], "{log}");
    }
}

#[test]
fn files_in_any_order_give_one_workload() {
    let directory = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("pg16-both.csv")).unwrap();
    // A record that spans lines starts only where a time does.
    let starts: Vec<_> =
        (1..whole.len()).filter(|at| whole[at - 1] == b'\n' && whole[*at..].starts_with(b"2026-")).collect();
    let expected = try_capture(vec![fixture("pg16-both.csv")]).unwrap();
    for cut in [starts[1], starts[starts.len() / 2], starts[starts.len() - 2]] {
        let (first, second) = (directory.path().join("a.csv"), directory.path().join("b.csv"));
        std::fs::write(&first, &whole[..cut]).unwrap();
        std::fs::write(&second, &whole[cut..]).unwrap();
        let found = try_capture(vec![second, first]).unwrap();
        let timed = |captured: &Captured| -> Vec<_> {
            captured.requests.iter().map(|(text, request)| (text.clone(), request.t_us, request.sequence)).collect()
        };
        assert_eq!(timed(&found), timed(&expected));
    }
}

#[test]
fn damage_is_counted_and_the_rest_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.csv");
    let mut bytes = b"this is no log\n".to_vec();
    bytes.extend(std::fs::read(fixture("pg18-log-duration.csv")).unwrap());
    bytes.extend(b"2026-11-22 15:09:15.123 UTC,\"app\",\"sho");
    std::fs::write(&path, bytes).unwrap();
    let Captured { report, .. } = try_capture(vec![path]).unwrap();
    assert_eq!(report.executions(), TRAFFIC_EXECUTIONS);
    let first: BTreeMap<_, _> = report.skipped.iter().map(|(reason, skipped)| (reason.as_str(), skipped)).collect();
    assert_eq!((first["line that is no log entry"].count, first["line that is no log entry"].first), (1, (0, 1)));
    assert_eq!(first["record cut short"].count, 1);
}

#[test]
fn a_log_without_statements_and_a_file_of_another_kind_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let log = std::fs::read_to_string(fixture("pg16-log-statement.csv")).unwrap();
    let connections: String =
        log.lines().filter(|line| line.contains("connection")).map(|line| format!("{line}\n")).collect();
    let error = try_capture(vec![write("connections.csv", connections.as_bytes())]).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, CaptureError::NoStatements { .. }), "{text}");
    assert!(
        text.contains("3 connections and disconnections") && text.contains("log_min_duration_statement = 0"),
        "{text}"
    );
    let other = write("pg.log", b"2018-09-12 16:08:54.775 3392 LOG process up: pgbouncer 1.9.0\n");
    let error = try_capture(vec![other]).err().unwrap();
    assert!(matches!(&error, CaptureError::WrongKind { kind, .. } if kind == "a log of pgbouncer"), "{error}");
    assert!(matches!(try_capture(vec![directory.path().join("none")]).err(), Some(CaptureError::Open { .. })));
    let twice = vec![fixture("pg16-both.csv"), fixture("pg16-both.csv")];
    assert!(matches!(try_capture(twice).err(), Some(CaptureError::SameContent { .. })));
}

/// Logs that other people's servers wrote, where they are at hand.
#[test]
fn logs_of_other_servers() {
    let Some(logs) = corpora("logs") else { return };
    let anonymized = try_capture(vec![logs.join("anonymize.log")]).unwrap();
    // Three executions hold bytea that somebody shortened by hand.
    assert_eq!(
        (anonymized.report.executions(), anonymized.report.skipped["parameter with digits taken out"].count),
        (2, 3)
    );
    let weeks = try_capture(vec![logs.join("weeknumber.log")]).unwrap();
    assert_eq!((weeks.report.executions(), weeks.report.sessions), (6, 1));
}

#[test]
fn values_that_may_be_cut_are_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let log = std::fs::read_to_string(fixture("pg18-both.csv")).unwrap();
    // As log_parameter_max_length = 6 would have written it: no value of this log is longer then.
    let cut = log.replace("'it''s, $2 = ''x'''", "'it''s, ...'");
    let path = directory.path().join("cut.csv");
    std::fs::write(&path, cut).unwrap();
    let Captured { report, requests } = try_capture(vec![path]).unwrap();
    assert_eq!(report.executions(), TRAFFIC_EXECUTIONS - 1);
    assert_eq!(requests.len() as u64, TRAFFIC_EXECUTIONS - 1);
    assert_eq!(report.tenants.tenants, [("postgres".to_owned(), TRAFFIC_EXECUTIONS - 1)]);
    assert_eq!(report.skipped["parameter that may be cut short (log_parameter_max_length)"].count, 1);
}
