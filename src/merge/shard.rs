//! One shard's run directory: which shard it is, and when it covered its part of the traffic.
//!
//! Takes a directory, gives its facts. Must not know the other shards but for the base that it is compared with.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::MergeError;
use super::align::ShardStart;
use crate::facts::{Rules, RunFacts, layout};
use crate::record::{Lines, ReadError, read_facts};
use crate::timeline::{self, Phase, TimelineEvent, What};

/// A shard's run.
#[derive(Clone, Debug)]
pub(super) struct ShardRun {
    pub dir: PathBuf,
    pub facts: RunFacts,
    pub index: u32,
    pub of: u32,
    pub course: ShardCourse,
    start: ShardStart,
}

/// What a shard's timeline says of it as a whole; moments by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ShardCourse {
    pub after_ended_us: Option<u64>,
    /// What its last line says; none when it is missing.
    pub complete: Option<bool>,
    pub last_event_us: u64,
    /// When its part of the workload came to its end, and how many requests it had.
    pub workload_ended: Option<(u64, u64)>,
    /// Requests that a read-only replay left out of its part.
    pub writes_left_out: Option<u64>,
    /// Ids that the server generates, in its part: mapped, unfilled and unsure.
    pub ids: Option<[u64; 3]>,
}

impl ShardCourse {
    /// Takes the next event.
    pub fn event(&mut self, event: &TimelineEvent) {
        self.last_event_us = self.last_event_us.max(event.at_us);
        match event.what {
            What::PhaseEnded { phase: Phase::After } => self.after_ended_us = Some(event.at_us),
            What::RunEnded { complete } => self.complete = Some(complete),
            What::WritesLeftOut { requests } => self.writes_left_out = Some(requests),
            What::IdsMapped { mapped, unfilled, unsure } => self.ids = Some([mapped, unfilled, unsure]),
            What::WorkloadEnded { offered } => self.workload_ended = Some((event.at_us, offered)),
            _ => {}
        }
    }

    /// The moment up to which it covered its part; none when it did so to the end. The base covers what it conducted, a
    /// follower that came to an orderly end had no more to offer.
    pub fn covered_until_us(&self, is_base: bool) -> Option<u64> {
        match (is_base, self.complete) {
            (true, _) => Some(self.after_ended_us.unwrap_or(self.last_event_us)),
            (false, Some(true)) => None,
            (false, _) => Some(self.last_event_us),
        }
    }
}

impl ShardRun {
    /// Reads what is known of the shard as a whole.
    pub fn open(dir: &Path) -> Result<Self, MergeError> {
        let facts = read_facts(dir)?;
        let no_shard = || MergeError::NoShard(dir.to_owned());
        let shard = facts.shard.ok_or_else(no_shard)?;
        let start = facts.start.as_ref().ok_or_else(no_shard)?;
        let start = ShardStart {
            at_us: start.at.parse::<Timestamp>().map_err(|_| no_shard())?.as_microsecond(),
            workload_us: start.workload_us,
            round_trip_us: start.clock_round_trip_us,
        };
        let mut course = ShardCourse::default();
        for event in events(dir)? {
            course.event(&event?);
        }
        Ok(Self { dir: dir.to_owned(), index: shard.index, of: shard.of, course, start, facts })
    }

    /// When it started.
    pub fn start(&self) -> ShardStart {
        self.start
    }

    /// Whether it replayed the same workload by the same rules, so that its samples say the same things by the same names.
    pub fn is_like(&self, base: &RunFacts) -> bool {
        // Only the driver probes, and objectives are judged by the base's.
        let rules = |facts: &RunFacts| Rules { probe_interval_us: None, objectives: Vec::new(), ..facts.rules.clone() };
        // Where the workload's file lies may differ by machine.
        let plan = |facts: &RunFacts| {
            let mut parts = ["workload", "load", "clients", "phases"].map(|part| facts.plan.get(part).cloned());
            if let Some(serde_json::Value::Object(workload)) = &mut parts[0] {
                workload.remove("file");
            }
            parts
        };
        let names = |facts: &RunFacts| (facts.databases.clone(), facts.endpoints.clone());
        self.facts.workload_sha256 == base.workload_sha256
            && names(&self.facts) == names(base)
            && rules(&self.facts) == rules(base)
            && plan(&self.facts) == plan(base)
    }
}

/// The events of a shard's timeline.
pub(super) fn events(dir: &Path) -> Result<impl Iterator<Item = Result<TimelineEvent, ReadError>>, ReadError> {
    let path = dir.join(layout::TIMELINE);
    let events = Lines::<TimelineEvent>::open(&path)?;
    Ok(events.map(move |event| match event? {
        TimelineEvent { what: What::RunStarted { version }, .. } if version != timeline::VERSION => {
            Err(ReadError::Version { path: path.clone(), found: version, known: timeline::VERSION })
        }
        event => Ok(event),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(events: Vec<(u64, What)>) -> ShardCourse {
        let mut course = ShardCourse::default();
        events.into_iter().for_each(|(at_us, what)| course.event(&TimelineEvent { at_us, what }));
        course
    }

    #[test]
    fn a_follower_covers_its_part_to_the_end_unless_it_was_cut_off() {
        let in_flight = || What::InFlight { tenants: Vec::new() };
        let ended = |complete| vec![(5, in_flight()), (9, What::RunEnded { complete })];
        assert_eq!(course(ended(true)).covered_until_us(false), None);
        assert_eq!(course(ended(false)).covered_until_us(false), Some(9));
        assert_eq!(course(vec![(5, in_flight())]).covered_until_us(false), Some(5));
    }

    #[test]
    fn the_base_covers_what_it_conducted() {
        let after = What::PhaseEnded { phase: Phase::After };
        let conducted = course(vec![(7, after), (30, What::RunEnded { complete: true })]);
        assert_eq!(conducted.covered_until_us(true), Some(7));
        assert_eq!(course(vec![(30, What::RunEnded { complete: false })]).covered_until_us(true), Some(30));
    }
}
