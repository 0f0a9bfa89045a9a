//! Which tenants wait for an answer, and since when: the timeline's once-a-second look.
//!
//! Sessions write their own slot without a lock; the look may meet a slot between two states, which moves a second's
//! picture by one request. Must not know when the look is taken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// No request is in flight.
const NONE: u64 = u64::MAX;

/// A slot for every session and copy.
#[derive(Debug)]
pub(super) struct InFlight {
    slots: Vec<(AtomicU32, AtomicU64)>,
}

impl InFlight {
    pub fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| (AtomicU32::new(0), AtomicU64::new(NONE))).collect() }
    }

    /// A request of `tenant` was sent at `sent_us`; one without a tenant is not shown.
    pub fn sent(&self, slot: usize, tenant: Option<u32>, sent_us: u64) {
        if let Some(tenant) = tenant {
            self.slots[slot].0.store(tenant, Ordering::Relaxed);
            self.slots[slot].1.store(sent_us, Ordering::Release);
        }
    }

    /// The request was answered or given up.
    pub fn ended(&self, slot: usize) {
        self.slots[slot].1.store(NONE, Ordering::Release);
    }

    /// Tenant and the moment since which its oldest request waits, by tenant.
    pub fn oldest(&self) -> Vec<(u32, u64)> {
        let mut oldest: BTreeMap<u32, u64> = BTreeMap::new();
        for (tenant, since_us) in &self.slots {
            let since_us = since_us.load(Ordering::Acquire);
            if since_us != NONE {
                let known = oldest.entry(tenant.load(Ordering::Relaxed)).or_insert(since_us);
                *known = since_us.min(*known);
            }
        }
        oldest.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_request_of_each_tenant_shows() {
        let in_flight = InFlight::new(4);
        in_flight.sent(0, Some(7), 300);
        in_flight.sent(1, Some(7), 200);
        in_flight.sent(2, Some(3), 250);
        in_flight.sent(3, None, 1);
        assert_eq!(in_flight.oldest(), [(3, 250), (7, 200)]);
        in_flight.ended(1);
        assert_eq!(in_flight.oldest(), [(3, 250), (7, 300)]);
    }
}
