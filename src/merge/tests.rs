//! Shards' directories, written as a run leaves them, and what becomes of them.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MergeError, Merged, merge};
use crate::facts::{HostFacts, MergedFacts, Rules, RunFacts, ShardFacts, StartFacts, TenantFact, VERSION, layout};
use crate::record::{Lines, RunDir, read_facts};
use crate::samples::sample::{Names, Outcome, ResultCheck, Sample, SampleKind};
use crate::samples::{PartWriter, part_path, parts, read_part};
use crate::timeline::{Phase, TimelineEvent, What};
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;

/// A shard in the making. Moments are milliseconds since the common start.
#[derive(Clone)]
struct Shard {
    facts: RunFacts,
    events: Vec<(u64, What)>,
    /// The numbers of its requests, and when they were due.
    requests: Vec<(u64, u64)>,
}

impl Shard {
    /// A shard whose clock was at `workload_ms` when the workload began.
    fn new(index: u32, workload_ms: u64) -> Self {
        let start = StartFacts {
            at: "2026-01-05T10:00:00Z".into(),
            workload_us: workload_ms * 1_000,
            clock_offset_us: 0,
            clock_round_trip_us: 400,
        };
        let rules = Rules {
            objectives: Vec::new(),
            deadline_us: 1_000_000,
            probe_interval_us: (index == 0).then_some(100_000),
            schedule_lag_p99_us: 20_000,
            closed_loop: false,
            warmup_us: 0,
            before_us: 1_000_000,
            after_us: 1_000_000,
        };
        let facts = RunFacts {
            format: "pgrehearse-run".into(),
            version: VERSION,
            tool_version: "0.1.0".into(),
            started_at: "2026-01-05T09:59:58Z".into(),
            scenario_name: "sharded".into(),
            workload_sha256: "ab".into(),
            shard: Some(ShardFacts { index, of: 3 }),
            start: Some(start),
            merged: None,
            server_before: None,
            server_after: None,
            host: HostFacts::default(),
            clusters_dir: None,
            rules,
            databases: vec!["app".into()],
            endpoints: vec!["primary".into()],
            requests_due: None,
            unmapped_share: 0.0,
            capture_lost_share: 0.0,
            plan: serde_json::Value::Null,
        };
        Self { facts, events: Vec::new(), requests: Vec::new() }
    }

    /// The driver, which saw all phases: before until 1 s, after until 3 s.
    fn driver() -> Self {
        let phase = |phase| (What::PhaseStarted { phase }, What::PhaseEnded { phase });
        let (before, after) = (phase(Phase::Before), phase(Phase::After));
        let driver = Self::new(0, 2_000).at(0, before.0).at(1_000, before.1).at(2_000, after.0).at(3_000, after.1);
        driver.cpu(500, 900, 70).cpu(1_500, 100, 80).at(3_500, What::RunEnded { complete: true })
    }

    /// A shard that replayed its part to the end.
    fn follower(index: u32, workload_ms: u64) -> Self {
        let follower = Self::new(index, workload_ms).at(0, What::PhaseStarted { phase: Phase::Before });
        follower.cpu(600, 100, 90).cpu(1_600, 1_950, 10).at(3_100, What::RunEnded { complete: true })
    }

    fn at(mut self, at_ms: u64, what: What) -> Self {
        self.events.push((at_ms, what));
        self
    }

    fn cpu(self, at_ms: u64, used_millicores: u32, heartbeat_late_us: u64) -> Self {
        self.at(at_ms, What::GeneratorCpu { used_millicores, allowed_millicores: 2_000, heartbeat_late_us })
    }

    fn request(mut self, event: u64, due_ms: u64) -> Self {
        self.requests.push((event, due_ms));
        self.facts.requests_due = Some(self.requests.len() as u64);
        self
    }

