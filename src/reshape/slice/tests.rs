//! What a slice holds, and in which state its sessions begin.

use super::*;

const HEADER: &str =
    r#"{"kind":"header","version":1,"started_at":"2026-01-05T09:00:00Z","sources":[],"tool_version":"0.1.0"}"#;

/// Two sessions of one database; each request is a moment, a session, a tenant and a text.
fn workload(directory: &Path, requests: &[(u64, u32, u32, &str)]) -> std::path::PathBuf {
    let mut lines = vec![HEADER.to_owned()];
    for (id, name) in [(0, "acme"), (1, "globex")] {
        lines.push(format!(r#"{{"kind":"tenant","id":{id},"name":"{name}"}}"#));
    }
    for session in [1, 2] {
        lines.push(format!(r#"{{"kind":"open","t_us":0,"session":{session},"database":"db{session}","user":"web"}}"#));
    }
    for (sequence, (t_us, session, tenant, text)) in requests.iter().enumerate() {
        let sql = format!(r#"{{"text":"{text}","fingerprint":"0000000000000000","class":"other"}}"#);
        lines.push(format!(
            r#"{{"kind":"request","t_us":{t_us},"session":{session},"sequence":{sequence},"tenant":{tenant},"simple":{{"sql":{sql}}}}}"#
        ));
    }
    lines.push(r#"{"kind":"close","t_us":900,"session":1}"#.to_owned());
    lines.push(r#"{"kind":"end","sessions":2,"requests":0,"tenants":2,"span_us":900}"#.to_owned());
    let path = directory.join("in.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

/// Each event of the slice in a line.
fn sliced(requests: &[(u64, u32, u32, &str)], selection: &Selection) -> Result<(String, SliceReport), ReshapeError> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.jsonl");
    let report = slice(&workload(directory.path(), requests), &output, selection)?;
    let mut reader = Reader::open(&output)?;
    let mut lines = String::new();
    while let Some((_, record)) = reader.next_record()? {
        match record {
            Record::Open(open) => {
                let state = open.state.unwrap_or_default();
                let prepared: Vec<_> = state.prepared.keys().collect();
                let before = if open.began_before_capture { " before" } else { "" };
                lines += &format!("{} {} open{before} {:?} {prepared:?}\n", open.t_us, open.session, state.settings);
            }
            Record::Request(request) => {
                let sql = request.sent.executed().next().unwrap();
                let text = reader.statement(sql).unwrap().text.text();
                lines += &format!("{} {} #{} {text}\n", request.t_us, request.session, request.sequence);
            }
            Record::Close(close) => lines += &format!("{} {} close\n", close.t_us, close.session),
            _ => {}
        }
    }
    Ok((lines, report))
}

fn window(from_us: u64, to_us: u64) -> Selection {
    Selection { from: Some(Moment::Offset(from_us)), to: Some(Moment::Offset(to_us)), ..Selection::default() }
}

#[test]
fn sessions_begin_with_what_they_carried_in() {
    let requests = [
        (10, 1, 0, "SET search_path TO acme, public"),
        (20, 1, 0, "PREPARE q (int) AS SELECT $1"),
        (30, 1, 0, "BEGIN"),
        (40, 1, 0, "SET work_mem = '1GB'"),
        (50, 1, 0, "ROLLBACK"),
        (150, 1, 0, "EXECUTE q(1)"),
    ];
    let (lines, report) = sliced(&requests, &window(100, 200)).unwrap();
    insta::assert_snapshot!(lines, @r#"
    0 1 open before {"search_path": "acme, public"} ["q"]
    0 2 open before {} []
    50 1 #0 EXECUTE q(1)
    "#);
    assert_eq!(report.sessions_carried_in, 2);
}

#[test]
fn a_transaction_belongs_to_the_window_of_its_begin() {
    let requests = [
        (10, 1, 0, "BEGIN"),
        (110, 1, 0, "UPDATE old SET a = 1"),
        (120, 1, 0, "COMMIT"),
        (130, 1, 0, "BEGIN"),
        (210, 1, 0, "UPDATE new SET a = 1"),
        (220, 1, 0, "COMMIT"),
        (230, 1, 0, "SELECT 1"),
    ];
    let (lines, report) = sliced(&requests, &window(100, 200)).unwrap();
    insta::assert_snapshot!(lines, @r"
    0 1 open before {} []
    0 2 open before {} []
    30 1 #0 BEGIN
    110 1 #1 UPDATE new SET a = 1
    120 1 #2 COMMIT
    ");
    assert_eq!((report.requests_of_older_transactions, report.requests_behind_end), (2, 2));
}

#[test]
fn a_tenants_slice_keeps_what_others_change_of_its_sessions() {
    let requests =
        [(10, 1, 1, "SET timezone = 'UTC'"), (20, 1, 1, "SELECT 1"), (30, 1, 0, "SELECT 2"), (40, 2, 1, "SELECT 3")];
    let selection = Selection { tenants: vec![Pattern::new("ac*")], ..Selection::default() };
    let (lines, report) = sliced(&requests, &selection).unwrap();
    insta::assert_snapshot!(lines, @r"
    0 1 open {} []
    10 1 #0 SET timezone = 'UTC'
    30 1 #1 SELECT 2
    900 1 close
    ");
    assert_eq!(report.session_changes_kept, 1);
}

#[test]
fn databases_and_sessions_are_selected_at_their_open() {
    let requests = [(10, 1, 0, "SELECT 1"), (20, 2, 0, "SELECT 2")];
    let of_database = Selection { databases: vec![Pattern::new("*2")], ..Selection::default() };
    assert_eq!(sliced(&requests, &of_database).unwrap().0, "0 2 open {} []\n20 2 #0 SELECT 2\n");
    let of_session = Selection { sessions: vec![1], ..Selection::default() };
    assert_eq!(sliced(&requests, &of_session).unwrap().1.end.sessions, 1);
}

#[test]
fn a_sample_is_the_same_each_time_and_grows_with_its_share() {
    let chosen = |share, seed| (0..10_000).filter(|session| is_sampled(*session, share, seed)).collect::<HashSet<_>>();
    let (tenth, third) = (chosen(0.1, 7), chosen(0.3, 7));
    assert!(tenth.is_subset(&third) && (900..1_100).contains(&tenth.len()), "{}", tenth.len());
    assert_ne!(tenth, chosen(0.1, 8));
    assert_eq!(chosen(1.0, 0).len(), 10_000);
}

#[test]
fn an_empty_selection_is_an_error_and_leaves_nothing() {
    let none = Selection { tenants: vec![Pattern::new("nobody")], ..Selection::default() };
    let error = sliced(&[(10, 1, 0, "SELECT 1")], &none).unwrap_err().to_string();
    assert!(error.starts_with("no request of the workload is selected\nhint: "), "{error}");
    assert!(sliced(&[(10, 1, 0, "SELECT 1")], &window(5, 5)).is_err());
}
