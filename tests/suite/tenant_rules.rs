//! Each tenant rule on the log of a real server: whose each statement of one session is.

use std::path::Path;

use serde_json::Value;

use crate::bench::program;
use crate::server::Server;

const LOGGED: &str = "logging_collector = on\nlog_destination = 'csvlog'\nlog_directory = '../logs'\n\
                      log_filename = 'all.log'\nlog_min_duration_statement = 0\nlog_connections = on\n";

const SCHEMA: &str = "
CREATE TABLE orders (id int, tenant_id int);
CREATE TABLE items (id int, org int);
CREATE SCHEMA bolt;
CREATE TABLE bolt.things (id int);
CREATE SCHEMA cato;
CREATE TABLE cato.things (id int);
";

/// What one session sends; psql sends what `\bind` is behind by the extended protocol.
const TRAFFIC: &str = r"
SELECT 1;
SET application_name = 'acme-web';
SELECT count(*) FROM orders WHERE tenant_id = 7;
SELECT count(*) FROM orders WHERE tenant_id = $1::int \bind 8 \g
SELECT count(*) FROM orders WHERE tenant_id = ANY ($1) \bind '{9,10}' \g
SELECT count(*) FROM orders WHERE tenant_id IN (7, 8) /*route='%2Fcart',tenant='acme%20co'*/;
SELECT count(*) FROM orders o JOIN items i ON i.org = o.tenant_id WHERE i.org = 9;
INSERT INTO orders (id, tenant_id) VALUES (1, 10), (2, 11);
PREPARE mine (int) AS SELECT count(*) FROM orders WHERE tenant_id = $1;
EXECUTE mine(7);
BEGIN;
SELECT 2;
UPDATE orders SET id = id + 1 WHERE CAST(tenant_id AS text) = '8' /*tenant:bolt*/;
COMMIT;
SET search_path TO bolt, public;
SELECT count(*) FROM things;
SELECT count(*) FROM cato.things;
RESET application_name;
SELECT 3;
";

/// The statements of the session with their tenants by these rules, as a capture gives them and as a retag does.
fn tenants(dir: &Path, log: &Path, rules: &[&str], file: Option<&str>) -> Vec<(String, String)> {
    let mut options: Vec<&str> = rules.iter().flat_map(|rule| ["--tenant-by", rule]).collect();
    if let Some(csv) = file {
        std::fs::write(dir.join("tenants.csv"), csv).unwrap();
        options.extend(["--tenants", "tenants.csv"]);
    }
    let called = |arguments: &[&str]| {
        let output = program().args(arguments).args(&options).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    called(&["capture", "log", log.to_str().unwrap(), "-o", "captured.jsonl"]);
    let captured = listed(dir, "captured.jsonl");
    let output = program()
        .args(["workload", "retag", "captured.jsonl", "-o", "other.jsonl", "--tenant-by", "database"])
        .current_dir(dir)
        .output();
    assert!(output.unwrap().status.success());
    called(&["workload", "retag", "other.jsonl", "-o", "retagged.jsonl"]);
    assert_eq!(listed(dir, "retagged.jsonl"), captured, "{rules:?}");
    captured
}

/// Tenant and text of each statement of the last session.
fn listed(dir: &Path, workload: &str) -> Vec<(String, String)> {
    let output = program().args(["workload", "cat", "--json", workload]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.iter().filter_map(|event| event["session"].as_u64()).max().unwrap();
    let requests = events.iter().filter(|event| event["kind"] == "request" && event["session"] == last);
    let shown = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    requests.map(|event| (shown(&event["tenant"]), shown(&event["statements"][0]["text"]))).collect()
}

#[test]
fn each_rule_finds_whose_a_statement_is() {
    let server = Server::start("16", LOGGED);
    server.ask("postgres", &["-c", SCHEMA]);
    std::fs::write(server.path("traffic.sql"), TRAFFIC).unwrap();
    let traffic = server.path("traffic.sql");
    server.ask("postgres", &[Path::new("-f"), &traffic]);
    let log = server.path("logs/all.csv");
    let dir = tempfile::tempdir().unwrap();

    let rules: [&[&str]; 5] =
        [&["application_name"], &["schema"], &["tag:tenant"], &[r"sql:tenant_id = (\d+)"], &["param:orders.tenant_id"]];
    let by_rule: Vec<_> = rules.iter().map(|rules| tenants(dir.path(), &log, rules, None)).collect();
    let names = "tenant,name,tier,region\n7,Seven,gold,eu\n8,Eight,silver,us\n";
    let several: &[&str] = &["param:orders.tenant_id", "tag:tenant", "schema"];
    let mapped = tenants(dir.path(), &log, several, Some(names));
    let mut table = format!("{:<9} {:<5} {:<8} {:<4} {:<6} {:<6}\n", "app", "schema", "tag", "sql", "param", "several");
    for (at, (several, text)) in mapped.iter().enumerate() {
        let [app, schema, tag, sql, param] = [0, 1, 2, 3, 4].map(|rule: usize| by_rule[rule][at].0.as_str());
        table += &format!("{app:<9} {schema:<6} {tag:<8} {sql:<4} {param:<6} {several:<7} | {}\n", text.trim());
    }
    insta::assert_snapshot!(table, @r"
    app       schema tag      sql  param  several
    psql      -      -        -    -      -       | SELECT 1;
    acme-web  -      -        -    -      -       | SET application_name = 'acme-web';
    acme-web  -      -        7    7      Seven   | SELECT count(*) FROM orders WHERE tenant_id = 7;
    acme-web  -      -        7    8      Eight   | SELECT count(*) FROM orders WHERE tenant_id = $1::int
    acme-web  -      -        7    9      9       | SELECT count(*) FROM orders WHERE tenant_id = ANY ($1)
    acme-web  -      acme co  7    7      Seven   | SELECT count(*) FROM orders WHERE tenant_id IN (7, 8) /*route='%2Fcart',tenant='acme%20co'*/;
    acme-web  -      acme co  7    9      9       | SELECT count(*) FROM orders o JOIN items i ON i.org = o.tenant_id WHERE i.org = 9;
    acme-web  -      acme co  7    10     10      | INSERT INTO orders (id, tenant_id) VALUES (1, 10), (2, 11);
    acme-web  -      acme co  7    10     10      | PREPARE mine (int) AS SELECT count(*) FROM orders WHERE tenant_id = $1;
    acme-web  -      acme co  7    7      Seven   | EXECUTE mine(7);
    acme-web  -      bolt     7    8      Eight   | BEGIN;
    acme-web  -      bolt     7    8      Eight   | SELECT 2;
    acme-web  -      bolt     7    8      Eight   | UPDATE orders SET id = id + 1 WHERE CAST(tenant_id AS text) = '8' /*tenant:bolt*/;
    acme-web  -      bolt     7    8      Eight   | COMMIT;
    acme-web  bolt   bolt     7    8      bolt    | SET search_path TO bolt, public;
    acme-web  bolt   bolt     7    8      bolt    | SELECT count(*) FROM things;
    acme-web  cato   bolt     7    8      cato    | SELECT count(*) FROM cato.things;
    psql      bolt   bolt     7    8      bolt    | RESET application_name;
    psql      bolt   bolt     7    8      bolt    | SELECT 3;
    ");

    let output = program().args(["workload", "info", "--json", "retagged.jsonl"]).current_dir(dir.path()).output();
    let info: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let seven = info["tenants"].as_array().unwrap().iter().find(|tenant| tenant["name"] == "Seven").unwrap();
    assert_eq!((seven["tier"].as_str(), seven["region"].as_str()), (Some("gold"), Some("eu")));
}
