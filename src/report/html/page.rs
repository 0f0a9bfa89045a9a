//! The page as a whole.
//!
//! Takes a report and fills the template. Must not know how charts are drawn or what the tables hold.

use askama::Template;

use super::tables::{self, ROWS_SHOWN, Table};
use super::{tenant_bars, traffic};
use crate::report::figures::{UNKNOWN, count, maybe_us, ms, plain, things};
use crate::report::headline;
use crate::report::model::Report;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    verdict: &'static str,
    reason: String,
    cautions: Vec<String>,
    /// What the failed step said, as it said it.
    failure: Option<&'a str>,
    subject: String,
    figures: Vec<Figure>,
    /// SVG: numbers of ours and text that the canvas escaped.
    traffic: String,
    tenants: String,
    /// The tenants behind the worst, with their number.
    more_tenants: Option<(String, String)>,
    objectives: Table,
    tables: Vec<Table>,
    trust: String,
    trust_reasons: Vec<String>,
    method: Vec<String>,
    host: String,
}

/// A key figure with its remark.
struct Figure {
    name: &'static str,
    value: String,
    remark: String,
}

/// The report as one HTML page.
///
/// # Errors
/// The template's, which has none of its own.
pub fn render(report: &Report) -> Result<String, askama::Error> {
    let (shown, folded) = report.tenants.split_at(report.tenants.len().min(ROWS_SHOWN));
    let more_tenants =
        (!folded.is_empty()).then(|| (things(folded.len() as u64, "more tenant"), tenant_bars::draw(report, folded)));
    Page {
        report,
        verdict: report.verdict.outcome.name(),
        reason: headline::reason(report),
        cautions: headline::cautions(report),
        failure: headline::failed_step(report).map(|(_, detail)| detail),
        subject: headline::subject(report),
        figures: key_figures(report),
        traffic: traffic::draw(report),
        tenants: tenant_bars::draw(report, shown),
        more_tenants,
        objectives: tables::objectives(report),
        tables: vec![
            tables::tenants(report),
            tables::steps(report),
            tables::latency(report),
            tables::statements(report),
            tables::errors(report),
            tables::divergence(report),
        ],
        trust: headline::trust(report),
        trust_reasons: report.trust.reasons.iter().map(|reason| plain(&reason.text)).collect(),
        method: headline::method(report),
        host: host(report),
    }
    .render()
}

fn key_figures(report: &Report) -> Vec<Figure> {
    let figure = |name, value: String, remark: String| Figure { name, value, remark };
    let [before, upgrade, after] = [&report.latency.before, &report.latency.upgrade, &report.latency.after]
        .map(|latency| maybe_us(latency.p99_us));
    let requests = &report.requests;
    let not_ok = requests.failed + requests.late + requests.expired + requests.indeterminate;
    let lost = report.writes.lost.map_or_else(|| "unknown".to_owned(), count);
    let (worst, bounds) = match headline::any_downtime(report) {
        true => (headline::worst_downtime(report), headline::worst_bounds(report).unwrap_or_default()),
        false => ("none seen".to_owned(), headline::downtime(report)),
    };
    let resolution = report.downtime.resolution_ms.filter(|_| headline::any_downtime(report));
    let resolution = resolution.map(|resolution_ms| format!("; resolution {}", ms(resolution_ms))).unwrap_or_default();
    let affected = format!("{} of {}", count(report.downtime.affected), count(report.downtime.tenants));
    let spread = if headline::any_downtime(report) { headline::distribution(report) } else { String::new() };
    vec![
        figure("Worst tenant's downtime", worst, bounds + &resolution),
        figure("Tenants affected", affected, spread),
        figure("Response p99 after", after, format!("before {before}, in the upgrade {upgrade}")),
        figure("Lost writes", lost, headline::lost_writes(report)),
        figure("Requests not ok", count(not_ok), format!("of {} offered", count(requests.offered))),
    ]
}

fn host(report: &Report) -> String {
    let host = &report.host;
    let load = host.load_average.map_or_else(|| UNKNOWN.to_owned(), |load| format!("{load:.2}"));
    let memory_gib = host.memory_bytes as f64 / f64::from(1 << 30);
    format!(
        "{}, {}, {memory_gib:.1} GiB of memory, load {load} at the start",
        plain(&host.os),
        things(host.cpus.into(), "CPU")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::model::Tenant;

    #[test]
    fn every_course_of_a_rehearsal_has_a_page_that_needs_nothing_from_outside() {
        for (name, report) in fixture::all() {
            let page = render(&report).unwrap();
            for reference in ["http://", "https://", "src=", "@import", "<script", "<link", "url("] {
                assert!(!page.contains(reference), "{name} has {reference}");
            }
            assert!(page.contains(&format!("<title>{}", report.verdict.outcome.name())), "{name}");
        }
    }

    #[test]
    fn names_from_outside_are_no_markup() {
        let mut report = fixture::missed_objective();
        let evil = "</title><script>alert(1)</script>\"'";
        report.scenario.name = evil.into();
        report.tenants[0].tenant = evil.into();
        report.steps[0].name = evil.into();
        report.errors[0].message = Some(evil.into());
        report.verdict.reasons[0].text = evil.into();
        let page = render(&report).unwrap();
        assert!(!page.contains("<script"));
    }

    #[test]
    fn the_tenants_behind_the_worst_sixty_are_folded() {
        let mut report = fixture::passed();
        let tenant = |index: usize| Tenant { tenant: format!("t{index}"), ..report.tenants[0].clone() };
        report.tenants = (0..300).map(tenant).collect();
        let page = render(&report).unwrap();
        assert!(page.contains("240 more tenants"));
        assert!(page.contains(">t299<"));
    }
}
