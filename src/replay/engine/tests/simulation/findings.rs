//! What does not hold in a simulation, and the tries of each session that the checks go through.

use std::collections::BTreeMap;

use super::plan::Plan;
use super::timing::TICK_US;
use super::trial::{Due, Trial, Who};
use crate::samples::sample::{Sample, SampleKind};

/// What was found to be wrong.
#[derive(Debug, Default)]
pub(super) struct Findings(pub Vec<String>);

impl Findings {
    /// Notes what is wrong unless `holds`.
    pub fn ensure(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

/// A try of a request, or the request given up, with what it should have been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try<'t> {
    pub due: &'t Due,
    pub sample: &'t Sample,
    /// No other follows.
    pub is_last: bool,
}

/// What the tries of a request have in common.
type Key = (Who, u64, u64);

fn key(sample: &Sample) -> Key {
    ((sample.session, sample.copy), sample.event, sample.due_us)
}

/// A simulation with its tries, each request's together.
pub(super) struct Played<'t> {
    pub plan: &'t Plan,
    pub trial: &'t Trial,
    pub tries: BTreeMap<Who, Vec<Try<'t>>>,
}

impl<'t> Played<'t> {
    /// Matches each session's samples with what it was to send: each request once, in order, and the tries before its last.
    pub fn new(plan: &'t Plan, trial: &'t Trial, findings: &mut Findings) -> Self {
        let requests = trial.samples.iter().filter(|sample| sample.kind == SampleKind::Request);
        let mut tried: BTreeMap<Key, Vec<&Sample>> = BTreeMap::new();
        for sample in trial.samples.iter().filter(|sample| sample.kind == SampleKind::Retried) {
            tried.entry(key(sample)).or_default().push(sample);
        }
        let mut tries: BTreeMap<Who, Vec<Try<'t>>> = trial.due.keys().map(|who| (*who, Vec::new())).collect();
        let mut stands_at: BTreeMap<Who, usize> = BTreeMap::new();
        for sample in requests {
            let who = (sample.session, sample.copy);
            let at = stands_at.entry(who).or_default();
            let due = trial.due.get(&who).and_then(|due| due.get(*at));
            let (Some(due), Some(tries)) = (due.filter(|due| due.facts.event == sample.event), tries.get_mut(&who))
            else {
                findings.0.push(format!("out of turn, {due:?} being next: {sample:?}"));
                continue;
            };
            *at += 1;
            let before = tried.remove(&key(sample)).into_iter().flatten();
            tries.extend(before.map(|sample| Try { due, sample, is_last: false }));
            tries.push(Try { due, sample, is_last: true });
        }
        tried.values().for_each(|tried| findings.0.push(format!("tries without a last one: {tried:?}")));
        Self { plan, trial, tries }
    }

    /// All tries of all sessions.
    pub fn each(&self) -> impl Iterator<Item = &Try<'t>> {
        self.tries.values().flatten()
    }

    /// The moment at which the run was stopped before its end, to the clock's millisecond.
    pub fn stopped_us(&self) -> Option<u64> {
        self.plan.stops_us.filter(|_| self.trial.ended == Some(false)).map(|at_us| at_us.next_multiple_of(TICK_US))
    }

    /// How long a client waits for the answer before it counts as late.
    pub fn deadline_us(&self, due: &Due) -> u64 {
        (self.plan.clients.deadline.as_micros() as u64).max(3 * due.facts.captured.total_us)
    }
}
