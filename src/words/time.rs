//! Times and durations as people write them and as the run counts them.
//!
//! Takes duration texts (`"30s"`, `"100ms"`) and gives `Duration`s, and the other way round; holds the run's
//! monotonic clock. Must not know what is being timed.

use std::time::{Duration, Instant};

/// The moment on the monotonic clock. In tests it is the runtime's, which may stand still while anybody has something to do.
pub fn now() -> Instant {
    #[cfg(test)]
    return tokio::time::Instant::now().into_std();
    #[cfg(not(test))]
    Instant::now()
}

/// The run's clock: microseconds since the run started, on the monotonic clock, so that a step of the wall clock
/// moves nothing. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    started: Instant,
}

impl RunClock {
    /// Starts the clock: `now_us()` is 0 at this moment.
    pub fn start() -> Self {
        Self { started: now() }
    }

    /// Microseconds since the run started.
    pub fn now_us(&self) -> u64 {
        self.to_us(now())
    }

    /// The microsecond of the run at which `instant` lies; 0 for anything before the start.
    pub fn to_us(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }

    /// The instant at which the run is `us` microseconds old.
    pub fn to_instant(&self, us: u64) -> Instant {
        self.started + Duration::from_micros(us)
    }
}

/// The wait before another try: `first`, doubled so many times, and `most` at most.
pub fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(most)
}

/// Reads a duration such as `500us`, `100ms`, `1.5s`, `2m` or `1h`.
///
/// # Errors
/// A text that says what is wrong and which units exist, without a position: the caller knows where it stood.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let value: f64 = number
        .parse()
        .map_err(|_| format!("\"{text}\" is not a duration; write a number and a unit, such as 30s or 100ms"))?;
    let unit_us = match unit.trim() {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        "h" => 3_600e6,
        "" => return Err(format!("\"{text}\" has no unit; write us, ms, s, m or h after the number")),
        other => return Err(format!("unknown unit \"{other}\" in \"{text}\"; the units are us, ms, s, m and h")),
    };
    let us = value * unit_us;
    if us > 1e15 {
        return Err(format!("\"{text}\" is longer than thirty years"));
    }
    Ok(Duration::from_micros(us.round() as u64))
}

/// Writes a duration in the shortest exact unit, so that `parse_duration` gives it back: `5s`, `1500ms`, `250us`.
pub fn format_duration(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        0 => "0s".to_owned(),
        _ if us.is_multiple_of(3_600_000_000) => format!("{}h", us / 3_600_000_000),
        _ if us.is_multiple_of(60_000_000) => format!("{}m", us / 60_000_000),
        _ if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        _ if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        _ => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_limit() {
        let doubled_ms = |times| doubled(Duration::from_millis(50), times, Duration::from_millis(300)).as_millis();
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(doubled_ms), [50, 100, 200, 300, 300, 300]);
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn a_duration_without_a_unit_says_which_units_exist() {
        assert!(parse_duration("30").unwrap_err().contains("us, ms, s, m or h"));
        assert!(parse_duration("30 parsecs").unwrap_err().contains("unknown unit"));
        assert!(parse_duration("soon").unwrap_err().contains("not a duration"));
    }

    #[test]
    fn what_is_written_can_be_read_back() {
        for us in [1, 999, 1_000, 1_500_000, 60_000_000, 3_600_000_000, 3_601_000_000] {
            let duration = Duration::from_micros(us);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
