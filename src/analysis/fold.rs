//! The analysis of a run: a fold over its timeline, samples and ledger.
//!
//! Takes them in any order that keeps the timeline's own, gives the findings at any moment without being changed by
//! that. Must not know where they come from: the same fold serves a run directory and a run that is still going on.

use std::collections::{BTreeMap, HashMap};

use super::course::Course;
use super::divergence::Divergences;
use super::errors::{Captured, Errors, NewErrors};
use super::findings::{
    ByPhase, Findings, GroupFindings, Latency, RunFindings, Second, StatementFindings, TenantFindings,
};
use super::latency::{Times, enters};
use super::ledger::Ledger;
use super::quality::Baseline;
use super::spans::Spans;
use super::streams::{BadTimes, Class, Stream};
use super::tenants::{self, Figures, Group, Groups, Surroundings, Tenant};
use super::trust::{Evidence, Lag};
use super::unite::Judged;
use crate::facts::{LedgerEntry, RunFacts, StatementFact, TenantFact};
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::timeline::{Phase, TimelineEvent};
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;

/// How long after `before` its last samples may still come in.
const BASELINE_SETTLES_US: u64 = 120_000_000;

/// Requests of a statement in `before` from which its p99 is a baseline.
const BASELINE_REQUESTS_MIN: u64 = 10;

/// Requests of a statement in `before` and in `after` from which a ratio is shown among the first.
const RATIO_REQUESTS_MIN: u64 = 100;

/// What is known of a run so far.
#[derive(Clone, Debug)]
pub struct Analysis {
    facts: RunFacts,
    tenant_facts: Vec<TenantFact>,
    statement_facts: HashMap<Fingerprint, StatementFact>,
    captured: Captured,
    course: Course,
    ledger: Ledger,
    tenants: Vec<Tenant>,
    groups: BTreeMap<Group, Stream>,
    figures: Figures,
    statements: HashMap<Fingerprint, ByPhase<Times>>,
    errors: Errors,
    divergences: Divergences,
    lag: Lag,
    seconds: BTreeMap<u64, SecondSoFar>,
    bad_times: BadTimes,
    /// The p99 in `before` once nothing changes it any more.
    baseline: Option<Baseline>,
    newest_done_us: u64,
    offered_in_all: u64,
    replay_acknowledged: u64,
    damaged_parts: u64,
    /// Tries to connect for which the tool had no resources.
    starved_connects: u64,
}

#[derive(Clone, Debug)]
struct SecondSoFar {
    ok: u64,
    bad: u64,
    times: Times,
}

impl Analysis {
    /// An analysis of which only the facts are known. A tenant that samples name by an index beyond `tenants` gets a
    /// place of its own, see [`Self::add_tenants`].
    pub fn new(facts: RunFacts, tenants: Vec<TenantFact>, statements: Vec<StatementFact>) -> Self {
        Self {
            captured: Captured::new(statements.iter()),
            statement_facts: statements.into_iter().map(|fact| (fact.fingerprint, fact)).collect(),
            lag: Lag::new(facts.rules.schedule_lag_p99_us),
            facts,
            tenants: vec![Tenant::new(); tenants.len()],
            tenant_facts: tenants,
            course: Course::default(),
            ledger: Ledger::default(),
            groups: BTreeMap::new(),
            figures: Figures::new(&Times::fine()),
            statements: HashMap::new(),
            errors: Errors::default(),
            divergences: Divergences::default(),
            seconds: BTreeMap::new(),
            bad_times: BadTimes::default(),
            baseline: None,
            newest_done_us: 0,
            offered_in_all: 0,
            replay_acknowledged: 0,
            damaged_parts: 0,
            starved_connects: 0,
        }
    }

    /// Takes the next timeline event. A sample's phase is told from the events that came before it.
    pub fn event(&mut self, event: &TimelineEvent) {
        self.course.event(event);
        self.divergences.event(event);
    }

    /// Takes a ledger entry; those of one database in the order in which they were written.
    pub fn ledger(&mut self, entry: &LedgerEntry) {
        self.ledger.push(entry);
    }

