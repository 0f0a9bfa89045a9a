//! After a failed step: the old server is brought back, where that is safe.
//!
//! Takes what the steps left behind; gives what became of the old server, or why it must not come back. Must not know
//! why the step failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::scenario::plan::{Cluster as Side, TransferMode};
use crate::server::postmaster::PidFile;
use crate::timeline::{StepOutcome, What};

use super::context::UpgradeContext;
use super::run::{Progress, until_cancelled};
use super::track::Track;

/// Time for the old server to start; it may have to recover from a crash.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// The step's name in the timeline.
const STEP: &str = "bring back the old server";

/// What became of the old server after a failed step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It was never stopped, or no step failed, or it is not ours.
    NotNeeded,
    /// The run was interrupted: everything ends.
    NotTried,
    /// It runs again and the endpoints lead to it.
    BroughtBack,
    /// It stays down; `why` in words.
    Unsafe { why: String },
    /// It would have been safe, and failed.
    Failed { why: String },
}

/// Brings the old server back after a failed step, if it is down and may come up again.
pub(super) async fn bring_back(context: &mut UpgradeContext, track: &Track, progress: &Progress) -> Restored {
    let Ok(old) = context.cluster(Side::Old) else { return Restored::NotNeeded };
    if let Some(postmaster) = old.postmaster() {
        // A step may have frozen it and failed before it went on.
        for process in postmaster.descendants().into_iter().chain([postmaster]) {
            process.signal(Signal::CONT);
        }
        if PidFile::read(&old.spec().data_dir).is_some_and(|file| file.ready) {
            return Restored::NotNeeded;
        }
    }
    let step = track.start(STEP);
    let mut cancelled = context.cancelled.clone();
    let restored = match until_cancelled(restore(context, progress), &mut cancelled).await {
        Ok(restored) => restored,
        Err(_) => Restored::NotTried,
    };
    let (outcome, detail) = match &restored {
        Restored::Unsafe { why } | Restored::Failed { why } => (StepOutcome::Failed, Some(why.clone())),
        Restored::NotTried => (StepOutcome::Cancelled, None),
        Restored::NotNeeded | Restored::BroughtBack => (StepOutcome::Ok, None),
    };
    track.end(step, outcome, detail);
    restored
}

async fn restore(context: &mut UpgradeContext, progress: &Progress) -> Restored {
    match obstacle(context, progress).await {
        Some(why) => Restored::Unsafe { why },
        None => match restart(context).await {
            Ok(()) => Restored::BroughtBack,
            Err(why) => Restored::Failed { why },
        },
    }
}

/// Why the old server must not start again, if it must not.
async fn obstacle(context: &UpgradeContext, progress: &Progress) -> Option<String> {
    let old = context.cluster(Side::Old).ok()?;
    let shares_files = matches!(progress.mode, Some(TransferMode::Link | TransferMode::Swap));
    let transfer_began = disabled_control(&old.spec().data_dir).exists();
    if progress.mode == Some(TransferMode::Swap) && transfer_began {
        return Some("its files were moved away by pg_upgrade --swap: only a backup brings it back".to_owned());
    }
    if !new_has_run(context, progress).await {
        return None;
    }
    if context.serving() == Side::New {
        return Some("the new server has been opened to clients, whose writes the old one does not have".to_owned());
    }
    let why = "the new server has started on files that both share (pg_upgrade --link)";
    shares_files.then(|| why.to_owned())
}

/// Whether a server has run on the new cluster since `pg_upgrade` was done with it. The control file proves it, whoever
/// started the server: each run ends or begins with a checkpoint of its own.
async fn new_has_run(context: &UpgradeContext, progress: &Progress) -> bool {
    let Ok(new) = context.cluster(Side::New) else { return false };
    let Some(then) = &progress.checkpoint_after_upgrade else { return false };
    if new.postmaster().is_some() {
        return true;
    }
    // What cannot be read proves nothing, and then the careful answer is yes.
    new.control_data().await.map_or(true, |now| now.checkpoint != *then || !now.shut_down())
}

async fn restart(context: &mut UpgradeContext) -> Result<(), String> {
    if let Ok(new) = context.cluster_mut(Side::New) {
        new.kill().await;
    }
    let old = context.cluster_mut(Side::Old).map_err(|error| error.to_string())?;
    // One that is still shutting down is not waited for any longer.
    old.kill().await;
    let data_dir = old.spec().data_dir.clone();
    let disabled = disabled_control(&data_dir);
    if disabled.exists() {
        fs::rename(&disabled, data_dir.join("global/pg_control"))
            .map_err(|error| format!("could not rename \"{}\" back: {error}", disabled.display()))?;
    }
    old.start(START_DEADLINE).await.map_err(|error| error.to_string())?;
    for endpoint in context.endpoints.iter().filter(|endpoint| &*endpoint.current().server == Side::New.name()) {
        endpoint.switch(context.old.target.clone(), Side::Old.name());
        let what = What::EndpointSwitched { endpoint: endpoint.name().to_owned(), server: Side::Old.name().to_owned() };
        context.recorder.event(what);
    }
    Ok(())
}

/// The name that `pg_upgrade` gives the old control file when it begins to link or to swap, so that the old server
/// cannot start by mistake.
fn disabled_control(data_dir: &Path) -> PathBuf {
    data_dir.join("global/pg_control.old")
}
