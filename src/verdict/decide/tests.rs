//! Which findings make which verdict, which exit code, and what is said.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::analysis::findings::{
    ByPhase, ClassFindings, Divergence, Downtime, DowntimeSummary, ErrorFindings, Latency, RequestCounts, RunFindings,
    TenantFindings, Trust, Writes,
};
use crate::facts::{HostFacts, Rules};
use crate::objective::{parse, with_defaults};
use crate::verdict::Unit;
use crate::words::phase::Phase;

fn times(count: u64, p99_us: u64) -> Latency {
    let at = |share: f64| Some((p99_us as f64 * share) as u64);
    Latency {
        count,
        p50_us: at(0.2),
        p75_us: at(0.4),
        p90_us: at(0.6),
        p95_us: at(0.8),
        p99_us: at(1.0),
        p999_us: at(1.2),
        max_us: at(1.5),
    }
}

/// A tenant that was down for so long, known to a tenth of a second, and whose p99 doubled.
fn tenant(name: &str, tier: &str, downtime_us: u64) -> TenantFindings {
    let downtime = Downtime {
        downtime_us: Some(downtime_us),
        longest_us: Some(downtime_us),
        at_least_us: Some(downtime_us.saturating_sub(100_000)),
        at_most_us: Some(downtime_us + 100_000),
    };
    let latency =
        ByPhase { before: times(100_000, 10_000), upgrade: times(100, 5_000_000), after: times(100_000, 20_000) };
    TenantFindings {
        tenant: name.into(),
        tier: Some(tier.into()),
        region: None,
        databases: vec![format!("db_{name}")],
        downtime,
        read: ClassFindings { downtime: Downtime::default(), windows: vec![] },
        write: ClassFindings { downtime, windows: vec![] },
        held_us: Some(0),
        brownout_us: None,
        recovery_us: None,
        unobserved_us: Some(0),
        requests: RequestCounts { offered: 200_100, ..RequestCounts::default() },
        requests_by_phase: ByPhase::default(),
        latency: latency.clone(),
        service_time: latency,
        new_errors: ByPhase::default(),
        divergence: Divergence::default(),
    }
}

fn findings() -> Findings {
    let offered = RequestCounts { offered: 1000, ..RequestCounts::default() };
    Findings {
        run: RunFindings {
            started_at: "2026-11-22T12:00:00Z".into(),
            tool_version: "0.1.0".into(),
            scenario_name: "s".into(),
            workload_sha256: String::new(),
            server_before: None,
            server_after: None,
            complete: true,
            interrupted: None,
            ended_us: 100_000_000,
            host: HostFacts::default(),
            rules: Rules {
                objectives: vec![],
                deadline_us: 5_000_000,
                probe_interval_us: Some(100_000),
                schedule_lag_p99_us: 20_000,
                closed_loop: false,
                warmup_us: 5_000_000,
                before_us: 15_000_000,
                after_us: 60_000_000,
            },
            plan: serde_json::Value::Null,
        },
        steps: vec![step("check", 1_000_000, Some(2_000_000)), step("pg_upgrade", 2_000_000, Some(9_000_000))],
        phases: vec![],
        downtime: DowntimeSummary::default(),
        tenants: vec![tenant("acme", "gold", 8_000_000), tenant("globex", "free", 3_000_000)],
        groups: vec![],
        latency: ByPhase::default(),
        service_time: ByPhase::default(),
        requests: offered,
        requests_by_phase: ByPhase { before: offered, upgrade: offered, after: offered },
        statements: vec![],
        errors: vec![],
        writes: Writes { read_back: true, acknowledged: Some(500), lost: Some(0), ..Writes::default() },
        divergence: Divergence::default(),
        differing: vec![],
        ids: None,
        trust: Trust::default(),
        series: vec![],
    }
}

fn step(name: &str, started_us: u64, ended_us: Option<u64>) -> Step {
    let outcome = ended_us.map(|_| StepOutcome::Ok);
    Step { name: name.into(), started_us, ended_us, outcome, detail: None, steps: vec![] }
}

fn decided(findings: &Findings, texts: &[&str]) -> Verdict {
    decide(findings, &with_defaults(texts.iter().map(|text| parse(text).unwrap()).collect()))
}

fn judged(findings: &Findings, text: &str) -> Judged {
    judge(findings, &parse(text).unwrap())
}

