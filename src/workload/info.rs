//! What a workload holds, on one screen or as JSON.
//!
//! Takes a reader, reads it to its end and gives counts. Must not know the file's name, nor how results are printed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use serde::Serialize;

use super::error::ReadError;
use super::reader::Reader;
use super::record::{Record, Request, Skipped, Source};
use crate::words::class::StatementClass;
use crate::words::time::format_duration;

/// Tenants that the text form shows; JSON has all.
const TENANTS_SHOWN_MAX: usize = 12;

/// A workload in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    pub version: u32,
    /// RFC 3339.
    pub started_at: String,
    pub sources: Vec<Source>,
    pub server_version: Option<String>,
    pub tool_version: String,
    pub sessions: u64,
    /// Sessions that were there when the capture began.
    pub sessions_began_before: u64,
    /// Distinct statements: texts that differ in more than values.
    pub statements: u64,
    /// Requests of clients: simple queries and extended executions, each time that one was sent.
    pub executions: u64,
    /// By executions, most first.
    pub tenants: Vec<TenantInfo>,
    /// Executions that belong to no tenant.
    pub executions_without_tenant: u64,
    pub databases: Vec<NamedCount>,
    pub users: Vec<NamedCount>,
    /// From the header's moment to the last event, microseconds.
    pub span_us: u64,
    /// Executions a second over the whole span.
    pub rate_per_second: f64,
    /// Executions in the busiest second.
    pub peak_per_second: u64,
    /// Executions by the written name of their class.
    pub classes: BTreeMap<&'static str, u64>,
    /// Executions that failed when they were captured, by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    /// What the capture could not use, by reason.
    pub skipped: BTreeMap<String, Skipped>,
}

/// A tenant's part of a workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TenantInfo {
    pub name: String,
    pub tier: Option<String>,
    pub region: Option<String>,
    pub executions: u64,
    /// Of all executions, 0 to 1.
    pub share: f64,
}

/// A name and how many executions belong to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedCount {
    pub name: String,
    pub executions: u64,
}

/// Reads the workload to its end and counts what it holds.
///
/// # Errors
/// Whatever is wrong with the file: nothing is told about half a workload.
pub fn summarize(mut reader: Reader) -> Result<Info, ReadError> {
    let mut counts = Counts::default();
    while let Some((_, record)) = reader.next_record()? {
        counts.take(&record, &reader);
    }
    Ok(counts.into_info(&reader))
}

#[derive(Default)]
struct Counts {
    sessions: u64,
    sessions_began_before: u64,
    /// The database and user of each open session.
    places: HashMap<u32, (String, String)>,
    fingerprints: HashSet<u64>,
    executions: u64,
    executions_without_tenant: u64,
    tenants: BTreeMap<u32, u64>,
    databases: BTreeMap<String, u64>,
    users: BTreeMap<String, u64>,
    classes: BTreeMap<&'static str, u64>,
    errors: BTreeMap<String, u64>,
    second: (u64, u64),
    peak_per_second: u64,
    span_us: u64,
    skipped: BTreeMap<String, Skipped>,
}

impl Counts {
    fn take(&mut self, record: &Record, reader: &Reader) {
        match record {
            Record::Tenant(tenant) => {
                self.tenants.insert(tenant.id, 0);
            }
            Record::Open(open) => {
                self.sessions += 1;
                self.sessions_began_before += u64::from(open.began_before_capture);
                self.places.insert(open.session, (open.database.clone(), open.user.clone()));
            }
            Record::Request(request) => self.take_request(request, reader),
            Record::Close(close) => {
                self.places.remove(&close.session);
            }
            Record::End(end) => {
                self.span_us = end.span_us;
                self.skipped = end.skipped.clone();
            }
            Record::Header(_) | Record::Sql(_) | Record::Copy(_) | Record::Cancel(_) => {}
        }
    }

    fn take_request(&mut self, request: &Request, reader: &Reader) {
        for reference in request.sent.executed() {
            let statement = reader.statement(reference);
            let class = statement.map_or(StatementClass::Other, |statement| statement.class);
            *self.classes.entry(class.name()).or_default() += 1;
            self.fingerprints.extend(statement.map(|statement| statement.fingerprint.0));
        }
        let executions = request.sent.executed().count() as u64;
        self.executions += executions;
        match request.tenant {
            Some(tenant) => *self.tenants.entry(tenant).or_default() += executions,
            None => self.executions_without_tenant += executions,
        }
        if let Some((database, user)) = self.places.get(&request.session) {
            count(&mut self.databases, database, executions);
            count(&mut self.users, user, executions);
        }
        if let Some(sqlstate) = request.results.iter().find_map(|result| result.sqlstate) {
            *self.errors.entry(sqlstate.to_string()).or_default() += 1;
        }
        let second = request.t_us / 1_000_000;
        self.second = if self.second.0 == second { (second, self.second.1 + executions) } else { (second, executions) };
        self.peak_per_second = self.peak_per_second.max(self.second.1);
    }

