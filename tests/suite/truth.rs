//! The measurement against outages whose length is known: a freeze, a lock on one tenant's tables, a restart that an
//! independent observer watches too.

use std::time::Duration;

use crate::bench::{Bench, number, ran};
use crate::observer::Observer;

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
steps = [
  { stop = { mode = "fast" } }, { start = { server = "old" } }, { wait = "1s" },
  { stop = { mode = "fast" } }, { start = { server = "old" } }, { wait = "1s" },
  { stop = { mode = "fast" } }, { start = { server = "old" } }, { wait = "1s" },
]
[phases]
warmup = "1s"
before = "4s"
after = "5s"
[probes]
interval = "20ms"
"#;
    let mut command = bench.command("run", rest);
    command.arg("--set").arg(format!("staging.port={port}"));
    let watch = |database| Observer::start(([127, 0, 0, 1], port).into(), database, Duration::from_secs(5));
    let (shared, own) = (watch("app"), watch("ent"));
    let ran = ran(command.output().unwrap(), bench.path("run"));
    let (shared, own) = (shared.finish(), own.finish());
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    for tenant in ran.report()["tenants"].as_array().unwrap() {
        let observed = if tenant["databases"][0] == "app" { &shared } else { &own };
        observed.assert_agrees(tenant, 3);
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
