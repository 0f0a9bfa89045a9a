//! The course of the run: phases, steps, server versions, and what the tool saw of itself.
//!
//! Takes timeline events in order, gives the steps as a tree and the phase of any moment. Must not know samples.

use super::findings::{IdsMapped, OrderKept, PhaseSpan, Step};
use super::spans::{Span, Spans};
use crate::timeline::{Phase, Side, StepOutcome, TimelineEvent, What};

/// The share of the allowed CPU time above which a second counts as saturated.
const SATURATED_SHARE: f64 = 0.9;

/// What the timeline has said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    pub phases: Vec<PhaseSpan>,
    pub server_before: Option<String>,
    pub server_after: Option<String>,
    /// Time in which the tool itself did not run.
    pub blind: Spans,
    /// The longest run of seconds in which the tool used nearly all CPU time that it may use.
    pub saturated_seconds: u64,
    /// The largest share of the allowed CPU time that the tool used in a second.
    pub cpu_share_max: Option<f64>,
    /// How late the latest heartbeat came.
    pub heartbeat_late_us_max: Option<u64>,
    /// The largest step of the wall clock, back if negative; 0 without one.
    pub clock_step_us: i64,
    /// When the workload came to its end.
    pub workload_ended_us: Option<u64>,
    /// How the order of commits was kept, where it was to be.
    pub order: Option<OrderKept>,
    /// Requests that a read-only replay left out.
    pub writes_left_out: Option<u64>,
    /// Settings and the like of sessions that new connections did not take.
    pub settings_lost: u64,
    /// What became of ids that the server generates.
    pub ids: Option<IdsMapped>,
    /// Why a ledger could not be read back to its end.
    pub read_back_failed: Option<String>,
    /// Why the other shards were not told everything.
    pub phases_untold: Option<String>,
    pub interrupted: Option<String>,
    /// What the run's last line says; `None` when it is missing.
    pub complete: Option<bool>,
    pub last_event_us: u64,
    steps: Vec<NumberedStep>,
    saturated_now: u64,
}

#[derive(Clone, Debug)]
struct NumberedStep {
    number: u32,
    parent: Option<u32>,
    step: Step,
}

impl Course {
    /// Takes the next event.
    pub fn event(&mut self, event: &TimelineEvent) {
        let at_us = event.at_us;
        self.last_event_us = self.last_event_us.max(at_us);
        match &event.what {
            What::PhaseStarted { phase } => {
                self.phases.push(PhaseSpan { phase: *phase, started_us: at_us, ended_us: None });
            }
            What::PhaseEnded { phase } => {
                if let Some(span) = self.phases.iter_mut().rev().find(|span| span.phase == *phase) {
                    span.ended_us = Some(at_us);
                }
            }
            What::StepStarted { step, parent, name } => self.start_step(at_us, *step, *parent, name),
            What::StepEnded { step, outcome, detail } => self.end_step(at_us, *step, *outcome, detail.as_deref()),
            What::ServerSeen { side: Side::Before, version } => self.server_before = Some(version.clone()),
            What::ServerSeen { side: Side::After, version } => self.server_after = Some(version.clone()),
            What::GeneratorCpu { used_millicores, allowed_millicores, heartbeat_late_us } => {
                let share = f64::from(*used_millicores) / f64::from(*allowed_millicores).max(1.0);
                self.saturated_now = if share > SATURATED_SHARE { self.saturated_now + 1 } else { 0 };
                self.saturated_seconds = self.saturated_seconds.max(self.saturated_now);
                self.cpu_share_max = self.cpu_share_max.map(|max| max.max(share)).or(Some(share));
                self.heartbeat_late_us_max = self.heartbeat_late_us_max.max(Some(*heartbeat_late_us));
            }
            What::ClockStepped { by_us } if by_us.unsigned_abs() > self.clock_step_us.unsigned_abs() => {
                self.clock_step_us = *by_us;
            }
            What::GeneratorBlind { started_us, ended_us } => self.blind.add(Span::new(*started_us, *ended_us)),
            What::WorkloadEnded { .. } => self.workload_ended_us = Some(at_us),
            What::OrderKept { waits, broken } => self.order = Some(OrderKept { waits: *waits, broken: *broken }),
            What::WritesLeftOut { requests } => self.writes_left_out = Some(*requests),
            What::SettingsLost { settings } => self.settings_lost += settings,
            What::IdsMapped { mapped, unfilled, unsure } => {
                self.ids = Some(IdsMapped { mapped: *mapped, unfilled: *unfilled, unsure: *unsure });
            }
            What::ReadBackFailed { database, reason } => {
                let text = format!("the ledger of database {database} could not be read back: {reason}");
                self.read_back_failed.get_or_insert(text);
            }
            What::PhasesUntold { reason } => self.phases_untold = Some(reason.clone()),
            What::Interrupted { signal } => self.interrupted = Some(signal.clone()),
            What::RunEnded { complete } => self.complete = Some(*complete),
            What::RunStarted { .. }
            | What::DriverAlive
            | What::EndpointSwitched { .. }
            | What::InFlight { .. }
            | What::ClockStepped { .. }
            | What::AnswerDiffered { .. } => (),
        }
    }

