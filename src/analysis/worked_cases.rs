//! The worked cases of the downtime definitions, each from samples to a tenant's figures.
//!
//! A small model stands in for servers and clients: a server that answers, stands still or refuses, sessions that send
//! one request after another, and probes at a fixed interval. Times are in milliseconds.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::attempts::tests::request;
use super::findings::{Downtime, Findings, TenantFindings, WindowSource};
use super::fold::Analysis;
use crate::facts::{HostFacts, LedgerEntry, Rules, RunFacts, TenantFact, WriteOutcome};
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::timeline::{Phase, StepOutcome, TimelineEvent, What};
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;

/// What the server does with a request that is sent now.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// An answer at this moment.
    At(u64),
    /// The connection is lost or refused at this moment.
    Gone(u64),
    /// An error with this SQLSTATE at this moment.
    Error(&'static str, u64),
}

/// A run being made up.
pub(super) struct Run {
    deadline_ms: u64,
    pub samples: Vec<Sample>,
}

impl Run {
    pub fn new(deadline_ms: u64) -> Self {
        Self { deadline_ms, samples: Vec::new() }
    }

    fn sample(&self, class: SampleClass, due_ms: u64, sent_ms: u64, answer: Answer) -> Sample {
        let (outcome, done_ms, sqlstate) = match answer {
            Answer::At(done_ms) if done_ms > sent_ms + self.deadline_ms => (Outcome::Late, done_ms, None),
            Answer::At(done_ms) => (Outcome::Ok, done_ms, None),
            Answer::Gone(done_ms) => (Outcome::Failed, done_ms, None),
            Answer::Error(code, done_ms) => (Outcome::Failed, done_ms, Some(code.parse().unwrap())),
        };
        Sample {
            due_us: due_ms * 1_000,
            deadline_us: self.deadline_ms * 1_000,
            sqlstate,
            ..request(class, outcome, sent_ms, done_ms)
        }
    }

    /// One session of `tenant` that has requests due at `due_ms`, in order, and waits for each answer.
    pub fn session(
        &mut self,
        (tenant, session): (u32, u32),
        due_ms: impl Iterator<Item = (u64, SampleClass)>,
        answer: impl Fn(SampleClass, u64) -> Answer,
    ) -> &mut Self {
        let mut free_ms = 0;
        for (due_ms, class) in due_ms {
            let sent_ms = due_ms.max(free_ms);
            let sample = if sent_ms > due_ms + self.deadline_ms {
                let expired = request(class, Outcome::Expired, due_ms, due_ms + self.deadline_ms);
                Sample { sent_us: None, ready_us: None, ..expired }
            } else {
                self.sample(class, due_ms, sent_ms, answer(class, sent_ms))
            };
            if sample.sent_us.is_some() {
                free_ms = sample.done_us.div_ceil(1_000);
            }
            self.samples.push(Sample { tenant: Some(tenant), session, ..sample });
        }
        self
    }

    /// A read and a write every `interval_ms`, on many connections, and a login every second.
    pub fn probes(&mut self, interval_ms: usize, answer: impl Fn(SampleClass, u64) -> Answer) -> &mut Self {
        for due_ms in (0..END_MS).step_by(interval_ms) {
            for class in [SampleClass::Read, SampleClass::Write] {
                let sample = self.sample(class, due_ms, due_ms, answer(class, due_ms));
                self.samples.push(Sample { kind: SampleKind::Probe, tenant: None, ..sample });
            }
            if due_ms % 1_000 == 0 {
                let class = SampleClass::Connect;
                let sample = self.sample(class, due_ms, due_ms, answer(class, due_ms));
                self.samples.push(Sample { kind: SampleKind::Connect, tenant: None, ..sample });
            }
        }
        self
    }

    pub fn findings(&self) -> Findings {
        analysis(&self.samples).snapshot()
    }

    fn tenant(&self, tenant: usize) -> TenantFindings {
        self.findings().tenants.swap_remove(tenant)
    }
}

/// Warmup until 5 s, before until 20 s, upgrade until 40 s, after until 100 s.
const END_MS: u64 = 100_000;

