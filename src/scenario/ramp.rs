//! A rate of the workload that changes over the replay: stages through which the factor goes linearly.
//!
//! Takes the scenario's stages and the speed at which the first begins; gives the moment of the replay by which some
//! workload has passed. Pure. Must not know sessions, copies or the clock.
//!
//! In a stage that begins with factor f and changes by a each microsecond, s microseconds of the replay see
//! `f s + a s^2 / 2` of the workload pass; the moment of some workload is the inverse of that.

use super::resolved::LoadStage;

/// The stages one after the other, and the plateau after the last, which has no end.
#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    pieces: Vec<Piece>,
}

/// A stretch of the replay over which the factor changes linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// Microseconds of the replay at its start.
    starts_us: f64,
    /// Its length, microseconds of the replay; infinite for the last.
    lasts_us: f64,
    /// Microseconds of the workload that have passed at its start.
    passed_us: f64,
    /// Workload time by replay time at its start.
    factor: f64,
    /// By how much the factor changes each microsecond of the replay.
    slope: f64,
}

impl Piece {
    /// Workload that passes in the piece's first `since_us`.
    fn passes_us(&self, since_us: f64) -> f64 {
        self.factor * since_us + self.slope * since_us * since_us / 2.0
    }

    /// How long after its start `passes_us` of the workload have passed. This form of the root divides by no slope, so
    /// that a plateau is no special case.
    fn takes_us(&self, passes_us: f64) -> f64 {
        let square = self.factor * self.factor + 2.0 * self.slope * passes_us;
        let takes_us = 2.0 * passes_us / (self.factor + square.max(0.0).sqrt());
        // Rounding must not carry a request over the border of its stage.
        takes_us.min(self.lasts_us)
    }
}

impl Ramp {
    /// The stages in their order; the first begins at the factor `speed`.
    pub fn new(speed: f64, stages: &[LoadStage]) -> Self {
        let mut pieces = Vec::with_capacity(stages.len() + 1);
        let mut next = Piece { starts_us: 0.0, lasts_us: f64::INFINITY, passed_us: 0.0, factor: speed, slope: 0.0 };
        for stage in stages {
            let lasts_us = stage.duration.as_micros() as f64;
            let piece = Piece { lasts_us, slope: (stage.target - next.factor) / lasts_us, ..next };
            next.starts_us += lasts_us;
            next.passed_us += piece.passes_us(lasts_us);
            next.factor = stage.target;
            pieces.push(piece);
        }
        pieces.push(next);
        Self { pieces }
    }

    /// Microseconds after the replay's start at which `passed_us` of the workload have passed.
    pub fn due_us(&self, passed_us: u64) -> u64 {
        let passed_us = passed_us as f64;
        let after = self.pieces.partition_point(|piece| piece.passed_us <= passed_us);
        let piece = &self.pieces[after.saturating_sub(1)];
        (piece.starts_us + piece.takes_us(passed_us - piece.passed_us)) as u64
    }

    /// Microseconds of the workload that have passed `at_us` after the replay's start.
    #[cfg(test)]
    fn passed_us(&self, at_us: u64) -> f64 {
        let at_us = at_us as f64;
        let after = self.pieces.partition_point(|piece| piece.starts_us <= at_us);
        let piece = &self.pieces[after.saturating_sub(1)];
        piece.passed_us + piece.passes_us(at_us - piece.starts_us)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn stage(target: f64, seconds: f64) -> LoadStage {
        LoadStage { target, duration: Duration::from_secs_f64(seconds) }
    }

    #[test]
    fn from_the_captured_pace_to_three_times_it_in_ten_seconds_sees_twenty_pass() {
        let ramp = Ramp::new(1.0, &[stage(3.0, 10.0)]);
        assert_eq!(ramp.due_us(0), 0);
        assert_eq!(ramp.due_us(20_000_000), 10_000_000);
        assert_eq!(ramp.due_us(26_000_000), 12_000_000, "after the last stage its target stays");
        // After 5 s at a factor of 2, the mean of which is 1.5.
        assert_eq!(ramp.due_us(7_500_000), 5_000_000);
    }

    #[test]
    fn a_plateau_keeps_the_target_of_the_stage_before_it() {
        let ramp = Ramp::new(1.0, &[stage(2.0, 10.0), stage(2.0, 60.0), stage(1.0, 10.0)]);
        assert_eq!(ramp.due_us(15_000_000), 10_000_000);
        assert_eq!(ramp.due_us(135_000_000), 70_000_000);
        assert_eq!(ramp.due_us(150_000_000), 80_000_000);
        assert_eq!(ramp.due_us(151_000_000), 81_000_000);
    }

    fn stages() -> impl Strategy<Value = (f64, Vec<LoadStage>)> {
        let factor = || prop_oneof![0.001..1000.0_f64, 0.5..4.0_f64];
        let stage = (factor(), 1..=600_000_u64)
            .prop_map(|(target, milliseconds)| LoadStage { target, duration: Duration::from_millis(milliseconds) });
        (factor(), proptest::collection::vec(stage, 1..8))
    }

    proptest! {
        #[test]
        fn what_was_captured_later_is_never_due_earlier((speed, stages) in stages(), mut times: Vec<u32>) {
            let ramp = Ramp::new(speed, &stages);
            times.sort_unstable();
            let due_us: Vec<u64> = times.iter().map(|&t_us| ramp.due_us(u64::from(t_us) * 100)).collect();
            prop_assert!(due_us.is_sorted());
        }

        #[test]
        fn at_its_due_time_as_much_has_passed_as_was_captured_before((speed, stages) in stages(), t_us in 0..10_u64.pow(11)) {
            let ramp = Ramp::new(speed, &stages);
            let due_us = ramp.due_us(t_us);
            // A due time is cut to its microsecond, in which up to 1000 of the workload pass.
            let (least, most) = (ramp.passed_us(due_us), ramp.passed_us(due_us + 1));
            let rounding = 1.0 + t_us as f64 * 1e-9;
            prop_assert!(least - rounding <= t_us as f64 && t_us as f64 <= most + rounding, "{least} {t_us} {most}");
        }

        #[test]
        fn stages_follow_each_other_without_a_step((speed, stages) in stages()) {
            let ramp = Ramp::new(speed, &stages);
            for pair in ramp.pieces.windows(2) {
                let border_us = pair[1].passed_us;
                let (before, after) = (pair[0].takes_us(border_us - pair[0].passed_us), pair[1].takes_us(0.0));
                prop_assert!((pair[0].starts_us + before - pair[1].starts_us - after).abs() <= 1.0);
                let factor = pair[0].factor + pair[0].slope * pair[0].lasts_us;
                prop_assert!((factor - pair[1].factor).abs() <= 1e-6 * factor.max(1.0));
            }
        }
    }
}
