//! `workload info`.
//!
//! Takes what was typed; prints what a workload holds. Must not know how it is counted.

use super::args::Workload;
use super::{Ended, show};
use crate::words::exit::ExitCode;
use crate::workload::{Reader, summarize};

/// Carries out a `workload` command.
pub(super) fn carry_out(command: Workload) -> Ended {
    let Workload::Info { file, json } = command;
    let info = summarize(Reader::open(&file)?)?;
    show::result(&if json { serde_json::to_string_pretty(&info)? + "\n" } else { info.to_text() });
    Ok(ExitCode::Passed)
}
