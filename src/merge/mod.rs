//! Floor 3: the run directories of a rehearsal's shards put together into an ordinary one.
//!
//! The driver's directory is the base: its clock, phases, steps, probes and ledger. The others' samples are moved to its
//! clock by the start that all agreed on, and what lies outside the time that all of them cover is left out. What makes the
//! whole doubtful is noted in `run.json`, for the judging wing. Must not judge.

mod align;
mod samples;
mod shard;
mod timeline;

use std::path::{Path, PathBuf};

use crate::facts::{MergedFacts, RunFacts, layout};
use crate::record::{ReadError, RunDir, RunDirError};
use crate::samples::SamplesError;
use align::Overlap;
use shard::ShardRun;

/// Why shards could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// A shard's samples, which are its own trouble.
    #[error("the samples of shard {index} cannot be read")]
    Shard { index: u32, source: SamplesError },
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    #[error("could not copy \"{}\"", path.display())]
    Copy { path: PathBuf, source: std::io::Error },
    #[error(
        "\"{}\" is no shard's run directory\n\
         hint: Shards are made by run --shard INDEX/COUNT --start-at TIME.",
        .0.display()
    )]
    NoShard(PathBuf),
    #[error("\"{}\" is one of {theirs} shards, \"{}\" one of {ours}", other.display(), dir.display())]
    OtherCount { dir: PathBuf, ours: u32, other: PathBuf, theirs: u32 },
    #[error("\"{}\" and \"{}\" are both shard {index}", first.display(), second.display())]
    Twice { index: u32, first: PathBuf, second: PathBuf },
    #[error("there is nothing to merge")]
    Nothing,
}

/// What came of a merge.
#[derive(Debug)]
pub struct Merged {
    /// What `run.json` says of it.
    pub facts: MergedFacts,
    /// Why shards could not be read, which are missing therefore.
    pub damaged: Vec<MergeError>,
}

/// Puts the shards' run directories together into the new directory `out`.
///
/// # Errors
/// A directory that is no shard's, shards of different divisions, the same shard twice, a driver's directory that is damaged,
/// or files that cannot be written. Another shard that is missing, damaged, of another workload or of another start is no
/// error but a reason not to trust the run.
pub fn merge(dirs: &[PathBuf], out: &Path) -> Result<Merged, MergeError> {
    let mut damaged = Vec::new();
    let mut shards = Vec::new();
    for dir in dirs {
        match ShardRun::open(dir) {
            Ok(shard) => shards.push(shard),
            Err(error) if is_damage(&error) => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    shards.sort_by_key(|shard| shard.index);
    check(&shards)?;
    // Without the driver there is nothing that the rest could be a part of.
    if shards.first().is_none_or(|first| first.index > 0) && !damaged.is_empty() {
        return Err(damaged.swap_remove(0));
    }
    let of = shards.first().ok_or(MergeError::Nothing)?.of;
    let (mut alike, unlike): (Vec<ShardRun>, Vec<ShardRun>) = {
        let base = shards[0].facts.clone();
        shards.into_iter().partition(|shard| shard.is_like(&base))
    };
    let unlike: Vec<u32> = unlike.iter().map(|shard| shard.index).collect();
    loop {
        match attempt(&alike, &unlike, of, out) {
            // Damage that only reading all of the samples shows. What was written of that shard goes with the rest.
            Err(MergeError::Shard { index, source }) if alike.first().is_some_and(|base| base.index != index) => {
                alike.retain(|shard| shard.index != index);
                damaged.push(MergeError::Shard { index, source });
            }
            outcome => return outcome.map(|facts| Merged { facts, damaged }),
        }
    }
}

/// Whether a shard's directory was once whole, so that the others can still be judged.
fn is_damage(error: &MergeError) -> bool {
    matches!(error, MergeError::Read(ReadError::Line { .. } | ReadError::Io { .. }))
}

/// Merges these shards; leaves nothing behind if that fails.
fn attempt(alike: &[ShardRun], unlike: &[u32], of: u32, out: &Path) -> Result<MergedFacts, MergeError> {
    let overlap = Overlap::of(alike)?;
    let merged = MergedFacts {
        shards: of,
        present: alike.iter().map(|shard| shard.index).collect(),
        unlike: unlike.to_vec(),
        apart_us: align::apart_us(alike.iter().map(ShardRun::start)),
        left_out: 0,
    };
    let run = RunDir::create(out)?;
    let filled = fill(&run, alike, &overlap, merged);
    if filled.is_err() {
        // Half of a run directory would be taken for a whole one.
        let _ = std::fs::remove_dir_all(run.path());
    }
    filled
}

/// Writes the whole directory; gives what is known of it in the end.
fn fill(run: &RunDir, shards: &[ShardRun], overlap: &Overlap, so_far: MergedFacts) -> Result<MergedFacts, MergeError> {
    let base = shards.first().ok_or(MergeError::Nothing)?;
    copy_whole(&base.dir, run)?;
    timeline::write(shards, overlap, run)?;
    let (requests_due, left_out) = samples::write(shards, overlap, run)?;
    let merged = MergedFacts { left_out, ..so_far };
    let (shard, clusters_dir) = (None, None);
    let facts = RunFacts { shard, merged: Some(merged.clone()), requests_due, clusters_dir, ..base.facts.clone() };
    run.write_facts(&facts)?;
    Ok(merged)
}

/// Refuses what are not the shards of one division, each once.
fn check(shards: &[ShardRun]) -> Result<(), MergeError> {
    for pair in shards.windows(2) {
        let [first, second] = pair else { continue };
        let (dir, other) = (first.dir.clone(), second.dir.clone());
        if first.of != second.of {
            return Err(MergeError::OtherCount { dir, ours: first.of, other, theirs: second.of });
        }
        if first.index == second.index {
            return Err(MergeError::Twice { index: first.index, first: dir, second: other });
        }
    }
    Ok(())
}

/// Takes over what only the base has, or all have alike: tenants, statements, the ledger, plans and logs.
fn copy_whole(base: &Path, run: &RunDir) -> Result<(), MergeError> {
    for name in [layout::TENANTS, layout::STATEMENTS, layout::LEDGER] {
        copy(&base.join(name), &run.path().join(name))?;
    }
    for part in [layout::PLANS, layout::LOGS] {
        let Ok(entries) = std::fs::read_dir(base.join(part)) else { continue };
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            copy(&entry.path(), &run.path().join(part).join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies a file, of which there may be none.
fn copy(from: &Path, to: &Path) -> Result<(), MergeError> {
    match std::fs::copy(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(MergeError::Copy { path: from.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
