//! Unites what a tenant's own requests and its fate groups' probes saw into the tenant's downtime.
//!
//! Takes outages of both with the successes around them, gives windows with bounds. An own outage stands alone; one that
//! touches a group's outage becomes one with it, and then any success of those streams narrows its upper bound, so that
//! a quiet tenant's bounds are as narrow as its group's. Must not know samples.

use super::attempts::Attempt;
use super::downtime::{Outage, Revival, in_order, outages, revivals};
use super::findings::{ClassFindings, Downtime, Window, WindowSource};
use super::spans::{Span, Spans};

/// An outage with where it was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub outage: Outage,
    pub source: WindowSource,
    /// The number of the fate group.
    pub group: usize,
}

/// An outage of a tenant, or of a fate group.
#[derive(Clone, Debug)]
pub(super) struct United {
    pub outage: Outage,
    pub source: WindowSource,
    pub groups: Vec<usize>,
}

/// One stream of one class with its outages.
#[derive(Debug)]
pub(super) struct Judged {
    /// In order of sending.
    attempts: Vec<Attempt>,
    /// When successes were answered, in order.
    answers_us: Vec<u64>,
    pub revivals: Vec<Revival>,
    pub outages: Vec<Outage>,
}

impl Judged {
    /// Judges attempts, in any order; `group_revivals` are those of the fate group when they are a tenant's own.
    pub fn new(attempts: Vec<Attempt>, group_revivals: &[Revival]) -> Self {
        let attempts = in_order(attempts);
        let outages = outages(&attempts, group_revivals);
        let mut answers_us: Vec<u64> = attempts.iter().filter(|a| a.is_good()).map(|good| good.done_us).collect();
        answers_us.sort_unstable();
        Self { revivals: revivals(&attempts), attempts, answers_us, outages }
    }

    /// Whether it says anything at all.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// When the last success was sent that was sent before `outage` and answered before its end.
    fn success_before_us(&self, outage: Span) -> Option<u64> {
        let before = &self.attempts[..self.attempts.partition_point(|attempt| attempt.sent_us <= outage.start_us)];
        let last = before.iter().rev().find(|attempt| attempt.is_good() && attempt.done_us < outage.end_us);
        last.map(|success| success.sent_us)
    }

    /// When the first success after `outage` was answered.
    fn success_after_us(&self, outage: Span) -> Option<u64> {
        let at = self.answers_us.partition_point(|&answered_us| answered_us < outage.end_us);
        self.answers_us.get(at).copied()
    }
}

/// Unites the outages of a tenant's streams of one class.
pub(super) fn unite(mut seen: Vec<Seen>) -> Vec<United> {
    seen.sort_by_key(|seen| (seen.outage.started_us, seen.outage.seen_until_us, seen.source, seen.group));
    let mut united: Vec<(United, Vec<Seen>)> = Vec::new();
    for seen in seen {
        match united.last_mut() {
            Some((last, parts)) if last.outage.span().touches(seen.outage.span()) => {
                last.outage.absorb(&seen.outage);
                last.source = last.source.max(seen.source);
                if !last.groups.contains(&seen.group) {
                    last.groups.push(seen.group);
                }
                parts.push(seen);
            }
            _ => united.push((
                United { outage: seen.outage.clone(), source: seen.source, groups: vec![seen.group] },
                vec![seen],
            )),
        }
    }
    united
        .into_iter()
        .map(|(mut united, parts)| {
            settle(&mut united.outage, &parts);
            united
        })
        .collect()
}

/// What a group saw explains an own outage that touches it: once the group is back, nothing speaks for an outage of
/// which the tenant itself never saw the end because it sent nothing more.
fn settle(outage: &mut Outage, parts: &[Seen]) {
    let group_ended_us = |group| {
        let ends = parts.iter().filter(|part| part.source == WindowSource::Group && part.group == group);
        ends.map(|part| part.outage.ended_us).max().flatten()
    };
    let settled = |part: &Seen| match part.source {
        WindowSource::Group => part.outage.ended_us.is_some(),
        WindowSource::Own => {
            part.outage.ended_us.is_some()
                || group_ended_us(part.group).is_some_and(|ended_us| part.outage.last_bad_sent_us <= ended_us)
        }
    };
    if parts.iter().all(settled) {
        outage.ended_us = Some(outage.seen_until_us);
    }
    if parts.iter().any(|part| part.source == WindowSource::Group) {
        outage.unobserved = Spans::default();
    }
}

