//! The sample, anonymised, on its database mapped by the SQL script: it replays as before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::bench::{Bench, Ran, number, program, ran};

/// One database with three customers, each in a schema of its own.
const DATABASE: &str = "ent_a";

const REST: &str = r#"
[upgrade]
strategy = "none"
[phases]
warmup = "1s"
before = "4s"
after = "10s"
[trust]
schedule_lag_p99 = "5s"
"#;

fn repository(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

fn tool(bench: &Bench, arguments: &[&str]) {
    let output = program().args(arguments).current_dir(bench.path("")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Replays a workload twice as fast on the sample's database, with what else is loaded.
fn replay(bench: &Bench, name: &str, load: &str) -> Ran {
    let scenario = bench.path("scenario.toml");
    let text = format!(
        "name = \"{name}\"\n[workload]\nfile = \"{name}.jsonl.zst\"\nspeed = 2.0\n[staging]\nprovider = \"local\"\n\
         version = \"16\"\nsource = \"pinned\"\nsettings = {{ fsync = \"off\" }}\n{}{}{load}{REST}",
        loaded(&repository("workloads/saas/schema.sql")),
        loaded(&repository("workloads/saas/load.sql")),
    );
    std::fs::write(&scenario, text).unwrap();
    let mut command = program();
    command.arg("run").arg(scenario).arg("--out").arg(bench.path(name));
    ran(command.output().unwrap(), bench.path(name))
}

fn loaded(file: &str) -> String {
    format!("[[staging.load]]\nsql = \"{file}\"\n")
}

/// How many requests went well, and how many failed with each SQLSTATE.
fn outcomes(ran: &Ran) -> (f64, BTreeMap<String, u64>) {
    let report = ran.report();
    let sum = |name: &str| {
        let tenants = report["tenants"].as_array().unwrap();
        tenants.iter().map(|tenant| number(tenant, &format!("requests.{name}"))).sum::<f64>()
    };
    let mut errors = BTreeMap::new();
    for error in report["errors"].as_array().unwrap() {
        *errors.entry(error["sqlstate"].as_str().unwrap().to_owned()).or_default() += error["count"].as_u64().unwrap();
    }
    assert_eq!(sum("offered"), sum("ok") + sum("expected_error") + sum("skipped"), "{}", ran.stdout);
    (sum("ok"), errors)
}

#[test]
fn the_sample_replays_with_the_same_errors_on_its_mapped_database() {
    let bench = Bench::new(1);
    let sample = repository("workloads/saas.jsonl.zst");
    tool(&bench, &["workload", "slice", &sample, "-o", "plain.jsonl.zst", "--database", DATABASE, "--to", "30s"]);
    let arguments =
        ["workload", "anonymize", "plain.jsonl.zst", "-o", "mapped.jsonl.zst", "--new-key", "key", "--sql", "map.sql"];
    tool(&bench, &arguments);
    let mapped = format!(
        "\\connect {DATABASE}\n\\ir map.sql\nSELECT * FROM pgrehearse_anonymize.database();\n\
         DROP SCHEMA pgrehearse_anonymize CASCADE;\nVACUUM (FULL, ANALYZE);\n"
    );
    std::fs::write(bench.path("map-all.sql"), mapped).unwrap();
    let plain = outcomes(&replay(&bench, "plain", ""));
    let mapped = outcomes(&replay(&bench, "mapped", &loaded("map-all.sql")));
    assert!(plain.0 > 500.0 && plain.1.contains_key("23505"), "{plain:?}");
    assert_eq!(mapped.1, plain.1);
    // Where a run ends within a transaction, its rest is skipped.
    assert!((mapped.0 - plain.0).abs() <= plain.0 / 500.0, "{mapped:?} {plain:?}");
}
