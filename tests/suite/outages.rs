//! Replays through outages of a real server: a restart, a postmaster that is killed, a network that stands still.
//!
//! Through each the run goes on to its end and books every request once, and its report says for every tenant what an
//! independent observer saw. The server is one of the test's own.

use std::process::Stdio;
use std::time::Duration;

use crate::bench::{Bench, Ran, await_timeline, program, ran};
use crate::observer::Observer;
use crate::relay::Relay;
use crate::requests::assert_booked_once;
use crate::server::Server;

/// For statements and logins of both, the program's clients and the observer's.
const DEADLINE: Duration = Duration::from_secs(1);

/// The step lasts until the test says that its outages are over.
const PLAN: &str = r#"
[upgrade]
steps = [{ command = "while [ ! -e over ]; do sleep 0.1; done", deadline = "60s" }]
[phases]
warmup = "1s"
before = "2s"
after = "2s"
[clients]
deadline = "1s"
connect_timeout = "1s"
[probes]
interval = "20ms"
"#;

fn server(bench: &Bench) -> Server {
    let server = Server::start("16", "");
    server.ask("postgres", &["-f", bench.path("schema.sql").to_str().unwrap()]);
    server.ask("postgres", &["-c", "CREATE TABLE pgrehearse_disposable ()"]);
    server
}

/// Rehearses at `port` while something makes `outages` outages, and compares.
fn go_through(bench: &Bench, port: u16, outages: usize, make: impl FnOnce()) -> Ran {
    let scenario = bench.path("outage.toml");
    let text = format!(
        "name = \"outage\"\n[workload]\nfile = \"small.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{port}/postgres\"\n{PLAN}"
    );
    std::fs::write(&scenario, text).unwrap();
    let watch = |database| Observer::start(([127, 0, 0, 1], port).into(), database, DEADLINE);
    let (shared, own) = (watch("app"), watch("ent"));
    let mut command = program();
    command.arg("run").arg(scenario).arg("--out").arg(bench.path("run"));
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_timeline(&bench.path("run"), "\"event\":\"phase_started\",\"phase\":\"upgrade\"");
    make();
    std::fs::write(bench.path("over"), "").unwrap();
    let ran = ran(running.wait_with_output().unwrap(), bench.path("run"));
    let (shared, own) = (shared.finish(), own.finish());

    // Inconclusive where the host was too busy to send on time.
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    assert_booked_once(&ran);
    let report = ran.report();
    assert_eq!(report["run"]["complete"], true, "{}", ran.stdout);
    assert_eq!(report["writes"]["lost"], 0, "{}", report["writes"]);
    for tenant in report["tenants"].as_array().unwrap() {
        let observed = if tenant["databases"][0] == "app" { &shared } else { &own };
        observed.assert_agrees(tenant, outages);
    }
    ran
}

/// Lets the server answer for a second, so that what comes next is an outage of its own.
fn serve_for_a_second(server: &Server) {
    server.ask("postgres", &["-c", "SELECT pg_sleep(1)"]);
}

#[test]
fn through_restarts_nothing_is_lost_and_downtime_is_what_an_observer_saw() {
    let bench = Bench::new(60);
    let server = server(&bench);
    go_through(&bench, server.port, 3, || {
        for _ in 0..3 {
            server.program("pg_ctl", &["restart", "-w", "-D", "data", "-l", "log", "-m", "fast"]);
            serve_for_a_second(&server);
        }
    });
}

#[test]
fn through_kills_of_the_postmaster_nothing_is_lost_and_downtime_is_what_an_observer_saw() {
    let bench = Bench::new(60);
    let server = server(&bench);
    go_through(&bench, server.port, 3, || {
        for _ in 0..3 {
            server.kill();
            server.program("pg_ctl", &["start", "-w", "-D", "data", "-l", "log"]);
            serve_for_a_second(&server);
        }
    });
}

#[test]
fn through_a_network_that_stands_still_downtime_is_what_an_observer_saw() {
    let bench = Bench::new(60);
    let server = server(&bench);
    let relay = Relay::start(([127, 0, 0, 1], server.port).into());
    go_through(&bench, relay.port, 1, || {
        relay.hold();
        std::thread::sleep(Duration::from_secs(10));
        relay.let_go();
        serve_for_a_second(&server);
    });
}