    fn write(&self, dir: &Path) -> PathBuf {
        let run = RunDir::create(dir).unwrap();
        let start_us = self.facts.start.as_ref().unwrap().workload_us;
        run.write_facts(&self.facts).unwrap();
        let tenant = TenantFact { tenant: "acme".into(), tier: None, region: None, databases: vec!["app".into()] };
        run.write_tenants(&[tenant]).unwrap();
        let mut events = self.events.clone();
        events.sort_by_key(|(at_ms, _)| *at_ms);
        let mut lines = String::new();
        for (at_ms, what) in &events {
            let event = TimelineEvent { at_us: start_us + at_ms * 1_000, what: what.clone() };
            lines.push_str(&(serde_json::to_string(&event).unwrap() + "\n"));
        }
        std::fs::write(dir.join(layout::TIMELINE), lines).unwrap();
        std::fs::write(dir.join(layout::LEDGER), format!("shard {}\n", self.facts.shard.unwrap().index)).unwrap();
        std::fs::write(dir.join(layout::PLANS).join("q.before.txt"), "Seq Scan").unwrap();
        let mut part = PartWriter::create(&part_path(&dir.join(layout::SAMPLES), 0), Arc::new(names())).unwrap();
        for &(event, due_ms) in &self.requests {
            part.push(request(event, start_us + due_ms * 1_000)).unwrap();
        }
        part.close().unwrap();
        dir.to_owned()
    }
}

fn names() -> Names {
    Names { tenants: vec!["acme".into()], databases: vec!["app".into()], endpoints: vec!["primary".into()] }
}

fn request(event: u64, due_us: u64) -> Sample {
    Sample {
        kind: SampleKind::Request,
        class: SampleClass::Read,
        outcome: Outcome::Ok,
        result: ResultCheck::Unknown,
        event,
        session: 1,
        copy: 0,
        tenant: Some(0),
        database: 0,
        endpoint: 0,
        fingerprint: Fingerprint(1),
        due_us,
        ready_us: Some(due_us),
        sent_us: Some(due_us + 10),
        first_us: Some(due_us + 20),
        done_us: due_us + 30,
        deadline_us: 1_000_000,
        order_wait_us: 0,
        other_tenant_wait_us: 0,
        sqlstate: None,
        message: None,
        rows: 1,
        bytes: 8,
        attempt: 1,
    }
}

/// The merge of these shards: what is said of it, and its directory.
fn merged(shards: &[Shard]) -> (Result<MergedFacts, MergeError>, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    // The last first: the order in which directories are named does not matter.
    let write = |(at, shard): (usize, &Shard)| shard.write(&place.path().join(format!("part-{at}")));
    let dirs: Vec<PathBuf> = shards.iter().enumerate().rev().map(write).collect();
    (merge(&dirs, &place.path().join("all")).map(|merged| merged.facts), place)
}

/// Requests by the base's clock, milliseconds since the common start: number, due, done.
fn requests(place: &tempfile::TempDir) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    for part in parts(&place.path().join("all").join(layout::SAMPLES)).unwrap() {
        read_part(&part, &mut names(), |sample| found.push((sample.event, sample.due_us, sample.done_us))).unwrap();
    }
    found
}

