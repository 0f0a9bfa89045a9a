//! Puts findings and verdict into the shape of the report.
//!
//! Takes microseconds and typed names, gives milliseconds and written ones, and sorts the tenants, the worst first.
//! Must not know how a report is shown, and must not judge.

use std::cmp::Reverse;

use super::model::*;
use crate::analysis::findings::{self, ByPhase, Findings};
use crate::verdict;

/// Milliseconds of microseconds; exact to the microsecond for any run of less than three centuries.
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

fn maybe_ms(us: Option<u64>) -> Option<f64> {
    us.map(ms)
}

/// The report of a rehearsal: what was found, and how it was judged.
pub fn build(findings: &Findings, verdict: &verdict::Verdict) -> Report {
    let run = &findings.run;
    Report {
        format: FORMAT.to_owned(),
        version: VERSION,
        run: Run {
            started_at: run.started_at.clone(),
            tool_version: run.tool_version.clone(),
            workload_sha256: run.workload_sha256.clone(),
            complete: run.complete,
            interrupted: run.interrupted.is_some(),
            signal: run.interrupted.clone(),
            duration_ms: ms(run.ended_us),
        },
        verdict: self::verdict(verdict),
        scenario: Scenario { name: run.scenario_name.clone() },
        server: Servers {
            before: Server { version: run.server_before.clone() },
            after: Server { version: run.server_after.clone() },
        },
        host: Host {
            cpus: run.host.cpus,
            memory_bytes: run.host.memory_bytes,
            os: run.host.os.clone(),
            load_average: run.host.load_average,
        },
        rules: Rules {
            deadline_ms: ms(run.rules.deadline_us),
            probe_interval_ms: maybe_ms(run.rules.probe_interval_us),
            closed_loop: run.rules.closed_loop,
        },
        steps: findings.steps.iter().map(step).collect(),
        phases: findings.phases.iter().map(phase).collect(),
        downtime: downtime(&findings.downtime),
        tenants: tenants(&findings.tenants),
        groups: findings.groups.iter().map(group).collect(),
        requests: requests(&findings.requests),
        latency: by_phase(&findings.latency),
        service_time: by_phase(&findings.service_time),
        statements: findings.statements.iter().map(statement).collect(),
        errors: findings.errors.iter().map(error_group).collect(),
        divergence: divergence_by_statement(findings),
        writes: writes(&findings.writes),
        trust: trust(&findings.trust),
        objectives: verdict.objectives.iter().map(objective).collect(),
        series: series(&findings.series),
    }
}

fn verdict(verdict: &verdict::Verdict) -> Verdict {
    let reason = |reason: &verdict::Reason| Reason {
        code: reason.code.clone(),
        text: reason.text.clone(),
        value: reason.value,
        limit: reason.limit,
    };
    Verdict {
        outcome: match verdict.outcome {
            verdict::Outcome::Passed => Outcome::Passed,
            verdict::Outcome::Failed => Outcome::Failed,
            verdict::Outcome::Inconclusive => Outcome::Inconclusive,
        },
        reasons: verdict.reasons.iter().map(reason).collect(),
        exit_code: verdict.exit.code(),
    }
}

fn objective(judged: &verdict::Judged) -> Objective {
    Objective {
        text: judged.text.clone(),
        value: judged.value,
        low: judged.low,
        high: judged.high,
        limit: Some(judged.limit),
        unit: judged.unit.name().to_owned(),
        outcome: match judged.outcome {
            verdict::ObjectiveOutcome::Met => ObjectiveOutcome::Met,
            verdict::ObjectiveOutcome::Missed => ObjectiveOutcome::Missed,
            verdict::ObjectiveOutcome::Inconclusive => ObjectiveOutcome::Inconclusive,
        },
        tenants: judged.tenants.clone(),
        note: judged.note.clone(),
    }
}

fn step(step: &findings::Step) -> Step {
    Step {
        name: step.name.clone(),
        started_ms: ms(step.started_us),
        ended_ms: maybe_ms(step.ended_us),
        outcome: step.outcome.map(|outcome| outcome.name().to_owned()),
        detail: step.detail.clone(),
        steps: step.steps.iter().map(self::step).collect(),
    }
}