    /// Notes a sample file that could not be read.
    pub fn part_damaged(&mut self) {
        self.damaged_parts += 1;
    }

    /// Names tenants that only samples know: those from the number of known ones on.
    pub fn add_tenants(&mut self, names: &[String]) {
        for name in names.iter().skip(self.tenant_facts.len()) {
            let fact = TenantFact { tenant: name.clone(), tier: None, region: None, databases: Vec::new() };
            self.tenant_facts.push(fact);
        }
    }

    /// Takes a sample, in any order.
    pub fn push(&mut self, mut sample: Sample) {
        if self.facts.rules.closed_loop {
            // As fast as it goes: nothing was due before it could be sent.
            sample.due_us = sample.ready_us.unwrap_or(sample.due_us);
        }
        self.newest_done_us = self.newest_done_us.max(sample.done_us);
        self.starved_connects += u64::from(sample.kind == SampleKind::Connect && sample.outcome == Outcome::Skipped);
        let phase = self.course.phase_at(sample.due_us);
        match (sample.kind, sample.tenant) {
            (SampleKind::Probe, _) | (SampleKind::Connect, None) => {
                let stream = self.groups.entry(Group::of(&sample)).or_default();
                stream.push(&sample, self.newest_done_us, &mut self.bad_times);
            }
            (SampleKind::Connect | SampleKind::Request | SampleKind::Retried, _) => self.push_of_tenant(&sample, phase),
        }
        self.settle_baseline();
    }

    fn push_of_tenant(&mut self, sample: &Sample, phase: Phase) {
        // What a client tried again successfully is no error to anybody, only a sign of how available the server was.
        if phase != Phase::Warmup && sample.kind != SampleKind::Retried {
            self.errors.push(sample, phase);
        }
        if sample.kind == SampleKind::Request {
            self.push_request(sample, phase);
        }
        let Some(tenant) = sample.tenant.map(|tenant| tenant as usize) else { return };
        if tenant >= self.tenants.len() {
            self.tenants.resize_with(tenant + 1, Tenant::new);
        }
        let tenant = &mut self.tenants[tenant];
        tenant.push(sample, phase, self.newest_done_us, &mut self.bad_times);
        if sample.kind == SampleKind::Request && phase >= Phase::Upgrade {
            tenant.push_quality(sample, self.baseline.as_ref());
        }
    }

    fn push_request(&mut self, sample: &Sample, phase: Phase) {
        self.offered_in_all += 1;
        self.push_second(sample);
        if phase == Phase::Warmup {
            return;
        }
        self.figures.push(sample, phase);
        self.divergences.push(sample);
        self.lag.push(sample, phase);
        let acknowledged = matches!(sample.outcome, Outcome::Ok | Outcome::Late);
        if acknowledged && matches!(sample.class, SampleClass::Write | SampleClass::Commit) {
            self.replay_acknowledged += 1;
        }
        if enters(sample) {
            let fine = || ByPhase { before: Times::fine(), upgrade: Times::fine(), after: Times::fine() };
            let times = self.statements.entry(sample.fingerprint).or_insert_with(fine);
            if let Some(times) = times.get_mut(phase) {
                times.add(sample.response_us());
            }
        }
    }

    fn push_second(&mut self, sample: &Sample) {
        let empty = || SecondSoFar { ok: 0, bad: 0, times: Times::coarse() };
        let second = self.seconds.entry(sample.due_us / 1_000_000).or_insert_with(empty);
        match sample.outcome {
            Outcome::Ok | Outcome::ExpectedError => second.ok += 1,
            Outcome::Failed | Outcome::Late | Outcome::Expired | Outcome::Indeterminate => second.bad += 1,
            Outcome::Skipped => (),
        }
        if enters(sample) {
            second.times.add(sample.response_us());
        }
    }