fn timeline(place: &tempfile::TempDir) -> Vec<TimelineEvent> {
    Lines::open(&place.path().join("all").join(layout::TIMELINE)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn moments_are_told_by_the_driver_s_clock_and_every_request_is_there_once() {
    let shards = [
        Shard::driver().request(4, 100),
        Shard::follower(1, 4_500).request(5, 100).request(6, 2_900),
        Shard::follower(2, 1_000),
    ];
    let (facts, place) = merged(&shards);
    let facts = facts.unwrap();
    let expected = MergedFacts { shards: 3, present: vec![0, 1, 2], unlike: Vec::new(), apart_us: 400, left_out: 0 };
    assert_eq!(facts, expected);
    let (soon, late) = (2_100_000, 4_900_000);
    assert_eq!(requests(&place), [(4, soon, soon + 30), (5, soon, soon + 30), (6, late, late + 30)]);
    let run = read_facts(&place.path().join("all")).unwrap();
    assert_eq!((run.merged, run.shard, run.requests_due), (Some(expected), None, None), "one shard did not count");
    assert_eq!(run.rules.probe_interval_us, Some(100_000));
}

#[test]
fn requests_stand_in_the_order_in_which_they_were_done_whatever_their_shard() {
    let driver = Shard::driver().request(1, 100).request(4, 900).request(5, 2_000);
    let follower = Shard::follower(1, 4_500).request(2, 200).request(3, 800).request(6, 2_500);
    let (facts, place) = merged(&[driver, follower, Shard::follower(2, 1_000)]);
    facts.unwrap();
    assert_eq!(requests(&place).iter().map(|request| request.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_story_is_the_driver_s_and_the_busiest_tool_of_each_second_speaks_for_all() {
    let (facts, place) = merged(&[Shard::driver(), Shard::follower(1, 2_000), Shard::follower(2, 2_000)]);
    facts.unwrap();
    let events = timeline(&place);
    let cpu = |event: &TimelineEvent| match event.what {
        What::GeneratorCpu { used_millicores, heartbeat_late_us, .. } => Some((used_millicores, heartbeat_late_us)),
        _ => None,
    };
    assert_eq!(events.iter().filter_map(cpu).collect::<Vec<_>>(), [(900, 90), (1_950, 80)]);
    let phases = events.iter().filter(|event| matches!(event.what, What::PhaseStarted { .. })).count();
    assert_eq!(phases, 2, "the driver's only");
    assert_eq!(events[0].what, What::RunStarted { version: 1 });
    assert_eq!(events.last().unwrap().what, What::RunEnded { complete: true });
    let all = place.path().join("all");
    assert_eq!(std::fs::read_to_string(all.join(layout::LEDGER)).unwrap(), "shard 0\n");
    assert_eq!(std::fs::read_to_string(all.join(layout::PLANS).join("q.before.txt")).unwrap(), "Seq Scan");
}

#[test]
fn what_not_all_shards_covered_is_left_out_and_its_phases_were_not_seen_to_their_ends() {
    // Shard 1 was killed 2.5 s after the start.
    let killed = Shard::new(1, 2_000).at(2_500, What::InFlight { tenants: Vec::new() }).request(5, 2_400);
    let shards =
        [Shard::driver().request(4, 2_400).request(7, 2_600), killed, Shard::follower(2, 2_000).request(6, 2_700)];
    let (facts, place) = merged(&shards);
    assert_eq!(facts.unwrap().left_out, 2);
    assert_eq!(requests(&place).iter().map(|request| request.0).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(read_facts(&place.path().join("all")).unwrap().requests_due, Some(2));
    let events = timeline(&place);
    assert!(!events.iter().any(|event| event.what == What::PhaseEnded { phase: Phase::After }));
    assert_eq!(events.last().unwrap().what, What::RunEnded { complete: false });
}

#[test]
fn what_was_due_after_the_driver_s_last_phase_is_left_out() {
    let (facts, place) = merged(&[Shard::driver().request(4, 2_999).request(5, 3_000), Shard::follower(1, 2_000)]);
    let facts = facts.unwrap();
    assert_eq!((facts.present, facts.left_out), (vec![0, 1], 1));
    assert_eq!(requests(&place).len(), 1);
    assert_eq!(timeline(&place).last().unwrap().what, What::RunEnded { complete: true });
}

#[test]
fn what_each_shard_counts_of_its_part_is_told_of_all_together() {
    let counted = |shard: Shard, at_ms, offered, requests| {
        let ids = What::IdsMapped { mapped: offered, unfilled: 1, unsure: 0 };
        shard.at(at_ms, What::WritesLeftOut { requests }).at(at_ms, ids).at(at_ms, What::WorkloadEnded { offered })
    };
    let shards = [counted(Shard::driver(), 2_900, 10, 3), counted(Shard::follower(1, 4_000), 2_950, 5, 4)];
    let (facts, place) = merged(&shards);
    facts.unwrap();
    let events: Vec<TimelineEvent> = timeline(&place).into_iter().rev().take(4).collect();
    assert_eq!(events[1], TimelineEvent { at_us: 4_950_000, what: What::WorkloadEnded { offered: 15 } });
    assert_eq!(events[2].what, What::IdsMapped { mapped: 15, unfilled: 2, unsure: 0 });
    assert_eq!(events[3].what, What::WritesLeftOut { requests: 7 });
}

#[test]
fn a_shard_of_another_workload_is_not_mixed_in() {
    let mut other = Shard::follower(1, 2_000).request(5, 100);
    other.facts.workload_sha256 = "cd".into();
    let (facts, place) = merged(&[Shard::driver().request(4, 100), other, Shard::follower(2, 2_000)]);
    let facts = facts.unwrap();
    assert_eq!((facts.present, facts.unlike), (vec![0, 2], vec![1]));
    assert_eq!(requests(&place).len(), 1);
}

#[test]
fn a_shard_by_other_rules_is_not_mixed_in_but_its_file_may_lie_elsewhere() {
    let by = |mut shard: Shard, file: &str, speed: f64| {
        shard.facts.plan = serde_json::json!({"workload": {"file": file, "speed": speed}, "staging": file});
        shard
    };
    let driver = by(Shard::driver(), "/a", 1.0);
    let others = [by(Shard::follower(1, 2_000), "/b", 1.0), by(Shard::follower(2, 2_000), "/a", 2.0)];
    let (facts, _place) = merged(&[vec![driver], others.into()].concat());
    let facts = facts.unwrap();
    assert_eq!((facts.present, facts.unlike), (vec![0, 1], vec![2]));
}

#[test]
fn a_shard_that_started_later_happened_later() {
    let mut late = Shard::follower(1, 2_000).request(5, 0);
    late.facts.start.as_mut().unwrap().at = "2026-01-05T10:00:01Z".into();
    let (facts, place) = merged(&[Shard::driver(), late]);
    assert_eq!(facts.unwrap().apart_us, 1_000_400);
    assert_eq!(requests(&place)[0].1, 3_000_000);
}

#[test]
fn what_are_no_shards_of_one_rehearsal_is_named() {
    let says = |shards: &[Shard]| merged(shards).0.unwrap_err().to_string();
    let mut whole = Shard::driver();
    whole.facts.shard = None;
    let mut of_two = Shard::follower(1, 0);
    of_two.facts.shard = Some(ShardFacts { index: 1, of: 2 });
    for (shards, text) in [
        (vec![Shard::driver(), Shard::driver()], "are both shard 0"),
        (vec![Shard::driver(), of_two], "is one of 2 shards,"),
        (vec![], "nothing to merge"),
    ] {
        let error = says(&shards);
        assert!(error.contains(text), "{error}");
    }
    let place = tempfile::tempdir().unwrap();
    let run = RunDir::create(&place.path().join("whole")).unwrap();
    run.write_facts(&whole.facts).unwrap();
    let error = merge(&[run.path().to_owned()], &place.path().join("all")).unwrap_err().to_string();
    assert!(error.contains("whole\" is no shard's run directory"), "{error}");
    assert!(!place.path().join("all").exists());
    let error = merge(&[place.path().join("none")], &place.path().join("all")).unwrap_err().to_string();
    assert!(error.contains("is no run directory"), "{error}");
}

/// Merges the driver's directory and two followers', of which the second was damaged.
fn merged_with_damage(damage: impl FnOnce(&Path)) -> (Result<Merged, MergeError>, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let shards =
        [Shard::driver().request(4, 100), Shard::follower(1, 2_000), Shard::follower(2, 2_000).request(6, 200)];
    let write = |(at, shard): (usize, &Shard)| shard.write(&place.path().join(format!("part-{at}")));
    let dirs: Vec<PathBuf> = shards.iter().enumerate().map(write).collect();
    damage(place.path());
    (merge(&dirs, &place.path().join("all")), place)
}

#[test]
fn a_shard_that_is_damaged_counts_as_missing_and_is_named() {
    for (file, says) in [
        (layout::RUN.to_owned(), "part-2/run.json\" line"),
        (layout::TIMELINE.to_owned(), "timeline.jsonl\" line 1 is damaged"),
        (format!("{}/part-00000.parquet", layout::SAMPLES), "the samples of shard 2 cannot be read"),
    ] {
        let (merged, place) =
            merged_with_damage(|place| std::fs::write(place.join("part-2").join(&file), "{\n").unwrap());
        let merged = merged.unwrap();
        assert_eq!((merged.facts.present, merged.facts.unlike), (vec![0, 1], vec![]));
        assert_eq!(merged.damaged.len(), 1);
        assert!(merged.damaged[0].to_string().contains(says), "{}", merged.damaged[0]);
        assert_eq!(requests(&place).iter().map(|request| request.0).collect::<Vec<_>>(), [4]);
    }
}

#[test]
fn without_the_driver_s_directory_nothing_is_merged() {
    for file in [layout::RUN.to_owned(), format!("{}/part-00000.parquet", layout::SAMPLES)] {
        let (merged, place) =
            merged_with_damage(|place| std::fs::write(place.join("part-0").join(&file), "{\n").unwrap());
        assert!(merged.is_err());
        assert!(!place.path().join("all").exists());
    }
}