    fn into_info(self, reader: &Reader) -> Info {
        let header = reader.header().clone();
        let share = |executions: u64| executions as f64 / self.executions.max(1) as f64;
        let mut tenants: Vec<TenantInfo> = self
            .tenants
            .iter()
            .filter_map(|(id, executions)| reader.tenant(*id).map(|tenant| (tenant, *executions)))
            .map(|(tenant, executions)| TenantInfo {
                name: tenant.name.clone(),
                tier: tenant.tier.clone(),
                region: tenant.region.clone(),
                executions,
                share: share(executions),
            })
            .collect();
        tenants.sort_by(|a, b| b.executions.cmp(&a.executions).then_with(|| a.name.cmp(&b.name)));
        let rate_per_second = match self.span_us {
            0 => 0.0,
            span_us => self.executions as f64 * 1e6 / span_us as f64,
        };
        Info {
            version: header.version,
            started_at: header.started_at,
            sources: header.sources,
            server_version: header.server_version,
            tool_version: header.tool_version,
            sessions: self.sessions,
            sessions_began_before: self.sessions_began_before,
            statements: self.fingerprints.len() as u64,
            executions: self.executions,
            tenants,
            executions_without_tenant: self.executions_without_tenant,
            databases: by_count(self.databases),
            users: by_count(self.users),
            span_us: self.span_us,
            rate_per_second,
            peak_per_second: self.peak_per_second,
            classes: self.classes,
            errors: self.errors,
            skipped: self.skipped,
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, executions: u64) {
    match counts.get_mut(name) {
        Some(count) => *count += executions,
        None => {
            counts.insert(name.to_owned(), executions);
        }
    }
}

fn by_count(counts: BTreeMap<String, u64>) -> Vec<NamedCount> {
    let mut named: Vec<NamedCount> =
        counts.into_iter().map(|(name, executions)| NamedCount { name, executions }).collect();
    named.sort_by_key(|named| std::cmp::Reverse(named.executions));
    named
}

impl Info {
    /// The figures for one screen, lines ended by line breaks.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<12} {value}");
        };
        let span = std::time::Duration::from_millis(self.span_us / 1_000);
        row("captured", &format!("{}, {} long{}", self.started_at, seconds(span), self.server()));
        row("sources", &self.sources.iter().map(|source| source.file.as_str()).collect::<Vec<_>>().join(", "));
        row("sessions", &format!("{} ({} began before the capture)", self.sessions, self.sessions_began_before));
        row("statements", &format!("{} distinct, values apart", self.statements));
        row(
            "executions",
            &format!(
                "{}, {:.1} a second, {} in the busiest",
                self.executions, self.rate_per_second, self.peak_per_second
            ),
        );
        row("classes", &counted(self.classes.iter().map(|(name, count)| (*name, *count))));
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
        self.write_tenants(&mut text);
        text
    }

    fn server(&self) -> String {
        self.server_version.as_deref().map_or_else(String::new, |version| format!(", from PostgreSQL {version}"))
    }

    fn position(&self, (source, line): (u16, u64)) -> String {
        let file = self.sources.get(usize::from(source)).map_or("?", |source| source.file.as_str());
        format!("{file}:{line}")
    }

    fn write_tenants(&self, text: &mut String) {
        let shown = &self.tenants[..self.tenants.len().min(TENANTS_SHOWN_MAX)];
        let width = shown.iter().map(|tenant| tenant.name.chars().count()).max().unwrap_or(0).max("(no tenant)".len());
        let mut line = |name: &str, executions: u64, share: f64| {
            let _ = writeln!(text, "  {name:<width$}  {executions:>9}  {:>5.1} %", share * 100.0);
        };
        for tenant in shown {
            line(&tenant.name, tenant.executions, tenant.share);
        }
        let rest = &self.tenants[shown.len()..];
        if !rest.is_empty() {
            let executions = rest.iter().map(|tenant| tenant.executions).sum();
            line(&format!("{} more", rest.len()), executions, rest.iter().map(|tenant| tenant.share).sum());
        }
        if self.executions_without_tenant > 0 {
            let share = self.executions_without_tenant as f64 / self.executions.max(1) as f64;
            line("(no tenant)", self.executions_without_tenant, share);
        }
    }
}

/// Whole seconds from ten seconds up: nobody plans by the milliseconds of a capture.
fn seconds(span: std::time::Duration) -> String {
    match span.as_secs() {
        0..10 => format_duration(span),
        secs => format!("{secs} s"),
    }
}

fn counted<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/workload-v1.jsonl"));

    fn info() -> Info {
        summarize(Reader::new(GOLDEN.as_bytes(), "w.jsonl").unwrap()).unwrap()
    }

    #[test]
    fn everything_is_counted() {
        let info = info();
        assert_eq!((info.sessions, info.sessions_began_before, info.executions, info.statements), (2, 1, 6, 4));
        assert_eq!(info.executions_without_tenant, 1);
        assert_eq!(info.tenants[0].name, "acme");
        assert_eq!((info.tenants[0].executions, info.tenants[0].share), (3, 0.5));
        assert_eq!(info.databases, [NamedCount { name: "app".to_owned(), executions: 6 }]);
        assert_eq!(info.errors["23505"], 1);
        assert_eq!(info.classes["read"], 2);
        assert_eq!((info.span_us, info.peak_per_second), (7_000, 6));
        assert_eq!(info.skipped["copy_data"].count, 2);
    }

    #[test]
    fn the_text_is_one_screen() {
        let text = info().to_text();
        assert!(text.contains("sessions     2 (1 began before the capture)"), "{text}");
        assert!(text.contains("skipped      copy_data 2, first at postgresql.csv:9"), "{text}");
        assert!(text.contains("  acme                 3   50.0 %"), "{text}");
        assert!(text.lines().count() < 40);
    }
}
