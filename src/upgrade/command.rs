//! A `command` step: any program, run as ourselves.
//!
//! Takes the program with its environment; its output goes to the step's log. Must not know what the program does.

use std::collections::BTreeMap;
use std::path::Path;

use crate::server::log::log_tail;
use crate::server::registry::Role;

use super::context::{Running, UpgradeContext};
use super::error::StepError;

/// Runs the program to its end. When the future is dropped, the program ends with its children.
pub(super) async fn run(
    context: &UpgradeContext,
    running: &Running,
    program: &[String],
    env: &BTreeMap<String, String>,
) -> Result<(), StepError> {
    let (name, arguments) = program.split_first().map_or(("", program), |(name, rest)| (name.as_str(), rest));
    let log = running.log(context);
    let mut command = context.launcher.command(Path::new(name), &context.command_dir);
    command.args(arguments);
    command.env("PGREHEARSE_RUN_DIR", &context.run_dir).env("PGREHEARSE_ENDPOINT", context.primary()?.dsn());
    // Of the server that clients reach at this moment.
    if let Ok(cluster) = context.cluster(context.serving())
        && let Some(pid) = cluster.postmaster_pid()
    {
        command.env("PGREHEARSE_SERVER_PID", pid.to_string());
    }
    command.envs(env);
    let mut launched = context.launcher.spawn_logged(command, Role::Program, &log)?;
    let status = launched.finished().await?;
    if status.success() {
        return Ok(());
    }
    Err(StepError::Program { program: name.to_owned(), status: status.to_string(), tail: log_tail(&log, 0) })
}
