//! Clients that repeat what failed, against a real server whose transactions clash: each increment is done exactly once, and
//! each try leaves its sample.

use std::collections::BTreeMap;

use pgrehearse::samples::sample::{Outcome, Sample, SampleKind};
use serde_json::{Value, json};

use crate::bench::{Bench, Ran, program, ran};
use crate::requests::{requests, samples};
use crate::server::Server;

const SESSIONS: u64 = 4;
const INCREMENTS: u64 = 20;

/// All sessions count on the same row at the same moments; each increment takes a while, so that they clash.
fn workload() -> String {
    let increment = "UPDATE counters SET n = n + 1 WHERE id = 1 AND pg_sleep(0.005) IS NOT NULL";
    let mut lines = vec![
        json!({"kind": "header", "version": 1, "started_at": "2026-01-05T09:00:00Z", "sources": [], "tool_version": "0.1.0"}),
        json!({"kind": "tenant", "id": 0, "name": "acme"}),
        json!({"kind": "sql", "id": 0, "text": increment, "fingerprint": "00000000000000aa", "class": "write"}),
    ];
    let sessions = 0..SESSIONS;
    lines.extend(sessions.clone().map(
        |session| json!({"kind": "open", "t_us": 0, "session": session, "database": "postgres", "user": "admin"}),
    ));
    for (at, session) in (0..INCREMENTS).flat_map(|at| sessions.clone().map(move |session| (at, session))) {
        lines.push(json!({"kind": "request", "t_us": 200_000 + at * 20_000, "session": session, "sequence": at,
            "tenant": 0, "simple": {"sql": 0}, "results": [{"total_us": 6_000, "rows": 1, "command_tag": "UPDATE 1"}]}));
    }
    let span_us = 1_000_000;
    lines.extend(sessions.map(|session| json!({"kind": "close", "t_us": span_us, "session": session})));
    lines.push(json!({"kind": "end", "sessions": SESSIONS, "requests": SESSIONS * INCREMENTS, "tenants": 1,
        "span_us": span_us}));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The clashes on a fresh server, with these keys of `[clients.retry]`; and how far the counter came.
fn replay(bench: &Bench, name: &str, retry: &str) -> (Ran, u64) {
    let server = Server::start("16", "default_transaction_isolation = 'repeatable read'\nautovacuum = off");
    server.ask("postgres", &["-c", "CREATE TABLE counters (id int PRIMARY KEY, n bigint)"]);
    server.ask("postgres", &["-c", "INSERT INTO counters VALUES (1, 0)"]);
    server.ask("postgres", &["-c", "ALTER DATABASE postgres SET pgrehearse.disposable = 'on'"]);
    std::fs::write(bench.path("clashes.jsonl"), workload()).unwrap();
    let scenario = format!(
        "name = \"clashes\"\n[workload]\nfile = \"clashes.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[probes]\nenabled = false\n[upgrade]\nstrategy = \"none\"\n\
         [phases]\nwarmup = \"0s\"\nbefore = \"1s\"\nafter = \"4s\"\n[clients]\ndeadline = \"30s\"\n{retry}",
        server.port
    );
    let path = bench.path(&format!("{name}.toml"));
    std::fs::write(&path, scenario).unwrap();
    let mut command = program();
    command.arg("run").arg(&path).arg("--out").arg(bench.path(name));
    let ran = ran(command.output().unwrap(), bench.path(name));
    let counted = server.ask("postgres", &["-c", "SELECT n FROM counters"]).parse().unwrap();
    (ran, counted)
}

fn is_clash(sample: &Sample) -> bool {
    sample.outcome == Outcome::Failed && sample.sqlstate.is_some_and(|code| code.to_string() == "40001")
}

#[test]
fn what_a_clash_undid_is_done_again_exactly_once() {
    let bench = Bench::new(1);
    let retry = "[clients.retry]\nattempts = 100\nbackoff = \"5ms\"\nbackoff_max = \"40ms\"\n";
    let (ran, counted) = replay(&bench, "repeated", retry);
    assert_eq!(ran.report()["errors"], Value::Array(Vec::new()), "{}", ran.stdout);

    let requests = requests(&ran.dir);
    assert_eq!(requests.len() as u64, SESSIONS * INCREMENTS);
    let succeeded = requests.iter().filter(|request| request.outcome == Outcome::Ok).count() as u64;
    assert_eq!((succeeded, counted), (SESSIONS * INCREMENTS, SESSIONS * INCREMENTS), "{}", ran.stdout);

    let mut tries: BTreeMap<u64, Vec<Sample>> = BTreeMap::new();
    for attempt in samples(&ran.dir, SampleKind::Retried) {
        tries.entry(attempt.event).or_default().push(attempt);
    }
    assert!(tries.len() > 10, "only {} increments clashed", tries.len());
    for last in &requests {
        let mut before = tries.remove(&last.event).unwrap_or_default();
        before.sort_by_key(|attempt| attempt.attempt);
        assert!(before.iter().all(is_clash), "{before:?}");
        let numbers: Vec<u16> = before.iter().chain([last]).map(|attempt| attempt.attempt).collect();
        assert_eq!(numbers, Vec::from_iter(1..=numbers.len() as u16));
        assert!(before.iter().all(|attempt| attempt.due_us == last.due_us), "{before:?} {last:?}");
        let sent: Vec<Option<u64>> = before.iter().chain([last]).map(|attempt| attempt.sent_us).collect();
        assert!(sent.is_sorted() && sent[0] >= Some(last.due_us), "{sent:?}");
    }
    assert!(tries.is_empty(), "tries of requests that never ended: {tries:?}");
}

#[test]
fn without_being_told_to_repeat_a_clash_stays_a_failure() {
    let bench = Bench::new(1);
    let (ran, counted) = replay(&bench, "once", "");
    assert_eq!(samples(&ran.dir, SampleKind::Retried), []);
    let requests = requests(&ran.dir);
    let (succeeded, failed): (Vec<&Sample>, Vec<&Sample>) =
        requests.iter().partition(|request| request.outcome == Outcome::Ok);
    assert_eq!(requests.len() as u64, SESSIONS * INCREMENTS);
    assert!(failed.len() > 10 && failed.iter().all(|request| is_clash(request)), "{failed:?}");
    assert_eq!(succeeded.len() as u64, counted);
}
