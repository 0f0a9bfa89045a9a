//! `workload repair`.
//!
//! Takes what was typed; prints what was kept and what was lost. Must not know how damage is found.

use std::path::PathBuf;

use clap::Args;

use super::super::{Ended, show};
use crate::reshape::repair::repair;
use crate::words::exit::ExitCode;
use crate::words::time::format_duration;
use crate::workload::Salvaged;

/// Make a whole workload of what stands in a truncated or damaged one.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The damaged workload; it stays as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

/// Carries out `workload repair`.
pub(super) fn carry_out(typed: &RepairArgs) -> Ended {
    show::result(&text(&repair(&typed.file, &typed.output)?));
    Ok(ExitCode::Passed)
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
