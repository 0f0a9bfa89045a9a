//! More traffic than was captured, by the real program on real servers.

use serde_json::Value;

use crate::bench::{Bench, number, ran};

const REPLAY_ONLY: &str = "
[upgrade]
strategy = \"none\"
[phases]
warmup = \"0s\"
before = \"1s\"
after = \"5s\"
";

fn tenant<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["tenants"].as_array().unwrap().iter().find(|tenant| tenant["tenant"] == name)
}

/// Requests of a tenant that were offered, all of which must have succeeded.
fn offered(report: &Value, name: &str) -> f64 {
    let Some(tenant) = tenant(report, name) else { return 0.0 };
    assert_eq!(tenant["requests"]["ok"], tenant["requests"]["offered"], "{name}: {}", tenant["requests"]);
    number(tenant, "requests.offered")
}

/// The very first request is due as the first phase begins, and may count as one of the warmup before it.
fn assert_nearly(counted: f64, wanted: f64) {
    assert!(counted == wanted || counted == wanted - 1.0, "{counted} instead of {wanted}");
}

#[test]
fn tenants_are_multiplied_and_the_workload_goes_round() {
    let bench = Bench::new(2);
    let tenants = "
[[workload.tenant]]
tenant = \"da*\"
copies = 3
[[workload.tenant]]
tenant = \"eve\"
copies = 0
";
    let mut command = bench.command("run", &format!("{REPLAY_ONLY}{tenants}"));
    command.args(["--set", "workload.loop=2", "--set", "workload.copy_jitter=100ms"]);
    let ran = ran(command.output().unwrap(), bench.path("run"));
    let report = ran.report();
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{}", ran.stdout);
    // In two seconds each session sends 30 requests; sessions 0 and 1 are shared, 2 and 3 are dan's.
    let of = |name| offered(&report, name);
    assert_eq!(of("dan"), 2.0 * 30.0 * 3.0 * 2.0);
    assert_nearly(of("ada") + of("bob") + of("cyd"), 2.0 * 30.0 * 2.0);
    assert_eq!(of("eve"), 0.0);
    assert_nearly(number(&report, "trust.offered"), 480.0);
    assert_eq!(number(&report, "trust.released_share"), 1.0);
}
