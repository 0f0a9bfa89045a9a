//! The same traffic, captured from every log format at once, gives the same workload.
//!
//! Real clients talk to a real server that writes all of its log formats. What the captures hold is then compared
//! pairwise.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::program;
use crate::clients::python;
use crate::executions::Executions;
use crate::server::Server;

/// All that a client does is logged, in every format.
const LOGGED: &str = "logging_collector = on\nlog_destination = 'stderr,csvlog,jsonlog'\nlog_directory = '../logs'\n\
                      log_filename = 'all.log'\nlog_min_duration_statement = 0\nlog_connections = on\n\
                      log_disconnections = on\nlog_parameter_max_length_on_error = -1\n\
                      log_line_prefix = '%m [%p] %q[user=%u,db=%d,app=%a] '\n";

/// The sources, by the name of their workload.
const SOURCES: [&str; 3] = ["csv", "json", "stderr"];

fn traffic(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic").join(name)
}

/// Runs a client to its end, in the server's directory.
fn run(command: &mut Command, server: &Server) {
    let ended = command.current_dir(server.path("")).output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Every client, one after the other, so that sessions open in the same order in every source.
fn send_traffic(server: &Server, port: u16, python: &Path) {
    run(server.client("psql", port, "postgres").args(["-X", "-q", "-f"]).arg(traffic("schema.sql")), server);
    run(server.client("psql", port, "postgres").args(["-X", "-q", "-f"]).arg(traffic("psql.sql")), server);
    for mode in ["simple", "extended", "prepared"] {
        let arguments = ["-n", "-t", "20", "-M", mode, "--random-seed", "1", "-f"];
        run(server.client("pgbench", port, "postgres").args(arguments).arg(traffic("pgbench.sql")), server);
    }
    for script in ["drive_psycopg.py", "drive_asyncpg.py"] {
        let mut client = server.connecting(Command::new(python), port, "postgres");
        run(client.arg(traffic(script)), server);
    }
}

/// Captures everything into workloads named by their sources; none where a client cannot be had.
fn capture_in_every_way(major: &str) -> Option<Server> {
    let python = python()?;
    let server = Server::start(major, LOGGED);
    let workload = |source: &str| server.path(&format!("{source}.jsonl"));
    send_traffic(&server, server.port, python);
    server.program("pg_ctl", &["stop", "-w", "-D", "data", "-m", "fast"]);
    for (source, input) in [("csv", "logs/all.csv"), ("json", "logs/all.json"), ("stderr", "logs/all.log")] {
        let captured = program()
            .args(["capture", "log"])
            .arg(server.path(input))
            .arg("-o")
            .arg(workload(source))
            .output()
            .unwrap();
        assert!(captured.status.success(), "{source}: {}", String::from_utf8_lossy(&captured.stderr));
    }
    Some(server)
}

fn assert_all_ways_agree(major: &str) {
    let Some(server) = capture_in_every_way(major) else { return };
    let captured = SOURCES.map(|source| Executions::of(&server.path(&format!("{source}.jsonl"))));
    for (at, one) in captured.iter().enumerate() {
        for (other_at, other) in captured.iter().enumerate().skip(at + 1) {
            one.assert_same(other, &format!("{} and {} of {major}", SOURCES[at], SOURCES[other_at]));
        }
    }
    assert!(captured[0].count() > 400, "{} executions", captured[0].count());
}

#[test]
fn all_log_formats_agree_about_real_clients_on_16() {
    assert_all_ways_agree("16");
}

#[test]
fn all_log_formats_agree_about_real_clients_on_18() {
    assert_all_ways_agree("18");
}
