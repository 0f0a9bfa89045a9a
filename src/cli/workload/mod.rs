//! `workload ...`: looking at workloads and making others of them. One file for each command.

mod anonymize;
mod cat;
mod info;
mod merge;
mod peak;
mod repair;
mod retag;
mod selection;
mod slice;

use std::path::Path;

use super::Ended;
use super::args::Workload;
use super::progress::Reading;
use crate::workload::{ReadError, Reader};
pub use anonymize::AnonymizeArgs;
pub use cat::CatArgs;
pub use info::InfoArgs;
pub use merge::MergeArgs;
pub use peak::PeakArgs;
pub use repair::RepairArgs;
pub use slice::SliceArgs;

/// Opens a workload that is read once: a file, whose reading is shown, or standard input where it is called `-`.
fn open_once(file: &Path, reading: &Reading) -> Result<Reader, ReadError> {
    match file == Path::new("-") {
        true => Reader::new(std::io::stdin(), "standard input"),
        false => Reader::open(reading.input(file)),
    }
}

/// Carries out a `workload` command.
pub(super) fn carry_out(command: Workload) -> Ended {
    match command {
        Workload::Cat(typed) => cat::carry_out(typed),
        Workload::Slice(typed) => slice::carry_out(typed),
        Workload::Peak(typed) => peak::carry_out(&typed),
        Workload::Merge(typed) => merge::carry_out(&typed),
        Workload::Repair(typed) => repair::carry_out(&typed),
        Workload::Anonymize(typed) => anonymize::carry_out(typed),
        Workload::Retag(typed) => retag::carry_out(typed),
        Workload::Info(typed) => info::carry_out(&typed),
    }
}
