//! How often the workload is gone through, one round after the other.
//!
//! Takes the scenario's choice and the workload's length; gives where each round begins and when the replay is over. Must
//! not know the pace.

use crate::scenario::resolved::Loop;

/// The rounds of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// How many there are at most.
    most: u32,
    /// Microseconds of the workload from the beginning of one to that of the next.
    span_us: u64,
    /// Microsecond of the replay from which on nothing is offered.
    ends_us: u64,
}

impl Rounds {
    /// The workload once.
    pub const ONE: Self = Self { most: 1, span_us: 1, ends_us: u64::MAX };

    /// The rounds of a workload that is so long.
    pub fn new(chosen: Loop, span_us: u64) -> Self {
        let (most, ends_us) = match chosen {
            Loop::Times(times) => (times.max(1), u64::MAX),
            Loop::For(time) => (u32::MAX, u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        };
        // Rounds of no length would all be due at once, without end.
        Self { most, ends_us, span_us: span_us.max(1) }
    }

    /// How many there are at most.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// The round after this one, if there is one.
    pub fn after(&self, round: u32) -> Option<u32> {
        Some(round + 1).filter(|next| *next < self.most)
    }

    /// Microsecond of the replay from which on nothing is offered.
    pub fn ends_us(&self) -> u64 {
        self.ends_us
    }

    /// Microseconds of the workload that have passed before this round.
    pub fn offset_us(&self, round: u32) -> u64 {
        self.span_us.saturating_mul(u64::from(round))
    }

    /// How many of the rounds, from the first on, are such that `is_due`: when one is not, none after it is.
    pub fn count_due(&self, is_due: impl Fn(u32) -> bool) -> u32 {
        let mut bound = 1;
        while bound < self.most && is_due(bound) {
            bound = bound.saturating_mul(2);
        }
        // The first that is not due lies between the two, or is the second.
        let (mut low, mut high) = (0, bound.min(self.most));
        while low < high {
            let middle = low + (high - low) / 2;
            if is_due(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_round_begins_where_the_one_before_ends() {
        let rounds = Rounds::new(Loop::Times(3), 1_000);
        assert_eq!([0, 1, 2].map(|round| rounds.offset_us(round)), [0, 1_000, 2_000]);
        assert_eq!([rounds.after(0), rounds.after(1), rounds.after(2)], [Some(1), Some(2), None]);
        assert_eq!(rounds.ends_us(), u64::MAX);
    }

    #[test]
    fn a_time_bounds_the_replay_and_not_the_number_of_rounds() {
        let rounds = Rounds::new(Loop::For(Duration::from_secs(60)), 0);
        assert_eq!((rounds.ends_us(), rounds.after(1_000_000)), (60_000_000, Some(1_000_001)));
        assert!(rounds.offset_us(1) > 0, "a workload of no length goes on");
    }

    proptest! {
        #[test]
        fn rounds_that_are_due_are_counted(most in 1..=u32::MAX, due: u32) {
            let rounds = Rounds::new(Loop::Times(most), 1);
            prop_assert_eq!(rounds.count_due(|round| round < due), due.min(most));
        }
    }
}
