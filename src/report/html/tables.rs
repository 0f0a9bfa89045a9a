//! The tables of the page: tenants, steps, latency, statements, errors, divergence, objectives.
//!
//! Takes the report and gives plain cells; the template escapes and marks them up. Must not know the style.

use crate::report::figures::{UNKNOWN, count, in_unit, maybe_ms, maybe_us, shortened};
use crate::report::headline;
use crate::report::model::{Latency, LatencyByPhase, Report, Step, Tenant};

/// Rows that a table shows at once; those behind are folded.
pub const ROWS_SHOWN: usize = 60;
/// Statements and errors on the page; report.json holds them all.
const STATEMENTS_MAX: usize = 100;
const ERRORS_MAX: usize = 200;
const DIFFERING_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 2_000;

/// A table with its heading; nothing is shown of one without rows but `empty`.
#[derive(Debug)]
pub struct Table {
    pub id: &'static str,
    pub title: &'static str,
    pub note: String,
    pub head: &'static [&'static str],
    pub shown: Vec<Row>,
    pub folded: Vec<Row>,
    /// What is said instead of a table without rows.
    pub empty: String,
}

/// A row, with the class of the style sheet that marks its kind.
#[derive(Debug, Default)]
pub struct Row {
    pub class: String,
    pub cells: Vec<Cell>,
}

/// A cell and how it is set: `text`, `number` or `code`.
#[derive(Debug)]
pub struct Cell {
    pub class: &'static str,
    pub text: String,
}

fn text(text: impl Into<String>) -> Cell {
    Cell { class: "text", text: text.into() }
}

fn number(text: impl Into<String>) -> Cell {
    Cell { class: "number", text: text.into() }
}

fn code(text: &str) -> Cell {
    Cell { class: "code", text: shortened(text, TEXT_CHARS_MAX) }
}

fn row(cells: Vec<Cell>) -> Row {
    Row { class: String::new(), cells }
}

impl Table {
    fn new(id: &'static str, title: &'static str, head: &'static [&'static str], mut rows: Vec<Row>) -> Self {
        let folded = rows.split_off(rows.len().min(ROWS_SHOWN));
        Self { id, title, note: String::new(), head, shown: rows, folded, empty: String::new() }
    }

    fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    fn or_else(self, empty: impl Into<String>) -> Self {
        Self { empty: empty.into(), ..self }
    }
}

/// Objectives with what they came to.
pub fn objectives(report: &Report) -> Table {
    let rows = report.objectives.iter().map(|objective| {
        let value = objective.value.map_or_else(|| UNKNOWN.to_owned(), |value| in_unit(value, &objective.unit));
        let margin = headline::margin(objective).unwrap_or_default();
        let broken = match objective.tenants.len() {
            0 => String::new(),
            1..=8 => format!("broken by {}", objective.tenants.join(", ")),
            all => format!("broken by {} and {} more", objective.tenants[..8].join(", "), all - 8),
        };
        let remark = [objective.note.clone().unwrap_or_default(), broken].map(|part| shortened(&part, 400)).join(" ");
        Row {
            class: objective.outcome.name().to_owned(),
            cells: vec![
                text(objective.outcome.name()),
                code(&objective.text),
                number(value),
                text(margin),
                text(remark),
            ],
        }
    });
    let head = &["outcome", "objective", "value", "limit and margin", "remark"];
    Table::new("objectives", "Objectives", head, rows.collect()).or_else("No objective was set.")
}

/// Every tenant with its bounds, the worst first.
pub fn tenants(report: &Report) -> Table {
    let row_of = |tenant: &Tenant| {
        let p99 = [&tenant.latency.before, &tenant.latency.upgrade, &tenant.latency.after];
        let [before, upgrade, after] = p99.map(|latency| number(maybe_us(latency.p99_us)));
        let requests = &tenant.requests;
        let not_ok = requests.failed + requests.late + requests.expired + requests.indeterminate;
        row(vec![
            text(&tenant.tenant),
            text(tenant.tier.clone().unwrap_or_default()),
            text(tenant.databases.join(", ")),
            number(maybe_ms(tenant.read.downtime_ms)),
            text(headline::bounds(&tenant.read)),
            number(maybe_ms(tenant.write.downtime_ms)),
            text(headline::bounds(&tenant.write)),
            text(headline::seen_by(tenant)),
            number(maybe_ms(tenant.held_ms)),
            number(maybe_ms(tenant.brownout_ms)),
            number(maybe_ms(tenant.recovery_ms)),
            number(count(requests.offered)),
            number(count(not_ok)),
            before,
            upgrade,
            after,
        ])
    };
    let head = &[
        "tenant",
        "tier",
        "databases",
        "reads down",
        "at least to at most",
        "writes down",
        "at least to at most",
        "seen by",
        "held",
        "brownout",
        "recovery",
        "requests",
        "not ok",
        "p99 before",
        "p99 upgrade",
        "p99 after",
    ];
    let rows = report.tenants.iter().map(row_of).collect();
    Table::new("tenants", "Tenants", head, rows)
        .note(
            "Downtime is time in which reads or writes did not succeed. Held requests were answered, but only after a \
             long wait. In a brownout more than 5% of requests failed or were much slower than before. Recovery ends \
             when errors and p99 are back where they were.",
        )
        .or_else("The workload names no tenant.")
}

