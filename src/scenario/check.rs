//! What can be said against a scenario without starting a server.
//!
//! Takes the resolved scenario, what is known of its workload and the exact server versions; gives findings. Pure: the
//! host's files, variables and ports are looked at in [`super::check_host`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{Step, StepKind, TransferMode, Wait};
use super::releases::Batch;
use super::resolved::{LocalStaging, Loop, Scenario, Staging, TenantCopies};
use crate::objective::{self, Bound, Metric};
use crate::words::ids::{PgMajor, PgVersion};
use crate::words::limits::PROBES_PER_SECOND_MAX;
use crate::words::suggest;
use crate::words::time::format_duration;

/// Something to be said against a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub message: String,
    pub hint: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The rehearsal cannot be run, or would be of no use.
    Error,
    Warning,
}

impl Finding {
    pub(super) fn error(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Error, message: message.into(), hint: Some(hint.into()).filter(|hint| !hint.is_empty()) }
    }

    pub(super) fn warning(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(message, hint) }
    }
}

/// `error: ...` or `warning: ...`, with its hint on a second line.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{level}: {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// What the workload is known to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadFacts {
    /// From the first to the last captured moment, microseconds.
    pub span_us: u64,
    pub sessions: u64,
    /// Connections of the replay, with all copies, that are open at the same time, at most.
    pub peak_connections: u64,
    /// Sessions of the replay, with all copies, that are open at the same time, at most, by database and user.
    pub peak_sessions: BTreeMap<(String, String), usize>,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub tenants: Vec<String>,
    pub requests: u64,
}

/// Exact versions as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerVersions {
    pub source: Option<PgVersion>,
    pub target: Option<PgVersion>,
}

/// Everything that can be said against the scenario, errors first.
pub fn check(scenario: &Scenario, workload: Option<&WorkloadFacts>, versions: ServerVersions) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_objectives(scenario, &mut findings);
    check_versions(scenario, versions, &mut findings);
    check_switches(scenario, &mut findings);
    if scenario.phases.before.is_zero() {
        let hint = "give phases.before at least some seconds";
        findings.push(Finding::warning("without a phase before there is no baseline to compare with", hint));
    }
    if let Some(workload) = workload {
        check_length(scenario, workload, &mut findings);
        check_tenants(scenario, workload, &mut findings);
        check_connections(scenario, workload, &mut findings);
        check_pool(scenario, workload, &mut findings);
        check_probe_rate(scenario, workload, &mut findings);
    }
    findings.sort_by_key(|finding| finding.level);
    findings
}

fn check_objectives(scenario: &Scenario, findings: &mut Vec<Finding>) {
    let steps = &scenario.upgrade.plan.steps;
    // Texts that cannot be read were refused when the scenario was.
    let read = scenario.objectives.iter().filter_map(|text| objective::parse(&text.text).ok());
    for objective in read {
        if let Some(key) = scenario.workload.closed_loop().filter(|_| objective.metric.needs_due_times()) {
            let message = format!("\"{objective}\" cannot be judged with {key}");
            let hint = "a closed loop has no due times: bound service.pNN instead, or replay in the open (pacing = \"open\", speed a number)";
            findings.push(Finding::error(message, hint));
        }
        if scenario.phases.before.is_zero() && matches!(objective.bound, Bound::TimesBefore(_)) {
            findings.push(Finding::error(format!("\"{objective}\" needs a phase before"), "set phases.before"));
        }
        if let Metric::StepDuration(name) = &objective.metric
            && !steps.iter().any(|step| step.name == *name)
        {
            findings.push(unknown_step(name, steps));
        }
    }
}

/// A name that is no step may still be one of the phases that pg_upgrade prints, which become sub-steps.
fn unknown_step(name: &str, steps: &[Step]) -> Finding {
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let message = format!("an objective bounds the step \"{name}\", which the plan does not have");
    let has_sub_steps = steps.iter().any(|step| matches!(step.kind, StepKind::PgUpgrade(_) | StepKind::Check(_)));
    if has_sub_steps && suggest::nearest(name, names.iter().copied()).is_none() {
        return Finding::warning(message, "it is only judged if pg_upgrade prints a phase of that name");
    }
    Finding::error(message, suggest::hint(name, &names))
}

