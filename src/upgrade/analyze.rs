//! An `analyze` step: statistics for every database, with `vacuumdb` of the server that clients reach.
//!
//! Takes the mode; each pass that vacuumdb announces becomes a sub-step. Must not know how statistics were lost.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::scenario::plan::AnalyzeMode;
use crate::server::log::log_tail;
use crate::server::registry::Role;
use crate::timeline::StepOutcome;
use crate::words::ids::PgMajor;

use super::context::{Running, UpgradeContext};
use super::error::StepError;

/// Runs the passes of the mode one after the other.
pub(super) async fn run(
    context: &UpgradeContext,
    running: &Running,
    mode: AnalyzeMode,
    jobs: u32,
) -> Result<(), StepError> {
    let major = context.cluster(context.serving())?.spec().installation.version.major;
    for options in passes(mode, major) {
        vacuumdb(context, running, options, jobs).await?;
    }
    Ok(())
}

/// The options of each call. Since 18, `pg_upgrade` carries most statistics over and advises these two calls itself.
fn passes(mode: AnalyzeMode, major: PgMajor) -> &'static [&'static [&'static str]] {
    match mode {
        AnalyzeMode::None => &[],
        AnalyzeMode::Full => &[&["--analyze-only"]],
        AnalyzeMode::InStages if major >= PgMajor(18) => {
            &[&["--analyze-in-stages", "--missing-stats-only"], &["--analyze-only"]]
        }
        AnalyzeMode::InStages => &[&["--analyze-in-stages"]],
    }
}

async fn vacuumdb(context: &UpgradeContext, running: &Running, options: &[&str], jobs: u32) -> Result<(), StepError> {
    let cluster = context.cluster(context.serving())?;
    let spec = cluster.spec();
    let log = running.log(context);
    let failed_log = |source| StepError::Log { path: log.clone(), source };
    let file = std::fs::File::options().create(true).append(true).open(&log).map_err(failed_log)?;
    let from = file.metadata().map_err(failed_log)?.len();
    let mut command = cluster.command("vacuumdb");
    command.args(["--all", "--no-password"]).args(options).arg(format!("--jobs={jobs}"));
    command.arg("-h").arg(&spec.socket_dir).args(["-p", &spec.port.to_string(), "-U", &spec.superuser]);
    command.stdout(Stdio::piped()).stderr(file.try_clone().map_err(failed_log)?);
    let mut launched = context.launcher.spawn(command, Role::Program)?;
    let mut log_writer = tokio::fs::File::from_std(file);
    let mut part: Option<(String, u32)> = None;
    if let Some(stdout) = launched.child().stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(failed_log)? {
            log_writer.write_all(format!("{line}\n").as_bytes()).await.map_err(failed_log)?;
            let stage = stage(&line).unwrap_or(options[0].trim_start_matches('-'));
            if part.as_ref().is_none_or(|(name, _)| name != stage) {
                if let Some((_, open)) = part.take() {
                    running.track.end_part(open, StepOutcome::Ok, None);
                }
                part = Some((stage.to_owned(), running.track.start_part(running.number, stage)));
            }
        }
    }
    log_writer.flush().await.map_err(failed_log)?;
    let status = launched.finished().await?;
    if !status.success() {
        let tail = log_tail(&log, from);
        return Err(StepError::Program { program: "vacuumdb".to_owned(), status: status.to_string(), tail });
    }
    if let Some((_, open)) = part {
        running.track.end_part(open, StepOutcome::Ok, None);
    }
    Ok(())
}

/// The stage that a line of `--analyze-in-stages` announces:
/// `vacuumdb: processing database "shop": Generating minimal optimizer statistics (1 target)`.
fn stage(line: &str) -> Option<&str> {
    // The database's name may hold anything, the stage's text no quote.
    line.strip_prefix("vacuumdb: processing database ")?.rsplit_once("\": ").map(|(_, stage)| stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_named_as_vacuumdb_names_it() {
        let line = "vacuumdb: processing database \"a\": b\": Generating default (full) optimizer statistics";
        assert_eq!(stage(line), Some("Generating default (full) optimizer statistics"));
        assert_eq!(stage("vacuumdb: vacuuming database \"a\""), None);
    }

    #[test]
    fn stages_are_only_for_what_is_missing_since_18() {
        assert_eq!(passes(AnalyzeMode::InStages, PgMajor(17)).len(), 1);
        assert!(passes(AnalyzeMode::InStages, PgMajor(18))[0].contains(&"--missing-stats-only"));
        assert!(passes(AnalyzeMode::None, PgMajor(18)).is_empty());
    }
}
