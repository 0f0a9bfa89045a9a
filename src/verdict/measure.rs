//! What an objective measures, read from the findings.
//!
//! Takes findings and a metric with its filters; gives bounds, for each tenant where the metric has one. Must not know the
//! limit.

use super::bounds::Bounds;
use super::spread;
use crate::analysis::findings::{ByPhase, Downtime, Findings, Latency, Step, TenantFindings};
use crate::objective::{Bound, FilterKey, Metric, Objective, Percentile, StatementSide};
use crate::words::phase::Phase;

/// What was measured.
pub(super) enum Measured {
    /// One figure of the whole run.
    Total(Bounds),
    /// A figure for each tenant that has one. `left_out` were matched by the filters and have none.
    Tenants { each: Vec<(String, Bounds)>, left_out: usize },
    /// Nothing: the sentence says why.
    Nothing(String),
}

/// Measures an objective. Times are microseconds, shares lie between 0 and 1.
pub(super) fn measure(findings: &Findings, objective: &Objective) -> Measured {
    if findings.run.rules.closed_loop && objective.metric.needs_due_times() {
        return Measured::Nothing("not judged: a closed loop (speed = \"max\") has no due times".to_owned());
    }
    match &objective.metric {
        Metric::ErrorsNew => errors_new(findings, objective),
        Metric::LostWrites => lost_writes(findings),
        Metric::Divergence => divergence(findings, objective),
        Metric::StepDuration(name) => step_duration(findings, name),
        metric => by_tenant(findings, objective, metric),
    }
}

fn by_tenant(findings: &Findings, objective: &Objective, metric: &Metric) -> Measured {
    let matching: Vec<&TenantFindings> = findings.tenants.iter().filter(|tenant| matches(objective, tenant)).collect();
    if matching.is_empty() {
        return Measured::Nothing("no tenant matches the filters".to_owned());
    }
    let measured = |tenant: &&TenantFindings| Some((tenant.tenant.clone(), of_tenant(tenant, objective, metric)?));
    let each: Vec<(String, Bounds)> = matching.iter().filter_map(measured).collect();
    let left_out = matching.len() - each.len();
    if each.is_empty() {
        return Measured::Nothing(match objective.bound {
            Bound::TimesBefore(_) => "no tenant has enough requests in both phases to be compared".to_owned(),
            _ => "nothing was measured for any tenant".to_owned(),
        });
    }
    Measured::Tenants { each, left_out }
}

fn matches(objective: &Objective, tenant: &TenantFindings) -> bool {
    let one = |key, name: Option<&str>| {
        objective.filter(key).is_none_or(|pattern| name.is_some_and(|name| pattern.matches(name)))
    };
    let in_database = objective
        .filter(FilterKey::Database)
        .is_none_or(|pattern| tenant.databases.iter().any(|database| pattern.matches(database)));
    one(FilterKey::Tenant, Some(&tenant.tenant))
        && one(FilterKey::Tier, tenant.tier.as_deref())
        && one(FilterKey::Region, tenant.region.as_deref())
        && in_database
}

/// One tenant's figure; none where nothing was observed that it could be made of.
fn of_tenant(tenant: &TenantFindings, objective: &Objective, metric: &Metric) -> Option<Bounds> {
    let seen = tenant.requests.offered > 0;
    match metric {
        Metric::Downtime(None) => downtime(&tenant.downtime),
        Metric::Downtime(Some(StatementSide::Read)) => downtime(&tenant.read.downtime),
        Metric::Downtime(Some(StatementSide::Write)) => downtime(&tenant.write.downtime),
        Metric::Held => tenant.held_us.map(|us| Bounds::exact(us as f64)),
        Metric::Brownout => tenant.brownout_us.map(|us| Bounds::exact(us as f64)),
        // Without a figure the run ended before the tenant had recovered.
        Metric::Recovery => match tenant.recovery_us {
            Some(us) => Some(Bounds::exact(us as f64)),
            None => seen.then(|| Bounds::at_least(0.0)),
        },
        Metric::Latency(percentile) => latency(&tenant.latency, objective, *percentile),
        Metric::Service(percentile) => latency(&tenant.service_time, objective, *percentile),
        Metric::ErrorsNew | Metric::LostWrites | Metric::Divergence | Metric::StepDuration(_) => None,
    }
}

