//! When a request is due: from its captured time, the speed and the copy.
//!
//! Takes microseconds of the workload, gives microseconds of the replay. The same arithmetic counts what falls due and
//! offers it, so that the two agree exactly. Must not know the clock.

use std::sync::Arc;

use crate::scenario::ramp::Ramp;
use crate::scenario::resolved::{Pacing, Speed};

/// Speed, its stages and copies together. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    pub speed: Speed,
    /// How the speed changes over the replay; takes the place of a factor in `speed`.
    pub ramp: Option<Arc<Ramp>>,
    pub pacing: Pacing,
    /// Every session is replayed this many times, at least 1.
    pub copies: u16,
    /// What each copy lies behind the one before, microseconds of the workload.
    pub copy_shift_us: u64,
}

impl Pace {
    /// Copies spread evenly over a second of the workload, so that they do not arrive in the same microsecond.
    pub fn new(speed: Speed, copies: u16) -> Self {
        let copies = copies.max(1);
        Self { speed, ramp: None, pacing: Pacing::Open, copies, copy_shift_us: 1_000_000 / u64::from(copies) }
    }

    /// Microseconds after the replay's start at which something captured at `t_us` is due in this copy. With
    /// [`Speed::Max`] everything is due at once; the caller moves it to the moment the session is ready.
    pub fn due_us(&self, t_us: u64, copy: u16) -> u64 {
        let shifted_us = t_us.saturating_add(self.copy_shift_us.saturating_mul(u64::from(copy)));
        match (self.speed, &self.ramp) {
            (Speed::Max, _) => 0,
            (Speed::Factor(_), Some(ramp)) => ramp.due_us(shifted_us),
            (Speed::Factor(1.0), None) => shifted_us,
            (Speed::Factor(factor), None) => (shifted_us as f64 / factor) as u64,
        }
    }

    /// How many copies of something captured at `t_us` are due before `until_us`.
    pub fn copies_due(&self, t_us: u64, until_us: u64) -> u64 {
        (0..self.copies).filter(|&copy| self.due_us(t_us, copy) < until_us).count() as u64
    }

    /// Whether the replay is a closed loop: due times mean nothing then.
    pub fn is_closed_loop(&self) -> bool {
        self.speed == Speed::Max || self.pacing == Pacing::ThinkTime
    }

    /// The moment, in microseconds of the replay, at which a captured pause of `pause_us` is over that begins at `at_us`.
    /// Only for think-time, which goes with no ramp.
    pub fn after_pause_us(&self, at_us: u64, pause_us: u64) -> u64 {
        at_us.saturating_add(match self.speed {
            Speed::Factor(factor) => (pause_us as f64 / factor) as u64,
            Speed::Max => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captured_pace_is_kept_to_the_microsecond() {
        let pace = Pace::new(Speed::Factor(1.0), 1);
        assert_eq!(pace.due_us(9_007_199_254_740_993, 0), 9_007_199_254_740_993);
    }

    #[test]
    fn twice_as_fast_takes_half_the_time() {
        assert_eq!(Pace::new(Speed::Factor(2.0), 1).due_us(3_000_000, 0), 1_500_000);
    }

    #[test]
    fn a_pause_is_scaled_and_lost_at_full_speed() {
        assert_eq!(Pace::new(Speed::Factor(2.0), 1).after_pause_us(5, 3_000), 1_505);
        assert_eq!(Pace::new(Speed::Max, 1).after_pause_us(5, 3_000), 5);
    }

    #[test]
    fn copies_are_shifted_and_each_is_counted() {
        let pace = Pace::new(Speed::Factor(1.0), 4);
        assert_eq!(pace.due_us(0, 3), 750_000);
        assert_eq!(pace.copies_due(0, 500_000), 2);
        assert_eq!(pace.copies_due(0, 500_001), 3);
    }
}
