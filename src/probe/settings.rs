//! How often probes are sent, how long they are waited for, and how their streams are staggered.
//!
//! Gives plain values and the arithmetic on them. Must not know how a probe is sent.

use std::time::Duration;

use crate::words::limits::PROBES_PER_SECOND_MAX;

/// Streams of probes per fate group: reads and writes.
pub(super) const STREAMS_PER_GROUP: usize = 2;

/// Connections that a stream may have at once, whatever they are doing.
pub(super) const CONNECTIONS_MAX: usize = 8;

/// Unanswered probes of a stream that are waited for beyond their deadline, and tries to connect that may hang at once:
/// together never more than [`CONNECTIONS_MAX`], so that a fresh connection can always be tried.
pub(super) const STUCK_MAX: usize = CONNECTIONS_MAX / 2;

/// How often each fate group sees a fresh login.
pub(super) const LOGIN_INTERVAL: Duration = Duration::from_secs(1);

/// A database behind the endpoint: with it one fate group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// As captured; the endpoint maps it to the server's.
    pub name: String,
    /// Its index in the samples.
    pub index: u16,
}

/// How to probe one endpoint.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two probes of a stream; see [`effective_interval`].
    pub interval: Duration,
    /// From sending; an answer after that is late.
    pub deadline: Duration,
    /// From sending; after that a probe is given up.
    pub abandon: Duration,
    /// For one try to connect, up to ReadyForQuery. More than `deadline` makes little sense.
    pub connect_timeout: Duration,
    pub databases: Vec<Database>,
    /// Warm connections per stream, at most half of what a stream may have at all (8).
    pub connections: usize,
    /// The captured user that probes log in as; none for the control login.
    pub user: Option<String>,
}

impl Settings {
    /// Settings with four warm connections a stream and the control login.
    pub fn new(interval: Duration, deadline: Duration, databases: Vec<Database>) -> Self {
        Self {
            interval,
            deadline,
            abandon: deadline.max(Duration::from_secs(30)),
            connect_timeout: deadline,
            databases,
            connections: 4,
            user: None,
        }
    }

    /// Warm connections of a stream, within bounds.
    pub(super) fn warm(&self) -> usize {
        self.connections.clamp(1, CONNECTIONS_MAX - STUCK_MAX)
    }

    /// When the first probe of a stream is due after the start: streams are spread evenly over the interval.
    pub(super) fn offset(&self, group: usize, stream: usize) -> Duration {
        let streams = (self.databases.len() * STREAMS_PER_GROUP).max(1);
        let place = group * STREAMS_PER_GROUP + stream;
        self.interval.mul_f64(place as f64 / streams as f64)
    }

    /// The same for the fresh logins of a group.
    pub(super) fn login_offset(&self, group: usize) -> Duration {
        LOGIN_INTERVAL.mul_f64(group as f64 / self.databases.len().max(1) as f64)
    }
}

/// The interval at which `groups` fate groups can be probed: the wanted one, or the shortest, in whole milliseconds,
/// that keeps all probes and fresh logins together within `PROBES_PER_SECOND_MAX`.
pub fn effective_interval(wanted: Duration, groups: usize) -> Duration {
    let logins_per_second = groups as u64;
    let per_interval = groups as u64 * STREAMS_PER_GROUP as u64;
    let per_second_max = u64::from(PROBES_PER_SECOND_MAX).saturating_sub(logins_per_second).max(1);
    let shortest_ms = (per_interval * 1000).div_ceil(per_second_max);
    wanted.max(Duration::from_millis(shortest_ms.max(1)))
}

/// The most connections that probes of `groups` fate groups can have at once, fresh logins included.
pub fn connections_max(groups: usize) -> usize {
    groups * (STREAMS_PER_GROUP * CONNECTIONS_MAX + STUCK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_interval_stretches_only_beyond_two_thousand_probes_a_second() {
        assert_eq!(effective_interval(100 * MS, 4), 100 * MS);
        assert_eq!(effective_interval(20 * MS, 19), 20 * MS);
        assert_eq!(effective_interval(20 * MS, 20), 21 * MS);
        assert_eq!(effective_interval(Duration::ZERO, 1), 2 * MS);
        assert_eq!(effective_interval(100 * MS, 1000), 2000 * MS);
    }

    #[test]
    fn streams_are_spread_over_the_interval() {
        let databases = (0..2).map(|index| Database { name: format!("d{index}"), index }).collect();
        let settings = Settings::new(100 * MS, 1000 * MS, databases);
        let offsets: Vec<Duration> = (0..2).flat_map(|group| [0, 1].map(|s| settings.offset(group, s))).collect();
        assert_eq!(offsets, [0, 25, 50, 75].map(Duration::from_millis));
        assert_eq!(settings.login_offset(1), 500 * MS);
    }
}
