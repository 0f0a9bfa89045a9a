//! The sentences that every form of the report opens with: verdict, reason, downtime, lost writes, trust.
//!
//! Takes a report and gives plain sentences without markup. Must not know where they are shown.

use std::collections::BTreeMap;

use super::figures::{UNKNOWN, count, in_unit, maybe_ms, maybe_us, ms, percent, plain, shortened, things};
use super::model::{
    ClassDowntime, ErrorGroup, FirstDifference, Objective, ObjectiveOutcome, Outcome, Report, Source, Statement,
    StatementDivergence, Tenant,
};

/// A p99 after by p99 before above which a statement counts as slower.
const SLOWER_RATIO_MIN: f64 = 1.25;

/// Characters of a reason in a headline: pg_upgrade can be long, and all of its words stand with its step.
const REASON_CHARS_MAX: usize = 280;

/// The verdict in one word.
pub fn verdict(report: &Report) -> &'static str {
    match report.verdict.outcome {
        Outcome::Passed => "PASSED",
        Outcome::Failed => "FAILED",
        Outcome::Inconclusive => "INCONCLUSIVE",
    }
}

/// The one reason for the verdict.
pub fn reason(report: &Report) -> String {
    match (report.verdict.reasons.first(), report.verdict.outcome) {
        (Some(reason), _) => shortened(&reason.text, REASON_CHARS_MAX),
        (None, Outcome::Passed) => match report.objectives.len() {
            0 => "nothing went wrong, and no objective was set".to_owned(),
            1 => "its one objective is met".to_owned(),
            all => format!("all {all} objectives are met"),
        },
        (None, _) => "no reason was recorded".to_owned(),
    }
}

/// That the run was interrupted or is not complete, and how much of it the figures cover.
pub fn cut_off(report: &Report) -> Option<String> {
    let seen = ms(report.run.duration_ms);
    match (report.run.interrupted, report.run.complete) {
        (true, _) => Some(format!("the run was interrupted: the figures cover its first {seen} only")),
        (false, false) => Some(format!("the run is not complete: the figures cover the {seen} that were recorded")),
        (false, true) => None,
    }
}

/// What a reader has to know before any figure: that the run was cut off, or was a closed loop.
pub fn cautions(report: &Report) -> Vec<String> {
    let closed_loop = report
        .rules
        .closed_loop
        .then(|| "replayed in a closed loop, each request after the answer before it: response times and downtime are no forecast".to_owned());
    cut_off(report).into_iter().chain(closed_loop).collect()
}

/// Scenario, servers and start: `16-to-18-link, PostgreSQL 16.14 to 18.4, started 2026-11-22T15:31:30Z, ran 98.20 s`.
pub fn subject(report: &Report) -> String {
    let servers = match (&report.server.before.version, &report.server.after.version) {
        (Some(before), Some(after)) if before != after => format!("PostgreSQL {before} to {after}"),
        (Some(one), _) | (None, Some(one)) => format!("PostgreSQL {one}"),
        (None, None) => "PostgreSQL of unknown version".to_owned(),
    };
    let ran = ms(report.run.duration_ms);
    plain(&format!("{}, {servers}, started {}, ran {ran}", report.scenario.name, report.run.started_at))
}

/// Whether any tenant was seen down.
pub fn any_downtime(report: &Report) -> bool {
    report.downtime.affected > 0
}

/// The downtime of the worst tenant with its bounds and how many were hit. Where nothing was seen, it says how short an
/// outage would have been seen, and never that there was none.
pub fn downtime(report: &Report) -> String {
    let downtime = &report.downtime;
    if !any_downtime(report) {
        return match downtime.resolution_ms {
            Some(resolution_ms) => format!("no outage longer than {} was observed", ms(resolution_ms)),
            None => "no outage was observed; without probes a short one can go unseen".to_owned(),
        };
    }
    let bounds = worst_bounds(report).map(|bounds| format!(" ({bounds})")).unwrap_or_default();
    let worst = worst_downtime(report);
    let of_all = format!("{} of {} affected", count(downtime.affected), things(downtime.tenants, "tenant"));
    let resolution =
        downtime.resolution_ms.map(|resolution_ms| format!(", resolution {}", ms(resolution_ms))).unwrap_or_default();
    format!("worst tenant down {worst}{bounds}, {of_all}{resolution}")
}

