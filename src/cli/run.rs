//! `run`: rehearse, judge, report.
//!
//! Takes what was typed; shows progress on stderr and the result on stdout. This is where the wings meet: the rehearsal
//! leaves a run directory, and the judging wing starts from it alone.

use std::path::{Path, PathBuf};

use super::args;
use super::judge::{Judged, colour, judge};
use super::{Ended, runtime, show};
use crate::facts::layout;
use crate::rehearsal::part::Part;
use crate::rehearsal::run::{RehearsalError, Rehearsed, Request, rehearse};
use crate::report;
use crate::scenario::{self, Scenario};
use crate::server::install::Installing;
use crate::timeline::StepOutcome;
use crate::words::exit::ExitCode;
use crate::words::shard::{Shard, ShardChoice};

/// Carries out `run`.
pub(super) fn carry_out(typed: &args::Run) -> Ended {
    let scenario = scenario::load(&typed.scenario, &typed.sets)?;
    let part = part(typed)?;
    let out = typed.out.clone().unwrap_or_else(|| default_out(&scenario, part.shard));
    let installing = if typed.no_install { Installing::Off } else { Installing::from_environment() };
    let plan = scenario::to_json(&scenario);
    let request = Request { scenario: &scenario, plan, out: out.clone(), keep: typed.keep, installing, part };
    let runtime = runtime()?;
    let rehearsed = runtime.block_on(rehearse(&request, &mut |line| show::progress(line)));
    // After a signal, preparing a large workload may still be under way: nobody waits for it any more.
    runtime.shutdown_background();
    let rehearsed = match rehearsed {
        Ok(rehearsed) => rehearsed,
        Err(RehearsalError::Interrupted(signal)) => {
            remove_if_unused(&out);
            show::progress(&format!("interrupted by {signal} before anything was measured"));
            return Ok(ExitCode::Interrupted);
        }
        Err(RehearsalError::Refused(findings)) => {
            remove_if_unused(&out);
            show::findings(&findings);
            return Ok(ExitCode::Usage);
        }
        Err(error) => {
            remove_if_unused(&out);
            show::error(&error);
            if out.join(layout::RUN).exists() {
                show::progress(&format!(
                    "hint: what was recorded until then can be read with \"pgrehearse report {}\"",
                    out.display()
                ));
            }
            return Ok(ExitCode::Usage);
        }
    };
    if request.part.shard.is_one_of_several() {
        return Ok(one_of_several(&rehearsed, request.part.shard, &out));
    }
    let Judged { report, code } = judge(&rehearsed.run_dir, &[])?;
    report::write_all(&rehearsed.run_dir, &report)?;
    show::result(&report::render(&report, report::Format::Text(colour()))?);
    show::progress(&format!("run directory: {}", out.display()));
    Ok(code)
}

/// The part of the rehearsal that was asked for.
fn part(typed: &args::Run) -> Result<Part, String> {
    let shard = match typed.shard {
        None => Shard::WHOLE,
        Some(ShardChoice::Given(shard)) => shard,
        Some(ShardChoice::Auto) => Shard::from_environment(|name| std::env::var(name).ok())?,
    };
    Ok(Part { shard, start_at: typed.start_at, phase_file: typed.phase_file.clone() })
}

/// A shard's directory holds a part of the traffic, which allows no verdict: the exit code says whether it was measured.
fn one_of_several(rehearsed: &Rehearsed, shard: Shard, out: &Path) -> ExitCode {
    show::progress(&format!("shard {shard} is in {}; \"pgrehearse merge\" makes one run of all", out.display()));
    let conducted = &rehearsed.conducted;
    let step_failed = conducted.steps.as_ref().is_some_and(|steps| steps.outcome != StepOutcome::Ok);
    let held = [
        (conducted.interrupted.is_some(), ExitCode::Interrupted),
        (step_failed, ExitCode::StepFailed),
        (!conducted.complete, ExitCode::Inconclusive),
    ];
    ExitCode::first(held.into_iter().filter_map(|(holds, code)| holds.then_some(code)))
}

/// `runs/NAME-20260105T100000`, below the current directory; shards have their number behind it.
fn default_out(scenario: &Scenario, shard: Shard) -> PathBuf {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = scenario.name.chars().map(safe).collect();
    let now = jiff::Zoned::now().strftime("%Y%m%dT%H%M%S").to_string();
    let shard = if shard.is_one_of_several() { format!("-shard-{}", shard.index()) } else { String::new() };
    Path::new("runs").join(format!("{name}-{now}{shard}"))
}

/// A run that measured nothing leaves nothing half done: its directory goes unless it holds logs that say why.
fn remove_if_unused(out: &Path) {
    for part in ["samples", "plans", "logs", ""] {
        // Fails on a directory that is not empty, which is what shall stay.
        let _ = std::fs::remove_dir(out.join(part));
    }
}