#[test]
fn a_run_without_a_flaw_passes() {
    let verdict = decided(&findings(), &["downtime max < 30s"]);
    assert_eq!((verdict.outcome, verdict.exit), (Outcome::Passed, ExitCode::Passed));
    assert!(verdict.reasons.is_empty());
    assert_eq!((verdict.objectives[0].value, verdict.objectives[0].limit), (Some(8000.0), 30_000.0));
}

#[test]
fn a_missed_objective_says_by_how_much_and_for_whom() {
    let verdict = decided(&findings(), &["downtime max < 5s"]);
    assert_eq!((verdict.outcome, verdict.exit), (Outcome::Failed, ExitCode::ObjectiveMissed));
    assert_eq!(verdict.reasons[0].code, "objective_missed");
    assert_eq!(verdict.reasons[0].text, "downtime max < 5s is missed: 8.00 s, over 5.00 s by 3.00 s (acme)");
}

#[test]
fn a_limit_within_the_bounds_is_inconclusive() {
    let verdict = decided(&findings(), &["downtime max < 8s"]);
    assert_eq!((verdict.outcome, verdict.exit), (Outcome::Inconclusive, ExitCode::Inconclusive));
    assert!(verdict.reasons[0].text.contains("between 7.90 s and 8.10 s"), "{}", verdict.reasons[0].text);
}

#[test]
fn an_open_window_can_only_miss() {
    let mut findings = findings();
    findings.tenants[0].downtime.at_most_us = None;
    assert_eq!(judged(&findings, "downtime max < 30s").outcome, ObjectiveOutcome::Inconclusive);
    assert_eq!(judged(&findings, "downtime max < 5s").outcome, ObjectiveOutcome::Missed);
    assert_eq!(judged(&findings, "downtime{tier=free} max < 5s").outcome, ObjectiveOutcome::Met);
}

#[test]
fn filters_and_statistics_choose_what_counts() {
    let findings = findings();
    assert_eq!(judged(&findings, "downtime{tenant=glo*} < 1h").value, Some(3000.0));
    assert_eq!(judged(&findings, "downtime{database=db_acme} < 1h").value, Some(8000.0));
    assert_eq!(judged(&findings, "downtime mean < 1h").value, Some(5500.0));
    assert_eq!(judged(&findings, "downtime p50 < 1h").value, Some(3000.0));
    let nobody = judged(&findings, "downtime{region=eu} < 1h");
    assert_eq!(
        (nobody.outcome, nobody.note.unwrap().as_str()),
        (ObjectiveOutcome::Inconclusive, "no tenant matches the filters")
    );
    let reads = judged(&findings, "downtime.read < 1h");
    assert_eq!(reads.outcome, ObjectiveOutcome::Inconclusive, "nothing was observed of reads");
}

#[test]
fn latencies_are_held_against_a_time_or_the_phase_before() {
    let findings = findings();
    let absolute = judged(&findings, "latency.p99{phase=after} <= 25ms");
    assert_eq!((absolute.outcome, absolute.value, absolute.limit), (ObjectiveOutcome::Met, Some(20_000.0), 25_000.0));
    assert_eq!(judged(&findings, "latency.p99 <= 25ms").outcome, ObjectiveOutcome::Missed, "the worst phase counts");
    let relative = judged(&findings, "latency.p99{phase=after} <= 1.5x before");
    assert_eq!((relative.outcome, relative.value, relative.unit), (ObjectiveOutcome::Missed, Some(2.0), Unit::Ratio));
    assert_eq!(judged(&findings, "latency.p99{phase=after} <= 3x before").outcome, ObjectiveOutcome::Met);
    assert_eq!(judged(&findings, "latency.p99{phase=after} <= 2x before").outcome, ObjectiveOutcome::Inconclusive);
}

#[test]
fn tenants_with_too_few_requests_are_left_out_of_a_comparison_and_counted() {
    let mut findings = findings();
    findings.tenants[0].latency.after.count = 20;
    let relative = judged(&findings, "latency.p99{phase=after} <= 3x before");
    assert_eq!(relative.outcome, ObjectiveOutcome::Met);
    assert!(relative.note.unwrap().starts_with("one tenant has too few requests"));
}

