//! Real clients through the proxy: what they do is in the workload, and nothing else is different for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use pgrehearse::workload::record::{Open, Record, Sent};
use rustix::process::{Pid, Signal, kill_process};

use super::running::{Proxy, await_end, await_value, records};
use crate::clients::python;
use crate::server::Server;

fn traffic(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic").join(name)
}

/// Runs a client to its end and gives what it printed.
fn run(command: &mut Command, server: &Server) -> String {
    let ended = command.current_dir(server.path("")).output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// What psql prints, without the processes that it names.
fn psql(server: &Server, port: u16, database: &str, file: &str) -> String {
    let printed = run(server.client("psql", port, database).args(["-X", "-q", "-f"]).arg(traffic(file)), server);
    printed.lines().map(|line| line.split(" with PID ").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Executions of the requests of the sessions with this application name.
fn executions(records: &[Record], application_name: &str) -> u64 {
    let is_wanted = |open: &Open| open.parameters.get("application_name").is_some_and(|name| name == application_name);
    let mut wanted = Vec::new();
    let mut count = 0;
    for record in records {
        match record {
            Record::Open(open) if is_wanted(open) => wanted.push(open.session),
            Record::Request(request) if wanted.contains(&request.session) => {
                count += match &request.sent {
                    Sent::Simple { .. } | Sent::Execute(_) => 1,
                    Sent::Messages(_) => request.results.len() as u64,
                };
            }
            _ => {}
        }
    }
    count
}

/// The COPY data of one direction.
fn copied(records: &[Record], from_client: bool) -> Vec<u8> {
    use base64::Engine;
    let pieces = records.iter().filter_map(|record| match record {
        Record::Copy(copy) if copy.from_client == from_client => Some(&copy.base64),
        _ => None,
    });
    pieces.flat_map(|piece| base64::engine::general_purpose::STANDARD.decode(piece).unwrap()).collect()
}

fn assert_clients_are_captured(major: &str) {
    let server = Server::start(major, "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl.zst"), &[]);
    let (port, output) = (proxy.port, proxy.output.clone());
    psql(&server, port, "postgres", "schema.sql");
    let through = psql(&server, port, "postgres", "psql.sql");
    let exported = std::fs::read(server.path("out.tsv")).unwrap();
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = server.client("pgbench", port, "postgres");
        pgbench.env("PGAPPNAME", format!("pgbench {mode}"));
        pgbench.args(["-n", "-t", "25", "-c", "2", "-M", mode, "-f"]).arg(traffic("pgbench.sql"));
        run(&mut pgbench, &server);
    }
    if let Some(python) = python() {
        for script in ["drive_psycopg.py", "drive_asyncpg.py"] {
            run(server.connecting(Command::new(python), port, "postgres").arg(traffic(script)), &server);
        }
    }
    let report = proxy.finish();
    assert!(report.contains("skipped     nothing"), "{report}");
    let (records, end) = records(&output);
    server.ask("postgres", &["-c", "CREATE DATABASE direct"]);
    psql(&server, server.port, "direct", "schema.sql");
    assert_eq!(through, psql(&server, server.port, "direct", "psql.sql"), "what psql prints");
    let statements = std::fs::read_to_string(traffic("pgbench.sql")).unwrap().matches(';').count() as u64;
    for mode in ["simple", "extended", "prepared"] {
        assert_eq!(
            executions(&records, &format!("pgbench {mode}")),
            2 * 25 * statements,
            "pgbench -M {mode}: {report}"
        );
    }
    let exports = copied(&records, false);
    assert!(exports.starts_with(&exported), "COPY TO STDOUT");
    assert!(copied(&records, true).starts_with(&exported), "COPY FROM STDIN");
    let closed = records.iter().filter(|record| matches!(record, Record::Close(_))).count() as u64;
    assert_eq!(closed, end.sessions, "every session ended");
    assert!(!proxy_journal(&output).exists(), "the journal goes with the workload");
}

fn proxy_journal(output: &Path) -> PathBuf {
    PathBuf::from(format!("{}.journal", output.display()))
}

#[test]
fn psql_pgbench_and_python_drivers_are_captured_on_16() {
    assert_clients_are_captured("16");
}

#[test]
fn psql_pgbench_and_python_drivers_are_captured_on_18() {
    assert_clients_are_captured("18");
}

#[test]
fn a_password_passes_and_stands_nowhere() {
    let server = Server::start_with_password("18", "correct horse battery", "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    let mut psql = server.client("psql", proxy.port, "postgres");
    run(psql.args(["-X", "-c", "SELECT 'behind the login'"]), &server);
    proxy.await_recorded(b"behind the login");
    let journal = std::fs::read(proxy.journal()).unwrap();
    let output = proxy.output.clone();
    proxy.finish();
    for bytes in [journal, std::fs::read(output).unwrap()] {
        // The client's nonce and proof are what could be attacked offline.
        for secret in ["correct horse battery", ",p=", "n,,n="] {
            assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret}");
        }
    }
}

#[test]
fn a_cancel_request_reaches_the_statement_and_is_captured() {
    let server = Server::start("18", "");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    let mut command = server.client("psql", proxy.port, "postgres");
    let psql = command.args(["-X", "-c", "SELECT pg_sleep(600)"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    await_value("the sleep", || {
        let active = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        (server.ask("postgres", &["-c", active]) == "1").then_some(())
    });
    kill_process(Pid::from_child(&psql), Signal::INT).unwrap();
    assert!(!await_end(psql).status.success());
    let output = proxy.output.clone();
    proxy.finish();
    let (records, _) = records(&output);
    assert!(records.iter().any(|record| matches!(record, Record::Cancel(_))), "{records:?}");
    let failed = records.iter().any(|record| match record {
        Record::Request(request) => {
            request.results.iter().any(|result| result.sqlstate.is_some_and(|code| code.to_string() == "57014"))
        }
        _ => false,
    });
    assert!(failed, "{records:?}");
}

#[test]
fn sessions_that_come_and_go_take_no_memory() {
    let server = Server::start("18", "max_connections = 60");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &server.path("out.jsonl"), &[]);
    let peak_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid().as_raw_nonzero())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    std::fs::write(server.path("one.sql"), "SELECT 1;\n").unwrap();
    let reconnect = |transactions: &str| {
        let mut pgbench = server.client("pgbench", proxy.port, "postgres");
        run(pgbench.args(["-n", "-C", "-c", "10", "-t", transactions, "-f", "one.sql"]), &server);
    };
    reconnect("5");
    let few_kib = peak_kib();
    reconnect("35");
    let many_kib = peak_kib();
    assert!(many_kib < few_kib + (16 << 10), "{few_kib} KiB after 50 sessions, {many_kib} KiB after 400");
    let report = proxy.finish();
    assert!(report.contains("executions  400 in"), "{report}");
}

#[test]
fn unix_sockets_do_on_both_sides() {
    let server = Server::start("16", "");
    let upstream = server.path(&format!(".s.PGSQL.{}", server.port));
    let listen = server.path(".s.PGSQL.7777");
    let proxy = Proxy::spawn(listen.to_str().unwrap(), upstream.to_str().unwrap(), &server.path("out.jsonl"), &[]);
    proxy.await_said("listening on ", |_| Some(()));
    let mut psql = server.client("psql", 7777, "postgres");
    psql.env("PGHOST", server.path("")).args(["-X", "-A", "-t", "-c", "SELECT 41 + 1"]);
    assert_eq!(run(&mut psql, &server), "42\n");
    let report = proxy.finish();
    assert!(report.contains("executions  1 in"), "{report}");
    assert!(!listen.exists(), "the socket goes with the proxy");
}
