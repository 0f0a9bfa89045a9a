//! `capture log`: server logs into a workload.
//!
//! Takes what was typed; shows how far it is where stderr is a terminal, and what was captured and what was skipped on
//! stdout. Must not know any log format.

use super::args;
use super::progress::{bar, show_capture};
use super::{Ended, show};
use crate::capture::log::{CaptureOptions, LinePrefix, LogFormat, capture};
use crate::words::exit::ExitCode;

/// Carries out `capture log`.
pub(super) fn carry_out(typed: args::CaptureLog) -> Ended {
    let (tenant_rules, tenants) = typed.tenants.read()?;
    let format = match typed.format {
        args::LogFormat::Auto => LogFormat::Auto,
        args::LogFormat::Csv => LogFormat::Csv,
        args::LogFormat::Json => LogFormat::Json,
        args::LogFormat::Stderr => LogFormat::Stderr,
        args::LogFormat::Syslog => LogFormat::Syslog,
    };
    let prefix = typed.prefix.as_deref().map(LinePrefix::parse).transpose()?;
    let options = CaptureOptions { inputs: typed.files, output: typed.output, format, prefix, tenant_rules, tenants };
    let bar = bar();
    let report = capture(&options, |progress| show_capture(&bar, progress));
    bar.finish_and_clear();
    show::result(&report?.to_string());
    Ok(ExitCode::Passed)
}