pub(super) fn facts() -> RunFacts {
    RunFacts {
        format: "pgrehearse-run".into(),
        version: 1,
        tool_version: "0.1.0".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        scenario_name: "worked case".into(),
        shard: None,
        start: None,
        merged: None,
        workload_sha256: String::new(),
        server_before: None,
        server_after: None,
        host: HostFacts::default(),
        rules: Rules {
            objectives: Vec::new(),
            deadline_us: 1_000_000,
            probe_interval_us: Some(50_000),
            schedule_lag_p99_us: 20_000,
            closed_loop: false,
            warmup_us: 5_000_000,
            before_us: 15_000_000,
            after_us: 60_000_000,
        },
        databases: vec!["app".into()],
        endpoints: vec!["primary".into()],
        requests_due: None,
        unmapped_share: 0.0,
        capture_lost_share: 0.0,
        plan: serde_json::Value::Null,
        clusters_dir: None,
    }
}

fn analysis(samples: &[Sample]) -> Analysis {
    analysis_of(facts(), samples)
}

pub(super) fn analysis_of(facts: RunFacts, samples: &[Sample]) -> Analysis {
    let tenant =
        |name: &str| TenantFact { tenant: name.into(), tier: None, region: None, databases: vec!["app".into()] };
    let mut analysis = Analysis::new(facts, vec![tenant("acme"), tenant("globex")], Vec::new());
    let phases = [(0, Phase::Warmup), (5, Phase::Before), (20, Phase::Upgrade), (40, Phase::After)];
    let mut event = |second: u64, what| analysis.event(&TimelineEvent { at_us: second * 1_000_000, what });
    event(0, What::RunStarted { version: 1 });
    for (at, (second, phase)) in phases.into_iter().enumerate() {
        event(second, What::PhaseStarted { phase });
        if phase == Phase::Upgrade {
            event(second, What::StepStarted { step: 0, parent: None, name: "stop".into() });
            event(40, What::StepEnded { step: 0, outcome: StepOutcome::Ok, detail: None });
        }
        event(phases.get(at + 1).map_or(END_MS / 1_000, |next| next.0), What::PhaseEnded { phase });
    }
    event(END_MS / 1_000, What::RunEnded { complete: true });
    samples.iter().for_each(|sample| analysis.push(sample.clone()));
    analysis
}

/// Reads and writes in turns every `every_ms`, the first at `from_ms`.
pub(super) fn turns(from_ms: u64, every_ms: usize) -> impl Iterator<Item = (u64, SampleClass)> {
    (from_ms..END_MS).step_by(every_ms).zip([SampleClass::Read, SampleClass::Write].into_iter().cycle())
}

/// A server that stands still from `from_ms` to `to_ms` and then answers all that waits.
fn frozen(from_ms: u64, to_ms: u64) -> impl Fn(SampleClass, u64) -> Answer + Copy {
    move |_, sent_ms| Answer::At(if (from_ms..to_ms).contains(&sent_ms) { to_ms } else { sent_ms } + 1)
}

/// A server that refuses connections from `from_ms` to `to_ms`.
fn refusing(from_ms: u64, to_ms: u64) -> impl Fn(SampleClass, u64) -> Answer + Copy {
    move |_, sent_ms| match sent_ms {
        down if (from_ms..to_ms).contains(&down) => Answer::Gone(down),
        up => Answer::At(up + 1),
    }
}

pub(super) fn up(_: SampleClass, sent_ms: u64) -> Answer {
    Answer::At(sent_ms + 1)
}

fn assert_near(found_us: Option<u64>, expected_ms: u64, tolerance_ms: u64) {
    let found_ms = found_us.map(|us| us / 1_000);
    assert!(
        found_ms.is_some_and(|ms| ms.abs_diff(expected_ms) <= tolerance_ms),
        "{found_ms:?} ms instead of {expected_ms} ms"
    );
}

fn assert_bounds(downtime: Downtime, at_least_ms: u64, at_most_ms: u64) {
    let (at_least, length, at_most) =
        (downtime.at_least_us.unwrap(), downtime.downtime_us.unwrap(), downtime.at_most_us.unwrap());
    assert!(
        at_least_ms * 1_000 <= at_least && at_least <= length && length <= at_most && at_most <= at_most_ms * 1_000,
        "{at_least} <= {length} <= {at_most}"
    );
}

