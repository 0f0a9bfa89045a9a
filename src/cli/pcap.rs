//! `capture pcap`: network captures into a workload.
//!
//! Takes what was typed; shows what was captured and what was skipped on stdout. Must not know any file format.

use super::args;
use super::{Ended, show};
use crate::capture::pcap::{PcapOptions, capture};
use crate::words::exit::ExitCode;

/// Carries out `capture pcap`.
pub(super) fn carry_out(typed: args::CapturePcap) -> Ended {
    let (tenant_rules, tenants) = typed.tenants.read()?;
    let args::CapturePcap { files: inputs, output, ports, .. } = typed;
    let report = capture(&PcapOptions { inputs, output, ports, tenant_rules, tenants })?;
    show::result(&report.to_string());
    Ok(ExitCode::Passed)
}
