//! When a request is due: from its captured time, the speed and the copy.
//!
//! Takes microseconds of the workload, gives microseconds of the replay. The same arithmetic counts what falls due and
//! offers it, so that the two agree exactly. Must not know the clock.

use std::sync::Arc;

use super::copies::Copies;
use super::rounds::Rounds;
use crate::scenario::ramp::Ramp;
use crate::scenario::resolved::{Pacing, Speed};
use crate::words::shard::Shard;

/// Speed, its stages, copies and rounds together, and whether all is sent. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    pub speed: Speed,
    /// How the speed changes over the replay; takes the place of a factor in `speed`.
    pub ramp: Option<Arc<Ramp>>,
    pub pacing: Pacing,
    pub copies: Copies,
    pub rounds: Rounds,
    /// Requests that write are left out.
    pub read_only: bool,
    /// Whose sessions are replayed.
    pub shard: Shard,
}

/// One going through a session's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The session's place among all of the workload.
    pub number: u32,
    pub copy: u16,
    pub round: u32,
}

impl Pace {
    /// The pace of an open loop without stages, once, in which all of the whole workload is sent.
    pub fn new(speed: Speed, copies: u16) -> Self {
        Self {
            speed,
            ramp: None,
            pacing: Pacing::Open,
            copies: Copies::new(copies),
            rounds: Rounds::ONE,
            read_only: false,
            shard: Shard::WHOLE,
        }
    }

    /// Microseconds after the replay's start at which something captured at `t_us` is due in this turn. With
    /// [`Speed::Max`] everything is due at once; the caller moves it to the moment the session is ready.
    pub fn due_us(&self, t_us: u64, turn: Turn) -> u64 {
        let round_us = t_us.saturating_add(self.rounds.offset_us(turn.round));
        let shifted_us = round_us.saturating_add(self.copies.offset_us(turn.number, turn.copy));
        match (self.speed, &self.ramp) {
            (Speed::Max, _) => 0,
            (Speed::Factor(_), Some(ramp)) => ramp.due_us(shifted_us),
            (Speed::Factor(1.0), None) => shifted_us,
            (Speed::Factor(factor), None) => (shifted_us as f64 / factor) as u64,
        }
    }

    /// How often something that so many copies of the session with this number do at `t_us` is due before `until_us`, over
    /// all rounds.
    pub fn times_due(&self, t_us: u64, number: u32, copies: u16, until_us: u64) -> u64 {
        let until_us = until_us.min(self.rounds.ends_us());
        let rounds = |copy| self.rounds.count_due(|round| self.due_us(t_us, Turn { number, copy, round }) < until_us);
        (0..copies).map(|copy| u64::from(rounds(copy))).sum()
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::scenario::resolved::Loop;

    const FIRST: Turn = Turn { number: 0, copy: 0, round: 0 };

    #[test]
    fn the_captured_pace_is_kept_to_the_microsecond() {
        let pace = Pace::new(Speed::Factor(1.0), 1);
        assert_eq!(pace.due_us(9_007_199_254_740_993, FIRST), 9_007_199_254_740_993);
    }

    #[test]
    fn twice_as_fast_takes_half_the_time() {
        assert_eq!(Pace::new(Speed::Factor(2.0), 1).due_us(3_000_000, FIRST), 1_500_000);
    }

    #[test]
    fn a_pause_is_scaled_and_lost_at_full_speed() {
        assert_eq!(Pace::new(Speed::Factor(2.0), 1).after_pause_us(5, 3_000), 1_505);
        assert_eq!(Pace::new(Speed::Max, 1).after_pause_us(5, 3_000), 5);
    }

    #[test]
    fn copies_are_shifted_and_each_is_counted() {
        let pace = Pace::new(Speed::Factor(1.0), 4);
        assert_eq!(pace.due_us(0, Turn { copy: 3, ..FIRST }), 750_000);
        assert_eq!(pace.times_due(0, 0, 4, 500_000), 2);
        assert_eq!(pace.times_due(0, 0, 4, 500_001), 3);
    }

    proptest! {
        #[test]
        fn what_is_due_is_counted_over_all_copies_and_rounds(
            t_us in 0..1_000_u64, number: u32, copies in 1..4_u16, times in 1..20_u32, until_us in 0..3_000_000_u64,
            jitter_us in 0..2_000_u64, factor in 0.1..10.0_f64,
        ) {
            let pace = Pace {
                copies: Copies::new(copies).with_jitter(Duration::from_micros(jitter_us), 1),
                rounds: Rounds::new(Loop::Times(times), 1_000),
                ..Pace::new(Speed::Factor(factor), 1)
            };
            let turns = (0..copies).flat_map(|copy| (0..times).map(move |round| Turn { number, copy, round }));
            let due = turns.filter(|turn| pace.due_us(t_us, *turn) < until_us).count() as u64;
            prop_assert_eq!(pace.times_due(t_us, number, copies, until_us), due);
        }
    }

    #[test]
    fn rounds_follow_each_other_in_captured_time_and_end_where_they_are_told_to() {
        let looped = |chosen| Pace { rounds: Rounds::new(chosen, 1_000), ..Pace::new(Speed::Factor(2.0), 1) };
        let pace = looped(Loop::Times(3));
        assert_eq!(pace.due_us(600, Turn { round: 2, ..FIRST }), 1_300);
        assert_eq!([300, 801, u64::MAX].map(|until_us| pace.times_due(600, 0, 1, until_us)), [0, 2, 3]);
        let pace = looped(Loop::For(Duration::from_millis(1)));
        assert_eq!(pace.times_due(600, 0, 1, u64::MAX), 2, "300 and 800, and 1300 is too late");
    }
}
