//! Statements a second beside pgreplay, from one and the same server log.
//!
//! pgreplay (laurenz/pgreplay, also a Debian package) reads a log with every statement in it, makes a file of it and replays
//! that; so do we. Only the replay is timed. Where the program is missing, that is said. Must not know pgbench's rate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use pgrehearse::scenario::resolved::Speed;

use crate::bench::program;
use crate::server::Server;
use crate::stage::{Recording, in_a_child};
use crate::workload::{self, CLIENTS, TRANSACTION, TRANSACTIONS};
use crate::{load_tables, median};

/// Every statement, as pgreplay wants it.
const SETTINGS: &str = "logging_collector = on\nlog_destination = 'csvlog'\nlog_directory = '../logs'\nlog_filename = 'all.log'\n\
                        log_connections = on\nlog_disconnections = on\nlog_min_error_statement = log\n\
                        max_connections = 100\nshared_buffers = 256MB\nsynchronous_commit = off";

/// Idle time is left out, and what remains goes as fast as it can.
const PGREPLAY_SPEED: [&str; 3] = ["-j", "-s", "1000000"];

/// A log of pgbench's script, in the forms that both replay.
pub struct Logged {
    workload: PathBuf,
    replay_file: PathBuf,
}

impl Logged {
    /// Lets pgbench run on a server that logs; none where there is no pgreplay.
    pub fn record(directory: &Path) -> Option<Self> {
        if Command::new("pgreplay").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            println!("pgreplay is not installed: nothing is compared with it");
            return None;
        }
        let server = Server::start("16", SETTINGS);
        load_tables(&server);
        let script = directory.join("logged.sql");
        std::fs::write(&script, workload::script()).expect("a script");
        let mut pgbench = server.client("pgbench", server.port, "postgres");
        let (clients, transactions) = (CLIENTS.to_string(), TRANSACTIONS.to_string());
        pgbench.args(["-n", "-j", "2", "-c", &clients, "-t", &transactions, "-f"]).arg(&script);
        succeeds(pgbench.env("PGOPTIONS", "-c log_statement=all"));
        let log = server.path("logs/all.csv");
        let logged =
            Self { workload: directory.join("logged.jsonl.zst"), replay_file: directory.join("logged.replay") };
        succeeds(program().args(["capture", "log"]).arg(&log).arg("-o").arg(&logged.workload));
        succeeds(Command::new("pgreplay").args(["-f", "-c", "-o"]).arg(&logged.replay_file).arg(&log));
        Some(logged)
    }
}

/// Prints the medians of both, in turns.
pub fn compare(server: &Server, logged: &Logged, pairs: usize, directory: &Path) {
    let statements = (u64::from(CLIENTS) * TRANSACTIONS) as f64 * TRANSACTION.len() as f64;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        let mut pgreplay = server.connecting(Command::new("pgreplay"), server.port, "postgres");
        pgreplay.args(["-r", "-h", "127.0.0.1", "-p", &server.port.to_string()]).args(PGREPLAY_SPEED);
        let began = Instant::now();
        succeeds(pgreplay.arg(&logged.replay_file).current_dir(directory));
        theirs.push(statements / began.elapsed().as_secs_f64());
        let figures = in_a_child(&logged.workload, server.port, Speed::Max, Recording::Files);
        assert!(figures.replayed >= statements, "{} of {statements} statements are in the log", figures.replayed);
        ours.push(figures.replayed / figures.wall_s);
    }
    let [theirs, ours] = [theirs, ours].map(median);
    println!("log       pgreplay {theirs:.0}/s   replay {ours:.0}/s   ratio {:.2}", ours / theirs);
}

fn succeeds(command: &mut Command) {
    let output = command.output().expect("a program that is there");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
