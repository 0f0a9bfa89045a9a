//! The measurement against outages whose length is known: a freeze, a lock on one tenant's tables, a restart that an
//! independent observer watches too.

use std::time::{Duration, Instant};

use crate::bench::{Bench, number, ran};

/// Waits a second, stops the postmaster and then all its children for three seconds, waits a second.
const FREEZE: &str = r#"
P=$PGREHEARSE_SERVER_PID
sleep 1
kill -STOP $P
C=$(cat /proc/$P/task/$P/children)
for c in $C; do kill -STOP $c; done
sleep 3
for c in $C; do kill -CONT $c; done
kill -CONT $P
sleep 1
"#;

#[test]
fn a_freeze_of_three_seconds_is_three_seconds_of_downtime_for_every_tenant() {
    let bench = Bench::new(25);
    std::fs::write(bench.path("freeze.sh"), FREEZE).unwrap();
    let ran = bench.run(
        "run",
        r#"
[upgrade]
steps = [{ command = "sh freeze.sh", deadline = "30s" }]
[phases]
warmup = "1s"
before = "4s"
after = "6s"
[clients]
deadline = "1s"
[probes]
interval = "50ms"
"#,
    );
    let report = ran.report();
    let tenants = report["tenants"].as_array().unwrap();
    assert_eq!(tenants.len(), 5, "{}", ran.stderr);
    for tenant in tenants {
        let name = &tenant["tenant"];
        let downtime_ms = number(tenant, "downtime_ms");
        assert!((downtime_ms - 3000.0).abs() <= 150.0, "{name}: {downtime_ms}\n{}", ran.stdout);
        for class in ["read", "write"] {
            let windows = tenant[class]["windows"].as_array().unwrap();
            assert_eq!(windows.len(), 1, "{name} {class}: {windows:?}");
            let at_least_ms = number(&windows[0], "at_least_ms");
            let at_most_ms = number(&windows[0], "at_most_ms");
            let length_ms = number(&windows[0], "ended_ms") - number(&windows[0], "started_ms");
            assert!(2800.0 <= at_least_ms && at_least_ms <= length_ms, "{name} {class}: {windows:?}");
            assert!(length_ms <= at_most_ms && at_most_ms <= 3300.0, "{name} {class}: {windows:?}");
        }
    }
    assert_eq!(report["writes"]["lost"], 0);
}

/// Holds an ACCESS EXCLUSIVE lock on one tenant's table for five seconds.
const LOCK: &str = "BEGIN; LOCK TABLE dan.notes IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT;";

#[test]
fn a_lock_on_one_tenants_tables_is_downtime_of_that_tenant_alone() {
    let bench = Bench::new(25);
    let ran = bench.run(
        "run",
        &format!(
            r#"
[upgrade]
steps = [{{ sql = "{LOCK}", database = "ent", deadline = "30s" }}]
[phases]
warmup = "1s"
before = "4s"
after = "8s"
[clients]
deadline = "1s"
"#
        ),
    );
    let report = ran.report();
    for tenant in report["tenants"].as_array().unwrap() {
        for class in ["read", "write"] {
            let downtime_ms = number(tenant, &format!("{class}.downtime_ms"));
            match tenant["tenant"].as_str() {
                Some("dan") => {
                    assert!((downtime_ms - 5000.0).abs() <= 600.0, "dan {class}: {downtime_ms}\n{}", ran.stdout)
                }
                _ => assert!(downtime_ms == 0.0, "{tenant}"),
            }
        }
    }
}

#[test]
fn a_restart_is_as_long_as_an_independent_observer_saw_it() {
    let bench = Bench::new(25);
    let port = free_port();
    let rest = r#"
[upgrade]
steps = [{ wait = "2s" }, { stop = { mode = "fast" } }, { start = { server = "old" } }, { wait = "1s" }]
[phases]
warmup = "1s"
before = "4s"
after = "5s"
[probes]
interval = "20ms"
"#;
    let mut command = bench.command("run", rest);
    command.arg("--set").arg(format!("staging.port={port}"));
    let (ended, end) = std::sync::mpsc::channel();
    let observer = std::thread::spawn(move || observe(port, &end));
    let ran = ran(command.output().unwrap(), bench.path("run"));
    ended.send(()).unwrap();
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    let observed_ms = observer.join().unwrap().expect("the observer saw no outage").as_secs_f64() * 1e3;
    for tenant in ran.report()["tenants"].as_array().unwrap() {
        let downtime_ms = number(tenant, "downtime_ms");
        assert!((downtime_ms - observed_ms).abs() <= 50.0, "observed {observed_ms}, reported {tenant}");
    }
}

/// The first outage that a client with one warm connection and a loop of 10 ms sees: from when it sent the query that
/// failed to the next answer.
fn observe(port: u16, end: &std::sync::mpsc::Receiver<()>) -> Option<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut down_since, mut outage, mut was_up) = (None::<Instant>, None, false);
    let mut client = None;
    while end.try_recv().is_err() {
        let asked = Instant::now();
        match runtime.block_on(ask(port, client.take())) {
            Some(answered) => {
                was_up = true;
                client = Some(answered);
                if let Some(since) = down_since.take() {
                    outage.get_or_insert(since.elapsed());
                }
            }
            None if was_up => {
                down_since.get_or_insert(asked);
            }
            None => {}
        }
        std::thread::park_timeout(Duration::from_millis(10).saturating_sub(asked.elapsed()));
    }
    outage
}

/// Asks on the connection at hand, or on a new one; gives the connection back when it answered.
async fn ask(port: u16, client: Option<tokio_postgres::Client>) -> Option<tokio_postgres::Client> {
    let client = match client {
        Some(client) => client,
        None => {
            let dsn = format!("host=127.0.0.1 port={port} user=app dbname=app connect_timeout=2");
            let (client, connection) = tokio_postgres::connect(&dsn, tokio_postgres::NoTls).await.ok()?;
            // It ends with its client, which this function's callers drop.
            tokio::spawn(connection);
            client
        }
    };
    client.simple_query("SELECT 1").await.ok()?;
    Some(client)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
