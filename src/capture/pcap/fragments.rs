//! IP packets put together again from their fragments.
//!
//! Takes fragments in any order and gives the whole packet with its last one. Bounded: the oldest packets that lack
//! something are given up and counted. Must not know TCP's order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::super::conclusion::skip;
use super::packet::{Fragment, FragmentKey, Packet, tcp};
use crate::workload::record::{Loss, Skipped};

/// Packets that wait for fragments. Each is of 64 KiB at most.
const WAITING_MAX: usize = 256;

/// The longest payload of an IP packet.
const PAYLOAD_BYTES_MAX: usize = 65_535;

/// A packet that lacks something.
struct Parts {
    by_offset: BTreeMap<usize, Vec<u8>>,
    /// Known with the last fragment.
    length: Option<usize>,
    first: (u16, u64),
    fragments: u64,
}

/// A packet that is whole.
#[derive(Debug)]
pub(super) struct Whole {
    key: FragmentKey,
    payload: Vec<u8>,
}

impl Whole {
    /// What it holds.
    pub fn packet(&self) -> Packet<'_> {
        tcp(self.key.from, self.key.to, &self.payload).unwrap_or(Packet::Other)
    }
}

/// All packets that lack something.
#[derive(Default)]
pub(super) struct Fragments {
    waiting: HashMap<FragmentKey, Parts>,
    /// The oldest first; some may have been given already.
    order: VecDeque<FragmentKey>,
    lost: u64,
    first_lost: Option<(u16, u64)>,
}

impl Fragments {
    /// Takes a fragment; gives the packet if it was the last that was missing.
    pub fn take(&mut self, fragment: &Fragment<'_>, at: (u16, u64)) -> Option<Whole> {
        let key = fragment.key;
        if fragment.offset + fragment.payload.len() > PAYLOAD_BYTES_MAX {
            self.lose(1, at);
            return None;
        }
        if !self.waiting.contains_key(&key) {
            self.make_room();
            self.order.push_back(key);
        }
        let new = || Parts { by_offset: BTreeMap::new(), length: None, first: at, fragments: 0 };
        let parts = self.waiting.entry(key).or_insert_with(new);
        parts.fragments += 1;
        parts.by_offset.insert(fragment.offset, fragment.payload.to_vec());
        if !fragment.more_follow {
            parts.length = Some(fragment.offset + fragment.payload.len());
        }
        let payload = parts.whole()?;
        self.waiting.remove(&key);
        Some(Whole { key, payload })
    }

    /// Counts the fragments of packets that never became whole.
    pub fn finish(mut self, skipped: &mut BTreeMap<String, Skipped>) {
        let mut left: Vec<_> = self.waiting.drain().map(|(_, parts)| (parts.first, parts.fragments)).collect();
        left.sort_unstable();
        left.into_iter().for_each(|(first, fragments)| self.lose(fragments, first));
        if let Some(first) = self.first_lost {
            skip(skipped, "fragment of an IP packet of which others are missing", (self.lost, Loss::None), first);
        }
    }

    fn lose(&mut self, fragments: u64, first: (u16, u64)) {
        self.lost += fragments;
        self.first_lost.get_or_insert(first);
    }

    fn make_room(&mut self) {
        while self.waiting.len() >= WAITING_MAX || self.order.len() >= 2 * WAITING_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(parts) = self.waiting.remove(&oldest) {
                self.lose(parts.fragments, parts.first);
            }
        }
    }
}

impl Parts {
    /// The payload, if nothing of it is missing.
    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length?;
        let mut payload = Vec::with_capacity(length);
        for (offset, part) in &self.by_offset {
            // Fragments may overlap: the first that gives a byte counts.
            let known = payload.len().checked_sub(*offset)?;
            payload.extend_from_slice(part.get(known..).unwrap_or_default());
        }
        (payload.len() >= length).then(|| {
            payload.truncate(length);
            payload
        })
    }
}
