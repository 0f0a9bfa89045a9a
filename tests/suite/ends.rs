//! The ways in which a rehearsal ends other than well: a failing check, ctrl-C, a kill, a missed objective, an unmarked
//! server. Each has its exit code, keeps what was measured, and leaves no server behind.

use std::path::Path;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, await_timeline, number, program, ran};

/// Phases that are short, around a plain upgrade.
pub const UPGRADE: &str = r#"
[upgrade]
strategy = "pg_upgrade"
to = "18"
source = "pinned"
mode = "link"
[phases]
warmup = "1s"
before = "3s"
after = "4s"
"#;

#[test]
fn a_prepared_transaction_stops_the_upgrade_and_the_old_server_comes_back() {
    let bench = Bench::new(40);
    let rest = format!(
        "{UPGRADE}
[[upgrade.insert]]
before = \"stop\"
sql = \"BEGIN; UPDATE dan.notes SET body = body WHERE id = 1; PREPARE TRANSACTION 'left over'\"
database = \"ent\"
"
    );
    let mut command = bench.command("run", &rest);
    command.args(["--set", "staging.settings.max_prepared_transactions=\"4\""]);
    let ran = ran(command.output().unwrap(), bench.path("run"));
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("prepared transactions"), "{}", ran.stdout);
    let report = ran.report();
    let steps = report["steps"].as_array().unwrap();
    let failed = steps.iter().find(|step| step["outcome"] == "failed").expect("a failed step");
    assert_eq!(failed["name"], "pg_upgrade");
    assert!(number(&report, "downtime.max_ms") > 0.0);
    let last = &report["tenants"][0]["write"]["windows"];
    assert!(last.as_array().unwrap().iter().all(|window| window["open"] == false), "the old server answers: {last}");
}

#[test]
fn a_missed_objective_exits_1_and_says_by_how_much() {
    let bench = Bench::new(30);
    let mut command = bench.command("run", UPGRADE);
    command.args(["--set", "objectives=[\"step(pg_upgrade).duration < 10ms\"]"]);
    let ran = ran(command.output().unwrap(), bench.path("run"));
    assert_eq!(ran.code, 1, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.report();
    let objective =
        report["objectives"].as_array().unwrap().iter().find(|objective| objective["outcome"] == "missed").unwrap();
    assert!(objective["value"].as_f64().unwrap() > objective["limit"].as_f64().unwrap());
}

#[test]
fn ctrl_c_exits_130_with_a_partial_report_and_no_server() {
    for phase in ["warmup", "before", "upgrade"] {
        let bench = Bench::new(40);
        let child = bench.spawn("run", UPGRADE);
        await_timeline(&bench.path("run"), &format!("\"event\":\"phase_started\",\"phase\":\"{phase}\""));
        send(&child, Signal::INT);
        let ran = ran(child.wait_with_output().unwrap(), bench.path("run"));
        assert_eq!(ran.code, 130, "{phase}: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(ran.report()["run"]["interrupted"], true);
        assert_no_server(&bench.path("run"));
    }
}

#[test]
fn a_killed_run_can_be_reported_and_the_next_run_cleans_up() {
    let bench = Bench::new(40);
    let child = bench.spawn("killed", UPGRADE);
    await_timeline(&bench.path("killed"), "\"name\":\"pg_upgrade\"");
    send(&child, Signal::KILL);
    ran(child.wait_with_output().unwrap(), bench.path("killed"));

    let report = program().arg("report").arg(bench.path("killed")).output().unwrap();
    assert_eq!(report.status.code(), Some(3), "{}", String::from_utf8_lossy(&report.stderr));
    assert!(String::from_utf8_lossy(&report.stdout).to_lowercase().contains("inconclusive"));

    let next = bench.run("next", UPGRADE);
    assert_eq!(next.code, 0, "{}\n{}", next.stdout, next.stderr);
    assert_no_server(&bench.path("killed"));
    assert_no_server(&bench.path("next"));
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// No process is left that works in a cluster of the run; `run.json` names the clusters' directory.
pub fn assert_no_server(run: &Path) {
    let facts = std::fs::read_to_string(run.join("run.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    let clusters = facts["clusters_dir"].as_str().expect("run.json names the clusters' directory");
    assert!(!Path::new(clusters).exists(), "{clusters} is left");
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(cwd) = std::fs::read_link(entry.path().join("cwd")) {
            assert!(!cwd.starts_with(clusters), "{} still works in {clusters}", entry.path().display());
        }
    }
}
