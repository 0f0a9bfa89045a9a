//! TPC-B of eight clients, captured by the proxy and by the log at once, replays to its end, whether sessions are free of each
//! other or commits keep their order; and with the order kept, what the wire saw comes back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench::{Bench, number, program, ran};
use crate::proxy::running::Proxy;
use crate::server::Server;

const LOGGED: &str = "logging_collector = on\nlog_destination = 'csvlog'\nlog_directory = '../logs'\n\
                      log_filename = 'all.log'\nlog_min_duration_statement = 0\nlog_connections = on\n\
                      log_disconnections = on\n";

/// Transactions of each of the eight clients.
const TRANSACTIONS: u32 = 100;

/// Their statements, BEGIN and END among them, and those of them that have rows to compare.
const REQUESTS: f64 = 8.0 * 7.0 * TRANSACTIONS as f64;
const COMPARED: f64 = 8.0 * 5.0 * TRANSACTIONS as f64;

/// Two captures of the same minute of pgbench, and the database as it was before.
struct Captured {
    wire: PathBuf,
    log: PathBuf,
    dump: PathBuf,
    _server: Server,
}

fn capture(mode: &str) -> Captured {
    let server = Server::start("16", LOGGED);
    let told = |name: &str, arguments: &[&str], port: u16| {
        let output = server.client(name, port, "postgres").args(arguments).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    told("pgbench", &["-i", "-q"], server.port);
    let dump = server.path("before.sql");
    std::fs::write(&dump, told("pg_dump", &[], server.port)).unwrap();
    let wire = server.path("wire.jsonl");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &wire, &[]);
    let transactions = TRANSACTIONS.to_string();
    told("pgbench", &["-n", "-c", "8", "-j", "2", "-t", &transactions, "-M", mode], proxy.port);
    proxy.finish();
    // The log of what made the tables is no traffic.
    let log = server.path("log.jsonl");
    let mut capture = program();
    capture.args(["capture", "log"]).arg(server.path("logs/all.csv")).arg("-o").arg(&log);
    assert!(capture.output().unwrap().status.success());
    let sliced = server.path("traffic.jsonl");
    keep_pgbench(&log, &sliced);
    Captured { wire, log: sliced, dump, _server: server }
}

/// Keeps the eight clients' sessions: those that made and dumped the tables came before them.
fn keep_pgbench(log: &Path, kept: &Path) {
    let lines = std::fs::read_to_string(log).unwrap();
    let parsed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let updates =
        |line: &&Value| line["kind"] == "sql" && line["text"].as_str().unwrap_or("").contains("pgbench_branches SET");
    let ids: Vec<&Value> = parsed.iter().filter(updates).map(|line| &line["id"]).collect();
    let sent = |line: &Value| [&line["simple"]["sql"], &line["execute"]["sql"]].map(Clone::clone);
    let clients: Vec<Value> = parsed
        .iter()
        .filter(|line| line["kind"] == "request" && sent(line).iter().any(|sql| ids.contains(&sql)))
        .map(|line| line["session"].clone())
        .collect();
    let is_kept = |line: &Value| line["session"].is_null() || clients.contains(&line["session"]);
    let kept_lines: Vec<String> = parsed.iter().filter(|line| is_kept(line)).map(|line| format!("{line}\n")).collect();
    std::fs::write(kept, kept_lines.concat()).unwrap();
}

/// The report of a replay on a fresh copy of the database.
fn replay(bench: &Bench, workload: &Path, dump: &Path, order: &str) -> Value {
    let scenario = format!(
        "name = \"tpc-b\"\n[workload]\nfile = \"{}\"\norder = \"{order}\"\n[staging]\nprovider = \"local\"\nversion = \"16\"\n\
         source = \"pinned\"\nsuperuser = \"admin\"\nsettings = {{ fsync = \"off\" }}\n[[staging.load]]\nsql = \"{}\"\n\
         [upgrade]\nstrategy = \"none\"\n[phases]\nwarmup = \"0s\"\nbefore = \"1s\"\nafter = \"4s\"\n",
        workload.display(),
        dump.display()
    );
    let path = bench.path("tpc-b.toml");
    std::fs::write(&path, scenario).unwrap();
    let name = format!("{}-{order}", workload.file_stem().unwrap().display());
    let mut command = program();
    command.arg("run").arg(&path).arg("--out").arg(bench.path(&name));
    ran(command.output().unwrap(), bench.path(&name)).report()
}

/// Replays both captures in both orders; what the wire saw is the same when the order is kept, but for one in a thousand.
fn replays_to_its_end(mode: &str) {
    let captured = capture(mode);
    let bench = Bench::new(1);
    for (workload, order) in
        [(&captured.wire, "free"), (&captured.wire, "commit"), (&captured.log, "free"), (&captured.log, "commit")]
    {
        let report = replay(&bench, workload, &captured.dump, order);
        let told = format!("{mode} {} {order}: {}", workload.display(), report["trust"]);
        assert!(number(&report, "trust.offered") >= REQUESTS, "{told}");
        let (compared, differing) = (number(&report, "divergence.compared"), number(&report, "divergence.differing"));
        println!("{told}\n{differing} of {compared} differ");
        let trust = &report["trust"]["order"];
        assert_eq!(trust.is_null(), order == "free", "{told}");
        if order == "commit" {
            assert!(number(&report, "trust.order.waits") > 0.0, "{told}");
        }
        if workload == &captured.wire && order == "commit" {
            assert!(compared >= COMPARED, "{told}");
            assert!(differing <= compared / 1000.0, "{differing} of {compared}: {told}");
        }
    }
}

#[test]
fn tpc_b_by_simple_queries_replays_to_its_end() {
    replays_to_its_end("simple");
}

#[test]
fn tpc_b_by_prepared_statements_replays_to_its_end() {
    replays_to_its_end("prepared");
}
