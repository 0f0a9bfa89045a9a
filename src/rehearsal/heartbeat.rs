//! What a heartbeat's readings of the clocks say: how late it came, when it did not come at all, and whether the wall
//! clock was set.
//!
//! Takes readings, gives what is worth telling; so tests set the clocks. Must not read a clock, nor know what the tool is
//! busy with.

use std::time::{Duration, Instant, SystemTime};

/// How often the heartbeat looks at the clocks.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(1);
/// A heartbeat that comes later than this after the one before it shows that the tool was blind.
const BLIND_AFTER: Duration = Duration::from_millis(25);
/// The wall clock stepped if it moved by more than this against the monotonic clock from one heartbeat to the next. A slew
/// is at most 500 ppm (adjtime(3)), which makes as much only in 20 s.
const STEP_MIN_US: u64 = 10_000;
/// Longer than this between the readings around that of the wall clock, and it says nothing about a step.
const READ_WITHIN: Duration = Duration::from_millis(1);

/// One look at the clocks: the wall clock was read between two readings of the monotonic one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub before: Instant,
    pub wall: SystemTime,
    pub after: Instant,
}

/// What a heartbeat noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// The tool did not run between these moments.
    Blind(Instant, Instant),
    /// The wall clock was set forward by so many microseconds, or back.
    ClockStepped(i64),
}

/// The heartbeats up to now.
#[derive(Debug)]
pub(super) struct Heartbeat {
    last: Instant,
    /// A moment on both clocks.
    together: (Instant, SystemTime),
    late_max: Duration,
}

impl Heartbeat {
    /// The first reading: what follows is compared with it.
    pub fn new(first: Reading) -> Self {
        Self { last: first.after, together: (first.after, first.wall), late_max: Duration::ZERO }
    }

    /// Takes the next reading; gives what it shows, at most one of each kind.
    pub fn beat(&mut self, reading: Reading) -> impl Iterator<Item = Noticed> + use<> {
        let since = reading.before.saturating_duration_since(self.last);
        let blind = (since > BLIND_AFTER).then_some(Noticed::Blind(self.last, reading.before));
        self.late_max = self.late_max.max(since.saturating_sub(HEARTBEAT));
        self.last = reading.before;
        let stepped = self.step_us(reading).map(Noticed::ClockStepped);
        blind.into_iter().chain(stepped)
    }

    /// How late the latest of the heartbeats since the last call came.
    pub fn take_late_max(&mut self) -> Duration {
        std::mem::take(&mut self.late_max)
    }

    fn step_us(&mut self, reading: Reading) -> Option<i64> {
        if reading.after.saturating_duration_since(reading.before) > READ_WITHIN {
            return None;
        }
        let monotonic_us = signed_us(reading.after.saturating_duration_since(self.together.0));
        let wall_us = match reading.wall.duration_since(self.together.1) {
            Ok(forward) => signed_us(forward),
            Err(back) => -signed_us(back.duration()),
        };
        self.together = (reading.after, reading.wall);
        let step_us = wall_us - monotonic_us;
        (step_us.unsigned_abs() > STEP_MIN_US).then_some(step_us)
    }
}

fn signed_us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clocks that a test sets: both in microseconds since the first reading.
    struct Clocks {
        zero: (Instant, SystemTime),
    }

    impl Clocks {
        fn new() -> Self {
            Self { zero: (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)) }
        }

        fn read(&self, monotonic_us: u64, wall_us: i64) -> Reading {
            let at = self.zero.0 + Duration::from_micros(monotonic_us);
            let by = Duration::from_micros(wall_us.unsigned_abs());
            let wall = if wall_us < 0 { self.zero.1 - by } else { self.zero.1 + by };
            Reading { before: at, wall, after: at }
        }
    }

    fn noticed(readings: &[(u64, i64)]) -> Vec<Noticed> {
        let clocks = Clocks::new();
        let mut heartbeat = Heartbeat::new(clocks.read(0, 0));
        readings.iter().flat_map(|&(monotonic, wall)| heartbeat.beat(clocks.read(monotonic, wall))).collect()
    }

    #[test]
    fn regular_beats_show_nothing() {
        let beats: Vec<(u64, i64)> = (1..5_000).map(|n| (n * 1_100, n as i64 * 1_100)).collect();
        assert_eq!(noticed(&beats), []);
    }

    #[test]
    fn a_clock_that_is_slewed_is_not_stepped() {
        // 500 ppm for ten minutes: 300 ms in all.
        let beats: Vec<(u64, i64)> = (1..600_000).map(|n| (n * 1_000, n as i64 * 1_000 + n as i64 / 2)).collect();
        assert_eq!(noticed(&beats), []);
    }

    #[test]
    fn a_step_forward_or_back_is_told_once() {
        let beats = [(1_000, 1_000), (2_000, 3_602_000), (3_000, 3_603_000), (4_000, -96_000), (5_000, -95_000)];
        assert_eq!(noticed(&beats), [Noticed::ClockStepped(3_600_000), Noticed::ClockStepped(-3_700_000)]);
    }

    #[test]
    fn a_suspended_machine_shows_as_a_step() {
        // The monotonic clock stands still meanwhile.
        assert_eq!(noticed(&[(1_000, 60_001_000)]), [Noticed::ClockStepped(60_000_000)]);
    }

    #[test]
    fn a_late_beat_is_a_time_without_sight_and_no_step() {
        let clocks = Clocks::new();
        let mut heartbeat = Heartbeat::new(clocks.read(0, 0));
        let seen: Vec<Noticed> = heartbeat.beat(clocks.read(40_000, 40_000)).collect();
        assert_eq!(seen, [Noticed::Blind(clocks.zero.0, clocks.zero.0 + Duration::from_millis(40))]);
        assert_eq!(heartbeat.take_late_max(), Duration::from_millis(39));
        assert_eq!(heartbeat.take_late_max(), Duration::ZERO);
    }

    #[test]
    fn a_reading_that_was_interrupted_says_nothing_about_the_clock() {
        let clocks = Clocks::new();
        let mut heartbeat = Heartbeat::new(clocks.read(0, 0));
        let torn = Reading { after: clocks.zero.0 + Duration::from_millis(21), ..clocks.read(1_000, 21_000) };
        assert_eq!(heartbeat.beat(torn).collect::<Vec<_>>(), []);
        // The next compares with the reading before.
        assert_eq!(heartbeat.beat(clocks.read(22_000, 22_000)).collect::<Vec<_>>(), []);
        assert_eq!(heartbeat.beat(clocks.read(23_000, 53_000)).collect::<Vec<_>>(), [Noticed::ClockStepped(30_000)]);
    }
}
