//! `capture pcap`: network captures into a workload.
//!
//! Takes what was typed; shows how far it is where stderr is a terminal, and what was captured and what was skipped on
//! stdout. Must not know any file format.

use super::args;
use super::progress::{bar, show_capture};
use super::{Ended, show};
use crate::capture::pcap::{PcapOptions, capture};
use crate::words::exit::ExitCode;

/// Carries out `capture pcap`.
pub(super) fn carry_out(typed: args::CapturePcap) -> Ended {
    let (tenant_rules, tenants) = typed.tenants.read()?;
    let args::CapturePcap { files: inputs, output, ports, .. } = typed;
    let bar = bar();
    let report = capture(&PcapOptions { inputs, output, ports, tenant_rules, tenants }, |progress| {
        show_capture(&bar, progress);
    });
    bar.finish_and_clear();
    show::result(&report?.to_string());
    Ok(ExitCode::Passed)
}
