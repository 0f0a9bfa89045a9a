//! The shards' timelines as one: the base's story, and what every tool saw of itself.
//!
//! Takes the events of all in the order of time and gives one file, holding one event of each shard at a time. Must not
//! know samples.

use std::iter::Peekable;

use super::MergeError;
use super::align::Overlap;
use super::shard::{ShardRun, events};
use crate::facts::layout;
use crate::record::{ReadError, RunDir};
use crate::timeline::{TimelineEvent, VERSION, What};

/// Writes `timeline.jsonl`. Shards stand in the order of the overlap's shifts; the first is the base.
pub(super) fn write(shards: &[ShardRun], overlap: &Overlap, run: &RunDir) -> Result<(), MergeError> {
    let mut streams = Vec::new();
    for (shard, &shift_us) in shards.iter().zip(&overlap.shifts_us) {
        let moved = move |event: Result<TimelineEvent, ReadError>| event.map(|event| moved(event, shift_us));
        streams.push(events(&shard.dir)?.map(moved).peekable());
    }
    let mut united = United { overlap, busiest: None, kept: Vec::new(), last_us: overlap.ends_us };
    let mut failure = None;
    run.write_whole(layout::TIMELINE, |file| {
        let mut put = |event: &TimelineEvent| -> std::io::Result<()> {
            serde_json::to_writer(&mut *file, event)?;
            std::io::Write::write_all(file, b"\n")
        };
        put(&TimelineEvent { at_us: 0, what: What::RunStarted { version: VERSION } })?;
        while let Some((at, event)) = next(&mut streams) {
            match event {
                Ok(event) => united.take(at == 0, event),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            united.kept.drain(..).try_for_each(|event| put(&event))?;
        }
        united.end(shards);
        united.kept.drain(..).try_for_each(|event| put(&event))
    })?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The earliest of the streams' next events, with the stream's number.
fn next<S>(streams: &mut [Peekable<S>]) -> Option<(usize, Result<TimelineEvent, ReadError>)>
where
    S: Iterator<Item = Result<TimelineEvent, ReadError>>,
{
    // A line that cannot be read comes at once.
    let moment = |stream: &mut Peekable<S>| stream.peek().map(|event| event.as_ref().map_or(0, |event| event.at_us));
    let heads = streams.iter_mut().enumerate().filter_map(|(at, stream)| Some((moment(stream)?, at)));
    let (_, at) = heads.min()?;
    streams[at].next().map(|event| (at, event))
}

/// An event by the base's clock.
fn moved(event: TimelineEvent, shift_us: i64) -> TimelineEvent {
    let moment = |us: u64| us.saturating_add_signed(shift_us);
    let what = match event.what {
        What::GeneratorBlind { started_us, ended_us } => {
            What::GeneratorBlind { started_us: moment(started_us), ended_us: moment(ended_us) }
        }
        What::InFlight { tenants } => What::InFlight {
            tenants: tenants.into_iter().map(|(tenant, since_us)| (tenant, moment(since_us))).collect(),
        },
        what => what,
    };
    TimelineEvent { at_us: moment(event.at_us), what }
}

/// When all parts of the workload had come to their ends, and how many requests they had in all.
fn workload_ended(shards: &[ShardRun], overlap: &Overlap) -> Option<(u64, u64)> {
    let ended = shards.iter().zip(&overlap.shifts_us).map(|(shard, shift_us)| {
        let (at_us, offered) = shard.course.workload_ended?;
        Some((at_us.saturating_add_signed(*shift_us), offered))
    });
    ended.collect::<Option<Vec<_>>>()?.into_iter().reduce(|all, one| (all.0.max(one.0), all.1 + one.1))
}

/// The one timeline as it grows.
struct United<'a> {
    overlap: &'a Overlap,
    /// Of the second that is under way: the tool that was busiest in it.
    busiest: Option<TimelineEvent>,
    kept: Vec<TimelineEvent>,
    last_us: u64,
}

impl United<'_> {
    /// Takes the next event by time, of the base or of another shard.
    fn take(&mut self, is_base: bool, event: TimelineEvent) {
        let goes_on = event.at_us <= self.overlap.ends_us;
        self.last_us = self.last_us.max(event.at_us);
        match &event.what {
            // One of each, written here.
            What::RunStarted { .. }
            | What::RunEnded { .. }
            | What::WorkloadEnded { .. }
            | What::WritesLeftOut { .. }
            | What::IdsMapped { .. } => {}
            What::GeneratorCpu { .. } => self.compare_cpu(event),
            // A phase that not all saw to its end was not seen to its end.
            What::PhaseStarted { .. } | What::PhaseEnded { .. } if !goes_on => {}
            What::InFlight { .. }
            | What::ClockStepped { .. }
            | What::GeneratorBlind { .. }
            | What::SettingsLost { .. }
            | What::AnswerDiffered { .. } => self.kept.push(event),
            _ if is_base => self.kept.push(event),
            _ => {}
        }
    }

    /// The tools' CPU use becomes that of the busiest in each second: that another was idle makes up for nothing.
    fn compare_cpu(&mut self, event: TimelineEvent) {
        let second = |event: &TimelineEvent| event.at_us / 1_000_000;
        let Some(busiest) = self.busiest.take_if(|busiest| second(busiest) == second(&event)) else {
            self.kept.extend(self.busiest.replace(event));
            return;
        };
        self.busiest = Some(busier(busiest, event));
    }

    /// Ends the timeline with what is told once, of all shards together.
    fn end(&mut self, shards: &[ShardRun]) {
        self.kept.extend(self.busiest.take());
        let left_out = shards.iter().filter_map(|shard| shard.course.writes_left_out).reduce(|all, one| all + one);
        if let Some(requests) = left_out {
            self.kept.push(TimelineEvent { at_us: self.last_us, what: What::WritesLeftOut { requests } });
        }
        let sum = |all: [u64; 3], one: [u64; 3]| std::array::from_fn(|at| all[at] + one[at]);
        if let Some([mapped, unfilled, unsure]) = shards.iter().filter_map(|shard| shard.course.ids).reduce(sum) {
            let what = What::IdsMapped { mapped, unfilled, unsure };
            self.kept.push(TimelineEvent { at_us: self.last_us, what });
        }
        if let Some((at_us, offered)) = workload_ended(shards, self.overlap) {
            self.kept.push(TimelineEvent { at_us, what: What::WorkloadEnded { offered } });
        }
        let complete = self.overlap.is_complete;
        self.kept.push(TimelineEvent { at_us: self.last_us, what: What::RunEnded { complete } });
    }
}

/// Of two tools in the same second the busier one, with the later heartbeat of the two.
fn busier(one: TimelineEvent, other: TimelineEvent) -> TimelineEvent {
    let seen = |event: &TimelineEvent| match event.what {
        What::GeneratorCpu { used_millicores, allowed_millicores, heartbeat_late_us } => {
            (f64::from(used_millicores) / f64::from(allowed_millicores.max(1)), heartbeat_late_us)
        }
        _ => (0.0, 0),
    };
    let late_us = seen(&one).1.max(seen(&other).1);
    let mut busiest = if seen(&one).0 >= seen(&other).0 { one } else { other };
    if let What::GeneratorCpu { heartbeat_late_us, .. } = &mut busiest.what {
        *heartbeat_late_us = late_us;
    }
    busiest
}
