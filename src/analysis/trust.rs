//! Whether the measurement itself is valid: the checks of the tool on itself.
//!
//! Takes what the run says of the load that was offered and of the tool's own lateness; gives reasons not to trust it,
//! each with a stable code, its value and its limit. Must not know how the servers did.

use super::course::Course;
use super::findings::{ByPhase, Reason, RequestCounts, Trust};
use super::latency::Times;
use super::shards;
use super::spans::{Span, Spans};
use crate::facts::RunFacts;
use crate::samples::sample::Sample;
use crate::timeline::Phase;

/// Share of the requests due that must have been offered.
const RELEASED_SHARE_MIN: f64 = 0.999;

/// Share of the workload's requests that may be without a tenant.
const UNMAPPED_SHARE_MAX: f64 = 0.001;

/// Share of the requests in `before` that may fail with an error that the capture did not have.
const BASELINE_ERRORS_MAX: f64 = 0.01;

/// Share of the captured traffic's requests that the workload may lack.
const CAPTURE_LOST_SHARE_MAX: f64 = 0.001;

/// How far the wall clock may be set during a run without probes; with probes it is their interval.
const CLOCK_STEP_US_MAX: u64 = 100_000;

/// Seconds for which the tool may use nearly all CPU time that it may use.
const SATURATED_SECONDS_MAX: u64 = 9;

/// Time for which the tool may stand still at once in `before` and `after`; in `upgrade` that widens bounds instead.
const BLIND_US_MAX: u64 = 1_000_000;

/// How much earlier than `after` the workload may end: its last requests need not fall due at the very end.
const ENDED_EARLY_US_MAX: u64 = 1_000_000;

/// How late the tool was with what it sent.
#[derive(Clone, Debug)]
pub(super) struct Lag {
    times: ByPhase<Times>,
    /// When something that should have been under way in `upgrade` was not yet, for longer than the limit.
    late: Spans,
    /// Requests of `before` and `after` that were sent, and those of them that were late.
    steady: (u64, u64),
    limit_us: u64,
}

impl Lag {
    pub fn new(limit_us: u64) -> Self {
        let times = ByPhase { before: Times::fine(), upgrade: Times::fine(), after: Times::fine() };
        Self { times, late: Spans::default(), steady: (0, 0), limit_us }
    }

    /// Takes a request of a phase; one that was never sent says nothing.
    pub fn push(&mut self, sample: &Sample, phase: Phase) {
        let (Some(sent_us), Some(lag_us)) = (sample.sent_us, sample.schedule_lag_us()) else { return };
        let Some(times) = self.times.get_mut(phase) else { return };
        times.add(lag_us);
        let is_late = lag_us > self.limit_us;
        if phase != Phase::Upgrade {
            self.steady = (self.steady.0 + 1, self.steady.1 + u64::from(is_late));
        } else if is_late {
            self.late.add(Span::new(sent_us - lag_us, sent_us));
        }
    }

    /// Share of the requests of `before` and `after` that the tool sent later than the limit; none without a request.
    fn late_share(&self) -> Option<f64> {
        let (sent, late) = self.steady;
        (sent > 0).then(|| late as f64 / sent as f64)
    }

    /// When the tool was late in `upgrade`.
    pub fn late(&self) -> &Spans {
        &self.late
    }

    fn p99_us(&self) -> Option<u64> {
        let mut times = self.times.before.clone();
        times.merge(&self.times.after);
        times.percentile_us(99.0)
    }
}

/// What the checks look at.
pub(super) struct Evidence<'a> {
    pub facts: &'a RunFacts,
    pub course: &'a Course,
    pub lag: &'a Lag,
    pub requests: &'a ByPhase<RequestCounts>,
    /// Warmup included.
    pub offered_in_all: u64,
    pub new_errors_before: u64,
    pub probes_seen: bool,
    /// Sample files that could not be read.
    pub damaged_parts: u64,
    /// Tries to connect for which the tool's own machine had no resources.
    pub starved_connects: u64,
}