/// The bounds of the worst tenant's downtime.
pub fn worst_bounds(report: &Report) -> Option<String> {
    let least = format!("at least {}", ms(report.downtime.at_least_max_ms?));
    Some(match report.downtime.at_most_max_ms {
        Some(most) => format!("{least}, at most {}", ms(most)),
        None => format!("{least}, not over when recording stopped"),
    })
}

/// The worst tenant's downtime; one that was not over when recording stopped is at least so long.
pub fn worst_downtime(report: &Report) -> String {
    let worst = maybe_ms(report.downtime.max_ms);
    if report.downtime.at_most_max_ms.is_none() { format!("≥ {worst}") } else { worst }
}

/// Downtime over the tenants, and the longest single window.
pub fn distribution(report: &Report) -> String {
    let downtime = &report.downtime;
    let figures = [("p50", downtime.p50_ms), ("p90", downtime.p90_ms), ("p99", downtime.p99_ms)];
    let known = figures.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {}", ms(value))));
    let longest = downtime.longest_ms.map(|longest| format!("longest single window {}", ms(longest)));
    known.chain(downtime.max_ms.map(|max| format!("max {}", ms(max)))).chain(longest).collect::<Vec<_>>().join(", ")
}

/// Held requests, brownout and recovery, the worst tenant of each; nothing if there was none.
pub fn aftermath(report: &Report) -> Option<String> {
    let worst = |name: &str, of: fn(&Tenant) -> Option<f64>| {
        let hit: Vec<f64> = report.tenants.iter().filter_map(of).filter(|value| *value > 0.0).collect();
        let max = hit.iter().copied().fold(0.0, f64::max);
        (max > 0.0).then(|| format!("{name} up to {} ({})", ms(max), things(hit.len() as u64, "tenant")))
    };
    let parts = [
        worst("held", |tenant| tenant.held_ms),
        worst("brownout", |tenant| tenant.brownout_ms),
        worst("recovery", |tenant| tenant.recovery_ms),
        worst("unobserved", |tenant| tenant.unobserved_ms),
    ];
    let unrecovered = |tenant: &&Tenant| tenant.downtime_ms.is_some_and(|ms| ms > 0.0) && tenant.recovery_ms.is_none();
    let unrecovered = report.tenants.iter().filter(unrecovered).count() as u64;
    let unrecovered = (unrecovered > 0).then(|| format!("{} not seen to recover", things(unrecovered, "tenant")));
    let parts: Vec<String> = parts.into_iter().chain([unrecovered]).flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What the ledger proves about acknowledged writes.
pub fn lost_writes(report: &Report) -> String {
    let writes = &report.writes;
    let found = match (writes.acknowledged.map(count), writes.lost.map(count)) {
        (None, _) => return "unknown: the run kept no ledger of acknowledged writes".to_owned(),
        (Some(acknowledged), Some(lost)) => format!("{lost} of {acknowledged} acknowledged"),
        (Some(acknowledged), None) => {
            format!("unknown: the ledger of {acknowledged} acknowledged writes was not read back to its end")
        }
    };
    let more = [
        ("recovered", writes.recovered),
        ("unexpected", writes.unexpected),
        ("duplicates", writes.duplicates),
        ("indeterminate", writes.indeterminate),
    ];
    let more: Vec<String> =
        more.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {}", count(value)))).collect();
    if more.is_empty() { found } else { format!("{found} ({})", more.join(", ")) }
}

/// Whether the measurement holds, with the figures that say so.
pub fn trust(report: &Report) -> String {
    let trust = &report.trust;
    let word = if trust.reasons.is_empty() { "ok" } else { "NOT GIVEN" };
    let share = trust.released_share.map_or_else(|| UNKNOWN.to_owned(), percent);
    let lag = maybe_us(trust.schedule_lag_p99_us);
    let order = trust.order.map_or_else(String::new, |order| {
        format!(", commits in order but for {} of {} waits", count(order.broken), count(order.waits))
    });
    let left_out = trust
        .writes_left_out
        .map_or_else(String::new, |requests| format!(", {} writing requests left out", count(requests)));
    let settings_lost = match trust.settings_lost {
        0 => String::new(),
        settings => format!(", {} not taken by new connections", things(settings, "setting")),
    };
    let cpu = trust.cpu_share_max.map_or_else(String::new, |share| format!(", CPU at most {}", percent(share)));
    let offered = count(trust.offered);
    format!(
        "{word}: schedule lag p99 {lag}, {share} of due requests offered ({offered}){left_out}{settings_lost}{cpu}{order}"
    )
}

/// How many answers were not the captured ones.
pub fn divergence(report: &Report) -> String {
    let (differing, compared) = (count(report.divergence.differing), count(report.divergence.compared));
    format!("{differing} of {compared} answers that could be compared are not the captured ones")
}

/// What became of ids that the server generates; nothing where clients sent none.
pub fn ids(report: &Report) -> Option<String> {
    let ids = report.divergence.ids?;
    let sent = count(ids.mapped + ids.unfilled);
    Some(format!("{} of {sent} generated ids mapped, {} values unsure", count(ids.mapped), count(ids.unsure)))
}

/// What differs in a statement's answers: `sqlstate 2, rows 1`.
pub fn differences(statement: &StatementDivergence) -> String {
    let kinds = [("sqlstate", statement.sqlstate), ("rows", statement.rows), ("digest", statement.digest)];
    let seen = kinds.iter().filter(|(_, times)| *times > 0);
    seen.map(|(name, times)| format!("{name} {}", count(*times))).collect::<Vec<_>>().join(", ")
}

/// Where the first of a statement's differences stands in what was captured: `postgresql.csv:4711`, else its request.
pub fn first_difference(statement: &StatementDivergence) -> String {
    match &statement.first {
        Some(FirstDifference { file: Some(file), line: Some(line), .. }) => format!("{file}:{line}"),
        Some(first) => format!("request {}", first.request),
        None => UNKNOWN.to_owned(),
    }
}

/// The bounds of a class's downtime: `2.95 s to 3.20 s`. Nothing where no window was seen.
pub fn bounds(class: &ClassDowntime) -> String {
    match (class.windows.is_empty(), class.at_least_ms) {
        (false, Some(least)) => match class.at_most_ms {
            Some(most) => format!("{} to {}", ms(least), ms(most)),
            None => format!("{}, still open", ms(least)),
        },
        _ => String::new(),
    }
}

/// Who showed a tenant's windows: its own requests alone, or the probes of its databases too.
pub fn seen_by(tenant: &Tenant) -> &'static str {
    let mut windows = tenant.read.windows.iter().chain(&tenant.write.windows);
    match (tenant.downtime_ms.is_some_and(|down| down > 0.0), windows.any(|window| window.source == Source::Group)) {
        (false, _) => UNKNOWN,
        (true, true) => "probes",
        (true, false) => "own",
    }
}

