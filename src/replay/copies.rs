//! How often each session is replayed, and what each copy of it lies behind the captured times.
//!
//! Takes the scenario's choice; gives offsets in microseconds of the workload, the same in every run. Must not know when
//! anything was captured.

use std::time::Duration;

use crate::words::chance::chance;

/// The copies of the sessions. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Copies {
    count: u16,
    /// What each copy lies behind the one before.
    shift_us: u64,
    /// Each session of a copy lies behind it by its own part of this.
    jitter_us: u64,
    seed: u64,
}

impl Copies {
    /// So many copies, at least one, spread evenly over a second of the workload, so that they do not arrive in the same
    /// microsecond.
    pub fn new(count: u16) -> Self {
        let count = count.max(1);
        Self { count, shift_us: 1_000_000 / u64::from(count), jitter_us: 0, seed: 0 }
    }

    /// Besides, each session of each copy but the first starts later by a part of `jitter` that it has for itself.
    pub fn with_jitter(self, jitter: Duration, seed: u64) -> Self {
        Self { jitter_us: u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX), seed, ..self }
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Microseconds of the workload that a copy of the session with this number lies behind the capture.
    pub fn offset_us(&self, number: u32, copy: u16) -> u64 {
        let shifted_us = self.shift_us.saturating_mul(u64::from(copy));
        if copy == 0 || self.jitter_us == 0 {
            return shifted_us;
        }
        let part = chance(&[self.seed, u64::from(number), u64::from(copy)]);
        shifted_us.saturating_add((self.jitter_us as f64 * part) as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sessions_of_a_copy_lie_behind_it_by_different_times() {
        let copies = |seed| Copies::new(3).with_jitter(Duration::from_millis(500), seed);
        let offsets = |seed| (0..100).map(|number| copies(seed).offset_us(number, 1)).collect::<Vec<_>>();
        let mut apart = offsets(1);
        assert_eq!(apart, offsets(1));
        assert_ne!(apart, offsets(2));
        assert_ne!(copies(1).offset_us(7, 1) + 333_333, copies(1).offset_us(7, 2), "each copy has its own");
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), 100);
    }

    proptest! {
        #[test]
        fn the_first_copy_is_the_capture_and_the_others_lie_within_the_jitter(
            count in 1..=100_u16, jitter_us in 0..10_000_000_u64, seed: u64, number: u32, copy in 0..100_u16,
        ) {
            let copies = Copies::new(count).with_jitter(Duration::from_micros(jitter_us), seed);
            let plain_us = Copies::new(count).offset_us(number, copy);
            let offset_us = copies.offset_us(number, copy);
            prop_assert_eq!(copies.offset_us(number, 0), 0);
            prop_assert!((plain_us..plain_us + jitter_us.max(1)).contains(&offset_us));
        }
    }
}
