//! The shards' samples as one set, by the base's clock.
//!
//! Takes each shard's parts and writes them on, a row group of each in memory at a time; what was due when not all shards
//! were there is left out and counted. Must not know what a sample means but for its moments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::MergeError;
use super::align::Overlap;
use super::shard::ShardRun;
use crate::facts::{TenantFact, layout};
use crate::record::{Lines, RunDir};
use crate::samples::sample::{Names, Sample, SampleKind};
use crate::samples::{PartWriter, SamplesError, StoredSamples, part_path};
use crate::words::limits::SAMPLES_PER_PART_MAX;

/// Writes the samples of all by the moments at which they were done, as one run would have, since what is judged while it
/// is read rests on this. Gives the requests that were due within the overlap, where every shard knows them, and the
/// requests that were left out.
pub(super) fn write(shards: &[ShardRun], overlap: &Overlap, run: &RunDir) -> Result<(Option<u64>, u64), MergeError> {
    let names = names(shards.first().ok_or(MergeError::Nothing)?)?;
    // Reading adds what is unknown behind the known names, and the writer refuses it.
    let mut read_names = vec![names.clone(); shards.len()];
    let mut streams = Vec::with_capacity(shards.len());
    for ((shard, &shift_us), names) in shards.iter().zip(&overlap.shifts_us).zip(&mut read_names) {
        let damaged = |source| MergeError::Shard { index: shard.index, source };
        let stored = StoredSamples::open(&shard.dir.join(layout::SAMPLES), names).map_err(damaged)?;
        streams.push(Stream { index: shard.index, stored, shift_us, outside: 0 });
    }
    let mut parts = Parts { run, names: Arc::new(names), part: None, closed: 0 };
    let mut heads: BinaryHeap<_> = (0..).zip(&streams).filter_map(|(at, stream)| stream.head(at)).collect();
    while let Some(Reverse((_, at))) = heads.pop() {
        let Some(stream) = streams.get_mut(at) else { continue };
        if let Some(sample) = stream.take(overlap.ends_us)? {
            parts.push(sample)?;
        }
        heads.extend(stream.head(at));
    }
    parts.close()?;
    let within =
        |(shard, stream): (&ShardRun, &Stream<'_>)| Some(shard.facts.requests_due?.saturating_sub(stream.outside));
    let due = shards.iter().zip(&streams).map(within).sum();
    Ok((due, streams.iter().map(|stream| stream.outside).sum()))
}

/// What a shard has still to give, by the base's clock.
struct Stream<'a> {
    index: u32,
    stored: StoredSamples<'a>,
    shift_us: i64,
    /// Requests that were due after the overlap.
    outside: u64,
}

impl Stream<'_> {
    /// When the next sample was done, with the number of the shard.
    fn head(&self, at: usize) -> Option<Reverse<(u64, usize)>> {
        Some(Reverse((self.stored.head()?.done_us.saturating_add_signed(self.shift_us), at)))
    }

    /// The next sample, unless it was due after the overlap.
    fn take(&mut self, ends_us: u64) -> Result<Option<Sample>, MergeError> {
        let damaged = |source| MergeError::Shard { index: self.index, source };
        let Some(sample) = self.stored.take().map_err(damaged)? else { return Ok(None) };
        let sample = moved(sample, self.shift_us);
        if sample.due_us < ends_us {
            return Ok(Some(sample));
        }
        self.outside += u64::from(sample.kind == SampleKind::Request);
        Ok(None)
    }
}

fn names(base: &ShardRun) -> Result<Names, MergeError> {
    let tenants = Lines::<TenantFact>::open(&base.dir.join(layout::TENANTS))?;
    let tenants = tenants.map(|fact| fact.map(|fact| fact.tenant)).collect::<Result<_, _>>()?;
    Ok(Names { tenants, databases: base.facts.databases.clone(), endpoints: base.facts.endpoints.clone() })
}

/// The parts that are written, one open at a time.
struct Parts<'a> {
    run: &'a RunDir,
    names: Arc<Names>,
    part: Option<PartWriter>,
    closed: u32,
}

impl Parts<'_> {
    fn push(&mut self, sample: Sample) -> Result<(), SamplesError> {
        if self.part.as_ref().is_some_and(|part| part.samples() >= SAMPLES_PER_PART_MAX) {
            self.close()?;
        }
        let part = match self.part.take() {
            Some(part) => part,
            None => {
                let path = part_path(&self.run.path().join(layout::SAMPLES), self.closed);
                PartWriter::create(&path, Arc::clone(&self.names))?
            }
        };
        self.part.insert(part).push(sample)
    }

    fn close(&mut self) -> Result<(), SamplesError> {
        self.closed += 1;
        self.part.take().map_or(Ok(()), PartWriter::close)
    }
}

/// A sample by the base's clock.
fn moved(sample: Sample, shift_us: i64) -> Sample {
    let moment = |us: u64| us.saturating_add_signed(shift_us);
    Sample {
        due_us: moment(sample.due_us),
        ready_us: sample.ready_us.map(moment),
        sent_us: sample.sent_us.map(moment),
        first_us: sample.first_us.map(moment),
        done_us: moment(sample.done_us),
        ..sample
    }
}
