//! One tenant's samples, and what follows from them.
//!
//! Takes the tenant's own samples and, when asked, the judged streams of the fate groups; gives its findings. Must not
//! know other tenants.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{ByPhase, ClassFindings, Divergence, Downtime, RequestCounts, TenantFindings, WindowSource};
use super::latency::{Times, enters};
use super::quality::{Baseline, Quality, Request};
use super::spans::Spans;
use super::streams::{BadTimes, Class, Stream};
use super::unite::{Judged, Seen, United, class_findings, downtime, unite};
use crate::facts::TenantFact;
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::timeline::Phase;

/// A fate group: what goes up and down together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub endpoint: u8,
    pub database: u16,
}

impl Group {
    /// The group that a sample was sent to.
    pub fn of(sample: &Sample) -> Self {
        Self { endpoint: sample.endpoint, database: sample.database }
    }

    fn number(self) -> usize {
        usize::from(self.endpoint) << 16 | usize::from(self.database)
    }
}

/// The probes' streams of one class.
pub(super) type Groups = BTreeMap<Group, Judged>;

/// The figures of a set of requests by phase.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub requests: ByPhase<RequestCounts>,
    pub latency: ByPhase<Times>,
    pub service_time: ByPhase<Times>,
    pub divergence: Divergence,
}

impl Figures {
    /// Figures with histograms like `times`.
    pub fn new(times: &Times) -> Self {
        let all = || ByPhase { before: times.clone(), upgrade: times.clone(), after: times.clone() };
        let (requests, divergence) = (ByPhase::default(), Divergence::default());
        Self { requests, latency: all(), service_time: all(), divergence }
    }

    /// Adds a request of a phase.
    pub fn push(&mut self, sample: &Sample, phase: Phase) {
        let Some(counts) = self.requests.get_mut(phase) else { return };
        counts.add(sample.outcome);
        self.divergence.compared += u64::from(sample.result.is_known());
        self.divergence.differing += u64::from(sample.result.differs());
        if enters(sample) {
            if let Some(times) = self.latency.get_mut(phase) {
                times.add(sample.response_us());
            }
            if let (Some(times), Some(service_us)) = (self.service_time.get_mut(phase), sample.service_us()) {
                times.add(service_us);
            }
        }
    }

    /// All phases' requests.
    pub fn requests_in_all(&self) -> RequestCounts {
        self.requests.before.plus(&self.requests.upgrade).plus(&self.requests.after)
    }
}

/// One tenant's samples so far.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    figures: Figures,
    streams: BTreeMap<Group, Stream>,
    quality: Quality,
}

impl Tenant {
    pub fn new() -> Self {
        Self { figures: Figures::new(&Times::coarse()), streams: BTreeMap::new(), quality: Quality::default() }
    }

    /// Adds a sample of a phase, a try to connect included.
    pub fn push(&mut self, sample: &Sample, phase: Phase, newest_done_us: u64, bad_times: &mut BadTimes) {
        self.streams.entry(Group::of(sample)).or_default().push(sample, newest_done_us, bad_times);
        if sample.kind == SampleKind::Request {
            self.figures.push(sample, phase);
        }
    }

    /// Adds a request to what brownout and recovery are told from.
    pub fn push_quality(&mut self, sample: &Sample, baseline: Option<&Baseline>) {
        let response_us = match sample.outcome {
            Outcome::Skipped => return,
            Outcome::Ok | Outcome::ExpectedError => Some(sample.response_us()),
            Outcome::Failed | Outcome::Late | Outcome::Expired | Outcome::Indeterminate => None,
        };
        let request = Request { due_us: sample.due_us, fingerprint: sample.fingerprint, response_us };
        self.quality.push(request, baseline);
    }

    /// Counts all requests against the baseline, which nothing changes any more.
    pub fn settle_quality(&mut self, baseline: &Baseline) {
        self.quality.settle(baseline);
    }
}