    /// Fixes the baseline once the samples of `before` are in.
    fn settle_baseline(&mut self) {
        let before = self.course.span(Phase::Before).and_then(|span| span.ended_us);
        let settled = before.is_some_and(|ended_us| self.newest_done_us > ended_us + BASELINE_SETTLES_US);
        if self.baseline.is_some() || !settled {
            return;
        }
        let baseline = self.baseline_now();
        self.tenants.iter_mut().for_each(|tenant| tenant.settle_quality(&baseline));
        self.baseline = Some(baseline);
    }

    fn baseline_now(&self) -> Baseline {
        let of = |(fingerprint, times): (&Fingerprint, &ByPhase<Times>)| {
            let p99_us = times.before.percentile_us(99.0)?;
            (times.before.count() >= BASELINE_REQUESTS_MIN).then_some((*fingerprint, p99_us))
        };
        self.statements.iter().filter_map(of).collect()
    }

    /// The findings as of now.
    pub fn snapshot(&self) -> Findings {
        let mut unseen = self.course.blind.clone();
        self.lag.late().iter().for_each(|span| unseen.add(span));
        let new_errors = self.errors.judge(&self.captured);
        let (reads, writes) = (self.judged_groups(Class::Read), self.judged_groups(Class::Write));
        let tenants = self.tenant_findings(&reads, &writes, &unseen, &new_errors);
        let errors_before = new_errors.by_tenant().values().map(|counts| counts.before).sum();
        Findings {
            run: self.run_findings(),
            steps: self.course.steps(),
            phases: self.course.phases.clone(),
            downtime: tenants::summary(&tenants, self.facts.rules.probe_interval_us),
            tenants,
            groups: self.group_findings(&reads, &writes, &unseen),
            latency: self.figures.latency.map(Times::findings),
            service_time: self.figures.service_time.map(Times::findings),
            requests: self.figures.requests_in_all(),
            requests_by_phase: self.figures.requests.clone(),
            statements: self.statement_findings(&new_errors),
            errors: new_errors.findings(),
            writes: self.ledger.findings(self.replay_acknowledged),
            divergence: self.figures.divergence,
            differing: self.divergences.findings(&self.statement_facts),
            ids: self.course.ids,
            trust: self.evidence(errors_before).trust(),
            series: self.series(),
        }
    }

