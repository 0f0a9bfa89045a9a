//! `capture log`: server logs into a workload.
//!
//! Takes what was typed; shows how far it is where stderr is a terminal, and what was captured and what was skipped on
//! stdout. Must not know any log format.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args;
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
    let report = capture(&options, |progress| {
        if progress.total_bytes > 0 {
            bar.set_length(progress.total_bytes);
        }
        bar.set_position(progress.read_bytes);
        bar.set_message(format!("{} requests", progress.requests));
    });
    bar.finish_and_clear();
    show::result(&report?.to_string());
    Ok(ExitCode::Passed)
}

/// A bar on stderr; indicatif hides it where that is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{bytes}/{total_bytes} {bar:30} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
