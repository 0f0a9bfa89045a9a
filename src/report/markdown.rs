//! `summary.md`: the result as a comment on a pull request.
//!
//! Takes a report and gives Markdown of less than 64 kB with the details folded. Text from outside (names, messages,
//! SQL) stands in `<code>`, escaped, so that it can neither break a table nor call anybody. Must not know where it is
//! posted.

use std::fmt::Write;

use super::figures::{UNKNOWN, count, in_unit, maybe_ms, maybe_us, plain, shortened};
use super::headline;
use super::model::{Latency, Report, Step, Tenant};

/// What GitHub takes as a comment is 65,536 characters; the rest is room for what a CI job puts around it.
const BYTES_MAX: usize = 60_000;
const TENANTS_MAX: usize = 10;
const FOLDED_TENANTS_MAX: usize = 200;
const STATEMENTS_MAX: usize = 20;
const ERRORS_MAX: usize = 20;
const DIFFERING_MAX: usize = 20;
const TEXT_CHARS_MAX: usize = 300;

/// The report as Markdown.
pub fn render(report: &Report) -> String {
    let mut page = opening(report);
    let mut left_out = Vec::new();
    let folded = [
        ("All affected tenants", tenants_table(report, FOLDED_TENANTS_MAX)),
        ("Steps", steps_table(report)),
        ("Latency", latency_table(report)),
        ("Statements", statements_table(report)),
        ("Errors", errors_table(report)),
        ("Divergence", divergence_table(report)),
        ("Trust and method", trust_list(report)),
    ];
    for (name, body) in folded {
        if body.is_empty() {
            continue;
        }
        let section = format!("\n<details><summary>{name}</summary>\n\n{body}\n</details>\n");
        if page.len() + section.len() <= BYTES_MAX { page.push_str(&section) } else { left_out.push(name) }
    }
    if !left_out.is_empty() {
        let _ = writeln!(page, "\nLeft out for its size, see report.html: {}.", left_out.join(", "));
    }
    page
}

/// What stands unfolded: verdict, reason, key figures, objectives and the worst tenants.
fn opening(report: &Report) -> String {
    let mut page = format!("## pgrehearse: {}\n\n", report.verdict.outcome.name());
    let _ = writeln!(page, "**{}**\n", escaped(&headline::reason(report)));
    for caution in headline::cautions(report) {
        let _ = writeln!(page, "> {}\n", escaped(&caution));
    }
    let _ = writeln!(page, "{}\n", escaped(&headline::subject(report)));
    let mut figures = vec![["Downtime".to_owned(), headline::downtime(report)]];
    if headline::any_downtime(report) {
        figures.push(["Over the tenants".to_owned(), headline::distribution(report)]);
    }
    figures.extend(headline::aftermath(report).map(|text| ["After reopening".to_owned(), text]));
    let p99 = |latency: &Latency| maybe_us(latency.p99_us);
    let [before, upgrade, after] = [&report.latency.before, &report.latency.upgrade, &report.latency.after].map(p99);
    figures.push(["Response p99".to_owned(), format!("before {before}, upgrade {upgrade}, after {after}")]);
    figures.push(["Lost writes".to_owned(), headline::lost_writes(report)]);
    figures.push(["Trust".to_owned(), headline::trust(report)]);
    let lines = rows(&figures, |[name, text]| vec![format!("**{name}**"), escaped(text)]);
    page.push_str(&table(&["", ""], &lines));
    if !report.objectives.is_empty() {
        let lines = rows(&report.objectives, |objective| {
            let value = objective.value.map_or_else(|| UNKNOWN.to_owned(), |value| in_unit(value, &objective.unit));
            let remark = objective.note.clone().or_else(|| headline::margin(objective)).unwrap_or_default();
            vec![objective.outcome.name().to_owned(), code(&objective.text), value, escaped(&remark)]
        });
        page.push('\n');
        page.push_str(&table(&["outcome", "objective", "value", "remark"], &lines));
    }
    let worst = tenants_table(report, TENANTS_MAX);
    if !worst.is_empty() {
        page.push('\n');
        page.push_str(&worst);
    }
    page
}

/// The affected tenants, the worst first; nothing if there is none.
fn tenants_table(report: &Report, tenants_max: usize) -> String {
    let affected = headline::affected(report);
    if affected.is_empty() || (tenants_max > TENANTS_MAX && affected.len() <= TENANTS_MAX) {
        return String::new();
    }
    let row = |tenant: &&Tenant| {
        vec![
            code(&tenant.tenant),
            code(&tenant.databases.join(", ")),
            maybe_ms(tenant.read.downtime_ms),
            headline::bounds(&tenant.read),
            maybe_ms(tenant.write.downtime_ms),
            headline::bounds(&tenant.write),
            headline::seen_by(tenant).to_owned(),
        ]
    };
    let shown = &affected[..affected.len().min(tenants_max)];
    let head = ["tenant", "databases", "reads down", "bounds", "writes down", "bounds", "seen by"];
    let mut text = table(&head, &rows(shown, row));
    if shown.len() < affected.len() {
        let _ = writeln!(text, "\nand {} more.", count((affected.len() - shown.len()) as u64));
    }
    text
}

fn steps_table(report: &Report) -> String {
    fn collect(steps: &[Step], indent: &str, into: &mut Vec<Vec<String>>) {
        for step in steps {
            let detail = step.detail.as_deref().map(code).unwrap_or_default();
            let outcome = step.outcome.clone().unwrap_or_else(|| "not ended".to_owned());
            let name = format!("{indent}{}", code(&step.name));
            into.push(vec![name, maybe_ms(Some(step.started_ms)), maybe_ms(step.duration_ms()), outcome, detail]);
            collect(&step.steps, "&emsp;", into);
        }
    }
    let mut all = Vec::new();
    collect(&report.steps, "", &mut all);
    if all.is_empty() { String::new() } else { table(&["step", "began at", "took", "outcome", "detail"], &all) }
}

