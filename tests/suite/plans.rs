//! Plans beside the plain `--link` upgrade: written steps of every kind, the other transfer modes, a failure after which
//! the old server must stay down, another pace, and an interruption while staging is made.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::{Bench, number, ran};

const PHASES: &str = r#"
[phases]
warmup = "1s"
before = "3s"
after = "3s"
[trust]
schedule_lag_p99 = "200ms"
"#;

/// Every kind of step, with the insertions that a strategy takes too.
const STEPS: &str = r#"
[upgrade]
to = "18"
source = "pinned"
mode = "swap"
jobs = 2
steps = [
  { command = "test -d \"$PGREHEARSE_RUN_DIR/logs\" && kill -0 $PGREHEARSE_SERVER_PID && echo \"$PGREHEARSE_ENDPOINT\"", name = "look" },
  { sql = "CREATE TABLE done (id int)", database = "app", user = "app" },
  { wait = "200ms" },
  { wait = { until = "SELECT count(*) = 0 FROM done", database = "app" }, name = "until" },
  "check",
  { stop = "fast" },
  "pg_upgrade",
  { start = "new" },
  "switch",
  { analyze = "full" },
]
[[upgrade.insert]]
before = "stop"
sql = "CHECKPOINT"
name = "flush"
[[upgrade.insert]]
after = "switch"
command = ["sh", "-c", "echo open"]
name = "announce"
"#;

#[test]
fn written_steps_run_in_their_order_and_pg_upgrade_shows_its_phases() {
    let bench = Bench::new(40);
    let ran = bench.run("run", &format!("{STEPS}{PHASES}"));
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.report();
    let order = [
        "look",
        "sql",
        "wait",
        "until",
        "check",
        "flush",
        "stop",
        "pg_upgrade",
        "start",
        "switch",
        "announce",
        "analyze",
    ];
    assert_eq!(names(&report["steps"]), order);
    for step in report["steps"].as_array().unwrap() {
        assert_eq!(step["outcome"], "ok", "{step}");
    }
    let phases = names(&report["steps"][7]["steps"]);
    for phase in ["Creating dump of global objects", "Swapping data directories", "Checking for extension updates"] {
        assert!(phases.contains(&phase), "{phases:?}");
    }
    assert_eq!(report["server"]["after"]["version"], "18.4");
    assert_eq!(report["writes"]["lost"], 0);
}

#[test]
fn after_the_new_server_ran_on_linked_files_the_old_one_stays_down_and_the_report_says_why() {
    let bench = Bench::new(60);
    let upgrade = r#"
[upgrade]
strategy = "pg_upgrade"
to = "18"
source = "pinned"
mode = "link"
[[upgrade.insert]]
after = "start"
command = "echo broken; exit 7"
name = "smoke test"
"#;
    let ran = bench.run("run", &format!("{upgrade}{PHASES}"));
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.report();
    let steps = report["steps"].as_array().unwrap();
    let detail = |name: &str| steps.iter().find(|step| step["name"] == name).unwrap()["detail"].to_string();
    assert!(detail("smoke test").contains("broken"), "{}", detail("smoke test"));
    let why = detail("bring back the old server");
    assert!(why.contains("the new server has started on files that both share"), "{why}");
    assert!(number(&report, "downtime.at_least_max_ms") > 0.0);
    assert_eq!(report["writes"]["lost"], Value::Null);
}

#[test]
fn copies_and_speed_multiply_what_is_offered() {
    let bench = Bench::new(40);
    let mut command = bench.command("run", &format!("[upgrade]\nstrategy = \"none\"\n{PHASES}"));
    command.args(["--set", "workload.copies=2", "--set", "workload.speed=2.0"]);
    let ran = ran(command.output().unwrap(), bench.path("run"));
    assert!(matches!(ran.code, 0 | 3), "{}\n{}", ran.stdout, ran.stderr);
    let report = ran.report();
    // Six sessions at 15 requests a second, four times, in the phases that count.
    let span_s = ["before", "after"].map(|name| phase_s(&report, name)).iter().sum::<f64>();
    let offered = number(&report, "trust.offered");
    assert!((offered / (360.0 * span_s) - 1.0).abs() < 0.1, "{offered} offered in {span_s} s");
    for tenant in report["tenants"].as_array().unwrap() {
        let requests = tenant["requests"].as_object().unwrap();
        let outcomes: u64 = requests.iter().filter(|(key, _)| *key != "offered").filter_map(|(_, n)| n.as_u64()).sum();
        assert_eq!(requests["offered"], outcomes, "{tenant}");
    }
}

#[test]
fn a_signal_while_staging_is_made_exits_130_and_leaves_nothing() {
    for (signal, said) in [(Signal::INT, "starting PostgreSQL"), (Signal::TERM, "loading ")] {
        let bench = Bench::new(10);
        let mut child = bench.spawn("run", PHASES);
        let run = await_said(&mut child, said);
        let sent = Instant::now();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        // A second one changes nothing; the process may be gone already.
        let _ = kill_process(pid, signal);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
        assert!(sent.elapsed() < Duration::from_secs(10), "{said}");
        let left = std::fs::read_dir("/var/tmp").unwrap().flatten().map(|entry| entry.path());
        let left: Vec<_> = left.filter(|path| path.to_string_lossy().ends_with(&format!("-{run}"))).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Reads the child's progress up to a line that begins so; gives the child's process id. The rest is read to its end
/// elsewhere, so that the child never waits for a reader.
fn await_said(child: &mut Child, said: &str) -> u32 {
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with(said));
    assert!(found, "it never said {said}");
    std::thread::spawn(move || lines.for_each(drop));
    child.id()
}

fn names(steps: &Value) -> Vec<&str> {
    steps.as_array().unwrap().iter().filter_map(|step| step["name"].as_str()).collect()
}

fn phase_s(report: &Value, name: &str) -> f64 {
    let phase = report["phases"].as_array().unwrap().iter().find(|phase| phase["name"] == name).unwrap();
    (number(phase, "ended_ms") - number(phase, "started_ms")) / 1e3
}
