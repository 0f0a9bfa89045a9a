//! `merge`: the shards of a rehearsal as one run directory, judged and reported as `run` does.
//!
//! Takes what was typed; shows the result on stdout.

use std::path::PathBuf;

use clap::Args;

use super::judge::{Judged, colour, judge};
use super::{Ended, show};
use crate::{merge, report};

/// Put the run directories of a rehearsal's shards together into one, and judge it
///
/// A shard that is missing or damaged, that replayed another workload, or that started at another moment makes the verdict
/// inconclusive; what is judged is the time that all of them covered.
#[derive(Debug, Args)]
pub struct Merge {
    /// The shards' run directories, in any order
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// The run directory to create
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

/// Carries out `merge`.
pub(super) fn carry_out(typed: &Merge) -> Ended {
    let merged = merge::merge(&typed.dirs, &typed.output)?;
    for damaged in &merged.damaged {
        show::error(damaged);
    }
    let Judged { report, code } = judge(&typed.output, &[])?;
    report::write_all(&typed.output, &report)?;
    show::result(&report::render(&report, report::Format::Text(colour()))?);
    let left_out = merged.facts.left_out;
    if left_out > 0 {
        show::progress(&format!("left out {left_out} requests that were due while not all shards were there"));
    }
    show::progress(&format!("run directory: {}", typed.output.display()));
    Ok(code)
}
