//! The phases, one after the other: what is measured happens in here.
//!
//! Takes the steps' context and the lengths of the phases; gives how it went. Replay and probes run beside it. Must not
//! know how staging came about, nor what the samples say.

use std::time::Duration;

use tokio::time::Instant;

use super::answers::{await_groups, server_version};
use super::facts::us;
use super::plans;
use super::signals::{Cancelled, wait};
use crate::facts::StatementFact;
use crate::record::RunDir;
use crate::scenario::Scenario;
use crate::timeline::{Phase, Side, StepOutcome, What};
use crate::upgrade::{Restored, StepsResult, UpgradeContext, run_steps};
use crate::words::ids::PgMajor;

/// After a failed step: how long the old server may take until every fate group answers.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// After a failed step, once every fate group answers: how long watching goes on, so that the end of the downtime is
/// seen by requests and probes.
const WATCH_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How the phases went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conducted {
    /// Every phase was seen to its end.
    pub complete: bool,
    /// The signal that ended it early.
    pub interrupted: Option<&'static str>,
    /// None when the run was interrupted before the upgrade.
    pub steps: Option<StepsResult>,
    /// Databases that did not answer after a failed step.
    pub silent: Vec<String>,
}

/// What the conductor needs beside the steps' context.
pub struct Score<'a> {
    pub scenario: &'a Scenario,
    pub databases: &'a [String],
    pub statements: &'a [StatementFact],
    pub run_dir: &'a RunDir,
    /// The old server's major, for its plans.
    pub major: PgMajor,
    /// The microsecond of the run at which the workload's first moment lies: sessions connect before it.
    pub starts_us: u64,
    pub cancelled: Cancelled,
}

/// Conducts warmup, before, upgrade and after. `say` gets a line for each phase and step.
pub async fn conduct(
    score: &mut Score<'_>,
    context: &mut UpgradeContext,
    say: &mut (dyn FnMut(&str) + Send),
) -> Conducted {
    let phases = score.scenario.phases;
    let recorder = context.recorder.clone();
    let mut conducted = Conducted { complete: false, interrupted: None, steps: None, silent: Vec::new() };

    if let Some(signal) = warm_up(score, context, say).await {
        return interrupted(conducted, context, signal);
    }
    say(&format!("before: {} s of baseline", phases.before.as_secs_f64()));
    if let Some(signal) = until(Instant::now() + phases.before, &mut score.cancelled).await {
        return interrupted(conducted, context, signal);
    }
    recorder.event(What::PhaseEnded { phase: Phase::Before });

    let plan = &score.scenario.upgrade.plan;
    recorder.event(What::PhaseStarted { phase: Phase::Upgrade });
    say(&format!("upgrade: {}", step_names(plan)));
    let steps = run_steps(context, plan).await;
    let outcome = steps.outcome;
    let patience = match steps.restored {
        // Nobody brings it up any more: a short look says what is still there.
        Restored::Unsafe { .. } | Restored::Failed { .. } => WATCH_AFTER_FAILURE,
        _ => ANSWER_DEADLINE,
    };
    conducted.steps = Some(steps);
    if outcome == StepOutcome::Cancelled {
        let signal = score.cancelled.borrow().unwrap_or("a signal");
        return interrupted(conducted, context, signal);
    }
    recorder.event(What::PhaseEnded { phase: Phase::Upgrade });

    recorder.event(What::PhaseStarted { phase: Phase::After });
    let watched = if outcome == StepOutcome::Ok {
        say(&format!("after: {} s", phases.after.as_secs_f64()));
        phases.after
    } else {
        say("a step failed: waiting until every database answers");
        let answering = await_groups(&context.endpoints[0], score.databases, patience);
        tokio::select! {
            silent = answering => conducted.silent = silent,
            signal = wait(&mut score.cancelled) => return interrupted(conducted, context, signal),
        }
        if !conducted.silent.is_empty() {
            say(&format!("no answer within {} s: {}", ANSWER_DEADLINE.as_secs(), conducted.silent.join(", ")));
        }
        WATCH_AFTER_FAILURE.min(phases.after)
    };
    if let Some(signal) = until(Instant::now() + watched, &mut score.cancelled).await {
        return interrupted(conducted, context, signal);
    }
    recorder.event(What::PhaseEnded { phase: Phase::After });
    conducted.complete = outcome == StepOutcome::Ok;
    conducted
}

/// Conducts warmup up to the beginning of `before`, or gives the signal that ended it.
async fn warm_up(
    score: &mut Score<'_>,
    context: &UpgradeContext,
    say: &mut (dyn FnMut(&str) + Send),
) -> Option<&'static str> {
    let recorder = &context.recorder;
    let warmup = score.scenario.phases.warmup;
    recorder.event(What::PhaseStarted { phase: Phase::Warmup });
    say(&format!("warmup: {} s", warmup.as_secs_f64()));
    let mut cancelled = score.cancelled.clone();
    tokio::select! {
        () = explain(score, context, Side::Before) => {}
        signal = wait(&mut cancelled) => return Some(signal),
    }
    // By the schedule and not by the timer, which is some milliseconds late: what falls due meanwhile is no warmup. Only
    // plans that took longer move it.
    let warm_us = (score.starts_us + us(warmup)).max(recorder.clock().now_us());
    let ends = Instant::from_std(recorder.clock().to_instant(warm_us));
    if let Some(signal) = until(ends, &mut score.cancelled).await {
        return Some(signal);
    }
    recorder.event_at(warm_us, What::PhaseEnded { phase: Phase::Warmup });
    recorder.event_at(warm_us, What::PhaseStarted { phase: Phase::Before });
    None
}

/// Takes the plans of one side; what cannot be had is left out, since no rehearsal should fail for it.
pub async fn explain(score: &Score<'_>, context: &UpgradeContext, side: Side) {
    let endpoint = &context.endpoints[0];
    let major = match side {
        Side::Before => score.major,
        Side::After => server_version(endpoint).await.map_or(score.major, |version| version.major),
    };
    let _ = plans::explain(endpoint, major, score.databases, score.statements, side, score.run_dir).await;
}

/// Waits until a moment, or gives the signal that came first.
async fn until(moment: Instant, cancelled: &mut Cancelled) -> Option<&'static str> {
    tokio::select! {
        () = tokio::time::sleep_until(moment) => None,
        signal = wait(cancelled) => Some(signal),
    }
}

fn interrupted(conducted: Conducted, context: &UpgradeContext, signal: &'static str) -> Conducted {
    context.recorder.event(What::Interrupted { signal: signal.to_owned() });
    Conducted { interrupted: Some(signal), ..conducted }
}

fn step_names(plan: &crate::scenario::plan::Plan) -> String {
    if plan.steps.is_empty() {
        return "nothing, the workload is only replayed".to_owned();
    }
    plan.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ")
}