#[test]
fn a_freeze_of_three_seconds_is_three_seconds_for_busy_and_quiet_tenants() {
    let world = frozen(21_000, 24_000);
    let mut run = Run::new(1_000);
    // Tenant 0 has four busy sessions, tenant 1 one request a second.
    for session in 0..4 {
        run.session((0, session), turns(u64::from(session) * 7, 40), world);
    }
    run.session((1, 9), turns(512, 1_000), world).probes(50, world);
    for tenant in run.findings().tenants {
        for downtime in [tenant.downtime, tenant.read.downtime, tenant.write.downtime] {
            assert_near(downtime.downtime_us, 3_000, 60);
            assert_bounds(downtime, 2_900, 3_120);
        }
        assert_eq!(tenant.read.windows.len(), 1);
        assert!(!tenant.read.windows[0].open);
    }
}

#[test]
fn a_restart_that_refuses_connections_for_two_seconds_is_two_seconds() {
    let world = refusing(21_000, 23_000);
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), world).probes(20, world);
    let tenant = run.tenant(0);
    assert_near(tenant.downtime.downtime_us, 2_000, 30);
    assert_bounds(tenant.downtime, 1_950, 2_050);
    assert_eq!(tenant.read.windows[0].source, WindowSource::Group);
}

#[test]
fn a_lock_on_one_tenants_tables_is_downtime_of_that_tenant_alone() {
    let locked = |_: SampleClass, sent_ms: u64| match sent_ms {
        // Stuck sessions get the lock one after another.
        21_000..26_000 => Answer::At(26_000 + sent_ms % 50),
        _ => Answer::At(sent_ms + 2),
    };
    let mut run = Run::new(1_000);
    // Two reads and two writes a second over two sessions, both of which first hang in a read.
    run.session((0, 0), turns(0, 500), locked).session((0, 1), turns(250, 500), locked);
    run.session((1, 5), turns(0, 50), up).probes(50, up);
    let findings = run.findings();
    let (locked, other) = (&findings.tenants[0], &findings.tenants[1]);
    for class in [&locked.read, &locked.write] {
        assert_near(class.downtime.downtime_us, 5_000, 600);
        assert_eq!(class.windows.len(), 1, "{:?}", class.windows);
        assert_eq!(class.windows[0].source, WindowSource::Own);
        assert_bounds(class.downtime, 4_400, 6_100);
    }
    assert_eq!((other.downtime.downtime_us, other.held_us), (Some(0), Some(0)));
    assert_eq!((findings.downtime.affected, findings.downtime.tenants), (1, 2));
}

#[test]
fn a_pause_is_held_when_the_deadline_allows_it_and_downtime_when_not() {
    let world = frozen(21_000, 23_000);
    let mut patient = Run::new(5_000);
    patient.session((0, 0), turns(0, 100), world).probes(50, world);
    let tenant = patient.tenant(0);
    assert_eq!(tenant.downtime.downtime_us, Some(0));
    assert_near(tenant.held_us, 2_000, 50);

    let mut strict = Run::new(1_000);
    strict.session((0, 0), turns(0, 100), world).probes(50, world);
    assert_near(strict.tenant(0).downtime.downtime_us, 2_000, 50);
}

#[test]
fn a_tenant_with_one_request_a_minute_learns_of_a_restart_from_the_probes() {
    let world = refusing(21_000, 24_000);
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(1_000, 60_000), world).probes(50, world);
    let tenant = run.tenant(0);
    assert_near(tenant.downtime.downtime_us, 3_000, 60);
    assert_bounds(tenant.downtime, 2_900, 3_110);
}

#[test]
fn a_quiet_tenant_that_the_restart_hit_is_down_until_the_probes_are_answered() {
    let world = refusing(21_000, 24_000);
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(21_500, 60_000), world).probes(50, world);
    let tenant = run.tenant(0);
    assert_near(tenant.downtime.downtime_us, 3_000, 60);
    assert_eq!(tenant.unobserved_us, Some(0));
}

