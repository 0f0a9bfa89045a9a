//! `workload merge`.
//!
//! Takes what was typed; prints what was made. Must not know how workloads become one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::progress::Reading;
use super::super::{Ended, show};
use crate::reshape::merge::{Align, merge};
use crate::words::exit::ExitCode;
use crate::words::time::format_duration;

/// Make one workload of several: captures of several servers or shards, or of one hour after another.
///
/// Sessions get new numbers; tenants of the same name become one.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The workloads
    #[arg(required = true, num_args = 1.., value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// What is put on one another
    #[arg(long, value_enum, default_value_t = AlignBy::Time)]
    align: AlignBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AlignBy {
    /// Every event at the time when it was captured
    Time,
    /// All workloads begin at once
    Start,
}

/// Carries out `workload merge`.
pub(super) fn carry_out(typed: &MergeArgs) -> Ended {
    let align = match typed.align {
        AlignBy::Time => Align::Time,
        AlignBy::Start => Align::Start,
    };
    let reading = Reading::of(&typed.files, 1);
    let end = merge(typed.files.iter().map(|file| reading.input(file)), &typed.output, align)?;
    drop(reading);
    let span = format_duration(std::time::Duration::from_millis(end.span_us / 1_000));
    let (requests, sessions, tenants) = (end.requests, end.sessions, end.tenants);
    show::result(&format!("{requests} requests of {sessions} sessions and {tenants} tenants, {span} long\n"));
    Ok(ExitCode::Passed)
}
