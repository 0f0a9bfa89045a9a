//! The figures of a workload as text.
//!
//! Takes figures and what is to be shown of them, and gives lines. Must not know how figures are counted.

use std::fmt::Write;
use std::time::Duration;

use super::{Info, Known, StatementInfo, Sums};
use crate::words::time::format_duration;

/// Tenants that are shown where all are not asked for.
const TENANTS_SHOWN_MAX: usize = 12;

/// Characters of a statement that are shown.
const STATEMENT_SHOWN_MAX: usize = 100;

/// What is shown beside the figures that always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub all_tenants: bool,
    pub minutes: bool,
    /// The leading statements, as many as this.
    pub top: usize,
}

impl Info {
    /// The figures, lines ended by line breaks: one screen, and the tables that are asked for below it.
    pub fn to_text(&self, shown: Shown) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<12} {value}");
        };
        let span = Duration::from_millis(self.span_us / 1_000);
        row("captured", &format!("{}, {} long{}", self.started_at, seconds(span), self.server()));
        row("sources", &self.sources.iter().map(|source| source.file.as_str()).collect::<Vec<_>>().join(", "));
        row(
            "sessions",
            &format!(
                "{} ({} began before the capture), {} open at once",
                self.sessions, self.sessions_began_before, self.sessions_open_max
            ),
        );
        row("statements", &format!("{} distinct, values apart", self.statements));
        row(
            "executions",
            &format!("{} in {} requests, {:.1} a second", self.executions, self.requests, self.rate_per_second),
        );
        if let Some(peak) = &self.peak_second {
            row("peak second", &format!("{} executions at {}", peak.executions, peak.at));
        }
        row("classes", &counted(self.classes.iter().map(|(name, count)| (*name, *count))));
        row("known", &self.known.to_text(self.requests, &self.known_sums));
        let errors = counted(self.errors.iter().map(|(sqlstate, count)| (sqlstate.as_str(), *count)));
        row("errors", if errors.is_empty() { "none" } else { &errors });
        row("databases", &counted(self.databases.iter().map(|named| (named.name.as_str(), named.executions))));
        row("users", &counted(self.users.iter().map(|named| (named.name.as_str(), named.executions))));
        if self.skipped.is_empty() {
            row("skipped", "nothing");
        }
        for (reason, skipped) in &self.skipped {
            row("skipped", &format!("{reason} {}, first at {}", skipped.count, self.position(skipped.first)));
        }
        row("tenants", &self.tenants.len().to_string());
        self.write_tenants(&mut text, shown.all_tenants);
        if shown.minutes {
            self.write_minutes(&mut text);
        }
        if shown.top > 0 {
            self.write_top(&mut text, shown.top);
        }
        text
    }

    fn server(&self) -> String {
        self.server_version.as_deref().map_or_else(String::new, |version| format!(", from PostgreSQL {version}"))
    }

    fn position(&self, (source, line): (u16, u64)) -> String {
        let file = self.sources.get(usize::from(source)).map_or("?", |source| source.file.as_str());
        format!("{file}:{line}")
    }

    fn write_tenants(&self, text: &mut String, all: bool) {
        let shown_max = if all { usize::MAX } else { TENANTS_SHOWN_MAX };
        let shown = &self.tenants[..self.tenants.len().min(shown_max)];
        let width = shown.iter().map(|tenant| tenant.name.chars().count()).max().unwrap_or(0).max("(no tenant)".len());
        let mut line = |name: &str, executions: u64, share: f64, rest: &str| {
            let line = format!("  {name:<width$}  {executions:>9}  {:>5.1} %{rest}", share * 100.0);
            let _ = writeln!(text, "{}", line.trim_end());
        };
        for tenant in shown {
            let rest = format!("  {} reads, {} writes{}", tenant.reads, tenant.writes, came_back(&tenant.sums));
            line(&tenant.name, tenant.executions, tenant.share, &rest);
        }
        let rest = &self.tenants[shown.len()..];
        if !rest.is_empty() {
            let executions = rest.iter().map(|tenant| tenant.executions).sum();
            line(&format!("{} more", rest.len()), executions, rest.iter().map(|tenant| tenant.share).sum(), "");
        }
        if self.executions_without_tenant > 0 {
            let share = self.executions_without_tenant as f64 / self.executions.max(1) as f64;
            line("(no tenant)", self.executions_without_tenant, share, "");
        }
    }

    fn write_minutes(&self, text: &mut String) {
        let width = self.minutes.iter().map(|minute| minute.at.len()).max().unwrap_or(0);
        let _ = writeln!(text, "\n{:<width$}  executions     reads    writes    errors   at a time", "minute");
        for minute in &self.minutes {
            // As many requests at a time as there are minutes of work in the minute.
            let at_a_time = minute.sums.total_us as f64 / 60e6;
            let _ = writeln!(
                text,
                "{:<width$}  {:>10}  {:>8}  {:>8}  {:>8}  {at_a_time:>10.3}",
                minute.at, minute.executions, minute.reads, minute.writes, minute.sums.errors
            );
        }
    }

    fn write_top(&self, text: &mut String, top: usize) {
        let _ = writeln!(
            text,
            "\n{:<16}  {:<11}  executions    total ms     mean ms        rows  errors  statement",
            "fingerprint", "class"
        );
        for statement in self.top_statements.iter().take(top) {
            let _ = writeln!(text, "{}", statement.to_line());
        }
        if self.executions_not_followed > 0 {
            let _ = writeln!(text, "{} executions of further statements", self.executions_not_followed);
        }
    }
}

