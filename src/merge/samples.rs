//! The shards' samples as one set, by the base's clock.
//!
//! Takes each shard's parts and writes them on, a row group in memory at a time; what was due when not all shards were
//! there is left out and counted. Must not know what a sample means but for its moments.

use std::sync::Arc;

use super::MergeError;
use super::align::Overlap;
use super::shard::ShardRun;
use crate::facts::{TenantFact, layout};
use crate::record::{Lines, RunDir};
use crate::samples::sample::{Names, Sample, SampleKind};
use crate::samples::{PartWriter, SamplesError, part_path, parts, read_part};
use crate::words::limits::SAMPLES_PER_PART_MAX;

/// Writes the samples of all; gives the requests that were due within the overlap, where every shard knows them, and the
/// requests that were left out.
pub(super) fn write(shards: &[ShardRun], overlap: &Overlap, run: &RunDir) -> Result<(Option<u64>, u64), MergeError> {
    let names = names(shards.first().ok_or(MergeError::Nothing)?)?;
    let mut parts = Parts { run, names: Arc::new(names), part: None, closed: 0 };
    let (mut due, mut left_out) = (Some(0_u64), 0);
    for (shard, &shift_us) in shards.iter().zip(&overlap.shifts_us) {
        let outside = parts.take_over(shard, shift_us, overlap.ends_us)?;
        let within = shard.facts.requests_due.map(|due| due.saturating_sub(outside));
        due = due.zip(within).map(|(all, within)| all + within);
        left_out += outside;
    }
    parts.close()?;
    Ok((due, left_out))
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
    /// Writes on what a shard has; gives the number of its requests that lie outside the overlap.
    fn take_over(&mut self, shard: &ShardRun, shift_us: i64, ends_us: u64) -> Result<u64, MergeError> {
        let mut outside = 0;
        // Reading adds what is unknown behind the known names, and the writer refuses it.
        let mut names = Names::clone(&self.names);
        for path in parts(&shard.dir.join(layout::SAMPLES))? {
            let mut pushed = Ok(());
            read_part(&path, &mut names, |sample| {
                let sample = moved(sample, shift_us);
                if sample.due_us >= ends_us {
                    outside += u64::from(sample.kind == SampleKind::Request);
                } else if pushed.is_ok() {
                    pushed = self.push(sample);
                }
            })?;
            pushed?;
        }
        Ok(outside)
    }

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
