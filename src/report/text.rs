//! The result on one screen of a terminal: about forty lines of at most a hundred columns.
//!
//! Takes a report and gives text, with ANSI colours where they are asked for. Must not know whether a terminal reads it.

use super::figures::{count, in_unit, maybe_ms, maybe_us, ms, plain, shortened, things};
use super::headline;
use super::model::{Latency, Objective, ObjectiveOutcome, Outcome, Report, Step, Tenant};
use super::table::{self, Align};

/// Columns of the screen that the text is made for.
const COLUMNS_MAX: usize = 100;
/// Tenants, steps, objectives and lines of a failed step that are shown; the rest is counted.
const TENANTS_MAX: usize = 5;
const STEPS_MAX: usize = 8;
const OBJECTIVES_MAX: usize = 6;
const DETAIL_LINES_MAX: usize = 16;
const ERRORS_MAX: usize = 3;
const DIFFERING_MAX: usize = 5;
/// The longest sub-steps that are named beside their step.
const SUBSTEPS_MAX: usize = 3;

/// Whether the text carries ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// A way to stand out.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Good,
    Bad,
    Unsure,
}

impl Colour {
    fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Good => "1;32",
            Style::Bad => "1;31",
            Style::Unsure => "1;33",
        };
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// The report as text that ends with a newline.
pub fn render(report: &Report, colour: Colour) -> String {
    let mut screen = Screen { lines: Vec::new(), colour };
    screen.opening(report);
    screen.downtime(report);
    screen.steps(report);
    screen.latency(report);
    screen.findings(report);
    screen.divergence(report);
    screen.objectives(report);
    screen.lines.push(String::new());
    screen.lines.join("\n")
}

struct Screen {
    lines: Vec<String>,
    colour: Colour,
}

impl Screen {
    /// A section begins with an empty line and its name; `text` goes on behind the name, on lines of its own where the
    /// screen is not wide enough.
    fn section(&mut self, style: Style, name: &str, text: &str) {
        self.lines.push(String::new());
        self.labelled(style, name, text);
    }

    fn labelled(&mut self, style: Style, name: &str, text: &str) {
        let indent = name.chars().count() + 2;
        let mut parts = wrapped(text, COLUMNS_MAX.saturating_sub(indent)).into_iter();
        let first = parts.next().unwrap_or_default();
        let line = format!("{}  {first}", self.colour.paint(style, name));
        self.lines.push(line.trim_end().to_owned());
        self.lines.extend(parts.map(|part| format!("{:indent$}{part}", "")));
    }

    fn indented(&mut self, text: &str) {
        self.lines.extend(wrapped(text, COLUMNS_MAX - 2).into_iter().map(|part| format!("  {part}")));
    }

    fn opening(&mut self, report: &Report) {
        let style = match report.verdict.outcome {
            Outcome::Passed => Style::Good,
            Outcome::Failed => Style::Bad,
            Outcome::Inconclusive => Style::Unsure,
        };
        self.labelled(style, headline::verdict(report), &headline::reason(report));
        for caution in headline::cautions(report) {
            self.labelled(Style::Unsure, "note", &caution);
        }
        self.lines.extend(wrapped(&headline::subject(report), COLUMNS_MAX));
    }

    fn downtime(&mut self, report: &Report) {
        self.section(Style::Bold, "DOWNTIME", &headline::downtime(report));
        let affected = headline::affected(report);
        if !affected.is_empty() {
            self.indented(&format!(
                "over {}: {}",
                things(report.downtime.tenants, "tenant"),
                headline::distribution(report)
            ));
            let aligns = [Align::Left, Align::Left, Align::Right, Align::Left, Align::Right, Align::Left, Align::Left];
            let head = [
                "worst tenants",
                "databases",
                "reads",
                "at least to at most",
                "writes",
                "at least to at most",
                "seen by",
            ];
            let rows = affected.iter().take(TENANTS_MAX).map(|tenant| tenant_row(tenant));
            let rows: Vec<Vec<String>> = [head.map(String::from).to_vec()].into_iter().chain(rows).collect();
            self.lines.extend(table::lines(&aligns, &rows));
        }
        if let Some(aftermath) = headline::aftermath(report) {
            self.indented(&aftermath);
        }
        if report.downtime.unknown > 0 {
            self.indented(&format!("nothing was observed of {}", things(report.downtime.unknown, "more tenant")));
        }
    }

