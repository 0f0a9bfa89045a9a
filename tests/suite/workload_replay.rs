//! A slice replays by itself against a real server: what its sessions had set and prepared before the window is there, and
//! transactions that the window cuts make no errors. An answer that is not the captured one is named with its place in the log.

use std::fmt::Write;

use pgrehearse::sql::{classify, fingerprint};
use serde_json::Value;

use crate::bench::{Bench, number, program};

/// Lines of a workload as they grow. Sessions are of the bench's database `ent`, whose tables are `dan.notes` and `eve.notes`.
struct Lines {
    text: String,
    sequences: [u64; 4],
}

impl Lines {
    fn new() -> Self {
        let source = r#"{"file":"postgresql.csv","sha256":"00","type":"csvlog"}"#;
        let header = format!(
            r#"{{"kind":"header","version":1,"started_at":"2026-01-05T10:00:00Z","sources":[{source}],"tool_version":"0"}}"#
        );
        let mut text = format!("{header}\n{}\n", r#"{"kind":"tenant","id":0,"name":"dan"}"#);
        for session in 0..4 {
            writeln!(text, r#"{{"kind":"open","t_us":0,"session":{session},"database":"ent","user":"app"}}"#).unwrap();
        }
        Self { text, sequences: [0; 4] }
    }

    /// A request that stands in the line of its millisecond.
    fn request(&mut self, t_ms: u64, session: usize, sent: &str, result: &str) {
        let (t_us, sequence) = (t_ms * 1_000, self.sequences[session]);
        self.sequences[session] += 1;
        writeln!(
            self.text,
            r#"{{"kind":"request","t_us":{t_us},"session":{session},"sequence":{sequence},"tenant":0,{sent},"results":[{result}],"at":[0,{t_ms}]}}"#
        )
        .unwrap();
    }

    fn sql(text: &str) -> String {
        let class = serde_json::to_string(&classify(text)).unwrap();
        format!(r#"{{"text":"{text}","fingerprint":"{}","class":{class}}}"#, fingerprint(text))
    }

    fn simple(&mut self, t_ms: u64, session: usize, text: &str) {
        self.request(t_ms, session, &format!(r#""simple":{{"sql":{}}}"#, Self::sql(text)), r#"{"total_us":500}"#);
    }

    /// A query that found so many rows.
    fn select(&mut self, t_ms: u64, session: usize, text: &str, rows: u32) {
        let result = format!(r#"{{"total_us":500,"rows":{rows}}}"#);
        self.request(t_ms, session, &format!(r#""simple":{{"sql":{}}}"#, Self::sql(text)), &result);
    }

    /// An execution of the named statement `by_id` with the parameter 7.
    fn execute(&mut self, t_ms: u64, session: usize, text: &str) {
        let execute = format!(r#""execute":{{"sql":{},"statement":"by_id","parameters":["7"]}}"#, Self::sql(text));
        self.request(t_ms, session, &execute, r#"{"total_us":500}"#);
    }

    fn finish(mut self, span_ms: u64) -> String {
        let (requests, span_us) = (self.sequences.iter().sum::<u64>(), span_ms * 1_000);
        writeln!(self.text, r#"{{"kind":"end","sessions":4,"requests":{requests},"tenants":1,"span_us":{span_us}}}"#)
            .unwrap();
        self.text
    }
}

/// Twelve seconds. Without what stands before it, the part from 4 s to 9 s would fail: its table is found by
/// `search_path`, it executes what SQL and the protocol prepared, and its transactions lie across both edges.
fn workload() -> String {
    let mut lines = Lines::new();
    let by_id = "SELECT body FROM notes WHERE id = $1";
    for tick in 0..60 {
        let t_ms = tick * 200;
        match tick {
            0 => lines.simple(t_ms, 0, "SET search_path TO dan, public"),
            1 => lines.simple(t_ms, 0, "PREPARE touch (int) AS UPDATE notes SET body = 'touched' WHERE id = $1"),
            _ if tick % 2 == 0 => lines.execute(t_ms, 0, by_id),
            _ => lines.simple(t_ms, 0, "EXECUTE touch(7)"),
        }
        // A setting that its transaction took back is not carried in: the table stays visible.
        match tick {
            1 => lines.simple(t_ms + 10, 1, "SET search_path TO eve"),
            2 => lines.simple(t_ms + 10, 1, "BEGIN"),
            3 => lines.simple(t_ms + 10, 1, "SET search_path TO nowhere"),
            4 => lines.simple(t_ms + 10, 1, "ROLLBACK"),
            _ => lines.simple(t_ms + 10, 1, "SELECT count(*) FROM notes"),
        }
        // A transaction that began before the window, and what only it can do.
        match tick {
            18 => lines.simple(t_ms + 20, 2, "BEGIN"),
            19 => lines.simple(t_ms + 20, 2, "CREATE TEMP TABLE scratch (id int) ON COMMIT DROP"),
            20..24 => lines.simple(t_ms + 20, 2, "INSERT INTO scratch VALUES (1)"),
            24 => lines.simple(t_ms + 20, 2, "COMMIT"),
            _ => lines.simple(t_ms + 20, 2, "SELECT 1"),
        }
        // A transaction that ends behind the window.
        match tick {
            44 => lines.simple(t_ms + 30, 3, "BEGIN"),
            45..47 => lines.simple(t_ms + 30, 3, "INSERT INTO dan.notes VALUES (1000, 'late')"),
            47 => lines.simple(t_ms + 30, 3, "COMMIT"),
            // The capture saw two rows where there is only one.
            30 | 31 => lines.select(t_ms + 30, 3, "SELECT 2", 2),
            _ => lines.select(t_ms + 30, 3, "SELECT 2", 1),
        }
    }
    lines.finish(12_000)
}

#[test]
fn a_slice_replays_by_itself_without_errors() {
    let bench = Bench::new(1);
    std::fs::write(bench.path("whole.jsonl"), workload()).unwrap();
    let mut slice = program();
    slice.args(["workload", "slice", "--from", "4s", "--to", "9s"]);
    slice.arg(bench.path("whole.jsonl")).arg("-o").arg(bench.path("small.jsonl"));
    let sliced = slice.output().unwrap();
    let said = String::from_utf8(sliced.stdout).unwrap();
    assert!(sliced.status.success(), "{}", String::from_utf8_lossy(&sliced.stderr));
    // 25 ticks of four sessions, less what is left of the older transaction, and the end of the newer one.
    insta::assert_snapshot!(said, @r"
    98 requests of 4 sessions and 1 tenants, 5430ms long
    4 sessions were there before and begin with what they carried in
    5 requests left out at the start: their transaction began before it
    3 requests kept behind the end: their transaction began before it
    ");

    let scenario = "[upgrade]\nstrategy = \"none\"\n[phases]\nwarmup = \"0s\"\nbefore = \"2s\"\nafter = \"3s\"\n";
    let ran = bench.run("run", scenario);
    let report = ran.report();
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{}", ran.stdout);
    let requests = &report["tenants"][0]["requests"];
    assert!(number(requests, "offered") > 90.0, "{requests}");
    assert_eq!(requests["ok"], requests["offered"], "{requests}");

    let [ref statement] = report["divergence"]["statements"].as_array().unwrap()[..] else { panic!("{}", ran.stdout) };
    let count = |name: &str| number(statement, name);
    assert_eq!((count("differing"), count("rows"), count("digest")), (2.0, 2.0, 0.0), "{statement}");
    assert_eq!(statement["first"]["file"], "postgresql.csv");
    assert_eq!(statement["first"]["line"], 30 * 200 + 30);
    assert!(ran.stdout.contains("postgresql.csv:6030"), "{}", ran.stdout);
}