    fn start_step(&mut self, started_us: u64, number: u32, parent: Option<u32>, name: &str) {
        let name = name.to_owned();
        let step = Step { name, started_us, ended_us: None, outcome: None, detail: None, steps: Vec::new() };
        self.steps.push(NumberedStep { number, parent, step });
    }

    fn end_step(&mut self, ended_us: u64, number: u32, outcome: StepOutcome, detail: Option<&str>) {
        if let Some(numbered) = self.steps.iter_mut().rev().find(|numbered| numbered.number == number) {
            numbered.step.ended_us = Some(ended_us);
            numbered.step.outcome = Some(outcome);
            numbered.step.detail = detail.map(str::to_owned);
        }
    }

    /// The steps in the order in which they began, each with its sub-steps.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.iter().filter(|step| step.parent.is_none()).map(|step| self.with_substeps(step)).collect()
    }

    fn with_substeps(&self, numbered: &NumberedStep) -> Step {
        // A parent began before its sub-steps and so has a smaller number: there is no way round in a circle.
        let below = |other: &&NumberedStep| other.parent == Some(numbered.number) && other.number > numbered.number;
        let steps = self.steps.iter().filter(below).map(|below| self.with_substeps(below)).collect();
        Step { steps, ..numbered.step.clone() }
    }

    /// Whether any step began.
    pub fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The phase of a moment: the last that began by then. What lies before the first is warmup.
    pub fn phase_at(&self, at_us: u64) -> Phase {
        self.phases.iter().rev().find(|span| span.started_us <= at_us).map_or(Phase::Warmup, |span| span.phase)
    }

    /// The span of a phase, as far as it was seen.
    pub fn span(&self, phase: Phase) -> Option<PhaseSpan> {
        self.phases.iter().rev().find(|span| span.phase == phase).copied()
    }

    /// When the measurement began: with the first phase that is no warmup.
    pub fn measured_from_us(&self) -> u64 {
        self.phases.iter().find(|span| span.phase != Phase::Warmup).map_or(0, |span| span.started_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(events: Vec<(u64, What)>) -> Course {
        let mut course = Course::default();
        for (at_us, what) in events {
            course.event(&TimelineEvent { at_us, what });
        }
        course
    }

    fn started(step: u32, parent: Option<u32>, name: &str) -> What {
        What::StepStarted { step, parent, name: name.into() }
    }

    fn ended(step: u32) -> What {
        What::StepEnded { step, outcome: StepOutcome::Ok, detail: None }
    }

    #[test]
    fn steps_become_a_tree() {
        let course = course(vec![
            (10, started(0, None, "stop")),
            (20, ended(0)),
            (20, started(1, None, "pg_upgrade")),
            (30, started(2, Some(1), "Checking cluster versions")),
            (40, ended(2)),
        ]);
        let steps = course.steps();
        assert_eq!(steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["stop", "pg_upgrade"]);
        assert_eq!((steps[1].ended_us, steps[1].outcome), (None, None), "it was cut off");
        assert_eq!((steps[1].steps[0].started_us, steps[1].steps[0].ended_us), (30, Some(40)));
    }

    #[test]
    fn a_moment_belongs_to_the_last_phase_that_began() {
        let course = course(vec![
            (0, What::PhaseStarted { phase: Phase::Warmup }),
            (100, What::PhaseEnded { phase: Phase::Warmup }),
            (100, What::PhaseStarted { phase: Phase::Before }),
            (200, What::PhaseStarted { phase: Phase::Upgrade }),
        ]);
        let phases = [0, 99, 100, 199, 200, 10_000].map(|at_us| course.phase_at(at_us).name());
        assert_eq!(phases, ["warmup", "warmup", "before", "before", "upgrade", "upgrade"]);
        assert_eq!(course.measured_from_us(), 100);
    }

    #[test]
    fn only_a_run_of_busy_seconds_is_saturation() {
        let cpu =
            |used_millicores| What::GeneratorCpu { used_millicores, allowed_millicores: 2_000, heartbeat_late_us: 80 };
        let seconds = [1_900, 1_900, 100, 1_801, 1_900, 1_950, 1_800];
        let course = course(seconds.into_iter().map(|used| (0, cpu(used))).collect());
        assert_eq!(course.saturated_seconds, 3);
        assert_eq!((course.cpu_share_max, course.heartbeat_late_us_max), (Some(0.975), Some(80)));
    }
}
