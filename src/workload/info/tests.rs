//! What is counted and shown of the golden workload, and of one with a course of its own.

use std::fmt::Write;

use super::*;

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));

fn info() -> Info {
    summarize(Reader::new(GOLDEN.as_bytes(), "w.jsonl").unwrap()).unwrap()
}

/// Requests of one session: moment, statement, microseconds, rows.
fn course(requests: &[(u64, &str, u64, u64)]) -> Info {
    let mut text = format!("{}\n", GOLDEN.lines().next().unwrap());
    text += "{\"kind\":\"open\",\"t_us\":0,\"session\":1,\"database\":\"app\",\"user\":\"web\"}\n";
    for (sequence, (t_us, sql, total_us, rows)) in requests.iter().enumerate() {
        let fingerprint = crate::sql::fingerprint(sql);
        writeln!(
            text,
            r#"{{"kind":"request","t_us":{t_us},"session":1,"sequence":{sequence},"simple":{{"sql":{{"text":"{sql}","fingerprint":"{fingerprint}","class":"read"}}}},"results":[{{"total_us":{total_us},"rows":{rows}}}]}}"#
        )
        .unwrap();
    }
    let span_us = requests.last().unwrap().0;
    writeln!(text, r#"{{"kind":"end","sessions":1,"requests":0,"tenants":0,"span_us":{span_us}}}"#).unwrap();
    summarize(Reader::new(std::io::Cursor::new(text), "w.jsonl").unwrap()).unwrap()
}

#[test]
fn everything_is_counted() {
    let info = info();
    assert_eq!((info.sessions, info.sessions_began_before, info.executions, info.statements), (2, 1, 6, 4));
    assert_eq!((info.requests, info.sessions_open_max), (7, 2));
    assert_eq!(info.executions_without_tenant, 1);
    assert_eq!(info.tenants[0].name, "acme");
    assert_eq!((info.tenants[0].executions, info.tenants[0].share), (3, 0.5));
    assert_eq!(info.databases, [NamedCount { name: "app".to_owned(), executions: 6 }]);
    assert_eq!(info.errors["23505"], 1);
    assert_eq!(info.classes["read"], 2);
    assert_eq!((info.span_us, info.peak_per_second), (7_000, 6));
    assert_eq!(info.skipped["copy_data"].count, 2);
    let known = Known {
        results: 4,
        times: 4,
        rows: 2,
        bytes: 1,
        digests: 2,
        parameters_wanted: 2,
        parameters: 2,
        extended: 4,
        exact_messages: 4,
    };
    assert_eq!(info.known, known);
    assert_eq!(info.known_sums, Sums { total_us: 320, rows: 6, bytes: 40, errors: 1 });
}

#[test]
fn the_text_is_one_screen() {
    let text = info().to_text(Shown::default());
    assert!(text.lines().count() < 40);
    insta::assert_snapshot!(text);
}

#[test]
fn tables_are_shown_where_they_are_asked_for() {
    insta::assert_snapshot!(info().to_text(Shown { all_tenants: true, minutes: true, top: 3 }));
}

#[test]
fn json_has_everything() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&info()).unwrap());
}

#[test]
fn minutes_and_the_peak_second_are_counted_from_the_start() {
    let second = 1_000_000;
    let requests = [
        (second, "SELECT 1", 30 * second, 1),
        (second * 5 / 2, "SELECT 2", second, 1),
        (second * 29 / 10, "SELECT 3", second, 1),
        (61 * second, "SELECT now()", second, 1),
    ];
    let info = course(&requests);
    let peak = info.peak_second.unwrap();
    assert_eq!((peak.at.as_str(), peak.t_us, peak.executions), ("2026-01-05T09:00:02Z", 2 * second, 2));
    let minutes: Vec<_> = info.minutes.iter().map(|m| (m.at.as_str(), m.executions, m.sums.total_us)).collect();
    assert_eq!(minutes, [("2026-01-05T09:00:00Z", 3, 32 * second), ("2026-01-05T09:01:00Z", 1, second)]);
}

#[test]
fn the_leading_statements_are_those_that_took_most_time_and_show_no_values() {
    let requests = [
        (1, "SELECT * FROM t WHERE a = 'secret'", 100, 1),
        (2, "SELECT * FROM t WHERE a = 'other'", 300, 2),
        (3, "SELECT count(*) FROM u", 5_000, 1),
    ];
    let info = course(&requests);
    let top: Vec<_> =
        info.top_statements.iter().map(|s| (s.sql.as_str(), s.executions, s.mean_us, s.sums.rows)).collect();
    assert_eq!(
        top,
        [("select count(*) from u", 1, Some(5_000.0), 1), ("select * from t where a = ?", 2, Some(200.0), 3)]
    );
}