fn latency_table(report: &Report) -> String {
    let row = |name: &str, latency: &Latency| {
        let figures = [latency.p50_us, latency.p95_us, latency.p99_us, latency.p999_us, latency.max_us].map(maybe_us);
        [name.to_owned()].into_iter().chain(figures).chain([count(latency.count)]).collect()
    };
    let (response, service) = (&report.latency, &report.service_time);
    let rows = [
        row("response, before", &response.before),
        row("response, upgrade", &response.upgrade),
        row("response, after", &response.after),
        row("service, before", &service.before),
        row("service, upgrade", &service.upgrade),
        row("service, after", &service.after),
    ];
    table(&["", "p50", "p95", "p99", "p99.9", "max", "requests"], &rows)
}

fn statements_table(report: &Report) -> String {
    let statements = headline::slower_statements(report);
    let shown = &statements[..statements.len().min(STATEMENTS_MAX)];
    let lines = rows(shown, |statement| {
        let ratio = statement.p99_ratio.map_or_else(|| UNKNOWN.to_owned(), |ratio| in_unit(ratio, "ratio"));
        let sql = code(statement.sql.as_deref().unwrap_or(&statement.fingerprint));
        let (before, after) = (maybe_us(statement.before.p99_us), maybe_us(statement.after.p99_us));
        let counts = [statement.before.count, statement.after.count, statement.new_errors].map(count);
        [ratio, before, after].into_iter().chain(counts).chain([sql]).collect()
    });
    let head = ["p99 ratio", "p99 before", "p99 after", "count before", "count after", "new errors", "statement"];
    if lines.is_empty() { String::new() } else { table(&head, &lines) }
}

fn errors_table(report: &Report) -> String {
    let errors = headline::errors_by_message(report);
    let shown = &errors[..errors.len().min(ERRORS_MAX)];
    let lines = rows(shown, |error| {
        let kind = headline::kind_of_error(error);
        let sqlstate = error.sqlstate.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        vec![
            count(error.count),
            error.phase.clone(),
            kind.to_owned(),
            sqlstate,
            code(error.message.as_deref().unwrap_or("")),
        ]
    });
    if lines.is_empty() { String::new() } else { table(&["count", "phase", "kind", "SQLSTATE", "message"], &lines) }
}

fn divergence_table(report: &Report) -> String {
    let statements = &report.divergence.statements;
    let shown = &statements[..statements.len().min(DIFFERING_MAX)];
    let lines = rows(shown, |statement| {
        vec![
            count(statement.differing),
            count(statement.compared),
            headline::differences(statement),
            code(&headline::first_difference(statement)),
            code(statement.sql.as_deref().unwrap_or(&statement.fingerprint)),
        ]
    });
    let head = ["differing", "compared", "in", "first at", "statement"];
    let ids = headline::ids(report);
    if lines.is_empty() {
        return ids.map_or_else(String::new, |ids| ids + ".\n");
    }
    let ids = ids.map_or_else(String::new, |ids| format!("; {ids}"));
    headline::divergence(report) + &ids + ".\n\n" + &table(&head, &lines)
}

fn trust_list(report: &Report) -> String {
    let mut text = String::new();
    for reason in &report.trust.reasons {
        let _ = writeln!(text, "- {}", escaped(&plain(&reason.text)));
    }
    for line in headline::method(report) {
        let _ = writeln!(text, "- {}", escaped(&line));
    }
    let _ = writeln!(
        text,
        "- workload {}, pgrehearse {}",
        code(&report.run.workload_sha256),
        code(&report.run.tool_version)
    );
    text
}

/// A table of cells that are Markdown already.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.to_vec());
    text.push_str(&line(head.iter().map(|_| "---").collect()));
    text.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    text
}

/// Text from outside: shortened, on one line, in `<code>`, where nothing in it is markup.
fn code(text: &str) -> String {
    match shortened(text, TEXT_CHARS_MAX) {
        text if text.is_empty() => text,
        text => format!("<code>{}</code>", escaped(&text)),
    }
}

/// Every character that Markdown, its tables or HTML could read as markup, as a character reference.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '\\' | '#' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            // Between an at sign and a name nothing visible: nobody is called.
            '@' => escaped.push_str("@\u{200b}"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// One row for each thing.
fn rows<T>(things: &[T], row: impl Fn(&T) -> Vec<String>) -> Vec<Vec<String>> {
    things.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn each_course_of_a_rehearsal_has_its_summary() {
        for (name, report) in fixture::all() {
            insta::assert_snapshot!(name, render(&report));
        }
    }

    #[test]
    fn a_thousand_tenants_with_long_names_still_fit_into_a_comment() {
        let mut report = fixture::passed();
        let tenant = Tenant { tenant: "t".repeat(400), ..report.tenants[0].clone() };
        report.tenants = vec![tenant; 1_000];
        let page = render(&report);
        assert!(page.len() < 64_000);
        assert!(page.contains("Left out for its size, see report.html: All affected tenants."));
    }

    #[test]
    fn text_from_outside_is_no_markup() {
        assert_eq!(code("a|b <i>`@me` *x*"), "<code>a&#124;b &#60;i&#62;&#96;@\u{200b}me&#96; &#42;x&#42;</code>");
    }
}