fn phase(span: &findings::PhaseSpan) -> Phase {
    Phase { name: span.phase.name().to_owned(), started_ms: ms(span.started_us), ended_ms: maybe_ms(span.ended_us) }
}

fn downtime(summary: &findings::DowntimeSummary) -> Downtime {
    Downtime {
        tenants: summary.tenants,
        affected: summary.affected,
        unknown: summary.unknown,
        resolution_ms: maybe_ms(summary.resolution_us),
        max_ms: maybe_ms(summary.max_us),
        p50_ms: maybe_ms(summary.p50_us),
        p90_ms: maybe_ms(summary.p90_us),
        p99_ms: maybe_ms(summary.p99_us),
        longest_ms: maybe_ms(summary.longest_us),
        at_least_max_ms: maybe_ms(summary.at_least_max_us),
        at_most_max_ms: maybe_ms(summary.at_most_max_us),
    }
}

/// The longest downtime first, then the order of the workload; tenants of which nothing is known come last.
fn tenants(found: &[findings::TenantFindings]) -> Vec<Tenant> {
    let mut sorted: Vec<&findings::TenantFindings> = found.iter().collect();
    sorted.sort_by_key(|tenant| Reverse(tenant.downtime.downtime_us));
    sorted.into_iter().map(tenant).collect()
}

fn tenant(tenant: &findings::TenantFindings) -> Tenant {
    Tenant {
        tenant: tenant.tenant.clone(),
        tier: tenant.tier.clone(),
        region: tenant.region.clone(),
        databases: tenant.databases.clone(),
        downtime_ms: maybe_ms(tenant.downtime.downtime_us),
        at_least_ms: maybe_ms(tenant.downtime.at_least_us),
        at_most_ms: maybe_ms(tenant.downtime.at_most_us),
        longest_ms: maybe_ms(tenant.downtime.longest_us),
        held_ms: maybe_ms(tenant.held_us),
        brownout_ms: maybe_ms(tenant.brownout_us),
        recovery_ms: maybe_ms(tenant.recovery_us),
        unobserved_ms: maybe_ms(tenant.unobserved_us),
        read: class_downtime(&tenant.read),
        write: class_downtime(&tenant.write),
        requests: requests(&tenant.requests),
        latency: by_phase(&tenant.latency),
        service_time: by_phase(&tenant.service_time),
        new_errors: tenant.new_errors.after,
        divergence: divergence(&tenant.divergence),
    }
}

fn group(group: &findings::GroupFindings) -> Group {
    Group {
        endpoint: group.endpoint.clone(),
        database: group.database.clone(),
        read: class_downtime(&group.read),
        write: class_downtime(&group.write),
    }
}

fn class_downtime(class: &findings::ClassFindings) -> ClassDowntime {
    ClassDowntime {
        downtime_ms: maybe_ms(class.downtime.downtime_us),
        at_least_ms: maybe_ms(class.downtime.at_least_us),
        at_most_ms: maybe_ms(class.downtime.at_most_us),
        windows: class.windows.iter().map(window).collect(),
    }
}

fn window(window: &findings::Window) -> Window {
    Window {
        started_ms: ms(window.started_us),
        ended_ms: maybe_ms(window.ended_us),
        at_least_ms: ms(window.at_least_us),
        at_most_ms: maybe_ms(window.at_most_us),
        open: window.open,
        source: match window.source {
            findings::WindowSource::Own => Source::Own,
            findings::WindowSource::Group => Source::Group,
        },
    }
}

fn requests(counts: &findings::RequestCounts) -> Requests {
    Requests {
        offered: counts.offered,
        ok: counts.ok,
        failed: counts.failed,
        late: counts.late,
        expired: counts.expired,
        indeterminate: counts.indeterminate,
        expected_error: counts.expected_error,
        skipped: counts.skipped,
    }
}

fn by_phase(latency: &ByPhase<findings::Latency>) -> LatencyByPhase {
    LatencyByPhase {
        before: self::latency(&latency.before),
        upgrade: self::latency(&latency.upgrade),
        after: self::latency(&latency.after),
    }
}