/// The first step that went wrong and its reason, in the words of the program that gave up.
pub fn failed_step(report: &Report) -> Option<(&str, &str)> {
    let step = report.steps.iter().find(|step| step.went_wrong())?;
    let part = step.steps.iter().find(|part| part.went_wrong() && part.detail.is_some());
    let detail = step.detail.as_deref().or_else(|| part.and_then(|part| part.detail.as_deref()));
    detail.map(|detail| (step.name.as_str(), detail))
}

/// The tenants with any downtime, the worst first as in the report.
pub fn affected(report: &Report) -> Vec<&Tenant> {
    let down = |tenant: &&Tenant| tenant.downtime_ms.is_some_and(|downtime_ms| downtime_ms > 0.0);
    report.tenants.iter().filter(down).collect()
}

/// By how much an objective holds or does not: `limit 30.00 s, 21.74 s to spare` or `limit 5.00 s, over by 3.26 s`.
pub fn margin(objective: &Objective) -> Option<String> {
    let (value, limit) = (objective.value?, objective.limit?);
    let distance = in_unit((limit - value).abs(), &objective.unit);
    let limit_text = in_unit(limit, &objective.unit);
    Some(match objective.outcome {
        _ if value == limit => format!("limit {limit_text}"),
        ObjectiveOutcome::Missed => format!("limit {limit_text}, missed by {distance}"),
        ObjectiveOutcome::Met => format!("limit {limit_text}, {distance} to spare"),
        ObjectiveOutcome::Inconclusive => format!("limit {limit_text}, {distance} away"),
    })
}