impl StatementInfo {
    fn to_line(&self) -> String {
        let Sums { total_us, rows, errors, .. } = self.sums;
        let mean = self.mean_us.map_or_else(|| "-".to_owned(), |us| format!("{:.3}", us / 1e3));
        let total = self.mean_us.map_or_else(|| "-".to_owned(), |_| format!("{:.1}", total_us as f64 / 1e3));
        let mut sql: String = self.sql.chars().take(STATEMENT_SHOWN_MAX).map(printable).collect();
        if self.sql.chars().count() > STATEMENT_SHOWN_MAX {
            sql.push('…');
        }
        format!(
            "{}  {:<11}  {:>10}  {total:>10}  {mean:>10}  {rows:>10}  {errors:>6}  {sql}",
            self.fingerprint,
            self.class.name(),
            self.executions
        )
    }
}

impl Known {
    /// Of which shares what is known.
    fn to_text(self, requests: u64, sums: &Sums) -> String {
        let share = |part: u64, whole: u64| format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64);
        let mut parts = vec![format!("results {}", share(self.results, requests))];
        if self.times > 0 {
            parts.push(format!("times {} ({:.3} s)", share(self.times, requests), sums.total_us as f64 / 1e6));
        }
        if self.rows > 0 {
            parts.push(format!("rows {} ({})", share(self.rows, requests), sums.rows));
        }
        if self.bytes > 0 {
            parts.push(format!("bytes {} ({})", share(self.bytes, requests), sums.bytes));
        }
        if self.parameters_wanted > 0 {
            parts.push(format!("parameters {}", share(self.parameters, self.parameters_wanted)));
        }
        if self.extended > 0 {
            parts.push(format!("exact messages {}", share(self.exact_messages, self.extended)));
        }
        parts.join(", ")
    }
}

/// Errors and captured time, where there are any.
fn came_back(sums: &Sums) -> String {
    let mut text = String::new();
    if sums.errors > 0 {
        let _ = write!(text, ", {} errors", sums.errors);
    }
    if sums.total_us > 0 {
        let _ = write!(text, ", {:.3} s", sums.total_us as f64 / 1e6);
    }
    text
}

fn printable(c: char) -> char {
    if c.is_control() { '?' } else { c }
}

/// Whole seconds from ten seconds up: nobody plans by the milliseconds of a capture.
fn seconds(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format_duration(span),
        secs => format!("{secs} s"),
    }
}

fn counted<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
