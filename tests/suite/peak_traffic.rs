//! More traffic than was captured, and traffic that changes nothing, by the real program on real servers.

use serde_json::Value;

use crate::bench::{Bench, number, program, ran};
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

/// The very first request is due as the first phase begins, and may count as one of the warmup before it.
fn assert_nearly(counted: f64, wanted: f64) {
    assert!(counted == wanted || counted == wanted - 1.0, "{counted} instead of {wanted}");
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
    assert_eq!(of("dan"), 2.0 * 30.0 * 3.0 * 2.0);
    assert_nearly(of("ada") + of("bob") + of("cyd"), 2.0 * 30.0 * 2.0);
    assert_eq!(of("eve"), 0.0);
    assert_nearly(number(&report, "trust.offered"), 480.0);
    assert_eq!(number(&report, "trust.released_share"), 1.0);
}

#[test]
fn a_read_only_replay_changes_no_table() {
    let bench = Bench::new(3);
    let server = Server::start("16", "");
    server.ask("postgres", &["-f", bench.path("schema.sql").to_str().unwrap()]);
    server.ask("postgres", &["-c", "ALTER DATABASE postgres SET pgrehearse.disposable = 'on'"]);
    let contents = || {
        let sums = |database: &str, tables: &[&str]| {
            let sum = |table: &&str| {
                server.ask(
                    database,
                    &["-c", &format!("SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t")],
                )
            };
            tables.iter().map(sum).collect::<Vec<_>>()
        };
        [sums("app", &["notes"]), sums("ent", &["dan.notes", "eve.notes"])].concat()
    };
    let before = contents();
    let scenario = |read_only: bool| {
        format!(
            "name = \"read\"\n[workload]\nfile = \"small.jsonl\"\nread_only = {read_only}\n[staging]\nprovider = \"external\"\n\
             dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[probes]\nenabled = false\n{REPLAY_ONLY}",
            server.port
        )
    };
    let replay = |name: &str, read_only: bool| {
        let path = bench.path("read.toml");
        std::fs::write(&path, scenario(read_only)).unwrap();
        let mut command = program();
        command.arg("run").arg(&path).arg("--out").arg(bench.path(name));
        ran(command.output().unwrap(), bench.path(name))
    };
    let ran = replay("reads", true);
    let report = ran.report();
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{}", ran.stdout);
    assert_eq!(contents(), before, "nothing was to change");
    // Of 30 ticks of six sessions 15 read, and 7 send BEGIN, a write and COMMIT; the other 8 write.
    assert_nearly(number(&report, "trust.offered"), 6.0 * (15.0 + 2.0 * 7.0));
    assert_eq!(number(&report, "trust.writes_left_out"), 6.0 * 15.0);
    assert_eq!(number(&report, "writes.replay_acknowledged"), 0.0);
    assert_eq!(number(&report, "trust.released_share"), 1.0);
    assert!(ran.stdout.contains("90 writing requests"), "{}", ran.stdout);

    let report = replay("all", false).report();
    assert!(report["trust"]["writes_left_out"].is_null(), "{}", report["trust"]);
    assert_ne!(contents(), before, "the same workload does write");
}
