//! One direction of a TCP connection: what was passed on, and what waits for its turn.
//!
//! Positions count from the first byte of the direction, so that sequence numbers may wrap around. Must not know the
//! other direction, but for what it acknowledged, nor what bytes mean.

use std::collections::BTreeMap;

/// No window is larger, so nothing valid lies farther from what comes next.
const WINDOW_BYTES_MAX: i64 = 1 << 30;

/// Acknowledgements of bytes that were not passed on yet.
const ACKNOWLEDGEMENTS_MAX: usize = 1_024;

/// A segment that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub bytes: Vec<u8>,
    pub time_us: i64,
    pub packet: u64,
    /// Its sender had all of the other direction before this position.
    pub needs: u64,
}

/// The direction so far.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    /// The sequence number of the next byte; unknown before the first segment.
    next: Option<u32>,
    /// The position of the next byte.
    pub passed: u64,
    pub waiting: BTreeMap<u64, Waiting>,
    pub waiting_bytes: usize,
    /// The other end said that it has everything before this position.
    pub acknowledged: u64,
    /// For each position up to which the other end said so: where in its own direction it said it first.
    said_at: BTreeMap<u64, u64>,
    /// Behind the last byte, once its sender ended the direction.
    end: Option<u64>,
    /// When it was first seen, and in which packet, that bytes are missing which the other end has.
    pub missed: Option<(i64, u64)>,
}

impl Direction {
    /// The next byte has this sequence number, if that is not known yet.
    pub fn begin(&mut self, sequence: u32) {
        self.next.get_or_insert(sequence);
    }

    /// The position of a sequence number, which may lie before the next byte.
    fn position(&self, sequence: u32) -> Option<i64> {
        let ahead = i64::from(sequence.wrapping_sub(self.next?).cast_signed());
        (ahead.abs() <= WINDOW_BYTES_MAX).then(|| self.passed.cast_signed() + ahead)
    }

    /// The position of a segment with this sequence number, or of what comes next where it lies before all.
    pub fn begin_of(&mut self, sequence: u32) -> u64 {
        self.begin(sequence);
        self.position(sequence).unwrap_or(0).max(0).cast_unsigned()
    }

    /// The other end has everything before this sequence number, as it said at this position of its own direction; gives
    /// the sequence number's position.
    pub fn acknowledge(&mut self, sequence: u32, said_at: u64) -> u64 {
        self.begin(sequence);
        let position = self.position(sequence).unwrap_or(0).max(0).cast_unsigned();
        // The end itself has a sequence number too.
        let position = position.min(self.end.unwrap_or(u64::MAX));
        self.acknowledged = self.acknowledged.max(position);
        if position > self.passed {
            let first = self.said_at.entry(position).or_insert(said_at);
            *first = said_at.min(*first);
            if self.said_at.len() > ACKNOWLEDGEMENTS_MAX {
                self.said_at.pop_first();
            }
        }
        position
    }

    /// Nothing comes behind this sequence number.
    pub fn end(&mut self, sequence: u32) {
        let end = self.position(sequence).and_then(|position| u64::try_from(position).ok());
        if let Some(end) = end.filter(|end| *end >= self.passed) {
            self.end = Some(end);
            self.acknowledged = self.acknowledged.min(end);
        }
    }

    /// Takes a segment's bytes.
    pub fn take(&mut self, sequence: u32, mut bytes: &[u8], time_us: i64, packet: u64, needs: u64) {
        self.begin(sequence);
        let Some(position) = self.position(sequence) else { return };
        let known = self.passed.cast_signed() - position;
        if known > 0 {
            // A retransmission, or a keep-alive; what is new in it stands at its end.
            bytes = bytes.get(known.unsigned_abs() as usize..).unwrap_or_default();
        }
        if bytes.is_empty() {
            return;
        }
        let at = position.max(self.passed.cast_signed()).unsigned_abs();
        // What the other end has already was sent before it said so: of what it said since, nothing is waited for.
        let said_at = self.said_at.range(at + 1..).map(|(_, said_at)| *said_at).min();
        let needs = needs.min(said_at.unwrap_or(u64::MAX));
        if self.waiting.get(&at).is_none_or(|waiting| waiting.bytes.len() < bytes.len()) {
            self.waiting_bytes += bytes.len();
            if let Some(shorter) = self.waiting.insert(at, Waiting { bytes: bytes.to_vec(), time_us, packet, needs }) {
                self.waiting_bytes -= shorter.bytes.len();
            }
        }
    }

    /// The next bytes, where they are there and need no more than the other direction has passed on.
    pub fn take_ready(&mut self, other_passed: u64) -> Option<Waiting> {
        let entry = self.waiting.first_entry().filter(|entry| *entry.key() <= self.passed)?;
        if entry.get().needs > other_passed && *entry.key() + entry.get().bytes.len() as u64 > self.passed {
            return None;
        }
        let (at, mut waiting) = entry.remove_entry();
        self.waiting_bytes -= waiting.bytes.len();
        let known_bytes = (self.passed - at).min(waiting.bytes.len() as u64);
        waiting.bytes.drain(..known_bytes as usize);
        self.pass(waiting.bytes.len() as u64);
        Some(waiting)
    }

    /// Whether the next bytes are there.
    pub fn is_contiguous(&self) -> bool {
        self.waiting.first_key_value().is_some_and(|(at, _)| *at <= self.passed)
    }

    /// The bytes that are missing, up to the next that waits, and up to what the other end has, or `needed`.
    pub fn missing_bytes(&self, needed: u64) -> u64 {
        let known = self.acknowledged.max(needed);
        let next = self.waiting.first_key_value().map_or(known, |(at, _)| *at);
        next.saturating_sub(self.passed)
    }

    /// Goes on behind so many bytes.
    pub fn pass(&mut self, bytes: u64) {
        self.passed += bytes;
        self.next = self.next.map(|next| next.wrapping_add(bytes as u32));
        self.missed = None;
        while self.said_at.first_key_value().is_some_and(|(position, _)| *position <= self.passed) {
            self.said_at.pop_first();
        }
    }
}
