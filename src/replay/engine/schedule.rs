//! The run's clock and the pace together: when something captured is due.
//!
//! Must not know how anybody waits for it.

use std::time::Instant;

use crate::replay::pace::{Pace, Turn};
use crate::words::time::RunClock;

/// Cheap to clone; all clones agree.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    clock: RunClock,
    pace: Pace,
    starts_us: u64,
}

impl Schedule {
    /// Captured time 0 lies at microsecond `starts_us` of the run.
    pub fn new(clock: RunClock, pace: Pace, starts_us: u64) -> Self {
        Self { clock, pace, starts_us }
    }

    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    pub fn starts_us(&self) -> u64 {
        self.starts_us
    }

    pub fn clock(&self) -> RunClock {
        self.clock
    }

    pub fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// The microsecond of the run at which `instant` lies.
    pub fn us_of(&self, instant: Instant) -> u64 {
        self.clock.to_us(instant)
    }

    /// The microsecond of the run at which something captured at `t_us` is due in this turn.
    pub fn due_us(&self, t_us: u64, turn: Turn) -> u64 {
        self.starts_us.saturating_add(self.pace.due_us(t_us, turn))
    }

    /// The microsecond of the run from which on nothing is offered.
    pub fn ends_us(&self) -> u64 {
        self.starts_us.saturating_add(self.pace.rounds.ends_us())
    }

    /// The microsecond of the run at which a client goes on that was free at `free_us` and then waits for `pause_us` of
    /// captured time; nobody's time begins before the replay does.
    pub fn after_pause_us(&self, free_us: u64, pause_us: u64) -> u64 {
        let at_us = free_us.saturating_sub(self.starts_us);
        self.starts_us.saturating_add(self.pace.after_pause_us(at_us, pause_us))
    }
}
