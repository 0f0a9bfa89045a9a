//! Shards' clocks brought together, and the time that all of them cover. Pure.
//!
//! Takes when each started by the database's clock; gives how a moment of one is told by the base's clock. Must not know
//! files.

use super::MergeError;
use super::shard::ShardRun;

/// When a shard's captured time 0 was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardStart {
    /// By the database's clock, microseconds since 1970.
    pub at_us: i64,
    /// By its own run's clock.
    pub workload_us: u64,
    /// The database's clock is known to half of this.
    pub round_trip_us: u64,
}

impl ShardStart {
    /// What is added to a moment of this shard's run to give the base's.
    pub fn shift_us(&self, base: &Self) -> i64 {
        let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        let starts_us = self.at_us.saturating_sub(base.at_us);
        starts_us.saturating_add(signed(base.workload_us)).saturating_sub(signed(self.workload_us))
    }
}

/// How far the two furthest starts may be apart, what is unknown of the clocks included.
pub(super) fn apart_us(starts: impl Iterator<Item = ShardStart>) -> u64 {
    let (mut first, mut last, mut unknown_us, mut shards) = (i64::MAX, i64::MIN, 0, 0);
    for start in starts {
        first = first.min(start.at_us);
        last = last.max(start.at_us);
        unknown_us = unknown_us.max(start.round_trip_us);
        shards += 1;
    }
    // Half of the way to the database of each of two shards.
    if shards > 1 { last.abs_diff(first).saturating_add(unknown_us) } else { 0 }
}

/// The time that all shards cover, by the base's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// What is added to each shard's moments, in the order of the shards.
    pub shifts_us: Vec<i64>,
    pub ends_us: u64,
    /// Every shard covered all that the base conducted, which came to its end.
    pub is_complete: bool,
}

impl Overlap {
    /// The overlap of these shards, of which the first is the base.
    pub fn of(shards: &[ShardRun]) -> Result<Self, MergeError> {
        let base = shards.first().ok_or(MergeError::Nothing)?;
        let shifts_us: Vec<i64> = shards.iter().map(|shard| shard.start().shift_us(&base.start())).collect();
        let conducted_us = base.course.covered_until_us(true).unwrap_or(u64::MAX);
        let followers = shards.iter().zip(&shifts_us).skip(1);
        let covered_us = followers
            .filter_map(|(shard, shift_us)| {
                Some(shard.course.covered_until_us(false)?.saturating_add_signed(*shift_us))
            })
            .min()
            .unwrap_or(u64::MAX);
        let is_complete = base.course.complete == Some(true) && covered_us >= conducted_us;
        Ok(Self { shifts_us, ends_us: conducted_us.min(covered_us), is_complete })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(at_us: i64, workload_us: u64, round_trip_us: u64) -> ShardStart {
        ShardStart { at_us, workload_us, round_trip_us }
    }

    #[test]
    fn a_moment_is_told_by_its_distance_from_the_common_start() {
        let base = start(1_000_000, 5_000, 0);
        assert_eq!(start(1_000_000, 4_000, 0).shift_us(&base), 1_000);
        assert_eq!(start(1_000_000, 7_000, 0).shift_us(&base), -2_000);
        assert_eq!(start(1_000_300, 5_000, 0).shift_us(&base), 300, "what began later happened later");
        assert_eq!(base.shift_us(&base), 0);
    }

    #[test]
    fn starts_are_apart_by_their_difference_and_what_is_not_known_of_the_clocks() {
        let starts = [start(1_000, 0, 40), start(1_500, 9, 60), start(1_200, 0, 10)];
        assert_eq!(apart_us(starts.into_iter()), 560);
        assert_eq!(apart_us(starts.into_iter().take(1)), 0);
    }
}
