//! `workload info`.
//!
//! Takes what was typed; prints what a workload holds. Must not know how it is counted.

use std::path::PathBuf;

use clap::Args;

use super::super::progress::Reading;
use super::super::{Ended, show};
use super::open_once;
use crate::words::exit::ExitCode;
use crate::workload::{Shown, summarize};

/// Sessions, statements, tenants, rate, classes and what was skipped.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The workload; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show all tenants, however many
    #[arg(long)]
    tenants: bool,
    /// Show each minute
    #[arg(long)]
    minutes: bool,
    /// Show the statements that took most time when they were captured, values apart
    #[arg(long, value_name = "NUMBER")]
    top: Option<usize>,
    /// Print JSON, which has all tenants, minutes and statements (with --top, only as many)
    #[arg(long)]
    json: bool,
}

/// Carries out `workload info`.
pub(super) fn carry_out(typed: &InfoArgs) -> Ended {
    let reading = Reading::of(&[&typed.file], 1);
    let mut info = summarize(open_once(&typed.file, &reading)?)?;
    drop(reading);
    let text = if typed.json {
        info.top_statements.truncate(typed.top.unwrap_or(usize::MAX));
        serde_json::to_string_pretty(&info)? + "\n"
    } else {
        info.to_text(Shown { all_tenants: typed.tenants, minutes: typed.minutes, top: typed.top.unwrap_or(0) })
    };
    show::result(&text);
    Ok(ExitCode::Passed)
}