#[test]
fn a_lone_lock_timeout_is_the_deadline_and_not_a_minute() {
    let timeout = |_, sent_ms| match sent_ms {
        30_000..31_000 => Answer::Error("55P03", sent_ms + 1_000),
        _ => Answer::At(sent_ms + 1),
    };
    let mut run = Run::new(1_000);
    let reads = [10_000, 30_000, 90_000].into_iter().map(|due_ms| (due_ms, SampleClass::Read));
    run.session((0, 0), reads, timeout).probes(50, up);
    let tenant = run.tenant(0);
    assert_near(tenant.read.downtime.downtime_us, 1_000, 1);
    assert_near(tenant.unobserved_us, 59_001, 1);
    assert_near(tenant.read.downtime.at_most_us, 80_001, 1);
    assert_eq!(tenant.write.downtime.downtime_us, Some(0), "by the probes");
}

#[test]
fn a_primary_turned_read_only_serves_reads_and_no_writes() {
    let read_only = |class, sent_ms| match sent_ms {
        21_000..26_000 if class == SampleClass::Write => Answer::Error("25006", sent_ms + 1),
        _ => Answer::At(sent_ms + 1),
    };
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), read_only).probes(50, read_only);
    let tenant = run.tenant(0);
    assert_eq!(tenant.read.downtime.downtime_us, Some(0));
    // Until the first own write after it: probes end an outage of connection failures only.
    assert_near(tenant.write.downtime.downtime_us, 5_000, 200);
}

#[test]
fn an_outage_that_nothing_ended_is_open_and_its_upper_bound_unknown() {
    let world = refusing(90_000, END_MS);
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), world).probes(50, world);
    let findings = run.findings();
    let window = findings.tenants[0].read.windows[0];
    assert_eq!((window.open, window.ended_us, window.at_most_us), (true, None, None));
    assert_near(findings.tenants[0].downtime.downtime_us, 9_950, 60);
    assert_eq!((findings.downtime.at_most_max_us, findings.tenants[0].recovery_us), (None, None));
}

#[test]
fn what_the_warmup_saw_is_left_out() {
    let (early, reaching) = (refusing(1_000, 3_000), refusing(4_000, 6_000));
    let world = |class, sent_ms| if sent_ms < 3_500 { early(class, sent_ms) } else { reaching(class, sent_ms) };
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), world).probes(50, world);
    let tenant = run.tenant(0);
    assert_eq!(tenant.read.windows.len(), 1);
    assert_near(tenant.downtime.downtime_us, 1_000, 10);
    assert_eq!(tenant.requests.offered, 950);
}

#[test]
fn a_tenant_of_whom_nothing_is_known_is_no_tenant_without_downtime() {
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), up);
    let findings = run.findings();
    assert_eq!(findings.tenants[1].downtime, Downtime::default());
    assert_eq!((findings.downtime.tenants, findings.downtime.unknown), (2, 1));
    assert_eq!(findings.trust.reasons[0].code, "probes_missing");
}

#[test]
fn time_in_which_the_tool_stood_still_proves_nothing() {
    let world = refusing(21_000, 24_000);
    let mut run = Run::new(1_000);
    run.probes(50, world);
    let mut analysis = analysis(&run.samples);
    let blind = What::GeneratorBlind { started_us: 22_000_000, ended_us: 22_500_000 };
    analysis.event(&TimelineEvent { at_us: 22_500_000, what: blind });
    let blind = What::GeneratorBlind { started_us: 23_900_000, ended_us: 24_200_000 };
    analysis.event(&TimelineEvent { at_us: 24_200_000, what: blind });
    let downtime = analysis.snapshot().tenants[0].downtime;
    assert_near(downtime.downtime_us, 3_001, 1);
    assert_near(downtime.at_least_us, 2_400, 1);
    assert_near(downtime.at_most_us, 3_051, 1);
}

#[test]
fn slow_statements_after_the_upgrade_show_in_latency_brownout_and_recovery() {
    // Twenty times slower for ten seconds after a restart.
    let world = |class, sent_ms| match sent_ms {
        23_000..33_000 => Answer::At(sent_ms + 40),
        _ => refusing(21_000, 23_000)(class, sent_ms),
    };
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 50), world).probes(50, world);
    let findings = run.findings();
    let tenant = &findings.tenants[0];
    assert_near(tenant.brownout_us, 10_000, 200);
    assert_near(tenant.recovery_us, 10_000, 500);
    assert_eq!((tenant.latency.before.count, tenant.latency.before.p99_us), (300, Some(1_000)));
    assert_eq!(findings.statements[0].fingerprint, Fingerprint(1));
    assert!(findings.service_time.upgrade.p99_us > findings.service_time.before.p99_us);
}

