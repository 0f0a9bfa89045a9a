//! How fast and how punctual the replay is, beside pgbench running the same statements against the same server.
//!
//! `cargo bench --bench replay [PAIRS]` takes turns between both, 5 times each, and prints medians, their ratio, and how far
//! pgbench's own runs lie apart; both log every statement. Then: recording to files against forgetting the samples, and
//! how late requests leave with 500 sessions at half of what the server can take, beside a thread that only sleeps.
//! `-- busy [PAIRS]` shows the same rates idle and under load, and those of pgreplay where it is installed; `-- hold` the memory
//! of 5,000 idle sessions; `-- together` what transactions take when one half of the clients is pgbench's and the other ours.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used)]

mod beside_pgbench;
mod busy;
mod hold;
mod lag;
mod pgreplay;
mod stage;
mod stand_in;
mod together;
mod workload;

#[allow(dead_code)]
#[path = "../../tests/suite/server.rs"]
mod server;

use std::path::Path;

use workload::Mode;

/// What the server of the tests needs of them.
mod bench {
    pub fn program() -> std::process::Command {
        std::process::Command::new(env!("CARGO_BIN_EXE_pgrehearse"))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [stand_in::ARGUMENT] => return stand_in::child(),
        [busy::ARGUMENT] => return busy::child(),
        ["--stage", speed, recording, port, workload] => {
            return stage::child(speed, recording, port.parse().unwrap(), Path::new(workload));
        }
        ["--hold", sslmode, port, workload] => {
            return hold::child(sslmode, port.parse().unwrap(), Path::new(workload));
        }
        ["--together", port, workload] => return together::child(port.parse().unwrap(), Path::new(workload)),
        _ => {}
    }
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    if words[..] == ["hold"] {
        return hold::hold(directory);
    }
    let server = server::Server::start("18", "max_connections = 600\nshared_buffers = 256MB\nsynchronous_commit = off");
    load_tables(&server);
    let pairs = words.last().and_then(|word| word.parse().ok()).unwrap_or(5);
    match words.first() {
        Some(&"together") => together::together(&server, directory),
        Some(&"busy") => busy::busy(&server, pairs, directory),
        _ => {
            for mode in Mode::ALL {
                beside_pgbench::throughput(&server, mode, pairs, directory);
            }
            lag::lag(server.port, directory);
        }
    }
}

/// pgbench's tables, of [`workload::ACCOUNTS`] rows.
fn load_tables(server: &server::Server) {
    let mut pgbench = server.client("pgbench", server.port, "postgres");
    assert!(pgbench.args(["-i", "-q", "-s", "10"]).output().unwrap().status.success());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