/// What a tenant's findings need besides its own samples.
pub(super) struct Surroundings<'a> {
    pub reads: &'a Groups,
    pub writes: &'a Groups,
    /// The probes' held time.
    pub held: &'a BTreeMap<Group, Spans>,
    pub databases: &'a [String],
    pub baseline: &'a Baseline,
    /// Time in which the tool itself did not run or ran late.
    pub unseen: &'a Spans,
    pub measured_from_us: u64,
    /// When the last step ended.
    pub upgraded_us: Option<u64>,
    pub ended_us: u64,
}

impl Surroundings<'_> {
    fn groups(&self, class: Class) -> &Groups {
        match class {
            Class::Read => self.reads,
            Class::Write => self.writes,
        }
    }
}

/// One tenant's findings.
pub(super) fn findings(
    tenant: &Tenant,
    fact: &TenantFact,
    new_errors: ByPhase<u64>,
    around: &Surroundings<'_>,
) -> TenantFindings {
    let groups = groups_of(tenant, fact, around);
    let (reads, reads_observed) = outages(tenant, &groups, Class::Read, around);
    let (writes, writes_observed) = outages(tenant, &groups, Class::Write, around);
    let observed = reads_observed || writes_observed;
    let both = || reads.iter().chain(&writes);
    let down: Spans = both().map(|united| united.outage.span()).collect();
    let unobserved: Spans = both().flat_map(|united| united.outage.unobserved.iter()).collect();
    let (read, write) = (class_findings(&reads, reads_observed), class_findings(&writes, writes_observed));
    let figures = &tenant.figures;
    TenantFindings {
        tenant: fact.tenant.clone(),
        tier: fact.tier.clone(),
        region: fact.region.clone(),
        databases: fact.databases.clone(),
        downtime: downtime(both(), observed),
        held_us: observed.then(|| held(tenant, &groups, around).len_without_us(&down)),
        brownout_us: (!around.baseline.is_empty()).then(|| tenant_brownout_us(tenant, &down, around)),
        recovery_us: recovery_us(tenant, &read, &write, &down, around),
        unobserved_us: observed.then(|| unobserved.len_us()),
        read,
        write,
        requests: figures.requests_in_all(),
        requests_by_phase: figures.requests.clone(),
        latency: figures.latency.map(Times::findings),
        service_time: figures.service_time.map(Times::findings),
        new_errors,
        divergence: figures.divergence,
    }
}

/// The groups that decide over a tenant: those that it sent to, and its databases on the first endpoint.
fn groups_of(tenant: &Tenant, fact: &TenantFact, around: &Surroundings<'_>) -> BTreeSet<Group> {
    let named = fact.databases.iter().filter_map(|name| around.databases.iter().position(|known| known == name));
    let named = named.filter_map(|at| u16::try_from(at).ok()).map(|database| Group { endpoint: 0, database });
    tenant.streams.keys().copied().chain(named).collect()
}

/// The outages of one class, and whether anything of it was observed at all.
fn outages(tenant: &Tenant, groups: &BTreeSet<Group>, class: Class, around: &Surroundings<'_>) -> (Vec<United>, bool) {
    let probed = around.groups(class);
    let own: BTreeMap<Group, Judged> = tenant
        .streams
        .iter()
        .map(|(group, stream)| {
            let revivals = probed.get(group).map_or(&[][..], |judged| &judged.revivals);
            (*group, Judged::new(stream.attempts(class), revivals))
        })
        .collect();
    let streams = |group: Group| {
        let own = own.get(&group).map(|judged| (WindowSource::Own, judged));
        own.into_iter().chain(probed.get(&group).map(|judged| (WindowSource::Group, judged)))
    };
    let observed = groups.iter().flat_map(|&group| streams(group)).any(|(_, judged)| !judged.is_empty());
    let seen = groups.iter().flat_map(|&group| {
        streams(group).flat_map(move |(source, judged)| {
            let outages = judged.outages.iter().cloned();
            outages.map(move |outage| Seen { outage, source, group: group.number() })
        })
    });
    let mut united = unite(seen.collect());
    for outage in &mut united {
        let part = groups.iter().filter(|group| outage.groups.contains(&group.number()));
        let part: Vec<&Judged> = part.flat_map(|&group| streams(group)).map(|(_, judged)| judged).collect();
        outage.narrow(part.iter().copied());
        outage.widen(around.unseen);
    }
    (united.into_iter().filter_map(|outage| outage.cut_before(around.measured_from_us)).collect(), observed)
}

