//! `check` and `pg_upgrade` steps.
//!
//! Takes the context and options; runs the target's `pg_upgrade` in a directory of its own with its servers on a private
//! socket directory, and times each phase that it prints. Must not know what comes before or after it.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::scenario::plan::{Cluster as Side, PgUpgradeOptions, TransferMode};
use crate::server::cluster::LocalCluster;
use crate::server::launch::Launched;
use crate::server::registry::Role;
use crate::server::workspace::free_port;
use crate::timeline::StepOutcome;

use super::context::{Running, UpgradeContext};
use super::error::StepError;
use super::failure;
use super::phases::{PhaseEvent, PhaseReader, WARNINGS};
use super::prepare;

/// `pg_upgrade --check`, which may run while the old server does, and what it does not look at.
pub(super) async fn check(
    context: &mut UpgradeContext,
    running: &Running,
    options: &PgUpgradeOptions,
) -> Result<(), StepError> {
    prepare::prepare_in(context).await?;
    prepare::check_releases(context.cluster(Side::Old)?, context.cluster(Side::New)?)?;
    prepare::check_transfer(options.mode, context.cluster(Side::Old)?, context.cluster(Side::New)?)?;
    run(context, running, options, true).await
}

/// `pg_upgrade` itself; the old server must be stopped.
pub(super) async fn upgrade(
    context: &mut UpgradeContext,
    running: &Running,
    options: &PgUpgradeOptions,
) -> Result<(), StepError> {
    prepare::prepare_in(context).await?;
    run(context, running, options, false).await
}

async fn run(
    context: &UpgradeContext,
    running: &Running,
    options: &PgUpgradeOptions,
    check: bool,
) -> Result<(), StepError> {
    let (old, new) = (context.cluster(Side::Old)?, context.cluster(Side::New)?);
    let workspace = context.workspace.as_ref().ok_or(StepError::NotLocal { side: "old" })?;
    // It writes into its working directory up to the last step, so each run has its own.
    let work_dir = workspace.work_dir(&running.file_name())?;
    let socket_dir = workspace.socket_dir("upgrade")?;
    let program = new.spec().installation.program("pg_upgrade");
    let mut command = context.launcher.server_command(&program, &work_dir);
    clusters(&mut command, old, new);
    command.arg("-s").arg(&socket_dir);
    command.args(["-p", &free_port()?.to_string(), "-P", &free_port()?.to_string()]);
    command.args(["-j", &options.jobs.to_string(), transfer_option(options.mode)]).args(&options.options);
    if check {
        command.arg("--check");
    }
    let log = running.log(context);
    let reader = read_phases(context, command, running, &log).await?;
    match reader {
        Ended::Well => Ok(()),
        Ended::Badly(reader) => Err(failure::explain(
            &reader,
            &log,
            &new.spec().data_dir,
            &work_dir,
            &context.logs_dir.join(running.file_name()),
        )),
    }
}

fn clusters(command: &mut Command, old: &LocalCluster, new: &LocalCluster) {
    command.arg("-b").arg(&old.spec().installation.bin_dir).arg("-B").arg(&new.spec().installation.bin_dir);
    command.arg("-d").arg(&old.spec().data_dir).arg("-D").arg(&new.spec().data_dir);
    command.args(["-U", &new.spec().superuser]);
}

fn transfer_option(mode: TransferMode) -> &'static str {
    match mode {
        TransferMode::Copy => "--copy",
        TransferMode::Link => "--link",
        TransferMode::Clone => "--clone",
        TransferMode::CopyFileRange => "--copy-file-range",
        TransferMode::Swap => "--swap",
    }
}

enum Ended {
    Well,
    Badly(PhaseReader),
}

/// Runs the program and makes its phases sub-steps while it prints them.
async fn read_phases(
    context: &UpgradeContext,
    mut command: Command,
    running: &Running,
    log: &Path,
) -> Result<Ended, StepError> {
    let failed_log = |source| StepError::Log { path: log.into(), source };
    let file = File::options().create(true).append(true).open(log).map_err(failed_log)?;
    command.stdout(Stdio::piped()).stderr(file.try_clone().map_err(failed_log)?);
    let mut launched: Launched = context.launcher.spawn(command, Role::Program)?;
    let mut log_writer = tokio::fs::File::from_std(file);
    let mut reader = PhaseReader::default();
    let mut part = None;
    if let Some(mut stdout) = launched.child().stdout.take() {
        let mut piece = vec![0; 8 << 10];
        loop {
            // By piece and not by line: a label comes without a line end, and its time counts from there.
            let count = stdout.read(&mut piece).await.map_err(failed_log)?;
            if count == 0 {
                break;
            }
            for event in reader.push(&piece[..count]) {
                match event {
                    PhaseEvent::Started(label) => part = Some(running.track.start_part(running.number, &label)),
                    PhaseEvent::Ended { result, good } => end_part(running, part.take(), &result, good),
                }
            }
            log_writer.write_all(&piece[..count]).await.map_err(failed_log)?;
        }
    }
    log_writer.flush().await.map_err(failed_log)?;
    Ok(if launched.finished().await?.success() { Ended::Well } else { Ended::Badly(reader) })
}

fn end_part(running: &Running, part: Option<u32>, result: &str, good: bool) {
    let Some(part) = part else { return };
    // A warning is told and does not stop anything.
    let passed = good || WARNINGS.contains(&result);
    let outcome = if passed { StepOutcome::Ok } else { StepOutcome::Failed };
    running.track.end_part(part, outcome, (!good && !result.is_empty()).then(|| result.to_owned()));
}
