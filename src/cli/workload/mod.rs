//! `workload ...`: looking at workloads and making others of them. One file for each command.

mod info;
mod retag;

use super::Ended;
use super::args::Workload;

/// Carries out a `workload` command.
pub(super) fn carry_out(command: Workload) -> Ended {
    match command {
        Workload::Retag(typed) => retag::carry_out(typed),
        Workload::Info { file, json } => info::carry_out(&file, json),
    }
}