fn held(tenant: &Tenant, groups: &BTreeSet<Group>, around: &Surroundings<'_>) -> Spans {
    let own = tenant.streams.values().map(Stream::held);
    let probed = groups.iter().filter_map(|group| around.held.get(group));
    let mut held: Spans = own.chain(probed).flat_map(Spans::iter).collect();
    held.cut_before(around.measured_from_us);
    held
}

fn tenant_brownout_us(tenant: &Tenant, down: &Spans, around: &Surroundings<'_>) -> u64 {
    let mut quality = tenant.quality.clone();
    quality.settle(around.baseline);
    quality.brownouts(down).len_without_us(down)
}

/// From the end of downtime, or without any from the end of the upgrade.
fn recovery_us(
    tenant: &Tenant,
    read: &ClassFindings,
    write: &ClassFindings,
    down: &Spans,
    around: &Surroundings<'_>,
) -> Option<u64> {
    let open = read.windows.iter().chain(&write.windows).any(|window| window.open);
    if open || around.baseline.is_empty() {
        return None;
    }
    let from_us = down.end_us().or(around.upgraded_us)?;
    let before = &tenant.figures.requests.before;
    let error_rate = before.bad() as f64 / (before.offered - before.skipped).max(1) as f64;
    let mut quality = tenant.quality.clone();
    quality.settle(around.baseline);
    quality.recovery_us(from_us, around.ended_us, error_rate)
}

/// The findings of a fate group's probes in one class.
pub(super) fn group_findings(judged: Option<&Judged>, unseen: &Spans, measured_from_us: u64) -> ClassFindings {
    let Some(judged) = judged else { return ClassFindings::default() };
    let seen = |outage| Seen { outage, source: WindowSource::Group, group: 0 };
    let mut united = unite(judged.outages.iter().cloned().map(seen).collect());
    for outage in &mut united {
        outage.narrow(std::iter::once(judged));
        outage.widen(unseen);
    }
    let united: Vec<United> = united.into_iter().filter_map(|outage| outage.cut_before(measured_from_us)).collect();
    class_findings(&united, !judged.is_empty())
}

/// The downtimes of all tenants taken together.
pub(super) fn summary(tenants: &[TenantFindings], resolution_us: Option<u64>) -> super::findings::DowntimeSummary {
    let known: Vec<&Downtime> =
        tenants.iter().map(|tenant| &tenant.downtime).filter(|downtime| downtime.downtime_us.is_some()).collect();
    let mut lengths_us: Vec<u64> = known.iter().filter_map(|downtime| downtime.downtime_us).collect();
    lengths_us.sort_unstable();
    let at_most: Option<Vec<u64>> = known.iter().map(|downtime| downtime.at_most_us).collect();
    super::findings::DowntimeSummary {
        tenants: tenants.len() as u64,
        affected: lengths_us.iter().filter(|&&us| us > 0).count() as u64,
        unknown: (tenants.len() - known.len()) as u64,
        resolution_us,
        max_us: lengths_us.last().copied(),
        p50_us: nearest_rank(&lengths_us, 50.0),
        p90_us: nearest_rank(&lengths_us, 90.0),
        p99_us: nearest_rank(&lengths_us, 99.0),
        longest_us: known.iter().filter_map(|downtime| downtime.longest_us).max(),
        at_least_max_us: known.iter().filter_map(|downtime| downtime.at_least_us).max(),
        at_most_max_us: at_most.and_then(|at_most| at_most.into_iter().max()),
    }
}

/// The smallest value that at least `percentile` of a hundred values do not exceed; `None` without values.
pub fn nearest_rank(sorted: &[u64], percentile: f64) -> Option<u64> {
    let rank = (percentile / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}