#[test]
fn a_run_that_went_well_is_to_be_trusted_and_its_writes_are_counted() {
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), up).probes(50, up);
    let mut analysis = analysis(&run.samples);
    let database = || "app".to_owned();
    analysis.ledger(&LedgerEntry::Written { database: database(), id: 1, outcome: WriteOutcome::Acknowledged });
    analysis.ledger(&LedgerEntry::ReadBack { database: database() });
    analysis.ledger(&LedgerEntry::Found { database: database(), first: 1, last: 1 });
    analysis.ledger(&LedgerEntry::ReadBackEnded { database: database() });
    let findings = analysis.snapshot();
    assert_eq!(findings.trust.reasons, []);
    assert_eq!((findings.writes.acknowledged, findings.writes.lost), (Some(1), Some(0)));
    assert_eq!(findings.writes.replay_acknowledged, 475);
    assert_eq!((findings.downtime.max_us, findings.downtime.resolution_us), (Some(0), Some(50_000)));
    assert_eq!(findings.series.len(), 100);
    assert_eq!((findings.series[50].ok, findings.series[50].bad), (10, 0));
}

#[test]
fn tries_that_another_followed_are_attempts_but_no_requests_and_no_errors() {
    let locked = |_: SampleClass, sent_ms: u64| match (30_000..32_000).contains(&sent_ms) {
        true => Answer::Error("55P03", sent_ms + 1),
        false => Answer::At(sent_ms + 1),
    };
    let mut run = Run::new(1_000);
    run.session((0, 0), turns(0, 100), locked).probes(50, up);
    for sample in run.samples.iter_mut().filter(|sample| sample.outcome == Outcome::Failed) {
        sample.kind = SampleKind::Retried;
    }
    let is_judged = |sample: &&Sample| sample.kind == SampleKind::Request && sample.due_us >= 5_000_000;
    let requests = run.samples.iter().filter(is_judged).count() as u64;
    let (tenant, errors) = (run.tenant(0), run.findings().errors);
    assert!((1_900_000..2_200_000).contains(&tenant.downtime.downtime_us.unwrap()), "{:?}", tenant.downtime);
    assert_eq!((tenant.requests.offered, tenant.requests.failed), (requests, 0));
    assert_eq!(errors, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_arrival_changes_nothing(seed in any::<u64>(), from_ms in 20_000..30_000_u64, len_ms in 0..5_000_u64) {
        let world = frozen(from_ms, from_ms + len_ms);
        let mut run = Run::new(1_000);
        run.session((0, 0), turns(3, 90), world).session((1, 1), turns(700, 900), world).probes(100, world);
        let in_order = run.findings();
        run.samples.sort_by_key(|sample| (sample.done_us ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        prop_assert_eq!(in_order, run.findings());
    }

    #[test]
    fn bounds_hold_for_every_window(
        outages in proptest::collection::vec((20_000..80_000_u64, 0..4_000_u64, any::<bool>()), 0..6),
    ) {
        let world = |class: SampleClass, sent_ms: u64| {
            let hit = outages.iter().find(|(from_ms, len_ms, _)| (*from_ms..from_ms + len_ms).contains(&sent_ms));
            hit.map_or(Answer::At(sent_ms + 1), |&(from_ms, len_ms, freezes)| {
                if freezes {
                    frozen(from_ms, from_ms + len_ms)(class, sent_ms)
                } else {
                    refusing(from_ms, from_ms + len_ms)(class, sent_ms)
                }
            })
        };
        let mut run = Run::new(1_000);
        run.session((0, 0), turns(3, 90), world).session((1, 1), turns(700, 2_900), world).probes(100, world);
        for tenant in run.findings().tenants {
            for class in [&tenant.read, &tenant.write] {
                for window in &class.windows {
                    let length_us = window.ended_us.unwrap() - window.started_us;
                    prop_assert!(window.at_least_us <= length_us && length_us <= window.at_most_us.unwrap());
                }
                for pair in class.windows.windows(2) {
                    prop_assert!(pair[0].ended_us.unwrap() < pair[1].started_us);
                }
            }
            let downtime = tenant.downtime;
            prop_assert!(downtime.at_least_us <= downtime.downtime_us && downtime.downtime_us <= downtime.at_most_us);
        }
    }
}