#[test]
fn new_errors_are_counted_or_shared() {
    let mut findings = findings();
    let error = |new, phase, count| ErrorFindings {
        sqlstate: None,
        message: None,
        fingerprint: None,
        count,
        phase,
        expected: false,
        new,
    };
    findings.errors = vec![error(true, Phase::After, 5), error(false, Phase::After, 9), error(true, Phase::Upgrade, 3)];
    assert_eq!(judged(&findings, "errors.new{phase=after} == 0").value, Some(5.0));
    assert_eq!(judged(&findings, "errors.new == 0").value, Some(8.0));
    assert_eq!(judged(&findings, "errors.new{phase=after} < 1%").outcome, ObjectiveOutcome::Met);
    assert_eq!(decided(&findings, &[]).exit, ExitCode::ObjectiveMissed, "the default objective");
}

#[test]
fn a_lost_write_outranks_everything_but_an_interruption() {
    let mut findings = findings();
    findings.writes.lost = Some(2);
    findings.steps[1].outcome = Some(StepOutcome::Failed);
    let verdict = decided(&findings, &["downtime max < 5s"]);
    assert_eq!((verdict.outcome, verdict.exit), (Outcome::Failed, ExitCode::WriteLost));
    let codes: Vec<&str> = verdict.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["write_lost", "step_failed", "objective_missed", "objective_missed"]);
    findings.run.interrupted = Some("SIGINT".into());
    assert_eq!(decided(&findings, &[]).exit, ExitCode::Interrupted);
    findings.run.interrupted = None;
    findings.steps[1].outcome = Some(StepOutcome::Ok);
    assert_eq!(decided(&findings, &["lost_writes <= 2"]).exit, ExitCode::Passed, "the scenario allows it");
}

#[test]
fn a_ledger_that_was_never_read_back_proves_nothing() {
    let mut findings = findings();
    findings.writes.lost = None;
    let verdict = decided(&findings, &[]);
    assert_eq!(verdict.exit, ExitCode::Inconclusive);
    assert!(verdict.reasons[0].text.ends_with("the ledger was not read back to its end"));
    findings.writes = Writes { read_back: false, lost: Some(1), ..findings.writes };
    assert_eq!(decided(&findings, &[]).exit, ExitCode::WriteLost);
}

#[test]
fn a_failed_step_is_quoted() {
    let mut findings = findings();
    findings.steps[1].outcome = Some(StepOutcome::Failed);
    findings.steps[1].detail = Some("could not connect\n".into());
    let verdict = decided(&findings, &[]);
    assert_eq!((verdict.outcome, verdict.exit), (Outcome::Failed, ExitCode::StepFailed));
    assert_eq!(verdict.reasons[0].text, "step pg_upgrade failed: could not connect");
}

#[test]
fn steps_and_sub_steps_have_durations() {
    let mut findings = findings();
    findings.steps[1].steps = vec![step("Restoring schemas", 3_000_000, None)];
    assert_eq!(judged(&findings, "step(pg_upgrade).duration < 8s").value, Some(7000.0));
    let running = judged(&findings, "step(Restoring schemas).duration < 60s");
    assert_eq!((running.outcome, running.low), (ObjectiveOutcome::Missed, Some(97_000.0)));
    assert_eq!(judged(&findings, "step(analyze).duration < 8s").outcome, ObjectiveOutcome::Inconclusive);
}

#[test]
fn what_cannot_be_trusted_is_inconclusive_unless_an_objective_is_missed() {
    let mut findings = findings();
    findings.trust.reasons = vec![crate::analysis::findings::Reason {
        code: "generator_late".into(),
        text: "the schedule lag was 50 ms".into(),
        value: Some(50.0),
        limit: Some(20.0),
    }];
    assert_eq!(decided(&findings, &[]).exit, ExitCode::Inconclusive);
    assert_eq!(decided(&findings, &["downtime max < 5s"]).exit, ExitCode::ObjectiveMissed);
    findings.run.interrupted = Some("SIGINT".into());
    let verdict = decided(&findings, &[]);
    assert_eq!((verdict.outcome, verdict.exit), (Outcome::Inconclusive, ExitCode::Interrupted));
}

#[test]
fn a_closed_loop_refuses_what_needs_due_times() {
    let mut findings = findings();
    findings.run.rules.closed_loop = true;
    assert_eq!(judged(&findings, "downtime < 1h").outcome, ObjectiveOutcome::Inconclusive);
    assert_eq!(judged(&findings, "service.p99{phase=after} < 1h").outcome, ObjectiveOutcome::Met);
}