fn latency(latency: &findings::Latency) -> Latency {
    Latency {
        count: latency.count,
        p50_us: latency.p50_us,
        p75_us: latency.p75_us,
        p90_us: latency.p90_us,
        p95_us: latency.p95_us,
        p99_us: latency.p99_us,
        p999_us: latency.p999_us,
        max_us: latency.max_us,
    }
}

fn statement(statement: &findings::StatementFindings) -> Statement {
    let LatencyByPhase { before, upgrade, after } = by_phase(&statement.latency);
    Statement {
        fingerprint: statement.fingerprint.to_string(),
        sql: statement.sql.clone(),
        class: statement.class.map(|class| class.name().to_owned()),
        before,
        upgrade,
        after,
        p99_ratio: statement.p99_ratio,
        new_errors: statement.new_errors,
    }
}

fn error_group(error: &findings::ErrorFindings) -> ErrorGroup {
    ErrorGroup {
        sqlstate: error.sqlstate.map(|sqlstate| sqlstate.as_str().to_owned()),
        message: error.message.clone(),
        fingerprint: error.fingerprint.map(|fingerprint| fingerprint.to_string()),
        count: error.count,
        phase: error.phase.name().to_owned(),
        expected: error.expected,
        new: error.new,
    }
}

fn divergence(divergence: &findings::Divergence) -> Divergence {
    Divergence { compared: divergence.compared, differing: divergence.differing }
}

fn divergence_by_statement(findings: &Findings) -> DivergenceByStatement {
    let statement = |statement: &findings::StatementDivergence| StatementDivergence {
        fingerprint: statement.fingerprint.to_string(),
        sql: statement.sql.clone(),
        compared: statement.compared,
        differing: statement.differing,
        sqlstate: statement.sqlstate,
        rows: statement.rows,
        digest: statement.digest,
        first: statement.first.as_ref().map(|first| FirstDifference {
            request: first.request,
            file: first.file.clone(),
            line: first.line,
        }),
    };
    let Divergence { compared, differing } = divergence(&findings.divergence);
    let ids = findings.ids.map(|ids| IdsMapped { mapped: ids.mapped, unfilled: ids.unfilled, unsure: ids.unsure });
    DivergenceByStatement { compared, differing, ids, statements: findings.differing.iter().map(statement).collect() }
}

fn writes(writes: &findings::Writes) -> Writes {
    Writes {
        acknowledged: writes.acknowledged,
        lost: writes.lost,
        recovered: writes.recovered,
        unexpected: writes.unexpected,
        duplicates: writes.duplicates,
        indeterminate: writes.indeterminate,
        replay_acknowledged: writes.replay_acknowledged,
    }
}

fn trust(trust: &findings::Trust) -> Trust {
    Trust {
        schedule_lag_p99_us: trust.schedule_lag_p99_us,
        schedule_lag: by_phase(&trust.schedule_lag),
        offered: trust.offered,
        released_share: trust.released_share,
        late_share: trust.late_share,
        cpu_share_max: trust.cpu_share_max,
        heartbeat_late_us_max: trust.heartbeat_late_us_max,
        capture_lost_share: trust.capture_lost_share,
        unmapped_share: trust.unmapped_share,
        writes_left_out: trust.writes_left_out,
        settings_lost: trust.settings_lost,
        order: trust.order.map(|order| OrderKept { waits: order.waits, broken: order.broken }),
        reasons: trust.reasons.iter().map(reason).collect(),
    }
}

fn reason(reason: &findings::Reason) -> Reason {
    Reason { code: reason.code.clone(), text: reason.text.clone(), value: reason.value, limit: reason.limit }
}

fn series(seconds: &[findings::Second]) -> Series {
    let points = seconds.iter().map(|second| Point {
        at_ms: second.second as f64 * 1e3,
        ok: second.ok,
        failed: second.bad,
        p50_us: second.p50_us,
        p99_us: second.p99_us,
    });
    Series { interval_ms: 1e3, points: points.collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
