//! `check`: validate a scenario and print the resolved plan, without starting anything.
//!
//! Takes what was typed; prints the plan to stdout and what is to be said against it to stderr.

use super::args;
use super::{Ended, runtime, show};
use crate::rehearsal::begin::{Expected, expected, findings, refuse, spool};
use crate::scenario;
use crate::server::account::Account;
use crate::server::cache::Cache;
use crate::server::install::Installing;
use crate::words::exit::ExitCode;

/// Carries out `check`.
pub(super) fn carry_out(typed: &args::Check) -> Ended {
    let scenario = scenario::load(&typed.scenario, &typed.sets)?;
    show::result(&if typed.json {
        serde_json::to_string_pretty(&scenario::to_json(&scenario))? + "\n"
    } else {
        scenario::render_text(&scenario)
    });
    let cache = Cache::locate()?;
    let installing = if typed.no_install { Installing::Off } else { Installing::from_environment() };
    let Expected { versions, lacking } = expected(&scenario, &cache, &Account::for_servers()?, installing);
    let workload = runtime()?.block_on(spool(&scenario, &cache));
    lacking.iter().for_each(|error| show::error(error));
    workload.as_ref().err().into_iter().for_each(|error| show::error(error));
    let said = findings(&scenario, workload.as_ref().ok(), versions);
    show::findings(&said);
    let refused = !lacking.is_empty() || workload.is_err() || refuse(&said);
    Ok(if refused { ExitCode::Usage } else { ExitCode::Passed })
}
