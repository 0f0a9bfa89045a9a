//! `run`: rehearse, judge, report.
//!
//! Takes what was typed; shows progress on stderr and the result on stdout. This is where the wings meet: the rehearsal
//! leaves a run directory, and the judging wing starts from it alone.

use std::path::{Path, PathBuf};

use super::args;
use super::judge::{Judged, colour, judge};
use super::{Ended, runtime, show};
use crate::facts::layout;
use crate::rehearsal::run::{RehearsalError, Request, rehearse};
use crate::report;
use crate::scenario::{self, Scenario};
use crate::server::install::Installing;
use crate::words::exit::ExitCode;

/// Carries out `run`.
pub(super) fn carry_out(typed: &args::Run) -> Ended {
    let scenario = scenario::load(&typed.scenario, &typed.sets)?;
    let out = typed.out.clone().unwrap_or_else(|| default_out(&scenario));
    let installing = if typed.no_install { Installing::Off } else { Installing::from_environment() };
    let plan = scenario::to_json(&scenario);
    let request = Request { scenario: &scenario, plan, out: out.clone(), keep: typed.keep, installing };
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
    let Judged { report, code } = judge(&rehearsed.run_dir, &[])?;
    report::write_all(&rehearsed.run_dir, &report)?;
    show::result(&report::render(&report, report::Format::Text(colour()))?);
    show::progress(&format!("run directory: {}", out.display()));
    Ok(code)
}

/// `runs/NAME-20260105T100000`, below the current directory.
fn default_out(scenario: &Scenario) -> PathBuf {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = scenario.name.chars().map(safe).collect();
    let now = jiff::Zoned::now().strftime("%Y%m%dT%H%M%S").to_string();
    Path::new("runs").join(format!("{name}-{now}"))
}

/// A run that measured nothing leaves nothing half done: its directory goes unless it holds logs that say why.
fn remove_if_unused(out: &Path) {
    for part in ["samples", "plans", "logs", ""] {
        // Fails on a directory that is not empty, which is what shall stay.
        let _ = std::fs::remove_dir(out.join(part));
    }
}
