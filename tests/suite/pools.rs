//! Clients that share the connections of a pool, against a real server that counts them itself: it refuses one more than the
//! pool has.

use pgrehearse::samples::sample::{Outcome, SampleKind};
use serde_json::{Value, json};

use crate::bench::{Bench, Ran, program, ran};
use crate::requests::{assert_booked_once, requests, samples};
use crate::server::Server;

const SESSIONS: u64 = 40;
const SIZE: usize = 4;

/// What each session does; all but the first would fail, or find something, where one before it left anything.
const STATEMENTS: [&str; 5] = [
    "INSERT INTO public.seen VALUES (pg_backend_pid(), current_setting('search_path'))",
    "SET search_path = pg_temp, public",
    "PREPARE mine AS SELECT 1",
    "CREATE TEMP TABLE own (a int)",
    "SELECT pg_sleep(0.02)",
];

/// Short sessions, of which far more are open at once than the pool has connections.
fn workload() -> String {
    let mut lines = vec![
        json!({"kind": "header", "version": 1, "started_at": "2026-01-05T09:00:00Z", "sources": [], "tool_version": "0.1.0"}),
        json!({"kind": "tenant", "id": 0, "name": "acme"}),
    ];
    lines.extend(STATEMENTS.iter().enumerate().map(
        |(id, text)| json!({"kind": "sql", "id": id, "text": text, "fingerprint": format!("{id:016x}"), "class": "other"}),
    ));
    let mut timed: Vec<(u64, Value)> = Vec::new();
    for session in 0..SESSIONS {
        let opens_us = 200_000 + session * 2_000;
        let mut at = |after_us: u64, line: Value| timed.push((opens_us + after_us, line));
        at(0, json!({"kind": "open", "session": session, "database": "postgres", "user": "web"}));
        for number in 0..STATEMENTS.len() as u64 {
            at(
                number,
                json!({"kind": "request", "session": session, "sequence": number, "tenant": 0,
                "simple": {"sql": number}, "results": [{"total_us": 1}]}),
            );
        }
        at(25_000, json!({"kind": "close", "session": session}));
    }
    timed.sort_by_key(|(t_us, _)| *t_us);
    lines.extend(timed.into_iter().map(|(t_us, mut line)| {
        line["t_us"] = t_us.into();
        line
    }));
    lines.push(
        json!({"kind": "end", "sessions": SESSIONS, "requests": SESSIONS * STATEMENTS.len() as u64, "tenants": 1,
        "span_us": 1_000_000}),
    );
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The sessions on a fresh server with these keys of `[clients.pool]`, and what they saw: how many they were, on how many
/// backends, with how many settings.
fn replay(pool: &str) -> (Bench, Ran, String) {
    let bench = Bench::new(1);
    let server = Server::start("16", "");
    for statement in [
        &format!("CREATE ROLE web LOGIN CONNECTION LIMIT {SIZE}"),
        "CREATE TABLE seen (backend int, search_path text)",
        "GRANT INSERT ON seen TO web",
        "ALTER DATABASE postgres SET pgrehearse.disposable = 'on'",
    ] {
        server.ask("postgres", &["-c", statement]);
    }
    std::fs::write(bench.path("sessions.jsonl"), workload()).unwrap();
    let scenario = format!(
        "name = \"pool\"\n[workload]\nfile = \"sessions.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[probes]\nenabled = false\n[upgrade]\nstrategy = \"none\"\n\
         [phases]\nwarmup = \"0s\"\nbefore = \"1s\"\nafter = \"1s\"\n[clients]\ndeadline = \"60s\"\n\
         [clients.pool]\nsize = {SIZE}\n{pool}",
        server.port
    );
    std::fs::write(bench.path("pool.toml"), scenario).unwrap();
    let mut command = program();
    command.arg("run").arg(bench.path("pool.toml")).arg("--out").arg(bench.path("run"));
    let ran = ran(command.output().unwrap(), bench.path("run"));
    let seen = "SELECT count(*), count(DISTINCT backend), count(DISTINCT search_path) FROM seen";
    let seen = server.ask("postgres", &["-c", seen]);
    (bench, ran, seen)
}

fn assert_all_went_well(ran: &Ran) {
    assert_booked_once(ran);
    let requests = requests(&ran.dir);
    assert_eq!(requests.len(), SESSIONS as usize * STATEMENTS.len());
    let bad: Vec<_> = requests.iter().filter(|request| request.outcome != Outcome::Ok).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let connects = samples(&ran.dir, SampleKind::Connect);
    assert!(connects.iter().all(|connect| connect.outcome == Outcome::Ok), "{connects:?}");
}

#[test]
fn many_sessions_go_through_few_connections_and_find_nothing_of_each_other() {
    let (_bench, ran, seen) = replay("");
    assert_all_went_well(&ran);
    assert_eq!(samples(&ran.dir, SampleKind::Connect).len(), SIZE);
    assert_eq!(seen, format!("{SESSIONS}|{SIZE}|1"));
}

#[test]
fn without_reuse_each_session_logs_in_when_another_has_gone() {
    let (_bench, ran, seen) = replay("reuse = false\n");
    assert_all_went_well(&ran);
    assert_eq!(samples(&ran.dir, SampleKind::Connect).len() as u64, SESSIONS);
    assert_eq!(seen, format!("{SESSIONS}|{SESSIONS}|1"));
}
