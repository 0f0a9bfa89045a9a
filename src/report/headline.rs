//! The sentences that every form of the report opens with: verdict, reason, downtime, lost writes, trust.
//!
//! Takes a report and gives plain sentences without markup. Must not know where they are shown.

use super::figures::{UNKNOWN, count, maybe_us, ms, percent, plain, things};
use super::model::{ClassDowntime, Outcome, Report, Source, Tenant};

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
        (Some(reason), _) => plain(&reason.text),
        (None, Outcome::Passed) => match report.objectives.len() {
            0 => "nothing went wrong, and no objective was set".to_owned(),
            1 => "its one objective is met".to_owned(),
            all => format!("all {all} objectives are met"),
        },
        (None, _) => "no reason was recorded".to_owned(),
    }
}

/// What a reader has to know before any figure: the run was interrupted, is not complete, or was a closed loop.
pub fn cautions(report: &Report) -> Vec<String> {
    let mut cautions = Vec::new();
    let seen = ms(report.run.duration_ms);
    if report.run.interrupted {
        cautions.push(format!("the run was interrupted: the figures cover its first {seen} only"));
    } else if !report.run.complete {
        cautions.push(format!("the run is not complete: the figures cover the {seen} that were recorded"));
    }
    if report.rules.closed_loop {
        cautions.push("as fast as it goes (closed loop): response times and downtime are no forecast".to_owned());
    }
    cautions
}

/// Scenario, servers and start: `16-to-18-link, PostgreSQL 16.14 to 18.4, started 2026-11-22T15:31:30Z, ran 98.20 s`.
pub fn subject(report: &Report) -> String {
    let version = |server: &super::model::Server| server.version.clone().unwrap_or_else(|| "unknown".to_owned());
    let servers = match (version(&report.server.before), version(&report.server.after)) {
        (before, after) if before == after => format!("PostgreSQL {before}"),
        (before, after) => format!("PostgreSQL {before} to {after}"),
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
    let bounds = match (downtime.at_least_max_ms, downtime.at_most_max_ms) {
        (Some(least), Some(most)) => format!(" (at least {}, at most {})", ms(least), ms(most)),
        (Some(least), None) => format!(" (at least {}, not over when recording stopped)", ms(least)),
        _ => String::new(),
    };
    let worst = downtime.max_ms.map_or_else(|| UNKNOWN.to_owned(), ms);
    let of_all = format!("{} of {} affected", count(downtime.affected), things(downtime.tenants, "tenant"));
    format!("worst tenant down {worst}{bounds}, {of_all}")
}

/// Downtime over the tenants, and the longest single window.
pub fn distribution(report: &Report) -> String {
    let downtime = &report.downtime;
    let figures = [("p50", downtime.p50_ms), ("p90", downtime.p90_ms), ("p99", downtime.p99_ms)];
    let known = figures.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {}", ms(value))));
    let longest = downtime.longest_ms.map(|longest| format!("longest single window {}", ms(longest)));
    known
        .chain(downtime.max_ms.map(|max| format!("max {}", ms(max))))
        .chain(longest)
        .collect::<Vec<_>>()
        .join("   ")
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
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("   "))
}

/// What the ledger proves about acknowledged writes.
pub fn lost_writes(report: &Report) -> String {
    let writes = &report.writes;
    let acknowledged = count(writes.acknowledged);
    let found = match writes.lost {
        Some(lost) => format!("{} of {acknowledged} acknowledged in the ledger", count(lost)),
        None => format!("unknown: the ledger of {acknowledged} acknowledged writes was not read back"),
    };
    let more = [
        ("recovered", writes.recovered),
        ("unexpected", writes.unexpected),
        ("duplicates", writes.duplicates),
        ("indeterminate", Some(writes.indeterminate)),
    ];
    let more: Vec<String> =
        more.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {}", count(value)))).collect();
    format!("{found} ({})", more.join(", "))
}

/// Whether the measurement holds, with the figures that say so.
pub fn trust(report: &Report) -> String {
    let trust = &report.trust;
    let word = if trust.reasons.is_empty() { "ok" } else { "NOT GIVEN" };
    let share = trust.released_share.map_or_else(|| UNKNOWN.to_owned(), percent);
    let lag = maybe_us(trust.schedule_lag_p99_us);
    format!("{word}: schedule lag p99 {lag}, {share} of due requests offered ({})", count(trust.offered))
}

/// A class's downtime with its bounds: `3.02 s (2.95 s to 3.20 s)`. A dash where nothing was seen.
pub fn bounded(class: &ClassDowntime) -> String {
    let Some(downtime_ms) = class.downtime_ms.filter(|_| !class.windows.is_empty()) else {
        return UNKNOWN.to_owned();
    };
    let most = class.at_most_ms().map_or_else(|| "open".to_owned(), ms);
    format!("{} ({} to {most})", ms(downtime_ms), ms(class.at_least_ms()))
}

/// Who showed a tenant's windows: its own requests, its databases' probes, or both.
pub fn seen_by(tenant: &Tenant) -> &'static str {
    let windows = || tenant.read.windows.iter().chain(&tenant.write.windows);
    let own = windows().any(|window| window.source == Source::Own);
    let group = windows().any(|window| window.source == Source::Group);
    match (own, group) {
        (true, true) => "own, probes",
        (true, false) => "own",
        (false, true) => "probes",
        (false, false) => UNKNOWN,
    }
}

/// The tenants with any downtime, the worst first as in the report.
pub fn affected(report: &Report) -> Vec<&Tenant> {
    let down = |tenant: &&Tenant| tenant.downtime_ms.is_some_and(|downtime_ms| downtime_ms > 0.0);
    report.tenants.iter().filter(down).collect()
}