    fn evidence(&self, new_errors_before: u64) -> Evidence<'_> {
        Evidence {
            facts: &self.facts,
            course: &self.course,
            lag: &self.lag,
            requests: &self.figures.requests,
            offered_in_all: self.offered_in_all,
            new_errors_before,
            probes_seen: !self.groups.is_empty(),
            damaged_parts: self.damaged_parts,
            starved_connects: self.starved_connects,
        }
    }

    fn ended_us(&self) -> u64 {
        self.course.last_event_us.max(self.newest_done_us)
    }

    fn run_findings(&self) -> RunFindings {
        let facts = &self.facts;
        RunFindings {
            started_at: facts.started_at.clone(),
            tool_version: facts.tool_version.clone(),
            scenario_name: facts.scenario_name.clone(),
            workload_sha256: facts.workload_sha256.clone(),
            server_before: self.course.server_before.clone().or_else(|| facts.server_before.clone()),
            server_after: self.course.server_after.clone(),
            complete: self.course.complete == Some(true) && self.damaged_parts == 0,
            interrupted: self.course.interrupted.clone(),
            ended_us: self.ended_us(),
            host: facts.host.clone(),
            rules: facts.rules.clone(),
            plan: facts.plan.clone(),
        }
    }

    fn judged_groups(&self, class: Class) -> Groups {
        self.groups.iter().map(|(group, stream)| (*group, Judged::new(stream.attempts(class), &[]))).collect()
    }

    fn group_findings(&self, reads: &Groups, writes: &Groups, unseen: &Spans) -> Vec<GroupFindings> {
        let from_us = self.course.measured_from_us();
        let name = |names: &[String], at: usize| names.get(at).cloned().unwrap_or_else(|| format!("#{at}"));
        let findings = |group: &Group| GroupFindings {
            endpoint: name(&self.facts.endpoints, group.endpoint.into()),
            database: name(&self.facts.databases, group.database.into()),
            read: tenants::group_findings(reads.get(group), unseen, from_us),
            write: tenants::group_findings(writes.get(group), unseen, from_us),
        };
        self.groups.keys().map(findings).collect()
    }

    fn tenant_findings(
        &self,
        reads: &Groups,
        writes: &Groups,
        unseen: &Spans,
        new_errors: &NewErrors<'_>,
    ) -> Vec<TenantFindings> {
        let baseline = self.baseline.clone().unwrap_or_else(|| self.baseline_now());
        let held = self.groups.iter().map(|(group, stream)| (*group, stream.held().clone())).collect();
        let around = Surroundings {
            reads,
            writes,
            held: &held,
            databases: &self.facts.databases,
            baseline: &baseline,
            unseen,
            measured_from_us: self.course.measured_from_us(),
            upgraded_us: self.course.span(Phase::Upgrade).and_then(|span| span.ended_us),
            ended_us: self.ended_us(),
        };
        let mut new_errors = new_errors.by_tenant();
        let nobody = Tenant::new();
        let fact = |at: usize| {
            let known = self.tenant_facts.get(at).cloned();
            known.unwrap_or_else(|| TenantFact {
                tenant: format!("#{at}"),
                tier: None,
                region: None,
                databases: Vec::new(),
            })
        };
        (0..self.tenants.len().max(self.tenant_facts.len()))
            .map(|at| {
                let new_errors = new_errors.remove(&u32::try_from(at).ok()).unwrap_or_default();
                tenants::findings(self.tenants.get(at).unwrap_or(&nobody), &fact(at), new_errors, &around)
            })
            .collect()
    }

    fn statement_findings(&self, new_errors: &NewErrors<'_>) -> Vec<StatementFindings> {
        let new_errors = new_errors.by_statement();
        let empty = ByPhase::<Latency>::default();
        let seen = self.statements.iter().map(|(fingerprint, times)| (*fingerprint, times.map(Times::findings)));
        let mut latencies: BTreeMap<Fingerprint, ByPhase<Latency>> = seen.collect();
        for fingerprint in new_errors.keys() {
            latencies.entry(*fingerprint).or_insert_with(|| empty.clone());
        }
        let findings = |(fingerprint, latency): (Fingerprint, ByPhase<Latency>)| {
            let fact = self.statement_facts.get(&fingerprint);
            let p99_us = latency.before.p99_us.zip(latency.after.p99_us);
            StatementFindings {
                fingerprint,
                sql: fact.map(|fact| fact.sql.clone()),
                class: fact.map(|fact| fact.class),
                latency,
                p99_ratio: p99_us.map(|(before, after)| after as f64 / before.max(1) as f64),
                new_errors: new_errors.get(&fingerprint).copied().unwrap_or(0),
            }
        };
        let mut found: Vec<StatementFindings> = latencies.into_iter().map(findings).collect();
        let enough = |statement: &StatementFindings| {
            statement.latency.before.count.min(statement.latency.after.count) >= RATIO_REQUESTS_MIN
        };
        let ratio = |statement: &StatementFindings| statement.p99_ratio.unwrap_or(-1.0);
        found.sort_by(|a, b| enough(b).cmp(&enough(a)).then_with(|| ratio(b).total_cmp(&ratio(a))));
        found
    }

    fn series(&self) -> Vec<Second> {
        let first = self.seconds.first_key_value().map(|(&second, _)| second);
        let last = self.seconds.last_key_value().map(|(&second, _)| second);
        let Some((first, last)) = first.zip(last) else { return Vec::new() };
        let second = |second| match self.seconds.get(&second) {
            None => Second { second, ..Second::default() },
            Some(so_far) => Second {
                second,
                ok: so_far.ok,
                bad: so_far.bad,
                p50_us: so_far.times.percentile_us(50.0),
                p99_us: so_far.times.percentile_us(99.0),
            },
        };
        (first..=last).map(second).collect()
    }
}
