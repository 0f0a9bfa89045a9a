//! Every way in which a server can be told to log its statements gives the same executions, none of them twice.
//!
//! One server; each setting has a database of its own, into which the same clients send the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgrehearse::capture::log::{CaptureOptions, LogFormat, capture};
use pgrehearse::tenant::Rules;
use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{Record, Sent};

use crate::server::Server;

/// What a superuser can set for a session, by the database that it is sent to.
const STYLES: [(&str, &str); 8] = [
    ("durations", "-c log_min_duration_statement=0"),
    ("statements", "-c log_statement=all"),
    ("both_apart", "-c log_statement=all -c log_duration=on"),
    ("all_three", "-c log_statement=all -c log_duration=on -c log_min_duration_statement=0"),
    ("writes_twice", "-c log_statement=mod -c log_min_duration_statement=0"),
    ("sampled", "-c log_min_duration_sample=0 -c log_statement_sample_rate=1"),
    ("half_sampled", "-c log_statement=all -c log_min_duration_sample=0 -c log_statement_sample_rate=0.5"),
    ("transactions", "-c log_transaction_sample_rate=1"),
];

/// A prefix that says neither what a process is doing nor the SQLSTATE.
const LOGGED: &str = "logging_collector = on\nlog_destination = 'stderr,csvlog'\nlog_directory = '../logs'\n\
                      log_filename = 'all.log'\nlog_parameter_max_length_on_error = -1\n\
                      log_line_prefix = '%m [%p] %q%u@%d '\n";

/// Executions of one run of pgbench: 5 statements in each of 20 transactions, and 20 statements that fail.
const EXECUTIONS: usize = 5 * 20 + 20;

const SCRIPT: &str = "\\set id random(1, 100)\nBEGIN;\nUPDATE account SET balance = balance + 1 WHERE id = :id;\n\
                      SELECT balance FROM account WHERE id = :id;\nINSERT INTO entry (account, amount) VALUES (:id, 1);\n\
                      END;\n";

fn traffic(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic").join(name)
}

/// Sends the same into every style's database: simple, extended and prepared executions, and statements that fail.
fn send_to_all(server: &Server) {
    std::fs::write(server.path("script.sql"), SCRIPT).unwrap();
    let failing: String = (0..20).map(|number| format!("SELECT {number} / 0;\n")).collect();
    std::fs::write(server.path("failing.sql"), failing).unwrap();
    for (database, options) in STYLES {
        server.ask("postgres", &["-c", &format!("CREATE DATABASE {database}")]);
        let schema =
            server.client("psql", server.port, database).args(["-X", "-q", "-f"]).arg(traffic("schema.sql")).output();
        assert!(schema.unwrap().status.success());
        for mode in ["simple", "extended", "prepared"] {
            let mut pgbench = server.client("pgbench", server.port, database);
            pgbench.env("PGOPTIONS", options).args(["-n", "-t", "20", "-M", mode, "--random-seed", "1", "-f"]);
            let ended = pgbench.arg(server.path("script.sql")).output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            let mut psql = server.client("psql", server.port, database);
            psql.env("PGOPTIONS", options).args(["-X", "-q", "-f"]).arg(server.path("failing.sql"));
            psql.output().unwrap();
        }
    }
}

/// The executions of each database, in the order of their sessions: text, parameters and error.
fn executions(server: &Server, log: &str) -> BTreeMap<String, Vec<String>> {
    let output = server.path("out.jsonl");
    let options = CaptureOptions {
        inputs: vec![server.path(log)],
        output: output.clone(),
        format: LogFormat::Auto,
        prefix: None,
        tenant_rules: Rules::default(),
        tenants: None,
    };
    let report = capture(&options, |_| {}).unwrap();
    assert!(report.skipped.is_empty(), "{log}: {:?}", report.skipped);
    let mut reader = Reader::open(&output).unwrap();
    let mut databases = BTreeMap::new();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        match record {
            Record::Open(open) => drop(databases.insert(open.session, open.database)),
            Record::Request(request) => {
                let (sql, parameters) = match &request.sent {
                    Sent::Simple { sql } => (sql, None),
                    Sent::Execute(execute) => (&execute.sql, Some(&execute.parameters)),
                    Sent::Messages(_) => panic!("no log gives messages"),
                };
                let text = reader.statement(sql).unwrap().text.text().trim().to_owned();
                let sqlstate = request.results.first().and_then(|result| result.sqlstate);
                let of_database = found.entry(databases[&request.session].clone()).or_default();
                of_database.push(format!("{text} {parameters:?} {sqlstate:?}"));
            }
            _ => {}
        }
    }
    found
}

fn assert_all_styles_agree(major: &str) {
    let server = Server::start(major, LOGGED);
    send_to_all(&server);
    server.program("pg_ctl", &["stop", "-w", "-D", "data", "-m", "fast"]);
    for log in ["logs/all.csv", "logs/all.log"] {
        let found = executions(&server, log);
        let expected = &found["durations"];
        assert_eq!(expected.len(), 3 * EXECUTIONS, "{log} of {major}");
        for (database, options) in STYLES {
            assert_eq!(&found[database], expected, "{log} of {major}: {options}");
        }
    }
}

#[test]
fn every_way_of_logging_statements_gives_the_same_executions_on_16() {
    assert_all_styles_agree("16");
}

#[test]
fn every_way_of_logging_statements_gives_the_same_executions_on_18() {
    assert_all_styles_agree("18");
}

/// Under load from eight clients at once, what pgbench counts is what every format holds.
#[test]
fn captures_hold_as_many_executions_as_pgbench_counts() {
    let settings = LOGGED.replace("stderr,csvlog", "stderr,csvlog,jsonlog");
    let server = Server::start("18", &format!("{settings}log_min_duration_statement = 0\n"));
    let schema =
        server.client("psql", server.port, "postgres").args(["-X", "-q", "-f"]).arg(traffic("schema.sql")).output();
    assert!(schema.unwrap().status.success());
    std::fs::write(server.path("script.sql"), SCRIPT).unwrap();
    let mut transactions = 0;
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = server.client("pgbench", server.port, "postgres");
        pgbench.args(["-n", "-T", "2", "-c", "8", "-j", "2", "-M", mode, "--max-tries", "1", "-f"]);
        let ended = pgbench.arg(server.path("script.sql")).output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        let counted = said.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
        transactions += counted.unwrap_or_else(|| panic!("{said}")).trim().parse::<usize>().unwrap();
    }
    server.program("pg_ctl", &["stop", "-w", "-D", "data", "-m", "fast"]);
    for log in ["logs/all.csv", "logs/all.log", "logs/all.json"] {
        let found = executions(&server, log);
        let ends = found["postgres"].iter().filter(|execution| execution.starts_with("END")).count();
        let begins = found["postgres"].iter().filter(|execution| execution.starts_with("BEGIN")).count();
        assert_eq!((ends, begins), (transactions, transactions), "{log}");
        let writes = found["postgres"].iter().filter(|execution| execution.starts_with("INSERT INTO entry"));
        assert_eq!(writes.count(), transactions, "{log}");
    }
}
