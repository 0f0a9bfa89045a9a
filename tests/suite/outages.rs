//! Replays through outages of a real server: a restart, a postmaster that is killed, a network that stands still.
//!
//! Through each the run goes on to its end and books every request once, and its report says for every tenant what an
//! independent observer saw. The server is one of the test's own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, Ran, await_timeline, number, program, ran};
use crate::network::Network;
use crate::observer::{Observed, Observer};
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

/// A run, and what was observed of the databases `app` and `ent` meanwhile.
struct Seen {
    ran: Ran,
    shared: Observed,
    own: Observed,
}

impl Seen {
    /// The tenants of the report, each with what was observed of its database.
    fn tenants(&self) -> Vec<(Value, &Observed)> {
        let report = self.ran.report();
        let observed = |tenant: &Value| if tenant["databases"][0] == "app" { &self.shared } else { &self.own };
        report["tenants"].as_array().unwrap().iter().map(|tenant| (tenant.clone(), observed(tenant))).collect()
    }

    /// Every tenant had so many outages, as long as observed.
    fn assert_as_observed(&self, outages: usize) {
        for (tenant, observed) in self.tenants() {
            observed.assert_agrees(&tenant, outages);
        }
    }
}

/// Rehearses on the server at `at` while something makes outages. The run must end as if there had been none.
fn go_through(bench: &Bench, at: SocketAddr, make: impl FnOnce()) -> Seen {
    let scenario = bench.path("outage.toml");
    let text = format!(
        "name = \"outage\"\n[workload]\nfile = \"small.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@{at}/postgres\"\n{PLAN}"
    );
    std::fs::write(&scenario, text).unwrap();
    let watch = |database| Observer::start(at, database, DEADLINE);
    let (shared, own) = (watch("app"), watch("ent"));
    let mut command = program();
    command.arg("run").arg(scenario).arg("--out").arg(bench.path("run"));
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_timeline(&bench.path("run"), "\"event\":\"phase_started\",\"phase\":\"upgrade\"");
    make();
    std::fs::write(bench.path("over"), "").unwrap();
    let ran = ran(running.wait_with_output().unwrap(), bench.path("run"));
    let seen = Seen { ran, shared: shared.finish(), own: own.finish() };
    let ran = &seen.ran;
    // Inconclusive where the host was too busy to send on time.
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    assert_booked_once(ran);
    let report = ran.report();
    assert_eq!(report["run"]["complete"], true, "{}", ran.stdout);
    assert_eq!(report["writes"]["lost"], 0, "{}", report["writes"]);
    seen
}

/// Lets the server answer for some seconds, so that what comes next is an outage of its own.
fn serve(server: &Server, seconds: u32) {
    server.ask("postgres", &["-c", &format!("SELECT pg_sleep({seconds})")]);
}

#[test]
fn through_restarts_nothing_is_lost_and_downtime_is_what_an_observer_saw() {
    let bench = Bench::new(60);
    let server = server(&bench);
    let seen = go_through(&bench, server.at(), || {
        for _ in 0..3 {
            server.program("pg_ctl", &["restart", "-w", "-D", "data", "-l", "log", "-m", "fast"]);
            serve(&server, 1);
        }
    });
    seen.assert_as_observed(3);
}

#[test]
fn through_kills_of_the_postmaster_nothing_is_lost_and_downtime_is_what_an_observer_saw() {
    let bench = Bench::new(60);
    let server = server(&bench);
    let seen = go_through(&bench, server.at(), || {
        for _ in 0..3 {
            server.kill();
            server.program("pg_ctl", &["start", "-w", "-D", "data", "-l", "log"]);
            serve(&server, 1);
        }
    });
    seen.assert_as_observed(3);
}

#[test]
fn through_a_network_that_stands_still_downtime_is_what_an_observer_saw() {
    let bench = Bench::new(60);
    let server = server(&bench);
    let relay = Relay::start(server.at());
    let seen = go_through(&bench, relay.at, || {
        relay.hold();
        std::thread::sleep(Duration::from_secs(10));
        relay.let_go();
        serve(&server, 1);
    });
    seen.assert_as_observed(1);
}

/// A packet that was lost is sent again after ever longer waits, each as long as all before it: so whoever waits for an
/// answer sees an outage up to twice as long as the network's, and one who comes anew sees it end up to a second (the first
/// such wait of a login) later. Clients and observers differ by seconds then, and each is right.
#[test]
fn through_dropped_packets_the_bounds_hold_what_can_be_seen_of_them() {
    let network = match Network::make() {
        Ok(network) => network,
        Err(reason) => return eprintln!("SKIPPED, without a network whose packets can be dropped: {reason}"),
    };
    let bench = Bench::new(60);
    let server = server(&bench);
    let relay = Relay::start_on(network.listen(), server.at());
    let mut dropped_ms = 0.0;
    let seen = go_through(&bench, relay.at, || {
        network.drop_packets();
        let began = Instant::now();
        std::thread::sleep(Duration::from_secs(10));
        dropped_ms = began.elapsed().as_secs_f64() * 1e3;
        network.pass_packets();
        serve(&server, 4);
    });
    let can_be_seen_ms = dropped_ms - 50.0..=2.0 * dropped_ms + 1_000.0;
    for (tenant, observed) in seen.tenants() {
        let (least_ms, most_ms) = observed.downtime_ms();
        assert!(can_be_seen_ms.contains(&least_ms) && can_be_seen_ms.contains(&most_ms), "{observed:?}");
        assert!(can_be_seen_ms.contains(&number(&tenant, "downtime_ms")), "{tenant}");
        let (at_least_ms, at_most_ms) = (number(&tenant, "at_least_ms"), tenant["at_most_ms"].as_f64());
        assert!(at_least_ms <= *can_be_seen_ms.end(), "{tenant}");
        assert!(at_most_ms.is_none_or(|at_most_ms| at_most_ms >= dropped_ms), "{tenant}");
        // Own requests wait as the observer's do; probes on fresh connections see the end before both.
        assert!(at_least_ms <= most_ms + 1_000.0, "{observed:?}, {tenant}");
    }
}