    fn steps(&mut self, report: &Report) {
        if report.steps.is_empty() {
            return;
        }
        self.section(Style::Bold, "STEPS", "");
        // What went wrong is shown even where there are too many steps to show them all.
        let shown = |(index, step): &(usize, &Step)| *index < STEPS_MAX || step.went_wrong();
        let steps: Vec<&Step> = report.steps.iter().enumerate().filter(shown).map(|(_, step)| step).collect();
        let rows: Vec<Vec<String>> = steps.iter().map(|step| step_row(step)).collect();
        let lines = table::lines(&[Align::Left, Align::Right, Align::Left], &rows);
        for (step, line) in steps.iter().zip(lines) {
            self.lines.push(shortened_end(&line));
            if let Some(parts) = longest_parts(step) {
                let parts = wrapped(&parts, COLUMNS_MAX - 4);
                self.lines.extend(parts.into_iter().map(|part| format!("    {part}")));
            }
            let detail = step.detail.as_deref().filter(|_| step.went_wrong()).unwrap_or_default();
            for line in detail.lines().map(plain).filter(|line| !line.is_empty()).take(DETAIL_LINES_MAX) {
                self.lines.push(shortened_end(&format!("      {line}")));
            }
        }
        if report.steps.len() > steps.len() {
            let more = things((report.steps.len() - steps.len()) as u64, "more step");
            self.indented(&format!("and {more}"));
        }
    }

    fn latency(&mut self, report: &Report) {
        self.section(Style::Bold, "LATENCY", "response: from when a request was due; service: from when it was sent");
        let by_phase = &report.latency;
        let service = &report.service_time;
        let row = |name: &str, of: &dyn Fn(&Latency) -> String| {
            vec![name.to_owned(), of(&by_phase.before), of(&by_phase.upgrade), of(&by_phase.after)]
        };
        let p99 = |latency: &Latency| maybe_us(latency.p99_us);
        let rows = [
            ["", "before", "upgrade", "after"].map(String::from).to_vec(),
            row("response p50", &|latency| maybe_us(latency.p50_us)),
            row("         p95", &|latency| maybe_us(latency.p95_us)),
            row("         p99", &p99),
            row("         max", &|latency| maybe_us(latency.max_us)),
            vec!["service  p99".into(), p99(&service.before), p99(&service.upgrade), p99(&service.after)],
            row("requests", &|latency| count(latency.count)),
        ];
        let aligns = [Align::Left, Align::Right, Align::Right, Align::Right];
        self.lines.extend(table::lines(&aligns, &rows));
    }

    fn findings(&mut self, report: &Report) {
        let new: Vec<_> = report.errors.iter().filter(|error| error.new).collect();
        self.lines.push(String::new());
        if !new.is_empty() {
            let all: u64 = new.iter().map(|error| error.count).sum();
            self.labelled(Style::Bad, "NEW ERRORS", &format!("{} that neither the capture nor before had", count(all)));
            for error in new.iter().take(ERRORS_MAX) {
                let sqlstate = error.sqlstate.as_deref().unwrap_or("no answer");
                let message = plain(error.message.as_deref().unwrap_or_default());
                let line = format!("{}x in {}: {sqlstate} {message}", count(error.count), error.phase);
                self.lines.push(shortened_end(&format!("  {line}")));
            }
        }
        let lost = match report.writes.lost {
            Some(0) => Style::Good,
            Some(_) => Style::Bad,
            None => Style::Unsure,
        };
        self.labelled(lost, "LOST WRITES", &headline::lost_writes(report));
        let replay = count(report.writes.replay_acknowledged);
        self.indented(&format!("outside the ledger, {replay} writes of the replay were acknowledged"));
        let trusted = report.trust.reasons.is_empty();
        self.labelled(if trusted { Style::Good } else { Style::Unsure }, "TRUST", &headline::trust(report));
        for reason in &report.trust.reasons {
            self.indented(&plain(&reason.text));
        }
    }

    /// The statements with the most answers that are not the captured ones, each with the place of the first.
    fn divergence(&mut self, report: &Report) {
        let statements = &report.divergence.statements;
        let ids = headline::ids(report);
        if statements.is_empty() {
            ids.iter().for_each(|ids| self.labelled(Style::Bold, "IDS", ids));
            return;
        }
        self.labelled(Style::Unsure, "DIVERGENCE", &headline::divergence(report));
        ids.iter().for_each(|ids| self.indented(ids));
        let rows = statements.iter().take(DIFFERING_MAX).map(|statement| {
            vec![
                format!("{} of {}", count(statement.differing), count(statement.compared)),
                headline::differences(statement),
                shortened(&headline::first_difference(statement), 32),
                shortened(statement.sql.as_deref().unwrap_or(&statement.fingerprint), COLUMNS_MAX),
            ]
        });
        let head = ["differing", "in", "first at", "statement"].map(String::from).to_vec();
        let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
        let lines = table::lines(&[Align::Right, Align::Left, Align::Left, Align::Left], &rows);
        self.lines.extend(lines.iter().map(|line| shortened_end(line)));
        if statements.len() > DIFFERING_MAX {
            self.indented(&format!("and {}", things((statements.len() - DIFFERING_MAX) as u64, "more statement")));
        }
    }