impl Evidence<'_> {
    /// The checks' results.
    pub fn trust(&self) -> Trust {
        let checks = [
            self.incomplete(),
            self.phase_missing(),
            self.generator_late(Phase::Before),
            self.generator_late(Phase::After),
            self.generator_saturated(),
            self.generator_blind(),
            self.generator_starved(),
            self.clock_stepped(),
            self.workload_ended_early(),
            self.not_released(),
            self.capture_lost(),
            self.tenants_unmapped(),
            self.baseline_errors(),
            self.probes_missing(),
            self.ledger_unread(),
            self.samples_damaged(),
            self.shards_untold(),
        ];
        Trust {
            schedule_lag_p99_us: self.lag.p99_us(),
            schedule_lag: self.lag.times.map(Times::findings),
            offered: ByPhase::<()>::PHASES.iter().filter_map(|&p| self.requests.get(p)).map(|c| c.offered).sum(),
            released_share: self.released_share(),
            late_share: self.lag.late_share(),
            cpu_share_max: self.course.cpu_share_max,
            heartbeat_late_us_max: self.course.heartbeat_late_us_max,
            capture_lost_share: self.facts.capture_lost_share,
            unmapped_share: self.facts.unmapped_share,
            order: self.course.order,
            writes_left_out: self.course.writes_left_out,
            settings_lost: self.course.settings_lost,
            reasons: checks.into_iter().flatten().chain(shards::reasons(self.facts)).collect(),
        }
    }

    fn released_share(&self) -> Option<f64> {
        let due = self.facts.requests_due.filter(|&due| due > 0)?;
        // What was offered beyond the number due, such as the end of a transaction, makes up for nothing.
        Some((self.offered_in_all as f64 / due as f64).min(1.0))
    }

    fn incomplete(&self) -> Option<Reason> {
        if let Some(signal) = &self.course.interrupted {
            return Some(reason("run_interrupted", format!("the run was interrupted by {signal}"), None, None));
        }
        match self.course.complete {
            Some(true) => None,
            Some(false) => Some(reason("run_incomplete", "the run did not reach its end", None, None)),
            None => Some(reason("run_incomplete", "the run was cut off: its last line is missing", None, None)),
        }
    }

    fn phase_missing(&self) -> Option<Reason> {
        let rules = &self.facts.rules;
        let wanted = [
            (Phase::Before, rules.before_us > 0),
            (Phase::Upgrade, self.course.has_steps()),
            (Phase::After, rules.after_us > 0),
        ];
        let unseen = |&&(phase, wanted): &&(Phase, bool)| {
            wanted && self.course.span(phase).is_none_or(|span| span.ended_us.is_none())
        };
        let missing: Vec<&str> = wanted.iter().filter(unseen).map(|(phase, _)| phase.name()).collect();
        let text = format!("not seen to its end: {}", missing.join(", "));
        (!missing.is_empty()).then(|| reason("phase_missing", text, Some(missing.len() as f64), Some(0.0)))
    }

    fn generator_late(&self, phase: Phase) -> Option<Reason> {
        let limit_us = self.lag.limit_us;
        let p99_us = self.lag.times.get(phase)?.percentile_us(99.0).filter(|&p99_us| p99_us > limit_us)?;
        let text = format!(
            "the tool itself sent too late in {}: p99 of the schedule lag is {} ms, the limit {} ms",
            phase.name(),
            ms(p99_us),
            ms(limit_us)
        );
        Some(reason("generator_late", text, Some(p99_us as f64), Some(limit_us as f64)))
    }

    fn generator_saturated(&self) -> Option<Reason> {
        let seconds = self.course.saturated_seconds;
        let text = format!("the tool used more than 90 % of the CPU time that it may use for {seconds} s");
        let limit = SATURATED_SECONDS_MAX as f64;
        (seconds > SATURATED_SECONDS_MAX)
            .then(|| reason("generator_saturated", text, Some(seconds as f64), Some(limit)))
    }

    fn generator_blind(&self) -> Option<Reason> {
        let steady = [Phase::Before, Phase::After].map(|phase| self.course.span(phase));
        let within = |blind: &Span| {
            let touches = |span: &super::findings::PhaseSpan| {
                blind.touches(Span::new(span.started_us, span.ended_us.unwrap_or(u64::MAX)))
            };
            steady.iter().flatten().any(touches)
        };
        let longest_us = self.course.blind.iter().filter(within).map(Span::len_us).max()?;
        let text = format!("the tool itself stood still for {} ms", ms(longest_us));
        (longest_us > BLIND_US_MAX)
            .then(|| reason("generator_blind", text, Some(longest_us as f64), Some(BLIND_US_MAX as f64)))
    }

    fn generator_starved(&self) -> Option<Reason> {
        let connects = self.starved_connects;
        let text = format!(
            "{connects} tries to connect failed because the tool's own machine had no file descriptor, port or memory left"
        );
        (connects > 0).then(|| reason("generator_starved", text, Some(connects as f64), Some(0.0)))
    }

    fn clock_stepped(&self) -> Option<Reason> {
        let step_us = self.course.clock_step_us;
        let limit_us = self.facts.rules.probe_interval_us.unwrap_or(CLOCK_STEP_US_MAX);
        let way = if step_us < 0 { "back" } else { "forward" };
        let text = format!(
            "the clock of the tool's machine was set {way} by {} ms, or the machine was suspended: moments of its wall \
             clock cannot be compared",
            ms(step_us.unsigned_abs())
        );
        (step_us.unsigned_abs() > limit_us)
            .then(|| reason("clock_stepped", text, Some(step_us as f64), Some(limit_us as f64)))
    }

    fn workload_ended_early(&self) -> Option<Reason> {
        let ended_us = self.course.workload_ended_us?;
        let needed_us = self.course.span(Phase::After).and_then(|span| span.ended_us)?;
        let early_us = needed_us.saturating_sub(ended_us);
        let text = format!("the workload ended {} ms before the phase after did", ms(early_us));
        (early_us > ENDED_EARLY_US_MAX)
            .then(|| reason("workload_ended_early", text, Some(ended_us as f64), Some(needed_us as f64)))
    }

    fn not_released(&self) -> Option<Reason> {
        let share = self.released_share().filter(|&share| share < RELEASED_SHARE_MIN)?;
        // A run that was cut off has that as its reason.
        self.course.complete.filter(|&complete| complete)?;
        let text = format!("only {:.2} % of the requests that were due were offered", share * 100.0);
        Some(reason("load_not_released", text, Some(share), Some(RELEASED_SHARE_MIN)))
    }

    fn capture_lost(&self) -> Option<Reason> {
        let share = self.facts.capture_lost_share;
        let text = format!("at least {:.2} % of the captured requests are missing from the workload", share * 100.0);
        (share > CAPTURE_LOST_SHARE_MAX)
            .then(|| reason("capture_lost", text, Some(share), Some(CAPTURE_LOST_SHARE_MAX)))
    }

    fn tenants_unmapped(&self) -> Option<Reason> {
        let share = self.facts.unmapped_share;
        let text = format!("{:.2} % of the workload's requests have no tenant", share * 100.0);
        (share > UNMAPPED_SHARE_MAX).then(|| reason("tenants_unmapped", text, Some(share), Some(UNMAPPED_SHARE_MAX)))
    }

    fn baseline_errors(&self) -> Option<Reason> {
        let offered = self.requests.before.offered;
        let share = self.new_errors_before as f64 / offered.max(1) as f64;
        let text = format!(
            "{:.2} % of the requests before the upgrade failed with errors that the capture did not have: staging is \
             not in the captured state",
            share * 100.0
        );
        (share > BASELINE_ERRORS_MAX).then(|| reason("baseline_errors", text, Some(share), Some(BASELINE_ERRORS_MAX)))
    }

    fn probes_missing(&self) -> Option<Reason> {
        self.facts.rules.probe_interval_us.filter(|_| !self.probes_seen)?;
        Some(reason("probes_missing", "no probe was ever answered or refused", Some(0.0), Some(1.0)))
    }

    fn ledger_unread(&self) -> Option<Reason> {
        let text = self.course.read_back_failed.as_ref()?;
        Some(reason("ledger_unread", text, None, None))
    }

    /// Shards that did not learn of a switch went on sending to the server before it.
    fn shards_untold(&self) -> Option<Reason> {
        let text = format!("the other shards were not told everything: {}", self.course.phases_untold.as_ref()?);
        Some(reason("shards_untold", text, None, None))
    }

    fn samples_damaged(&self) -> Option<Reason> {
        let parts = self.damaged_parts;
        let text = format!("{parts} sample files could not be read");
        (parts > 0).then(|| reason("samples_damaged", text, Some(parts as f64), Some(0.0)))
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

pub(super) fn reason(code: &str, text: impl Into<String>, value: Option<f64>, limit: Option<f64>) -> Reason {
    Reason { code: code.to_owned(), text: text.into(), value, limit }
}
