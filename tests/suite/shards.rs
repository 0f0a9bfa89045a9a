//! A rehearsal by several processes: each replays its part of the sessions, one of them drives.
//!
//! The server is one of the test's own, external to the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use pgrehearse::samples::sample::{Names, Sample, SampleKind};
use pgrehearse::samples::{parts, read_part};
use serde_json::Value;

use crate::bench::{Bench, Ran, program, ran};
use crate::inputs::Desk;
use crate::server::Server;

/// Leaves every process time to come up on a busy machine.
const START_IN: SignedDuration = SignedDuration::from_secs(15);

/// A server with the bench's databases that may be thrown away.
fn server(bench: &Bench) -> Server {
    let server = Server::start("16", "");
    server.ask("postgres", &["-f", bench.path("schema.sql").to_str().unwrap()]);
    server.ask("postgres", &["-c", "ALTER DATABASE postgres SET pgrehearse.disposable = 'on'"]);
    server
}

/// A scenario on it; a lag of the tool's own is not what is tested.
fn scenario(bench: &Bench, server: &Server, phases: &str) -> PathBuf {
    let path = bench.path("shards.toml");
    let text = format!(
        "name = \"shards\"\n[workload]\nfile = \"small.jsonl\"\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[upgrade]\nsteps = [{{ wait = \"1s\" }}]\n\
         [phases]\n{phases}\n[trust]\nschedule_lag_p99 = \"500ms\"\n",
        server.port
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// The program's `run` as one of so many shards that start at the same moment.
fn shard(bench: &Bench, scenario: &Path, shard: &str, start_at: Timestamp, out: &str) -> Command {
    let mut command = program();
    command.arg("run").arg(scenario).arg("--out").arg(bench.path(out)).args(["--shard", shard]);
    command.args(["--start-at", &start_at.to_string()]);
    command
}

/// Runs both of two shards, one beside the other; their directories are `part-0` and `part-1`.
fn both(bench: &Bench, scenario: &Path, arguments: &[&str]) -> [Ran; 2] {
    let start_at = Timestamp::now() + START_IN;
    let started = [0, 1].map(|index| {
        let mut command = shard(bench, scenario, &format!("{index}/2"), start_at, &format!("part-{index}"));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut index = 0;
    started.map(|child| {
        let ran = ran(child.wait_with_output().unwrap(), bench.path(&format!("part-{index}")));
        index += 1;
        ran
    })
}

fn samples(dir: &Path) -> Vec<Sample> {
    let mut samples = Vec::new();
    for part in parts(&dir.join("samples")).unwrap() {
        read_part(&part, &mut Names::default(), |sample| samples.push(sample)).unwrap();
    }
    samples
}

/// The workload's numbers of the requests that a run directory has booked.
fn booked(dir: &Path) -> Vec<u64> {
    samples(dir).iter().filter(|sample| sample.kind == SampleKind::Request).map(|sample| sample.event).collect()
}

fn facts(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("run.json")).unwrap()).unwrap()
}

/// When each phase began and ended, microseconds since the start.
fn phases(dir: &Path) -> Vec<(String, i64)> {
    let started_us = facts(dir)["start"]["workload_us"].as_i64().unwrap();
    let timeline = std::fs::read_to_string(dir.join("timeline.jsonl")).unwrap();
    let events = timeline.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let name = |event: &Value| format!("{} {}", event["phase"].as_str().unwrap(), event["event"].as_str().unwrap());
    let phases = events.filter(|event| event.get("phase").is_some());
    phases.map(|event| (name(&event), event["at_us"].as_i64().unwrap() - started_us)).collect()
}

#[test]
fn each_request_is_booked_by_one_shard_and_all_know_the_phases() {
    let bench = Bench::new(6);
    let server = server(&bench);
    let scenario = scenario(&bench, &server, "warmup = \"1s\"\nbefore = \"2s\"\nafter = \"6s\"");
    let file = bench.path("phases.jsonl");
    let ran = both(&bench, &scenario, &["--phase-file", file.to_str().unwrap()]);
    for ran in &ran {
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
        assert!(!ran.dir.join("report.json").exists(), "a part allows no verdict");
    }

    let [driver, follower] = ran.map(|ran| ran.dir);
    let (own, other) = (booked(&driver), booked(&follower));
    assert!(!own.is_empty() && !other.is_empty(), "{} and {}", own.len(), other.len());
    let workload = std::fs::read_to_string(bench.path("small.jsonl")).unwrap();
    let requests = workload.lines().filter(|line| line.contains("\"kind\":\"request\"")).count();
    let distinct: BTreeSet<u64> = own.iter().chain(&other).copied().collect();
    assert_eq!((own.len() + other.len(), distinct.len()), (requests, requests));

    let probes = |dir: &Path| samples(dir).iter().filter(|sample| sample.kind == SampleKind::Probe).count();
    assert!(probes(&driver) > 0);
    assert_eq!(probes(&follower), 0, "only the driver probes");
    assert_eq!(std::fs::read_to_string(follower.join("ledger.jsonl")).unwrap(), "");

    // The driver's moments are the follower's, as far as that had something to replay, but for the first, which may be
    // before the follower was there. The start is the same one.
    let (conducted, followed) = (phases(&driver), phases(&follower));
    assert!(followed.len() >= 5, "{followed:?}");
    assert_eq!(followed[1..], conducted[1..followed.len()]);
    let (driver, follower) = (facts(&driver), facts(&follower));
    assert_eq!(driver["start"]["at"], follower["start"]["at"]);
    assert_eq!(follower["shard"], serde_json::json!({"index": 1, "of": 2}));
    assert!(follower["start"]["clock_offset_us"].as_i64().unwrap().abs() < 1_000_000, "{}", follower["start"]);
    let all = merged(&bench, &[&bench.path("part-0"), &bench.path("part-1")]);
    assert_eq!(booked(&all.dir).len(), requests, "as many as one process would have booked: {}", all.stderr);
    let due = |facts: &Value| facts["requests_due"].as_u64().unwrap();
    assert_eq!(due(&driver) + due(&follower), requests as u64);
}

#[test]
fn without_a_phase_file_a_shard_plays_to_the_end_of_the_workload() {
    let bench = Bench::new(5);
    let server = server(&bench);
    let scenario = scenario(&bench, &server, "warmup = \"1s\"\nbefore = \"2s\"\nafter = \"2s\"");
    let [driver, follower] = both(&bench, &scenario, &[]);
    assert_eq!((driver.code, follower.code), (0, 0), "{}\n{}", driver.stderr, follower.stderr);
    let moments: Vec<(String, i64)> = phases(&follower.dir).into_iter().skip(1).collect();
    let moment = |name: &str, at_s: i64| (name.to_owned(), at_s * 1_000_000);
    let known = [
        moment("warmup phase_ended", 1),
        moment("before phase_started", 1),
        moment("before phase_ended", 3),
        moment("upgrade phase_started", 3),
    ];
    assert_eq!(moments, known);
    assert_eq!(facts(&follower.dir)["requests_due"].as_u64().unwrap(), booked(&follower.dir).len() as u64);
}

#[test]
fn a_driver_does_not_write_over_the_phase_file_of_another_rehearsal() {
    let bench = Bench::new(5);
    let server = server(&bench);
    let scenario = scenario(&bench, &server, "warmup = \"1s\"\nbefore = \"2s\"\nafter = \"2s\"");
    let header = "{\"format\":\"pgrehearse-phases\",\"version\":1,\"start_at\":\"2026-01-05T10:00:00Z\",\
                  \"workload_sha256\":\"\",\"shards\":2}\n";
    std::fs::write(bench.path("phases.jsonl"), header).unwrap();
    let mut command = shard(&bench, &scenario, "0/2", Timestamp::now() + START_IN, "part");
    let ran = ran(command.arg("--phase-file").arg(bench.path("phases.jsonl")).output().unwrap(), bench.path("part"));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("shards of another rehearsal may read it"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(bench.path("phases.jsonl")).unwrap(), header);
    assert!(!ran.dir.exists());
}

#[test]
fn a_start_that_cannot_be_kept_is_refused_by_the_database_s_clock() {
    let bench = Bench::new(5);
    let server = server(&bench);
    let scenario = scenario(&bench, &server, "");
    for (start_in, says) in [(-60, "by the database's clock it is"), (200_000, "more than 24h away")] {
        let start_at = Timestamp::now() + SignedDuration::from_secs(start_in);
        let mut command = shard(&bench, &scenario, "0/2", start_at, "part");
        command.arg("--phase-file").arg(bench.path("phases.jsonl"));
        let ran = ran(command.output().unwrap(), bench.path("part"));
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        assert!(!ran.dir.exists() && !bench.path("phases.jsonl").exists(), "nothing came of it");
    }
}

const EXTERNAL: &str = "[workload]\nfile = \"good.jsonl\"\n[staging]\nprovider = \"external\"\n\
                        dsn = \"postgresql://admin@127.0.0.1:1/postgres\"\n";

#[test]
fn what_cannot_become_one_rehearsal_is_refused_before_anything_starts() {
    let desk = Desk::new();
    desk.write("local.toml", crate::inputs::SCENARIO);
    desk.write("external.toml", format!("{EXTERNAL}[upgrade]\nstrategy = \"none\"\n"));
    let ordered = EXTERNAL.replace("good.jsonl\"", "good.jsonl\"\norder = \"commit\"");
    desk.write("ordered.toml", format!("{ordered}[upgrade]\nstrategy = \"none\"\n"));
    let switched =
        EXTERNAL.replace(":1/postgres\"", ":1/postgres\"\nnew_dsn = \"postgresql://admin@127.0.0.1:2/postgres\"");
    desk.write("switched.toml", format!("{switched}[upgrade]\nsteps = [{{ switch = \"new\" }}]\n"));
    let start = ["--start-at", "2026-01-05T10:00:00Z"];
    let cases: [(&str, &[&str], &str); 10] = [
        ("external.toml", &["--shard", "2/2"], "no shard 2 of 2; shards are counted from 0"),
        ("external.toml", &["--shard", "half"], "\"half\" is no shard; write INDEX/COUNT, such as 0/4, or auto"),
        ("external.toml", &["--shard", "auto"], "no variable says which shard this is"),
        ("external.toml", &["--start-at", "tomorrow"], "invalid value 'tomorrow' for '--start-at <TIME>'"),
        ("external.toml", &["--shard", "0/2"], "Give each of them the same --start-at TIME"),
        ("external.toml", &["--phase-file", "phases.jsonl"], "Give --start-at TIME, too"),
        ("local.toml", &["--shard", "0/2"], "shards need external staging"),
        ("ordered.toml", &["--shard", "0/2", start[0], start[1]], "shards cannot keep the order of commits"),
        ("switched.toml", &["--shard", "1/2", start[0], start[1]], "Give all shards the same --phase-file"),
        ("external.toml", &["--shard", "1/2", start[0], start[1]], "cannot reach the external server"),
    ];
    for (scenario, arguments, says) in cases {
        let ran = desk.call(&[&["run", scenario, "--out", "run"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.dir.exists() && !desk.path("phases.jsonl").exists());
    }
}

#[test]
fn too_few_descriptors_are_noticed_before_anything_starts() {
    let desk = Desk::new();
    desk.write("external.toml", format!("{EXTERNAL}[upgrade]\nstrategy = \"none\"\n"));
    let mut command = Command::new("sh");
    let script = "ulimit -n 100 && exec \"$0\" run external.toml --out run";
    command.args(["-c", script, env!("CARGO_BIN_EXE_pgrehearse")]).current_dir(desk.path(""));
    let ran = ran(command.env("PGREHEARSE_CACHE", desk.path("cache")).output().unwrap(), desk.path("run"));
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("and the system allows this process 100\nhint: Raise the hard limit"),
        "{}",
        ran.stderr
    );
    assert!(!ran.dir.exists());
}

#[test]
fn the_help_of_run_says_how_several_machines_share_it() {
    let ran = ran(program().args(["run", "--help"]).output().unwrap(), PathBuf::new());
    insta::assert_snapshot!(ran.stdout);
}

/// Merges shards' directories into `all` and gives what that ended with.
fn merged(bench: &Bench, parts: &[&Path]) -> Ran {
    let mut command = program();
    command.arg("merge").args(parts).arg("--output").arg(bench.path("all"));
    ran(command.output().unwrap(), bench.path("all"))
}

/// The reasons not to trust a run: code and value.
fn reasons(report: &Value) -> Vec<(String, Option<f64>)> {
    let reasons = report["trust"]["reasons"].as_array().unwrap().iter();
    reasons.map(|reason| (reason["code"].as_str().unwrap().to_owned(), reason["value"].as_f64())).collect()
}

#[test]
fn shards_merged_are_one_run_and_a_missing_one_makes_it_inconclusive() {
    let bench = Bench::new(25);
    let server = server(&bench);
    let scenario = scenario(&bench, &server, "warmup = \"1s\"\nbefore = \"3s\"\nafter = \"3s\"");
    let file = bench.path("phases.jsonl");
    let [driver, follower] = both(&bench, &scenario, &["--phase-file", file.to_str().unwrap()]);
    assert_eq!((driver.code, follower.code), (0, 0), "{}\n{}", driver.stderr, follower.stderr);

    let alone = program().arg("report").arg(&follower.dir).output().unwrap();
    assert_eq!(alone.status.code(), Some(3), "a part alone is no run");

    let all = merged(&bench, &[&follower.dir, &driver.dir]);
    assert!(matches!(all.code, 0 | 3), "{}\n{}", all.stdout, all.stderr);
    let report = all.report();
    let codes = reasons(&report);
    assert!(!codes.iter().any(|(code, _)| code.starts_with("shards_") || code == "run_incomplete"), "{codes:?}");
    // Every request that was due before the last phase ended is there, once.
    let requests = booked(&all.dir);
    let distinct: BTreeSet<u64> = requests.iter().copied().collect();
    let facts = facts(&all.dir);
    let parts = booked(&driver.dir).len() + booked(&follower.dir).len();
    let left_out = facts["merged"]["left_out"].as_u64().unwrap() as usize;
    assert_eq!((requests.len(), distinct.len()), (parts - left_out, parts - left_out));
    assert_eq!(facts["requests_due"].as_u64().unwrap(), requests.len() as u64);
    let served: Vec<(&str, f64)> = (0..5)
        .map(|at| &report["tenants"][at])
        .map(|tenant| (tenant["tenant"].as_str().unwrap(), tenant["requests"]["ok"].as_f64().unwrap()))
        .collect();
    assert!(served.iter().all(|(_, ok)| *ok > 30.0), "tenants of both shards: {served:?}");
    assert!(report["writes"]["acknowledged"].as_u64().unwrap() > 20, "the driver's ledger: {}", report["writes"]);
    assert_eq!(report["writes"]["lost"], 0);
    let again = program().args(["report", "--format", "json"]).arg(&all.dir).output().unwrap();
    assert_eq!(again.status.code(), Some(all.code), "a run as any other");

    std::fs::remove_dir_all(bench.path("all")).unwrap();
    let half = merged(&bench, &[&driver.dir]);
    assert_eq!(half.code, 3, "{}\n{}", half.stdout, half.stderr);
    assert!(reasons(&half.report()).contains(&("shards_missing".to_owned(), Some(1.0))));
    assert!(half.stdout.contains("1 of 2 shards are missing"), "{}", half.stdout);

    let twice = merged(&bench, &[&driver.dir, &driver.dir]);
    assert_eq!(twice.code, 2);
    assert!(twice.stderr.contains("are both shard 0"), "{}", twice.stderr);
}

#[test]
fn the_help_of_merge_says_what_makes_a_run_inconclusive() {
    let ran = ran(program().args(["merge", "--help"]).output().unwrap(), PathBuf::new());
    insta::assert_snapshot!(ran.stdout);
}