    fn objectives(&mut self, report: &Report) {
        if report.objectives.is_empty() {
            return;
        }
        self.section(Style::Bold, "OBJECTIVES", "");
        let mut sorted: Vec<&Objective> = report.objectives.iter().collect();
        sorted.sort_by_key(|objective| match objective.outcome {
            ObjectiveOutcome::Missed => 0,
            ObjectiveOutcome::Inconclusive => 1,
            ObjectiveOutcome::Met => 2,
        });
        let rows: Vec<Vec<String>> =
            sorted.iter().take(OBJECTIVES_MAX).map(|objective| objective_row(objective)).collect();
        let lines = table::lines(&[Align::Left, Align::Left, Align::Right, Align::Left], &rows);
        for (objective, line) in sorted.iter().zip(lines) {
            let style = match objective.outcome {
                ObjectiveOutcome::Met => Style::Good,
                ObjectiveOutcome::Missed => Style::Bad,
                ObjectiveOutcome::Inconclusive => Style::Unsure,
            };
            let name = objective.outcome.name();
            let line = shortened_end(&line);
            self.lines.push(line.replacen(name, &self.colour.paint(style, name), 1));
            if !objective.tenants.is_empty() {
                let named: Vec<String> = objective.tenants.iter().take(4).map(|tenant| shortened(tenant, 20)).collect();
                let more = objective.tenants.len().saturating_sub(named.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                self.indented(&format!("      broken by {}{more}", named.join(", ")));
            }
        }
        if sorted.len() > OBJECTIVES_MAX {
            self.indented(&format!("and {}", things((sorted.len() - OBJECTIVES_MAX) as u64, "more objective")));
        }
    }
}

fn tenant_row(tenant: &Tenant) -> Vec<String> {
    let (read, write) = (&tenant.read, &tenant.write);
    vec![
        shortened(&tenant.tenant, 18),
        shortened(&tenant.databases.join(","), 12),
        maybe_ms(read.downtime_ms),
        headline::bounds(read),
        maybe_ms(write.downtime_ms),
        headline::bounds(write),
        headline::seen_by(tenant).to_owned(),
    ]
}

/// Name, duration, outcome.
fn step_row(step: &Step) -> Vec<String> {
    let outcome = step.outcome.clone().unwrap_or_else(|| "not ended".to_owned());
    vec![shortened(&step.name, 48), maybe_ms(step.duration_ms()), outcome]
}

/// The longest sub-steps; a step that pg_upgrade or a strategy did not divide has none.
fn longest_parts(step: &Step) -> Option<String> {
    let mut parts: Vec<(&Step, f64)> =
        step.steps.iter().filter_map(|part| part.duration_ms().map(|duration_ms| (part, duration_ms))).collect();
    parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let longest: Vec<String> =
        parts.iter().take(SUBSTEPS_MAX).map(|(part, ms)| format!("{} {}", plain(&part.name), self::ms(*ms))).collect();
    let of_all = if parts.len() > longest.len() { format!("longest of {}: ", parts.len()) } else { String::new() };
    (!longest.is_empty()).then(|| format!("{of_all}{}", longest.join(", ")))
}

fn objective_row(objective: &Objective) -> Vec<String> {
    let value = match objective.value {
        Some(value) => in_unit(value, &objective.unit),
        None => "unknown".to_owned(),
    };
    let remark = match (&objective.note, headline::margin(objective)) {
        (Some(note), _) => plain(note),
        (None, margin) => margin.unwrap_or_default(),
    };
    vec![objective.outcome.name().to_owned(), shortened(&objective.text, 44), value, remark]
}

/// `line` cut to the screen's width.
fn shortened_end(line: &str) -> String {
    match line.chars().count() {
        length if length <= COLUMNS_MAX => line.to_owned(),
        _ => line.chars().take(COLUMNS_MAX - 1).chain(['…']).collect(),
    }
}

/// `text` in lines of at most `columns`, broken at spaces; a longer word stands alone.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (index, word) in text.split(' ').enumerate() {
        let fits = lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= columns);
        match lines.last_mut() {
            Some(line) if index == 0 => line.push_str(word),
            Some(line) if fits => line.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn each_course_of_a_rehearsal_has_its_screen() {
        for (name, report) in fixture::all() {
            let screen = render(&report, Colour::Never);
            assert!(screen.lines().all(|line| line.chars().count() <= COLUMNS_MAX), "{name} is too wide");
            // Of 50 lines, one is the next prompt.
            assert!(screen.lines().count() <= 49, "{name} does not fit on a screen");
            insta::assert_snapshot!(name, screen);
        }
    }

    #[test]
    fn colours_appear_only_where_they_are_asked_for() {
        let report = fixture::missed_objective();
        assert!(!render(&report, Colour::Never).contains('\u{1b}'));
        assert!(render(&report, Colour::Always).starts_with("\u{1b}[1;31mFAILED\u{1b}[0m"));
    }

    #[test]
    fn names_from_outside_cannot_steer_the_terminal() {
        let mut report = fixture::passed();
        report.tenants[0].tenant = "\u{1b}[2J\nevil".into();
        report.scenario.name = "a\u{7}b".into();
        assert!(render(&report, Colour::Never).chars().all(|c| c == '\n' || !c.is_control()));
    }
}
