//! `workload info`.
//!
//! Takes what was typed; prints what a workload holds. Must not know how it is counted.

use std::path::Path;

use super::super::{Ended, show};
use crate::words::exit::ExitCode;
use crate::workload::{Reader, summarize};

/// Carries out `workload info`.
pub(super) fn carry_out(file: &Path, json: bool) -> Ended {
    let info = summarize(Reader::open(file)?)?;
    show::result(&if json { serde_json::to_string_pretty(&info)? + "\n" } else { info.to_text() });
    Ok(ExitCode::Passed)
}
