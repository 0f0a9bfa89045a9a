//! `check`: validate a scenario and print the resolved plan, without starting anything.
//!
//! Takes what was typed; prints the plan to stdout and what is to be said against it to stderr.

use super::args;
use super::{Ended, runtime, show};
use crate::rehearsal::begin::{expected_versions, findings, refuse, spool};
use crate::scenario;
use crate::server::account::Account;
use crate::server::cache::Cache;
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
    let versions = expected_versions(&scenario, &cache, &Account::for_servers()?);
    // What cannot be read of the workload is an error of its own, after what can be said without it.
    let workload = runtime()?.block_on(spool(&scenario, &cache));
    let said = findings(&scenario, workload.as_ref().ok(), versions);
    said.iter().for_each(|finding| show::progress(&finding.to_string()));
    workload?;
    Ok(if refuse(&said) { ExitCode::Usage } else { ExitCode::Passed })
}
