//! `workload slice`.
//!
//! Takes what was typed; prints what was cut. Must not know how a session is made to begin in its middle.

use std::path::PathBuf;

use clap::Args;

use super::super::progress::Reading;
use super::super::{Ended, show};
use super::selection::SelectionArgs;
use crate::reshape::slice::{Selection, SliceReport, slice};
use crate::words::exit::ExitCode;
use crate::words::time::format_duration;

/// Cut out a window of time, tenants, databases or sessions, so that the part replays by itself.
///
/// Sessions that were there before the window open at its start with the settings and prepared statements that they carried
/// in. A transaction belongs to the window that its BEGIN lies in: its rest is kept behind the window's end, and what is left
/// of an older one is left out. Disjoint windows so share no request and lose none.
#[derive(Debug, Args)]
pub struct SliceArgs {
    /// The workload
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Only this share of all sessions, such as 0.1: the same ones each time, and all of them in a larger share
    #[arg(long, value_name = "SHARE", value_parser = share)]
    sample: Option<f64>,
    /// Another number chooses other sessions
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "sample")]
    seed: u64,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "a share is a number above 0 and up to 1, such as 0.1".to_owned())
}

/// Carries out `workload slice`.
pub(super) fn carry_out(typed: SliceArgs) -> Ended {
    let SelectionArgs { from, to, tenants, databases, sessions } = typed.selection;
    let selection =
        Selection { from, to, tenants, databases, sessions, sample: typed.sample.map(|share| (share, typed.seed)) };
    // Which sessions hold a tenant's requests is found out first.
    let reading = Reading::of(&[&typed.file], if selection.tenants.is_empty() { 1 } else { 2 });
    let report = slice(reading.input(&typed.file), &typed.output, &selection)?;
    drop(reading);
    show::result(&text(&report));
    Ok(ExitCode::Passed)
}

/// What was cut, in lines.
pub(super) fn text(report: &SliceReport) -> String {
    let end = &report.end;
    let span = std::time::Duration::from_millis(end.span_us / 1_000);
    let mut text = format!(
        "{} requests of {} sessions and {} tenants, {} long\n",
        end.requests,
        end.sessions,
        end.tenants,
        format_duration(span)
    );
    for (count, what) in [
        (report.sessions_carried_in, "sessions were there before and begin with what they carried in"),
        (report.requests_of_older_transactions, "requests left out at the start: their transaction began before it"),
        (report.requests_behind_end, "requests kept behind the end: their transaction began before it"),
        (report.session_changes_kept, "requests kept only for what they change of their session"),
    ] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    text
}
