//! More traffic than was captured, and traffic that changes nothing, by the real program on real servers.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::bench::{Bench, Ran, number, program, ran};
use crate::server::Server;

const REPLAY_ONLY: &str = "
[upgrade]
strategy = \"none\"
[phases]
warmup = \"0s\"
before = \"1s\"
after = \"5s\"
";

fn tenant<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["tenants"].as_array().unwrap().iter().find(|tenant| tenant["tenant"] == name)
}

/// Requests of a tenant that were offered, all of which must have succeeded.
fn offered(report: &Value, name: &str) -> f64 {
    let Some(tenant) = tenant(report, name) else { return 0.0 };
    assert_eq!(tenant["requests"]["ok"], tenant["requests"]["offered"], "{name}: {}", tenant["requests"]);
    number(tenant, "requests.offered")
}

/// Requests that fell due in the whole run, all of which were offered.
fn due(ran: &Ran) -> u64 {
    assert_eq!(number(&ran.report(), "trust.released_share"), 1.0, "{}", ran.stdout);
    let facts: Value = serde_json::from_str(&std::fs::read_to_string(ran.dir.join("run.json")).unwrap()).unwrap();
    facts["requests_due"].as_u64().unwrap()
}

/// The first requests are due as the first phase begins, and may count as those of the warmup before it.
fn assert_nearly(counted: f64, wanted: f64) {
    assert!(counted <= wanted && counted >= wanted * 0.9, "{counted} instead of {wanted}");
}

#[test]
fn tenants_are_multiplied_and_the_workload_goes_round() {
    let bench = Bench::new(2);
    let tenants = "
[[workload.tenant]]
tenant = \"da*\"
copies = 3
[[workload.tenant]]
tenant = \"eve\"
copies = 0
";
    let mut command = bench.command("run", &format!("{REPLAY_ONLY}{tenants}"));
    command.args(["--set", "workload.loop=2", "--set", "workload.copy_jitter=100ms"]);
    let ran = ran(command.output().unwrap(), bench.path("run"));
    let report = ran.report();
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{}", ran.stdout);
    // In two seconds each session sends 30 requests; sessions 0 and 1 are shared, 2 and 3 are dan's.
    let of = |name| offered(&report, name);
    assert_nearly(of("dan"), 2.0 * 30.0 * 3.0 * 2.0);
    assert_nearly(of("ada") + of("bob") + of("cyd"), 2.0 * 30.0 * 2.0);
    assert_eq!(of("eve"), 0.0);
    assert_eq!(due(&ran), 2 * (2 * 30 * 3 + 2 * 30));
}

/// A server of the test's own with the bench's tables, on which a workload can be replayed and looked at afterwards.
struct External {
    bench: Bench,
    server: Server,
    runs: Cell<u32>,
}

impl External {
    fn start(bench: Bench) -> Self {
        let server = Server::start("16", "");
        server.ask("postgres", &["-f", bench.path("schema.sql").to_str().unwrap()]);
        server.ask("postgres", &["-c", "ALTER DATABASE postgres SET pgrehearse.disposable = 'on'"]);
        Self { bench, server, runs: Cell::new(0) }
    }

    /// Replays a workload of the bench; `keys` are those of `[workload]`.
    fn replay(&self, workload: &str, keys: &str) -> Ran {
        let scenario = format!(
            "name = \"external\"\n[workload]\nfile = \"{workload}\"\n{keys}\n[staging]\nprovider = \"external\"\n\
             dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[probes]\nenabled = false\n{REPLAY_ONLY}",
            self.server.port
        );
        let path = self.bench.path("external.toml");
        std::fs::write(&path, scenario).unwrap();
        let dir = self.bench.path(&format!("run-{}", self.runs.replace(self.runs.get() + 1)));
        let mut command = program();
        command.arg("run").arg(&path).arg("--out").arg(&dir);
        ran(command.output().unwrap(), dir)
    }

    /// What the whole table holds.
    fn contents(&self, database: &str, table: &str) -> String {
        let sum = format!("SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t");
        self.server.ask(database, &["-c", &sum])
    }
}

#[test]
fn a_read_only_replay_changes_no_table() {
    let external = External::start(Bench::new(3));
    let contents = || {
        [("app", "notes"), ("ent", "dan.notes"), ("ent", "eve.notes")]
            .map(|(database, table)| external.contents(database, table))
    };
    let before = contents();
    let ran = external.replay("small.jsonl", "read_only = true");
    let report = ran.report();
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{}", ran.stdout);
    assert_eq!(contents(), before, "nothing was to change");
    // Of 30 ticks of six sessions 15 read, and 7 send BEGIN, a write and COMMIT; the other 8 write.
    assert_eq!(due(&ran), 6 * (15 + 2 * 7));
    assert_eq!(number(&report, "trust.writes_left_out"), 6.0 * 15.0);
    assert_eq!(number(&report, "writes.replay_acknowledged"), 0.0);
    assert!(ran.stdout.contains("90 writing requests"), "{}", ran.stdout);

    let report = external.replay("small.jsonl", "read_only = false").report();
    assert!(report["trust"]["writes_left_out"].is_null(), "{}", report["trust"]);
    assert_ne!(contents(), before, "the same workload does write");
}

/// A workload that inserts ten rows under keys of its own and changes each.
fn inserting() -> String {
    let inline = |text: &str| json!({"text": text, "fingerprint": pgrehearse::sql::fingerprint(text), "class": pgrehearse::sql::classify(text)});
    let request = |sequence: u64, sent: Value| {
        let mut line = json!({"kind": "request", "t_us": sequence * 20_000, "session": 1, "sequence": sequence, "tenant": 0,
            "results": [{"total_us": 100, "rows": 1}]});
        line.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
        line
    };
    let mut lines = vec![
        json!({"kind": "header", "version": 1, "started_at": "2026-01-05T10:00:00Z", "sources": [], "tool_version": "0"}),
        json!({"kind": "tenant", "id": 0, "name": "ada"}),
        json!({"kind": "open", "t_us": 0, "session": 1, "database": "app", "user": "app"}),
    ];
    for row in 0..10 {
        let id = 1_001 + row;
        let insert = format!("INSERT INTO notes (tenant, id, body) VALUES ('ada', {id}, 'new')");
        lines.push(request(2 * row, json!({"simple": {"sql": inline(&insert)}})));
        let update = inline("UPDATE notes SET body = 'changed' WHERE tenant = $1 AND id = $2");
        let execute = json!({"sql": update, "statement": "u", "parameters": ["ada", id.to_string()]});
        lines.push(request(2 * row + 1, json!({ "execute": execute })));
    }
    lines.push(json!({"kind": "close", "t_us": 400_000, "session": 1}));
    lines.push(json!({"kind": "end", "sessions": 1, "requests": 20, "tenants": 1, "span_us": 400_000}));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn copies_and_rounds_insert_keys_of_their_own() {
    let external = External::start(Bench::new(1));
    std::fs::write(external.bench.path("keys.jsonl"), inserting()).unwrap();
    let ran = external.replay("keys.jsonl", "copies = 3\nloop = 2\nunique = [\"notes.id\"]");
    let report = ran.report();
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{}", ran.stdout);
    assert_eq!(due(&ran), 3 * 2 * 20);
    let count =
        |condition: &str| external.server.ask("app", &["-c", &format!("SELECT count(*) FROM notes WHERE {condition}")]);
    assert_eq!([count("id > 1000"), count("body = 'changed'"), count("id IN (1001, 50001010)")], ["60", "60", "2"]);
    assert_eq!(number(&report, "divergence.differing"), 0.0, "{}", report["divergence"]);
}