impl United {
    /// Takes the successes around the outage from `streams`, those of all groups that had a part in it. What an own
    /// outage alone knows stays as it is.
    pub fn narrow<'a>(&mut self, streams: impl Iterator<Item = &'a Judged> + Clone) {
        if self.source == WindowSource::Own {
            return;
        }
        let outage = &mut self.outage;
        let before = streams.clone().filter_map(|stream| stream.success_before_us(outage.span()));
        outage.success_before_us = before.max();
        outage.success_after_us = streams.filter_map(|stream| stream.success_after_us(outage.span())).min();
    }

    /// Takes from the lower bound the time in which the tool itself did not run, or ran late: a bad attempt of that time
    /// may be bad because of the tool. The upper bound stands: it reaches from a success to a success, and the tool's
    /// own lateness can only have put those further apart.
    pub fn widen(&mut self, unseen: &Spans) {
        self.outage.at_least = self.outage.at_least.iter().flat_map(|span| without(span, unseen)).collect();
    }

    /// Leaves out what lies before the measurement begins; `None` when nothing is left. An outage that was there from
    /// the first moment has its upper bound there too.
    pub fn cut_before(mut self, from_us: u64) -> Option<Self> {
        let outage = &mut self.outage;
        if outage.seen_until_us <= from_us {
            return None;
        }
        outage.started_us = outage.started_us.max(from_us);
        outage.at_least.cut_before(from_us);
        outage.success_before_us = Some(outage.success_before_us.unwrap_or(from_us).max(from_us));
        outage.unobserved.cut_before(from_us);
        Some(self)
    }

    /// From the last success before to the first success after; `None` where one of them is missing.
    pub fn at_most(&self) -> Option<Span> {
        self.outage.ended_us?;
        let (from_us, to_us) = self.outage.success_before_us.zip(self.outage.success_after_us)?;
        Some(Span::new(from_us, to_us))
    }

    fn window(&self) -> Window {
        Window {
            started_us: self.outage.started_us,
            ended_us: self.outage.ended_us,
            at_least_us: self.outage.at_least.len_us(),
            at_most_us: self.at_most().map(Span::len_us),
            open: self.outage.ended_us.is_none(),
            source: self.source,
        }
    }
}

fn without(span: Span, unseen: &Spans) -> Vec<Span> {
    let mut left = Vec::new();
    let mut from_us = span.start_us;
    for hole in unseen.touching(span) {
        if hole.start_us > from_us {
            left.push(Span::new(from_us, hole.start_us));
        }
        from_us = from_us.max(hole.end_us);
    }
    if from_us < span.end_us {
        left.push(Span::new(from_us, span.end_us));
    }
    left
}

/// The windows of one class.
pub(super) fn class_findings(outages: &[United], observed: bool) -> ClassFindings {
    ClassFindings {
        downtime: downtime(outages.iter(), observed),
        windows: outages.iter().map(United::window).collect(),
    }
}

/// The length of the union of outages with its bounds; nothing is known when nothing was `observed`.
pub(super) fn downtime<'a>(outages: impl Iterator<Item = &'a United> + Clone, observed: bool) -> Downtime {
    if !observed {
        return Downtime::default();
    }
    let down: Spans = outages.clone().map(|united| united.outage.span()).collect();
    let at_least: Spans = outages.clone().flat_map(|united| united.outage.at_least.iter()).collect();
    let at_most: Option<Spans> = outages.map(United::at_most).collect();
    Downtime {
        downtime_us: Some(down.len_us()),
        longest_us: Some(down.longest_us()),
        at_least_us: Some(at_least.len_us()),
        at_most_us: at_most.map(|at_most| at_most.len_us()),
    }
}