fn check_versions(scenario: &Scenario, versions: ServerVersions, findings: &mut Vec<Finding>) {
    let Staging::Local(local) = &scenario.staging else { return };
    let Some(to) = &scenario.upgrade.to else { return };
    let (from, to) = (local.server.version, to.version);
    if to < from {
        let message = format!("the target, PostgreSQL {to}, is older than the source, PostgreSQL {from}");
        findings.push(Finding::error(message, "pg_upgrade only goes forward; set upgrade.to"));
    } else if to == from {
        let message = format!("source and target are the same major, PostgreSQL {to}");
        findings.push(Finding::warning(message, "set upgrade.to to rehearse a major upgrade"));
    }
    for step in &scenario.upgrade.plan.steps {
        let (StepKind::PgUpgrade(options) | StepKind::Check(options)) = &step.kind else { continue };
        let since = match options.mode {
            TransferMode::CopyFileRange => PgMajor(17),
            TransferMode::Swap => PgMajor(18),
            TransferMode::Copy | TransferMode::Link | TransferMode::Clone => continue,
        };
        if to < since {
            let mode = options.mode.name();
            let message =
                format!("step \"{}\": mode \"{mode}\" needs a target of PostgreSQL {since} or later", step.name);
            findings.push(Finding::error(message, "use copy, link or clone"));
        }
    }
    findings.extend(versions.source.zip(versions.target).and_then(|(source, target)| release_skew(source, target)));
}

/// An older target may not be able to restore what a newer minor of the source writes into the dumped schema.
fn release_skew(source: PgVersion, target: PgVersion) -> Option<Finding> {
    let (Some(source_batch), Some(target_batch)) = (Batch::of(source), Batch::of(target)) else {
        let message = format!("it is not known here whether {target} was released before {source}");
        return Some(Finding::warning(message, "make sure that the target's minor is not older than the source's"));
    };
    if target_batch >= source_batch {
        return None;
    }
    let of = |batch: Batch| batch.month().map_or(String::new(), |month| format!(" ({month})"));
    let message =
        format!("the target {target}{} was released before the source {source}{}", of(target_batch), of(source_batch));
    let hint = "pg_upgrade --check would pass and the upgrade fail: use the target's minor of the same day or later";
    Some(Finding::error(message, hint))
}

fn check_switches(scenario: &Scenario, findings: &mut Vec<Finding>) {
    let Staging::External(external) = &scenario.staging else { return };
    let switches = scenario.upgrade.plan.steps.iter().any(|step| matches!(step.kind, StepKind::Switch { .. }));
    if switches && external.new_dsn.is_none() {
        let hint = "set staging.new_dsn to the server that clients reach after the switch";
        findings.push(Finding::error("a switch step has nowhere to go", hint));
    }
}

/// How long the plan takes at the very least: a guess that is only good for a warning.
fn plan_estimate(scenario: &Scenario) -> Duration {
    let estimate = |step: &Step| match &step.kind {
        StepKind::Wait(Wait::For(time)) => *time,
        StepKind::PgUpgrade(_) => Duration::from_secs(10),
        StepKind::Check(_) | StepKind::Stop { .. } | StepKind::Start { .. } | StepKind::Analyze { .. } => {
            Duration::from_secs(2)
        }
        StepKind::Command { .. } | StepKind::Sql(_) | StepKind::Wait(_) | StepKind::Switch { .. } => Duration::ZERO,
    };
    scenario.upgrade.plan.steps.iter().map(estimate).sum()
}

fn check_length(scenario: &Scenario, workload: &WorkloadFacts, findings: &mut Vec<Finding>) {
    if matches!(scenario.workload.repeats, Loop::For(_)) && workload.span_us == 0 {
        let hint = "capture for longer, or leave workload.loop out";
        findings.push(Finding::error("a workload without a length cannot go on for a time", hint));
    }
    let Some(offered) = scenario.replayed_for(Duration::from_micros(workload.span_us)) else { return };
    let phases = scenario.phases.warmup + scenario.phases.before + scenario.phases.after;
    let estimate = plan_estimate(scenario);
    let needed = phases + estimate;
    if offered < needed {
        let shown = |time: Duration| format_duration(Duration::from_secs(time.as_secs()));
        let message = format!(
            "the workload lasts {} at this speed, and the phases take {} besides an upgrade of {} or more",
            shown(offered),
            format_duration(phases),
            format_duration(estimate)
        );
        let hint = "shorten phases.after, slow down workload.speed or the stages of the load, set workload.loop, or capture for \
                    longer";
        findings.push(Finding::warning(message, hint));
    }
}

