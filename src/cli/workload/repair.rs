//! `workload repair`.
//!
//! Takes what was typed; prints what was kept and what was lost. Must not know how damage is found.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::super::{Ended, show};
use crate::capture::proxy::{Decoded, JournalOptions, decode, is_journal};
use crate::reshape::repair::repair;
use crate::tenant::Rules;
use crate::words::exit::ExitCode;
use crate::words::time::format_duration;
use crate::workload::Salvaged;

/// Make a whole workload of what stands in a truncated or damaged one, or in the journal of a killed proxy. Of a journal,
/// databases are the tenants; retag finds others
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The damaged workload, or the journal (OUT.journal); it stays as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

/// Carries out `workload repair`.
pub(super) fn carry_out(typed: &RepairArgs) -> Ended {
    let text = match is_journal(&typed.file)? {
        true => journal_text(&repair_journal(&typed.file, &typed.output)?),
        false => text(&repair(&typed.file, &typed.output)?),
    };
    show::result(&text);
    Ok(ExitCode::Passed)
}

/// Tenants are taken from databases; `workload retag` finds them anew.
fn repair_journal(journal: &Path, output: &Path) -> Result<Decoded, Box<dyn Error>> {
    let tenant_rules = Rules::parse(["database"])?;
    let (journal, output) = (journal.to_owned(), output.to_owned());
    Ok(decode(&JournalOptions { journal, output, tenant_rules, tenants: None }, 0, &AtomicBool::new(false))?)
}

fn journal_text(decoded: &Decoded) -> String {
    let mut text = decoded.report.to_string();
    if decoded.torn_bytes > 0 {
        text.push_str(&format!(
            "note: the last {} bytes at the end of the journal are no whole batch and were left out\n",
            decoded.torn_bytes
        ));
    }
    text
}

fn text(salvaged: &Salvaged) -> String {
    let end = &salvaged.end;
    let span = format_duration(std::time::Duration::from_millis(end.span_us / 1_000));
    let mut text = format!("kept {} requests of {} sessions, {span} long\n", end.requests, end.sessions);
    if salvaged.was_whole {
        text.push_str("nothing was wrong with the workload\n");
    }
    if !salvaged.had_end {
        text.push_str("its end was lost: what followed is not known\n");
    }
    if let Some(at) = salvaged.first_frame_lost_at {
        let frames = salvaged.frames_lost;
        text.push_str(&format!("lost {frames} compressed parts with all their lines, the first at byte {at}\n"));
    }
    for (reason, (count, first)) in &salvaged.lines_lost {
        text.push_str(&format!("lost {count} lines, the first is line {first}: {reason}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_with_its_place() {
        let salvaged = Salvaged {
            frames_lost: 1,
            first_frame_lost_at: Some(512),
            lines_lost: [("damaged", (2, 9))].into(),
            ..Salvaged::default()
        };
        insta::assert_snapshot!(text(&salvaged), @r"
        kept 0 requests of 0 sessions, 0s long
        its end was lost: what followed is not known
        lost 1 compressed parts with all their lines, the first at byte 512
        lost 2 lines, the first is line 9: damaged
        ");
    }
}
