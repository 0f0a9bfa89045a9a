//! How long a request waited behind statements of other tenants in its own captured session.
//!
//! Takes what the session was busy with and gives the part of a wait that other tenants caused. Bounded. Pure.

use std::collections::VecDeque;

/// Stretches that are remembered; what is older is forgotten, and its wait counts as the tenant's own.
const STRETCHES_MAX: usize = 1_024;

/// Who kept the session busy, and when.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    tenant: Option<u32>,
    started_us: u64,
    ended_us: u64,
}

/// The session's busy stretches that requests still to come may have waited behind.
#[derive(Debug, Default)]
pub(super) struct BusyStretches {
    stretches: VecDeque<Stretch>,
}

impl BusyStretches {
    /// The session was busy for `tenant` from `started_us` to `ended_us`, later than every stretch before.
    pub fn push(&mut self, tenant: Option<u32>, started_us: u64, ended_us: u64) {
        if self.stretches.len() == STRETCHES_MAX {
            self.stretches.pop_front();
        }
        self.stretches.push_back(Stretch { tenant, started_us, ended_us });
    }

    /// Microseconds between `due_us` and `ready_us` in which the session was busy for others than `tenant`. Due times
    /// never go back, so that what ended before this one is forgotten.
    pub fn wait_us(&mut self, tenant: Option<u32>, due_us: u64, ready_us: u64) -> u64 {
        while self.stretches.front().is_some_and(|stretch| stretch.ended_us <= due_us) {
            self.stretches.pop_front();
        }
        let others = self.stretches.iter().filter(|stretch| stretch.tenant != tenant);
        others.map(|other| other.ended_us.min(ready_us).saturating_sub(other.started_us.max(due_us))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_of_others_counts() {
        let mut busy = BusyStretches::default();
        busy.push(Some(1), 0, 100);
        busy.push(Some(2), 100, 160);
        assert_eq!(busy.wait_us(Some(1), 50, 160), 60);
        assert_eq!(busy.wait_us(Some(3), 50, 160), 110);
        assert_eq!(busy.wait_us(Some(3), 120, 160), 40);
        assert_eq!(busy.wait_us(Some(3), 200, 200), 0);
    }
}
