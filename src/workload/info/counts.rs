//! The counting: a fold over the records of a workload.
//!
//! Takes records in the order of the file and gives the figures at the end. Must not know how figures are shown.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::known::KnownCounts;
use super::statements::Statements;
use super::{Info, Minute, NamedCount, PeakSecond, Sums, TenantInfo};
use crate::words::class::StatementClass;
use crate::workload::reader::Reader;
use crate::workload::record::{Outcome, Record, Request, Skipped, Tenant};

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;

#[derive(Default)]
pub(super) struct Counts {
    sessions: u64,
    sessions_began_before: u64,
    sessions_open_max: u64,
    /// The database and user of each open session.
    places: HashMap<u32, (String, String)>,
    requests: u64,
    total: Part,
    known: KnownCounts,
    statements: Statements,
    without_tenant: u64,
    tenants: BTreeMap<u32, Part>,
    databases: BTreeMap<String, u64>,
    users: BTreeMap<String, u64>,
    classes: BTreeMap<&'static str, u64>,
    errors: BTreeMap<String, u64>,
    minutes: BTreeMap<u64, Part>,
    /// The newest second and what it holds, and the busiest.
    second: (u64, u64),
    peak: (u64, u64),
    span_us: u64,
    skipped: BTreeMap<String, Skipped>,
}

/// What a part of a workload, or a request, holds.
#[derive(Clone, Copy, Default)]
struct Part {
    executions: u64,
    reads: u64,
    writes: u64,
    sums: Sums,
}

impl Part {
    fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.reads += other.reads;
        self.writes += other.writes;
        self.sums.add(&other.sums);
    }
}

impl Sums {
    /// What came back for one statement.
    pub(super) fn of(result: &Outcome) -> Self {
        Self {
            total_us: result.total_us.unwrap_or(0),
            rows: result.rows.unwrap_or(0),
            bytes: result.bytes.unwrap_or(0),
            errors: u64::from(result.sqlstate.is_some()),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.total_us = self.total_us.saturating_add(other.total_us);
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.errors += other.errors;
    }
}

impl Counts {
    pub(super) fn take(&mut self, record: &Record, reader: &Reader) {
        match record {
            Record::Tenant(tenant) => {
                self.tenants.insert(tenant.id, Part::default());
            }
            Record::Sql(sql) => self.known.redefine(sql.id),
            Record::Open(open) => {
                self.sessions += 1;
                self.sessions_began_before += u64::from(open.began_before_capture);
                self.places.insert(open.session, (open.database.clone(), open.user.clone()));
                self.sessions_open_max = self.sessions_open_max.max(self.places.len() as u64);
            }
            Record::Request(request) => self.take_request(request, reader),
            Record::Close(close) => {
                self.places.remove(&close.session);
            }
            Record::End(end) => {
                self.span_us = end.span_us;
                self.skipped = end.skipped.clone();
            }
            Record::Header(_) | Record::Copy(_) | Record::Cancel(_) => {}
        }
    }

    fn take_request(&mut self, request: &Request, reader: &Reader) {
        let mut part = Part::default();
        for reference in request.executed() {
            let class = reader.statement(reference).map_or(StatementClass::Other, |statement| statement.class);
            *self.classes.entry(class.name()).or_default() += 1;
            part.executions += 1;
            part.reads += u64::from(class == StatementClass::Read);
            part.writes += u64::from(class == StatementClass::Write);
        }
        request.results.iter().for_each(|result| part.sums.add(&Sums::of(result)));
        // A request fails as a whole: behind its first error nothing is executed.
        part.sums.errors = part.sums.errors.min(1);
        self.requests += 1;
        self.total.add(&part);
        self.known.take(request, reader);
        self.statements.take(request, reader);
        match request.tenant {
            Some(tenant) => self.tenants.entry(tenant).or_default().add(&part),
            None => self.without_tenant += part.executions,
        }
        if let Some((database, user)) = self.places.get(&request.session) {
            count(&mut self.databases, database, part.executions);
            count(&mut self.users, user, part.executions);
        }
        if let Some(sqlstate) = request.results.iter().find_map(|result| result.sqlstate) {
            *self.errors.entry(sqlstate.to_string()).or_default() += 1;
        }
        self.minutes.entry(request.t_us / MINUTE_US).or_default().add(&part);
        self.take_second(request.t_us / SECOND_US, part.executions);
    }