/// Steps and their parts, in order.
pub fn steps(report: &Report) -> Table {
    fn add(steps: &[Step], class: &str, rows: &mut Vec<Row>) {
        for step in steps {
            let outcome = step.outcome.as_deref().unwrap_or("not ended");
            let wrong = if step.went_wrong() { " missed" } else { "" };
            rows.push(Row {
                class: format!("{class}{wrong}"),
                cells: vec![
                    text(&step.name),
                    number(maybe_ms(Some(step.started_ms))),
                    number(maybe_ms(step.duration_ms())),
                    text(outcome),
                    Cell { class: "detail", text: step.detail.clone().unwrap_or_default() },
                ],
            });
            add(&step.steps, "part", rows);
        }
    }
    let mut rows = Vec::new();
    add(&report.steps, "", &mut rows);
    let head = &["step", "began at", "took", "outcome", "detail"];
    Table::new("steps", "Steps of the upgrade", head, rows).or_else("The plan has no step.")
}

/// Response and service time by phase.
pub fn latency(report: &Report) -> Table {
    let mut rows = Vec::new();
    for (name, LatencyByPhase { before, upgrade, after }) in [
        ("response time", &report.latency),
        ("service time", &report.service_time),
        ("schedule lag", &report.trust.schedule_lag),
    ] {
        for (phase, latency) in [("before", before), ("upgrade", upgrade), ("after", after)] {
            let Latency { count: requests, p50_us, p95_us, p99_us, p999_us, max_us, .. } = *latency;
            let figures = [p50_us, p95_us, p99_us, p999_us, max_us].map(|us| number(maybe_us(us)));
            let named = [text(name), text(phase)];
            rows.push(row(named.into_iter().chain(figures).chain([number(count(requests))]).collect()));
        }
    }
    let head = &["time", "phase", "p50", "p95", "p99", "p99.9", "max", "requests"];
    Table::new("latency", "Latency", head, rows).note(
        "Response time counts from the moment a request was due, service time from the moment it was sent. Schedule lag \
         is how late this tool itself was.",
    )
}

/// Statements that got slower or fail newly.
pub fn statements(report: &Report) -> Table {
    let rows = headline::slower_statements(report).into_iter().take(STATEMENTS_MAX).map(|statement| {
        let ratio = statement.p99_ratio.map_or_else(|| UNKNOWN.to_owned(), |ratio| in_unit(ratio, "ratio"));
        row(vec![
            number(ratio),
            number(maybe_us(statement.before.p99_us)),
            number(maybe_us(statement.after.p99_us)),
            number(count(statement.before.count)),
            number(count(statement.after.count)),
            number(count(statement.new_errors)),
            code(statement.sql.as_deref().unwrap_or(&statement.fingerprint)),
        ])
    });
    let head = &["p99 ratio", "p99 before", "p99 after", "count before", "count after", "new errors", "statement"];
    Table::new("statements", "Statements that got slower", head, rows.collect())
        .note(
            "By p99 after the upgrade over p99 before it; new errors first, then the statements with enough executions \
             on both sides. With few of them a ratio says little: see the counts.",
        )
        .or_else("No statement got slower, and none failed newly.")
}

/// Errors, new ones first.
pub fn errors(report: &Report) -> Table {
    let mut errors: Vec<_> = report.errors.iter().collect();
    errors.sort_by_key(|error| !error.new);
    let rows = errors.into_iter().take(ERRORS_MAX).map(|error| Row {
        class: if error.new { "missed".to_owned() } else { String::new() },
        cells: vec![
            number(count(error.count)),
            text(&error.phase),
            text(headline::kind_of_error(error)),
            text(error.sqlstate.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
            code(error.message.as_deref().unwrap_or_default()),
            code(error.fingerprint.as_deref().unwrap_or_default()),
        ],
    });
    let head = &["count", "phase", "kind", "SQLSTATE", "message", "statement"];
    Table::new("errors", "Errors", head, rows.collect())
        .note(
            "New: neither the capture nor the phase before had it, and it is no unavailability. As captured: production \
             had it too.",
        )
        .or_else("No request failed.")
}

/// Statements whose answers were not all the captured ones.
pub fn divergence(report: &Report) -> Table {
    let rows = report.divergence.statements.iter().take(DIFFERING_MAX).map(|statement| {
        row(vec![
            number(count(statement.differing)),
            number(count(statement.compared)),
            text(headline::differences(statement)),
            text(headline::first_difference(statement)),
            code(statement.sql.as_deref().unwrap_or(&statement.fingerprint)),
        ])
    });
    let head = &["differing", "compared", "in", "first at", "statement"];
    let ids = headline::ids(report).map_or_else(String::new, |ids| format!(" {ids}."));
    Table::new("divergence", "Answers that differ from the capture", head, rows.collect())
        .note(format!(
            "An answer ends otherwise (sqlstate), has more or fewer rows (rows), or as many of other contents (digest). The \
             first is named by its place in what was captured.{ids}"
        ))
        .or_else(match report.divergence.compared {
            0 => format!("The capture knows no answers to compare with.{ids}"),
            _ => format!("Every answer that could be compared is the captured one.{ids}"),
        })
}
