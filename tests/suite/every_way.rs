//! The same traffic, captured in every way at once, gives the same workload.
//!
//! Real clients talk through the proxy to a real server that writes all of its log formats, and tcpdump writes the packets
//! that reach it. What the captures hold is then compared pairwise: sessions with their database, user and application, and their executions in
//! order, with texts, parameters and errors.
//!
//! What a source cannot know is left out: a log has no COPY data, no rows and no results of further fetches from a portal
//! (their number is compared), no statements behind an error in a pipeline (the server passes over them, and the wire
//! shows them without a result), and not always the parameters of what failed. The wire has binary parameters, which are
//! compared as texts where their type was declared or described.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::program;
use crate::clients::python;
use crate::executions::Executions;
use crate::proxy::running::Proxy;
use crate::server::Server;
use crate::sniffer::Sniffer;

/// All that a client does is logged, in every format.
const LOGGED: &str = "logging_collector = on\nlog_destination = 'stderr,csvlog,jsonlog'\nlog_directory = '../logs'\n\
                      log_filename = 'all.log'\nlog_min_duration_statement = 0\nlog_connections = on\n\
                      log_disconnections = on\nlog_parameter_max_length_on_error = -1\n\
                      log_line_prefix = '%m [%p] %q[user=%u,db=%d,app=%a] '\n";

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

/// A capture of the traffic.
struct Captured {
    source: &'static str,
    executions: Executions,
    /// As the capture's report counts them, those that it says to have skipped left out.
    reported: u64,
    /// As `workload info` counts them.
    in_info: u64,
}

impl Captured {
    fn of(server: &Server, source: &'static str, how: &str, input: &str) -> Self {
        let workload = server.path(&format!("{source}.jsonl"));
        let captured =
            program().args(["capture", how]).arg(server.path(input)).arg("-o").arg(&workload).output().unwrap();
        assert!(captured.status.success(), "{source}: {}", String::from_utf8_lossy(&captured.stderr));
        Self::reported(source, &workload, &String::from_utf8(captured.stdout).unwrap())
    }

    /// A workload that stands, with the report of its making.
    fn reported(source: &'static str, workload: &Path, report: &str) -> Self {
        let line = report.lines().find_map(|line| line.strip_prefix("executions ")).unwrap();
        let reported = line.split_whitespace().next().unwrap().parse().unwrap();
        let info = program().args(["workload", "info", "--json"]).arg(workload).output().unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
        let in_info = info["executions"].as_u64().unwrap();
        Self { source, executions: Executions::of(workload), reported, in_info }
    }
}

/// Captures everything; none where a client cannot be had.
fn capture_in_every_way(major: &str) -> Option<Vec<Captured>> {
    let python = python()?;
    let server = Server::start(major, LOGGED);
    let sniffer = Sniffer::start(&server.path("packets.pcap"), server.port);
    let through_proxy = server.path("proxy.jsonl");
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port), &through_proxy, &[]);
    send_traffic(&server, proxy.port, python);
    let report = proxy.finish();
    server.program("pg_ctl", &["stop", "-w", "-D", "data", "-m", "fast"]);
    let logs = [("csv", "logs/all.csv"), ("json", "logs/all.json"), ("stderr", "logs/all.log")];
    let mut captured: Vec<_> = logs.map(|(source, input)| Captured::of(&server, source, "log", input)).into();
    captured.push(Captured::reported("proxy", &through_proxy, &report));
    if let Some(sniffer) = sniffer {
        sniffer.finish();
        captured.push(Captured::of(&server, "pcap", "pcap", "packets.pcap"));
    }
    Some(captured)
}

fn assert_all_ways_agree(major: &str) {
    let Some(captured) = capture_in_every_way(major) else { return };
    for (at, one) in captured.iter().enumerate() {
        for other in &captured[at + 1..] {
            one.executions.assert_same(&other.executions, &format!("{} and {} of {major}", one.source, other.source));
        }
        // What a log says to be a further fetch it does not report as an execution.
        let of_wire = ["proxy", "pcap"].contains(&one.source);
        let reported = one.reported + if of_wire { 0 } else { one.executions.fetches };
        assert_eq!(reported, one.executions.count(), "{} of {major}: reported", one.source);
        assert_eq!(one.in_info, one.reported, "{} of {major}: workload info", one.source);
    }
    assert!(captured[0].executions.count() > 400, "{} executions", captured[0].executions.count());
}

#[test]
fn every_way_of_capturing_agrees_on_16() {
    assert_all_ways_agree("16");
}

#[test]
fn every_way_of_capturing_agrees_on_18() {
    assert_all_ways_agree("18");
}