    fn take_second(&mut self, second: u64, executions: u64) {
        self.second = if self.second.0 == second { (second, self.second.1 + executions) } else { (second, executions) };
        if self.second.1 > self.peak.1 {
            self.peak = self.second;
        }
    }

    pub(super) fn into_info(self, reader: &Reader) -> Info {
        let header = reader.header().clone();
        let at = moments(&header.started_at);
        let executions = self.total.executions;
        let (peak_second, peak_per_second) = self.peak;
        let peak_second = (peak_per_second > 0).then(|| {
            let t_us = peak_second * SECOND_US;
            PeakSecond { at: at(t_us), t_us, executions: peak_per_second }
        });
        let minutes = self.minutes.iter().map(|(minute, part)| {
            let (t_us, Part { executions, reads, writes, sums }) = (minute * MINUTE_US, *part);
            Minute { at: at(t_us), t_us, executions, reads, writes, sums }
        });
        let rate_per_second = match self.span_us {
            0 => 0.0,
            span_us => executions as f64 * 1e6 / span_us as f64,
        };
        Info {
            version: header.version,
            started_at: header.started_at.clone(),
            minutes: minutes.collect(),
            sources: header.sources,
            server_version: header.server_version,
            tool_version: header.tool_version,
            sessions: self.sessions,
            sessions_began_before: self.sessions_began_before,
            sessions_open_max: self.sessions_open_max,
            statements: self.statements.distinct(),
            requests: self.requests,
            executions,
            known: self.known.into_known(),
            known_sums: self.total.sums,
            tenants: tenants(&self.tenants, executions, |id| reader.tenant(id)),
            executions_without_tenant: self.without_tenant,
            databases: by_count(self.databases),
            users: by_count(self.users),
            span_us: self.span_us,
            rate_per_second,
            peak_per_second,
            peak_second,
            classes: self.classes,
            errors: self.errors,
            skipped: self.skipped,
            executions_not_followed: self.statements.executions_not_followed(),
            top_statements: self.statements.into_top(executions),
        }
    }
}

/// Gives moments of the workload as RFC 3339; the offset in seconds where the header's time is none.
fn moments(started_at: &str) -> impl Fn(u64) -> String {
    let started: Option<Timestamp> = started_at.parse().ok();
    move |t_us| {
        let at = started.map(|started| started.as_microsecond().saturating_add_unsigned(t_us));
        match at.and_then(|at| Timestamp::from_microsecond(at).ok()) {
            Some(at) => at.to_string(),
            None => format!("{}s", t_us / SECOND_US),
        }
    }
}

fn tenants<'a>(
    parts: &BTreeMap<u32, Part>,
    executions: u64,
    tenant: impl Fn(u32) -> Option<&'a Tenant>,
) -> Vec<TenantInfo> {
    let known = parts.iter().filter_map(|(id, part)| Some((tenant(*id)?, *part)));
    let mut tenants: Vec<TenantInfo> = known
        .map(|(tenant, part)| TenantInfo {
            name: tenant.name.clone(),
            tier: tenant.tier.clone(),
            region: tenant.region.clone(),
            executions: part.executions,
            share: part.executions as f64 / executions.max(1) as f64,
            reads: part.reads,
            writes: part.writes,
            sums: part.sums,
        })
        .collect();
    tenants.sort_by(|a, b| b.executions.cmp(&a.executions).then_with(|| a.name.cmp(&b.name)));
    tenants
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