/// Connections that an ordinary user can have, on the side that allows fewer.
fn connections_allowed(local: &LocalStaging, scenario: &Scenario) -> u64 {
    let setting = |name: &str, default: u64, new_side: bool| {
        let own = scenario.upgrade.settings.get(name).filter(|_| new_side);
        own.or_else(|| local.settings.get(name)).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let allowed = |new_side| {
        let reserved =
            setting("superuser_reserved_connections", 3, new_side) + setting("reserved_connections", 0, new_side);
        setting("max_connections", 100, new_side).saturating_sub(reserved)
    };
    allowed(false).min(allowed(true))
}

fn check_connections(scenario: &Scenario, workload: &WorkloadFacts, findings: &mut Vec<Finding>) {
    let Staging::Local(local) = &scenario.staging else { return };
    let groups = workload.databases.len() as u64;
    let clients = workload.peak_connections;
    // Each fate group has warm connections for its reads, as many for its writes, and one for the fresh logins.
    let probes = if scenario.probes.enabled { groups * (2 * u64::from(scenario.probes.connections) + 1) } else { 0 };
    let allowed = connections_allowed(local, scenario);
    if clients + probes > allowed {
        let message = format!(
            "up to {clients} replayed connections and {probes} of the probes are more than the {allowed} that the \
             servers allow"
        );
        let hint = format!("set staging.settings.max_connections to {} or more", (clients + probes + 10).max(100));
        findings.push(Finding::warning(message, hint));
    }
}

/// Sessions that wait for each other may be what is wanted, or those of a pool that stood before the captured server.
fn check_pool(scenario: &Scenario, workload: &WorkloadFacts, findings: &mut Vec<Finding>) {
    let Some(pool) = scenario.clients.pool else { return };
    let largest = workload.peak_sessions.iter().max_by_key(|(_, sessions)| **sessions);
    let Some(((database, user), sessions)) = largest.filter(|(_, sessions)| **sessions > pool.size as usize) else {
        return;
    };
    let message = format!(
        "up to {sessions} sessions of user \"{user}\" in database \"{database}\" are open at the same time, and \
         clients.pool.size lets {} of them have a connection",
        pool.size
    );
    let hint =
        "the others wait until one ends; leave out [clients.pool] where the captured sessions are those of a pool";
    findings.push(Finding::warning(message, hint));
}

fn check_tenants(scenario: &Scenario, workload: &WorkloadFacts, findings: &mut Vec<Finding>) {
    let is_any = |wanted: &&TenantCopies| workload.tenants.iter().any(|name| wanted.tenant.matches(name));
    for lacking in scenario.workload.tenants.iter().filter(|wanted| !is_any(wanted)) {
        let pattern = lacking.tenant.as_str();
        let hint = suggest::nearest(pattern, workload.tenants.iter().map(String::as_str));
        let hint =
            hint.map_or("pgrehearse workload info names them".to_owned(), |name| format!("did you mean \"{name}\"?"));
        findings.push(Finding::warning(format!("no tenant of the workload is called \"{pattern}\""), hint));
    }
}

fn check_probe_rate(scenario: &Scenario, workload: &WorkloadFacts, findings: &mut Vec<Finding>) {
    if !scenario.probes.enabled {
        return;
    }
    // A read and a write for each fate group at every interval.
    let each_interval = 2 * workload.databases.len() as u32;
    let least = Duration::from_secs(1) * each_interval / PROBES_PER_SECOND_MAX;
    if scenario.probes.interval < least {
        let message = format!(
            "probes of {} databases every {} are more than {PROBES_PER_SECOND_MAX} a second",
            workload.databases.len(),
            format_duration(scenario.probes.interval)
        );
        let hint = format!("the interval will be stretched to {}", format_duration(least));
        findings.push(Finding::warning(message, hint));
    }
}

#[cfg(test)]
mod tests;