fn downtime(downtime: &Downtime) -> Option<Bounds> {
    Some(Bounds {
        value: Some(downtime.downtime_us? as f64),
        low: downtime.at_least_us.unwrap_or(0) as f64,
        high: downtime.at_most_us.map(|us| us as f64),
    })
}

/// The worst of the phases that count: each must hold.
fn latency(times: &ByPhase<Latency>, objective: &Objective, percentile: Percentile) -> Option<Bounds> {
    let one = |phase: Phase| {
        let latency = times.get(phase)?;
        match objective.bound {
            Bound::TimesBefore(_) => spread::ratio(latency, &times.before, percentile),
            _ => spread::value_at(latency, percentile).map(Bounds::exact),
        }
    };
    let phases: Vec<Bounds> = objective.phases().into_iter().filter_map(one).collect();
    super::bounds::over(crate::objective::Stat::Max, &phases)
}

fn errors_new(findings: &Findings, objective: &Objective) -> Measured {
    let phases = objective.phases();
    let requests = |phase: &Phase| findings.requests_by_phase.get(*phase).map_or(0, |counts| counts.offered);
    let offered: u64 = phases.iter().map(requests).sum();
    if offered == 0 {
        let names: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
        return Measured::Nothing(format!("no request was due in {}", names.join(", ")));
    }
    let counted = findings.errors.iter().filter(|error| error.new && phases.contains(&error.phase));
    Measured::Total(count_or_share(counted.map(|error| error.count).sum(), offered, objective))
}

fn count_or_share(count: u64, of: u64, objective: &Objective) -> Bounds {
    match objective.bound {
        Bound::Percent(_) => Bounds::exact(count as f64 / of as f64),
        _ => Bounds::exact(count as f64),
    }
}

fn lost_writes(findings: &Findings) -> Measured {
    let writes = &findings.writes;
    match (writes.acknowledged, writes.lost) {
        (None, _) => Measured::Nothing("there is no ledger of acknowledged writes".to_owned()),
        (Some(_), None) => Measured::Nothing("the ledger was not read back to its end".to_owned()),
        (Some(_), Some(lost)) if writes.read_back => Measured::Total(Bounds::exact(lost as f64)),
        // Databases that were not read back may have lost more.
        (Some(_), Some(lost)) => Measured::Total(Bounds { value: Some(lost as f64), ..Bounds::at_least(lost as f64) }),
    }
}

fn divergence(findings: &Findings, objective: &Objective) -> Measured {
    let divergence = &findings.divergence;
    if divergence.compared == 0 {
        return Measured::Nothing("no result could be compared: the capture does not hold results".to_owned());
    }
    Measured::Total(count_or_share(divergence.differing, divergence.compared, objective))
}

fn step_duration(findings: &Findings, name: &str) -> Measured {
    let Some(step) = find_step(&findings.steps, name) else {
        return Measured::Nothing(format!("no step \"{name}\" was begun"));
    };
    match step.ended_us {
        Some(ended_us) => Measured::Total(Bounds::exact(ended_us.saturating_sub(step.started_us) as f64)),
        None => Measured::Total(Bounds::at_least(findings.run.ended_us.saturating_sub(step.started_us) as f64)),
    }
}

/// The first step of that name, a sub-step where no step has it.
fn find_step<'a>(steps: &'a [Step], name: &str) -> Option<&'a Step> {
    let own = steps.iter().find(|step| step.name == name);
    own.or_else(|| steps.iter().find_map(|step| find_step(&step.steps, name)))
}