/// The statements that have new errors or got slower by the upgrade, the worst first.
pub fn slower_statements(report: &Report) -> Vec<&Statement> {
    let worse = |statement: &&Statement| {
        statement.new_errors > 0 || statement.p99_ratio.is_some_and(|ratio| ratio > SLOWER_RATIO_MIN)
    };
    let mut statements: Vec<&Statement> = report.statements.iter().filter(worse).collect();
    // Findings come by ratio, those of too few requests last: with 40 of them the p99 is the one slowest.
    statements.sort_by_key(|statement| statement.new_errors == 0);
    statements
}

/// The errors without regard to the statement, those of one message together, the most frequent first.
pub fn errors_by_message(report: &Report) -> Vec<ErrorGroup> {
    let mut merged: BTreeMap<_, ErrorGroup> = BTreeMap::new();
    for error in &report.errors {
        let key = (&error.phase, error.new, error.expected, &error.sqlstate, &error.message);
        match merged.get_mut(&key) {
            Some(known) => known.count += error.count,
            None => _ = merged.insert(key, ErrorGroup { fingerprint: None, ..error.clone() }),
        }
    }
    let mut merged: Vec<ErrorGroup> = merged.into_values().collect();
    merged.sort_by_key(|error| std::cmp::Reverse(error.count));
    merged
}

/// What an error means for the upgrade.
pub fn kind_of_error(error: &ErrorGroup) -> &'static str {
    match (error.new, error.expected) {
        (true, _) => "new",
        (false, true) => "as captured",
        (false, false) => "other",
    }
}

/// How the figures came about, for a reader who did not run the rehearsal.
pub fn method(report: &Report) -> Vec<String> {
    let rules = &report.rules;
    let mut lines = vec![
        "Response time counts from the moment at which the capture says that the request was due, so a request that had \
         to wait behind a blocked one counts with its wait. Service time counts from the moment it was sent."
            .to_owned(),
        "Downtime of a tenant is the time in which its reads or its writes did not succeed, from its own requests and \
         from probes of its databases. The lower and the upper bound say how sure the edges are."
            .to_owned(),
        format!(
            "A request that is not answered within {} of being sent, or within three times what it took in the capture \
             if that is longer, counts as failed.",
            ms(rules.deadline_ms)
        ),
    ];
    lines.push(match rules.probe_interval_ms {
        Some(interval_ms) => format!(
            "Each database was probed with a read and a write every {}: a shorter outage can go unseen.",
            ms(interval_ms)
        ),
        None => "There were no probes: what happened between a tenant's requests is unknown.".to_owned(),
    });
    lines.push("Warm-up is in no figure. Figures hold for this machine, data and traffic.".to_owned());
    lines
}
