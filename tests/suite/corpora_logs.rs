//! Logs of other people's servers, with counts that were taken from them by other means.

use std::path::PathBuf;

use pgrehearse::capture::log::{CaptureOptions, LogFormat, capture};
use pgrehearse::capture::{CaptureError, CaptureReport};
use pgrehearse::tenant::Rules;

use crate::corpora::corpora;

fn capture_log(log: PathBuf) -> Result<CaptureReport, CaptureError> {
    let directory = tempfile::tempdir().unwrap();
    let options = CaptureOptions {
        inputs: vec![log],
        output: directory.path().join("out.jsonl"),
        format: LogFormat::Auto,
        prefix: None,
        tenant_rules: Rules::default(),
        tenants: None,
    };
    capture(&options, |_| {})
}

#[test]
fn every_execution_of_every_log_is_found() {
    let Some(logs) = corpora("logs") else { return };
    for (log, simple, extended, sessions) in [
        ("rds.log.bz2", 114_594, 0, 119),
        ("pg-syslog.1.bz2", 59_871, 0, 6),
        ("stmt_type.log", 12, 0, 12),
        ("multiline_param.log", 3, 2, 1),
        ("tempfile_only.log.gz", 65, 0, 7),
        ("cloudsql.log.gz", 1, 0, 398),
        ("pgreplay-go-single_user.log", 2, 5, 1),
        ("dexter-queries.log", 0, 1, 1),
    ] {
        let report = capture_log(logs.join(log)).unwrap_or_else(|error| panic!("{log}: {error}"));
        assert_eq!((report.simple, report.extended, report.sessions), (simple, extended, sessions), "{log}");
    }
}

#[test]
fn logs_without_statements_say_what_they_hold() {
    let Some(logs) = corpora("logs") else { return };
    for (log, seen) in [
        ("begin_end.log", "24 entries: 24 connections and disconnections"),
        ("pg_vacuums.log.gz", "3544 entries: 3544 the server's own processes"),
        ("pg_vacuums.json.gz", "3544 entries: 3544 the server's own processes"),
    ] {
        let text = capture_log(logs.join(log)).unwrap_err().to_string();
        assert!(text.contains(seen), "{log}: {text}");
    }
    let text = capture_log(logs.join("pgbouncer.log.gz")).unwrap_err().to_string();
    assert!(text.contains("it looks like a log of pgbouncer"), "{text}");
}
