//! Carries out the steps of a plan, one after the other.
//!
//! Takes the context and the plan; gives how it went. Each step runs against its deadline and the cancellation; after a
//! failed one the old server is brought back where that is safe. Must not know who watches meanwhile.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use crate::scenario::plan::{Cluster as Side, Plan, Step, StepKind, TransferMode};
use crate::timeline::{Side as Seen, StepOutcome, What};

use super::bring_back::{Restored, bring_back};
use super::context::{Cancelled, Running, UpgradeContext};
use super::error::StepError;
use super::track::Track;
use super::{analyze, command, pg_upgrade, statements};

/// Time to connect for a look at a server's version.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);

/// How the steps went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepsResult {
    /// Of the first step that was not ok, else ok.
    pub outcome: StepOutcome,
    /// The name of that step.
    pub failed_step: Option<String>,
    /// Why, in words; pg_upgrade's own where it has some.
    pub reason: Option<String>,
    /// What became of the old server after it.
    pub restored: Restored,
}

/// What steps leave behind for the decision whether the old server may come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// How files are transferred, once `pg_upgrade` was begun.
    pub mode: Option<TransferMode>,
    /// The new cluster's last checkpoint when `pg_upgrade` was done with it: it moves when a server has run since.
    pub checkpoint_after_upgrade: Option<String>,
}

/// Carries out every step, up to the first that fails, passes its deadline or is cancelled.
pub async fn run_steps(context: &mut UpgradeContext, plan: &Plan) -> StepsResult {
    let track = Track::new(context.recorder.clone());
    let mut progress = Progress::default();
    for step in &plan.steps {
        let number = track.start(&step.name);
        let running = Running { track: track.clone(), number, name: step.name.clone() };
        let (outcome, reason) = run_step(context, step, &running, &mut progress).await;
        track.end(number, outcome, reason.clone());
        if outcome != StepOutcome::Ok {
            let restored = match outcome {
                // Everything ends now: bringing a server up would only delay that.
                StepOutcome::Cancelled => Restored::NotTried,
                _ => bring_back(context, &track, &progress).await,
            };
            return StepsResult { outcome, failed_step: Some(step.name.clone()), reason, restored };
        }
    }
    StepsResult { outcome: StepOutcome::Ok, failed_step: None, reason: None, restored: Restored::NotNeeded }
}

/// Runs one step to its end, its deadline or the cancellation.
async fn run_step(
    context: &mut UpgradeContext,
    step: &Step,
    running: &Running,
    progress: &mut Progress,
) -> (StepOutcome, Option<String>) {
    let mut cancelled = context.cancelled.clone();
    let old_ran = context.cluster(Side::Old).is_ok_and(|cluster| cluster.postmaster().is_some());
    // When the future is dropped, the programs that it started end with it.
    let ended = until_cancelled(timeout(step.deadline, carry_out(context, step, running, progress)), &mut cancelled);
    let (outcome, reason) = match ended.await {
        Ok(Ok(Ok(()))) => return (StepOutcome::Ok, None),
        Ok(Ok(Err(error))) => (StepOutcome::Failed, error.to_string()),
        Ok(Err(_)) => (StepOutcome::TimedOut, format!("not done within {} ms", step.deadline.as_millis())),
        Err(signal) => (StepOutcome::Cancelled, format!("interrupted by {signal}")),
    };
    end_servers_of_pg_upgrade(context, &step.kind, old_ran).await;
    (outcome, Some(reason))
}

/// Waits for `work`, or gives the signal that came first.
pub(super) async fn until_cancelled<T>(
    work: impl Future<Output = T>,
    cancelled: &mut Cancelled,
) -> Result<T, &'static str> {
    let signal = async {
        match cancelled.wait_for(Option::is_some).await {
            Ok(signal) => (*signal).unwrap_or("a signal"),
            // Nobody can cancel any more.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        done = work => Ok(done),
        signal = signal => Err(signal),
    }
}

async fn carry_out(
    context: &mut UpgradeContext,
    step: &Step,
    running: &Running,
    progress: &mut Progress,
) -> Result<(), StepError> {
    match &step.kind {
        StepKind::Command { program, env } => command::run(context, running, program, env).await,
        StepKind::Sql(target) => statements::send(context, target, step.deadline).await,
        StepKind::Wait(wait) => statements::wait(context, wait).await,
        StepKind::Check(options) => pg_upgrade::check(context, running, options).await,
        StepKind::Stop { cluster, mode } => {
            // The outer deadline comes first, so that it is told as the step's.
            Ok(context.cluster_mut(*cluster)?.stop(*mode, step.deadline.saturating_mul(2)).await?)
        }
        StepKind::Start { cluster } => start(context, *cluster, step.deadline).await,
        StepKind::PgUpgrade(options) => {
            progress.mode = Some(options.mode);
            pg_upgrade::upgrade(context, running, options).await?;
            progress.checkpoint_after_upgrade = Some(context.cluster(Side::New)?.control_data().await?.checkpoint);
            Ok(())
        }
        StepKind::Switch { endpoint, cluster } => switch(context, endpoint, *cluster).await,
        StepKind::Analyze { mode, jobs } => analyze::run(context, running, *mode, *jobs).await,
    }
}

async fn start(context: &mut UpgradeContext, side: Side, deadline: Duration) -> Result<(), StepError> {
    let cluster = context.cluster_mut(side)?;
    cluster.start(deadline.saturating_mul(2)).await?;
    if side == Side::New {
        let version = cluster.spec().installation.version.to_string();
        context.recorder.event(What::ServerSeen { side: Seen::After, version });
    }
    Ok(())
}

async fn switch(context: &UpgradeContext, endpoint: &str, side: Side) -> Result<(), StepError> {
    let server = context.server(side)?;
    let endpoint = context.endpoint(endpoint)?;
    endpoint.switch(server.target.clone(), side.name());
    let what = What::EndpointSwitched { endpoint: endpoint.name().to_owned(), server: side.name().to_owned() };
    context.recorder.event(what);
    // Of a server that is not ours only the server itself can say its version, which is not worth failing for.
    if side == Side::New && server.cluster.is_none() {
        let login = endpoint.control_login(endpoint.control_database());
        if let Ok(control) = crate::server::control::connect(&server.target, &login, LOOK_DEADLINE).await {
            if let Ok(row) = control.query_one("SHOW server_version", &[]).await {
                let version = row.get::<_, String>(0).split(' ').next().unwrap_or_default().to_owned();
                context.recorder.event(What::ServerSeen { side: Seen::After, version });
            }
            control.close().await;
        }
    }
    Ok(())
}

/// `pg_upgrade` starts servers of its own, which are no children of it. When it did not come to its end, they may still
/// run. An old server that ran before, as under `--check`, is not one of them.
async fn end_servers_of_pg_upgrade(context: &mut UpgradeContext, kind: &StepKind, old_ran: bool) {
    if !matches!(kind, StepKind::Check(_) | StepKind::PgUpgrade(_)) {
        return;
    }
    if let Ok(cluster) = context.cluster_mut(Side::New) {
        cluster.kill().await;
    }
    if let Ok(cluster) = context.cluster_mut(Side::Old)
        && !old_ran
    {
        cluster.kill().await;
    }
}
