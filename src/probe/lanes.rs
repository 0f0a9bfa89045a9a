//! Counts a stream's connections and says whether another may be opened.
//!
//! Takes what happened to connections and gives decisions; pure. A server that is gone must be tried at every interval,
//! one that swallows connections must not be flooded with them, and sockets that never answer must leave room for a
//! fresh one that sees the recovery.

use super::settings::{CONNECTIONS_MAX, STUCK_MAX};

/// The connections of one stream, by what they are doing. Times are microseconds of the run.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Connections that the stream wants to have ready.
    warm: usize,
    /// With two tries hanging, the next waits until the last is this old: recovery is seen that soon at least.
    spread_us: u64,
    /// Logged in: idle, waiting for an answer, or stuck.
    open: usize,
    stuck: usize,
    trying: usize,
    last_try_us: u64,
}

impl Lanes {
    pub(super) fn new(warm: usize, connect_timeout_us: u64) -> Self {
        let spread_us = connect_timeout_us / STUCK_MAX as u64;
        Self { warm, spread_us, open: 0, stuck: 0, trying: 0, last_try_us: 0 }
    }

    /// Whether a probe that finds no free connection may open one now.
    pub(super) fn may_try(&self, now_us: u64) -> bool {
        let spread = self.trying == 0 || now_us >= self.last_try_us + self.spread_us;
        self.open + self.trying < CONNECTIONS_MAX && self.trying < STUCK_MAX && spread
    }

    /// Whether a lost or stuck connection should be replaced now, though a free one is there.
    pub(super) fn may_refill(&self, now_us: u64) -> bool {
        self.open - self.stuck + self.trying < self.warm && self.may_try(now_us)
    }

    pub(super) fn try_began(&mut self, now_us: u64) {
        self.trying += 1;
        self.last_try_us = now_us;
    }

    pub(super) fn try_ended(&mut self, connected: bool) {
        self.trying -= 1;
        self.open += usize::from(connected);
    }

    /// A probe is unanswered beyond its deadline. False when so many are that this one must be given up now.
    #[must_use]
    pub(super) fn became_stuck(&mut self) -> bool {
        let allowed = self.stuck < STUCK_MAX;
        self.stuck += usize::from(allowed);
        allowed
    }

    /// A stuck connection answered after all, or is given up (then it is also lost).
    pub(super) fn no_longer_stuck(&mut self) {
        self.stuck -= 1;
    }

    pub(super) fn lost(&mut self) {
        self.open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    fn with_open(open: usize) -> Lanes {
        let mut lanes = Lanes::new(4, SECOND_US);
        for _ in 0..open {
            lanes.try_began(0);
            lanes.try_ended(true);
        }
        lanes
    }

    #[test]
    fn a_server_that_refuses_is_tried_at_every_interval() {
        let mut lanes = with_open(0);
        for now_us in (0..SECOND_US).step_by(20_000) {
            assert!(lanes.may_try(now_us));
            lanes.try_began(now_us);
            lanes.try_ended(false);
        }
    }

    #[test]
    fn tries_that_hang_are_spread_over_the_time_that_each_may_take() {
        let mut lanes = with_open(0);
        let mut tried_us = Vec::new();
        for now_us in (0..SECOND_US).step_by(20_000) {
            if lanes.may_try(now_us) {
                lanes.try_began(now_us);
                tried_us.push(now_us);
            }
        }
        assert_eq!(tried_us, [0, 260_000, 520_000, 780_000]);
    }

    #[test]
    fn stuck_connections_leave_room_for_fresh_ones() {
        let mut lanes = with_open(CONNECTIONS_MAX);
        assert!(!lanes.may_try(SECOND_US));
        let kept = (0..CONNECTIONS_MAX).filter(|_| lanes.became_stuck()).count();
        assert_eq!(kept, STUCK_MAX);
        (kept..CONNECTIONS_MAX).for_each(|_| lanes.lost());
        assert!(lanes.may_try(SECOND_US) && lanes.may_refill(SECOND_US));
    }

    #[test]
    fn lost_connections_are_replaced_up_to_the_warm_ones() {
        let mut lanes = with_open(4);
        assert!(!lanes.may_refill(0) && lanes.may_try(0));
        lanes.lost();
        assert!(lanes.may_refill(0));
        lanes.try_began(0);
        assert!(!lanes.may_refill(SECOND_US));
    }
}
