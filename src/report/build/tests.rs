//! What must hold between findings and report.

use super::*;
use crate::analysis::findings::{ClassFindings, DowntimeSummary, Latency as Measured, TenantFindings, WindowSource};
use crate::facts::{HostFacts, Rules as RunRules};
use crate::words::exit::ExitCode;

fn tenant_down_for(tenant: &str, downtime_us: Option<u64>) -> TenantFindings {
    let downtime =
        findings::Downtime { downtime_us, longest_us: downtime_us, at_least_us: downtime_us, at_most_us: None };
    let window = findings::Window {
        started_us: 1_000_001,
        ended_us: None,
        at_least_us: downtime_us.unwrap_or(0),
        at_most_us: None,
        open: true,
        source: WindowSource::Group,
    };
    let class = || ClassFindings { downtime, windows: downtime_us.map(|_| window).into_iter().collect() };
    TenantFindings {
        tenant: tenant.into(),
        tier: None,
        region: None,
        databases: vec!["app".into()],
        downtime,
        read: class(),
        write: class(),
        held_us: Some(0),
        brownout_us: None,
        recovery_us: None,
        unobserved_us: None,
        requests: findings::RequestCounts::default(),
        requests_by_phase: ByPhase::default(),
        latency: ByPhase::default(),
        service_time: ByPhase::default(),
        new_errors: ByPhase { before: 0, upgrade: 2, after: 3 },
        divergence: findings::Divergence::default(),
    }
}

fn findings_of(tenants: Vec<TenantFindings>) -> Findings {
    Findings {
        run: findings::RunFindings {
            started_at: "2026-11-22T15:31:30Z".into(),
            tool_version: "0.1.0".into(),
            scenario_name: "restart".into(),
            workload_sha256: String::new(),
            server_before: Some("16.14".into()),
            server_after: None,
            complete: false,
            interrupted: Some("SIGTERM".into()),
            ended_us: 1_500,
            host: HostFacts::default(),
            rules: RunRules {
                objectives: vec![],
                deadline_us: 5_000_000,
                probe_interval_us: Some(100_000),
                schedule_lag_p99_us: 20_000,
                closed_loop: false,
                warmup_us: 0,
                before_us: 0,
                after_us: 0,
            },
            plan: serde_json::Value::Null,
        },
        steps: vec![],
        phases: vec![],
        downtime: DowntimeSummary { tenants: 3, max_us: Some(3_021_457), ..DowntimeSummary::default() },
        tenants,
        groups: vec![],
        latency: ByPhase {
            after: Measured { count: 7, p99_us: Some(12_345), ..Measured::default() },
            ..ByPhase::default()
        },
        service_time: ByPhase::default(),
        requests: findings::RequestCounts::default(),
        requests_by_phase: ByPhase::default(),
        statements: vec![],
        errors: vec![],
        writes: findings::Writes::default(),
        divergence: findings::Divergence::default(),
        differing: vec![],
        ids: None,
        trust: findings::Trust::default(),
        series: vec![findings::Second { second: 2, ok: 5, bad: 1, p50_us: Some(9), p99_us: None }],
    }
}

fn report_of(findings: &Findings) -> Report {
    let judged = verdict::Judged {
        text: "downtime max < 3s".into(),
        outcome: verdict::ObjectiveOutcome::Missed,
        value: Some(3_021.457),
        low: Some(3_000.5),
        high: None,
        limit: 3_000.0,
        unit: verdict::Unit::Milliseconds,
        tenants: vec!["worst".into()],
        note: None,
    };
    let verdict = verdict::Verdict {
        outcome: verdict::Outcome::Failed,
        exit: ExitCode::Interrupted,
        reasons: vec![],
        objectives: vec![judged],
    };
    build(findings, &verdict)
}

#[test]
fn microseconds_become_milliseconds_without_loss() {
    let report = report_of(&findings_of(vec![tenant_down_for("a", Some(3_021_457))]));
    assert_eq!(report.downtime.max_ms, Some(3_021.457));
    assert_eq!(report.tenants[0].read.windows[0].started_ms, 1_000.001);
    assert_eq!(report.latency.after.p99_us, Some(12_345));
    assert_eq!(serde_json::to_value(&report).unwrap()["downtime"]["max_ms"].to_string(), "3021.457");
}

#[test]
fn the_worst_tenant_comes_first_and_the_unknown_last() {
    let tenants = [("none", Some(0)), ("unknown", None), ("worst", Some(9)), ("also none", Some(0))];
    let report = report_of(&findings_of(tenants.map(|(name, down)| tenant_down_for(name, down)).into()));
    let names: Vec<&str> = report.tenants.iter().map(|tenant| tenant.tenant.as_str()).collect();
    assert_eq!(names, ["worst", "none", "also none", "unknown"]);
}

#[test]
fn an_objective_keeps_its_bounds_and_the_verdict_its_exit_code() {
    let report = report_of(&findings_of(vec![]));
    let objective = &report.objectives[0];
    assert_eq!((report.verdict.outcome, report.verdict.exit_code), (Outcome::Failed, 130));
    assert_eq!((objective.low, objective.high, objective.unit.as_str()), (Some(3_000.5), None, "ms"));
    assert_eq!(objective.outcome, ObjectiveOutcome::Missed);
}

#[test]
fn what_was_not_found_out_stays_unknown() {
    let report = report_of(&findings_of(vec![tenant_down_for("a", None)]));
    assert_eq!((report.run.interrupted, report.run.signal.as_deref()), (true, Some("SIGTERM")));
    assert_eq!((report.server.after.version.as_ref(), report.writes.lost), (None, None));
    assert_eq!(report.tenants[0].downtime_ms, None);
    assert_eq!(report.series.points[0].at_ms, 2_000.0);
    assert_eq!(report.tenants[0].new_errors, 3);
}
