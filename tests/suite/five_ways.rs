//! The same traffic, captured in every way at once, gives the same workload.

use std::path::PathBuf;

use crate::bench::program;
use crate::server::Server;

/// All that a client does is logged, in these formats.
const LOGGED: &str = "logging_collector = on\nlog_destination = 'csvlog'\nlog_directory = '../logs'\nlog_filename = 'all.log'\n\
                      log_min_duration_statement = 0\nlog_connections = on\nlog_disconnections = on\n";

#[test]
fn a_real_pgbench_run_is_captured_to_the_last_execution() {
    let server = Server::start("16", LOGGED);
    let run = |arguments: &[&str]| {
        let ended = server.client("pgbench", server.port, "postgres").args(arguments).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    run(&["-i", "-q", "-s", "1"]);
    // pgbench asks nothing of its own with -n but the scale and the partitions.
    run(&["-n", "-c", "2", "-t", "50", "-M", "prepared"]);
    server.program("pg_ctl", &["stop", "-w", "-D", "data", "-m", "fast"]);
    let workload = server.path("workload.jsonl");
    let log: PathBuf = server.path("logs/all.csv");
    let captured = program().args(["capture", "log"]).arg(log).arg("-o").arg(&workload).output().unwrap();
    assert!(captured.status.success(), "{}", String::from_utf8_lossy(&captured.stderr));
    let lines = std::fs::read_to_string(&workload).unwrap();
    let prepared = lines.lines().filter(|line| line.contains("\"execute\":{")).count();
    assert_eq!(prepared, 2 * 50 * 7);
}
