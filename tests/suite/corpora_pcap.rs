//! Network captures of other people's servers, with counts that other decoders took from them.

use crate::corpora::corpora;
use crate::pcap_workload::Captured;

#[test]
fn every_execution_of_every_capture_is_found() {
    let Some(captures) = corpora("pcap") else { return };
    for (file, simple, extended, failed) in [
        ("psql-select-now", 1, 0, 0),
        ("psql-create-insert-select-delete-drop", 7, 0, 0),
        ("psql-insert-fail-drop-fail", 5, 0, 2),
        ("psql-aws-ssl-disable", 1, 0, 0),
        ("psql-aws-ssl-disable-15432", 1, 0, 0),
        ("pgsql-ssl-rejected-md5-auth-simple-query", 1, 0, 0),
        ("pgsql-bug-5579", 1, 0, 0),
        ("pgsql-query-keyword-01", 2, 0, 0),
        ("pgsql-5000-query-results", 1, 0, 0),
        ("pgsql-5524", 0, 4, 2),
    ] {
        let Captured { report, sessions, .. } =
            Captured::of_file(&captures.join(format!("{file}.pcap"))).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((report.simple, report.extended, report.failed), (simple, extended, failed), "{file}");
        assert_eq!((sessions.len(), report.began_before_capture), (1, 0), "{file}");
    }
}

#[test]
fn statements_have_their_texts_rows_and_errors() {
    let Some(captures) = corpora("pcap") else { return };
    let captured = |file: &str| Captured::of_file(&captures.join(file)).unwrap();
    let created = captured("psql-create-insert-select-delete-drop.pcap");
    let texts: Vec<_> = created.executed.iter().map(|(text, results)| (text.as_str(), results[0].rows)).collect();
    assert_eq!(texts[4], ("SELECT * from t;", Some(2)));
    assert_eq!(texts[2], ("INSERT INTO t VALUES (42, 'forty-two', now());", Some(1)));
    let failed = captured("psql-insert-fail-drop-fail.pcap");
    let codes: Vec<_> = failed.executed.iter().map(|(_, results)| results[0].sqlstate.map(|s| s.to_string())).collect();
    assert_eq!(codes, [None, None, Some("42804".to_owned()), None, Some("42P01".to_owned())]);
    let Captured { sessions, executed, report, .. } = &captured("pgsql-5000-query-results.pcap");
    assert_eq!(executed[0].0, "select * from rule limit 5000;");
    assert_eq!((executed[0].1[0].rows, executed[0].1[0].bytes), (Some(5_000), Some(3_035_751)));
    assert_eq!((sessions[0].database.as_str(), sessions[0].user.as_str()), ("rules", "rules"));
    // psql asked for a password and came back with it; the file ends with a byte that is no part of a packet.
    let expected =
        [("bytes at the end of a file that are too few for a packet", 1), ("login that failed or was given up", 1)];
    let skipped = report.skipped.iter().map(|(reason, skipped)| (reason.as_str(), skipped.count));
    assert_eq!(skipped.collect::<Vec<_>>(), expected);
    let injected = captured("pgsql-bug-5579.pcap");
    assert_eq!((injected.executed[0].1[0].rows, injected.executed[0].1[0].bytes), (Some(4), Some(73)));
    assert_eq!(captured("pgsql-query-keyword-01.pcap").executed[0].0, "LISTEN rules;");
}

#[test]
fn captures_without_statements_say_what_they_hold() {
    let Some(captures) = corpora("pcap") else { return };
    for (file, seen) in [
        ("psql-login", "1 sessions"),
        ("postgres-good", "1 sessions"),
        ("postgres-no-sslrequest", "1 sessions"),
        ("pgsql-pwd-output-disabled", "1 sessions"),
        ("psql-login-no-sslrequest", "1 sessions, 1 login that failed or was given up"),
        ("psql-login-fail", "0 sessions, 1 login that failed or was given up"),
        ("psql-login-wrong", "0 sessions, 1 login that failed or was given up"),
        ("psql-login-no-role", "0 sessions, 1 login that failed or was given up"),
        ("postgres-badpass", "0 sessions, 1 login that failed or was given up"),
        ("psql-aws-ssl-require", "0 sessions, 5319 bytes that are encrypted"),
        ("pgsql-upgrade-tls", "0 sessions, 2389 bytes that are encrypted, 1 login that failed or was given up"),
    ] {
        let Err(error) = Captured::of_file(&captures.join(format!("{file}.pcap"))) else {
            panic!("{file} has statements")
        };
        let text = error.to_string();
        assert!(text.lines().any(|line| line == format!("detail: {seen}")), "{file}: {text}");
    }
}
