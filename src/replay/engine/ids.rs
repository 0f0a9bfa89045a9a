//! Ids that the server generates: those that it returns in the replay take the places of the captured ones.
//!
//! Takes what the rows of a reply hold and gives a request with the values that it is to send, for all sessions of all workers;
//! each copy and each round of the workload has ids of its own. Bounded as the spool's memory of ids is. Must not know connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::pgwire::client;
use crate::replay::pace::Turn;
use crate::replay::spool::{Fill, IDS_MAX, IdMarks, IdValue, SpoolRequest, patched};
use crate::server::KeptRows;

/// Parts of the memory, so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// Slots of all copies together; with many copies each remembers fewer.
const SLOTS_MAX: u64 = 16 * IDS_MAX as u64;

/// Of a longer request than this a session does not keep the space.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

/// The ids that were returned last.
#[derive(Debug)]
pub(super) struct Ids {
    slots_per_copy: u64,
    shards: [Mutex<Slots>; SHARDS],
    mapped: AtomicU64,
    unfilled: AtomicU64,
    unsure: AtomicU64,
}

/// Values by copy and place, each with the slot and the round that it belongs to.
type Slots = FxHashMap<(u16, u64), (u64, u32, IdValue)>;

/// What became of the ids that clients sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IdCounts {
    pub mapped: u64,
    pub unfilled: u64,
    pub unsure: u64,
}

impl Ids {
    pub fn new(copies: u16) -> Self {
        let slots_per_copy = (SLOTS_MAX / u64::from(copies.max(1))).clamp(SHARDS as u64, IDS_MAX as u64);
        let [mapped, unfilled, unsure] = [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)];
        Self { slots_per_copy, shards: Default::default(), mapped, unfilled, unsure }
    }

    pub fn counts(&self) -> IdCounts {
        let [mapped, unfilled, unsure] =
            [&self.mapped, &self.unfilled, &self.unsure].map(|count| count.load(Ordering::Relaxed));
        IdCounts { mapped, unfilled, unsure }
    }

    /// Keeps the values that the rows of a reply hold.
    pub fn fill(&self, turn: Turn, fills: &[Fill], rows: &KeptRows) {
        for fill in fills {
            let values = rows.row(fill.statement, fill.row).and_then(client::row);
            let Some(Some(bytes)) = values.and_then(|values| values.get(usize::from(fill.column)).copied()) else {
                continue;
            };
            let value = if fill.is_binary { IdValue::from_binary(bytes) } else { IdValue::from_text(bytes) };
            if let Some(value) = value {
                let (mut slots, place) = self.slots(turn.copy, fill.slot);
                slots.insert(place, (fill.slot, turn.round, value));
            }
        }
    }

    /// The request with the ids that the server gave in the replay, written into `scratch`, and what became of them; a value
    /// that is not there is sent as captured.
    pub fn put_in<'a>(
        &self,
        turn: Turn,
        mut request: SpoolRequest<'a>,
        marks: &IdMarks,
        scratch: &'a mut Vec<u8>,
    ) -> (SpoolRequest<'a>, IdCounts) {
        if scratch.capacity() > SCRATCH_BYTES_MAX {
            *scratch = Vec::new();
        }
        let value = |slot| {
            let (slots, place) = self.slots(turn.copy, slot);
            slots
                .get(&place)
                .filter(|(filled, round, _)| (*filled, *round) == (slot, turn.round))
                .map(|(.., value)| *value)
        };
        let values: Vec<_> = marks.patches.iter().filter_map(|patch| Some((*patch, value(patch.slot)?))).collect();
        let patched = if values.is_empty() { None } else { patched(&request.body, &values, scratch) };
        let (body, mapped) = patched.unwrap_or((request.body, 0));
        request.body = body;
        let unfilled = marks.patches.len() - mapped;
        (request, IdCounts { mapped: mapped as u64, unfilled: unfilled as u64, unsure: marks.unsure.into() })
    }

    /// A request with these ids was sent for the first time.
    pub fn sent(&self, counts: IdCounts) {
        self.mapped.fetch_add(counts.mapped, Ordering::Relaxed);
        self.unfilled.fetch_add(counts.unfilled, Ordering::Relaxed);
        self.unsure.fetch_add(counts.unsure, Ordering::Relaxed);
    }

    /// Where a slot lies: slots that are long gone make room for later ones.
    fn slots(&self, copy: u16, slot: u64) -> (MutexGuard<'_, Slots>, (u16, u64)) {
        let place = slot % self.slots_per_copy;
        let shard = (place as usize).wrapping_add(usize::from(copy)) % SHARDS;
        // A worker that panicked ends the run; the values are whole all the same.
        let slots = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        (slots, (copy, place))
    }
}
