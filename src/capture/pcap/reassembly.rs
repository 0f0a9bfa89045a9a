//! One direction of a TCP connection put together again: in order, once, and with what is missing said.
//!
//! Takes segments in the order of their capture and gives bytes in the order of their sending. Bounded: what waits
//! behind
//! a gap for too long shows that the gap was lost. Must not know what the bytes mean.

use std::collections::BTreeMap;

/// Segments, and their bytes, that wait behind a gap.
const WAITING_MAX: usize = 256;
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What comes next in a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    Bytes {
        bytes: Vec<u8>,
        time_us: i64,
        packet: u64,
    },
    /// So many bytes were never captured.
    Lost(u64),
}

#[derive(Clone, Debug)]
struct Waiting {
    bytes: Vec<u8>,
    time_us: i64,
    packet: u64,
}

/// The direction so far.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    /// The sequence number of the next byte; unknown before the first segment.
    next: Option<u32>,
    /// By distance from the first byte of all, so that sequence numbers may wrap around.
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    passed_bytes: u64,
}

impl Direction {
    /// The first byte will have this sequence number.
    pub fn begin(&mut self, sequence: u32) {
        self.next.get_or_insert(sequence);
    }

    /// Takes a segment.
    pub fn take(&mut self, sequence: u32, mut bytes: &[u8], time_us: i64, packet: u64, out: &mut Vec<Delivered>) {
        let next = *self.next.get_or_insert(sequence);
        let ahead = i64::from(sequence.wrapping_sub(next).cast_signed());
        if ahead < 0 {
            // A retransmission, or a keep-alive; what is new in it stands at its end.
            bytes = bytes.get(ahead.unsigned_abs() as usize..).unwrap_or_default();
        }
        if bytes.is_empty() {
            return;
        }
        let at = self.passed_bytes + ahead.max(0).unsigned_abs();
        let is_longer = self.waiting.get(&at).is_none_or(|waiting| waiting.bytes.len() < bytes.len());
        if is_longer {
            self.waiting_bytes += bytes.len();
            if let Some(shorter) = self.waiting.insert(at, Waiting { bytes: bytes.to_vec(), time_us, packet }) {
                self.waiting_bytes -= shorter.bytes.len();
            }
        }
        self.deliver(out);
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.pass_gap(out);
        }
    }

    /// Gives what still waits: nothing more comes.
    pub fn finish(&mut self, out: &mut Vec<Delivered>) {
        while !self.waiting.is_empty() {
            self.pass_gap(out);
        }
    }

    /// When the first segment that waits was captured.
    pub fn waits_since_us(&self) -> Option<i64> {
        self.waiting.values().map(|waiting| waiting.time_us).min()
    }

    /// Takes the gap before what waits for lost.
    pub fn pass_gap(&mut self, out: &mut Vec<Delivered>) {
        if let Some((at, _)) = self.waiting.first_key_value() {
            let lost_bytes = at.saturating_sub(self.passed_bytes);
            if lost_bytes > 0 {
                self.pass(lost_bytes);
                out.push(Delivered::Lost(lost_bytes));
            }
        }
        self.deliver(out);
    }

    fn deliver(&mut self, out: &mut Vec<Delivered>) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= self.passed_bytes) {
            let (at, Waiting { mut bytes, time_us, packet }) = entry.remove_entry();
            self.waiting_bytes -= bytes.len();
            let known_bytes = (self.passed_bytes - at).min(bytes.len() as u64);
            bytes.drain(..known_bytes as usize);
            if !bytes.is_empty() {
                self.pass(bytes.len() as u64);
                out.push(Delivered::Bytes { bytes, time_us, packet });
            }
        }
    }

    fn pass(&mut self, bytes: u64) {
        self.passed_bytes += bytes;
        self.next = self.next.map(|next| next.wrapping_add(bytes as u32));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(delivered: &[Delivered]) -> Vec<u8> {
        let bytes = |delivered: &Delivered| match delivered {
            Delivered::Bytes { bytes, .. } => bytes.clone(),
            Delivered::Lost(_) => Vec::new(),
        };
        delivered.iter().flat_map(bytes).collect()
    }

    proptest! {
        #[test]
        fn order_and_repetition_of_segments_change_nothing(
            stream in prop::collection::vec(any::<u8>(), 1..200),
            begin: u32,
            order in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..40), 0..60),
        ) {
            let mut direction = Direction::default();
            direction.begin(begin);
            let mut out = Vec::new();
            let every = (0..stream.len()).step_by(7).rev().map(|from| (from, 9));
            let chosen = order.iter().map(|(at, length)| (at.index(stream.len()), *length));
            for (from, length) in chosen.chain(every) {
                let to = (from + length).min(stream.len());
                direction.take(begin.wrapping_add(from as u32), &stream[from..to], 0, 0, &mut out);
            }
            prop_assert_eq!(bytes_of(&out), stream);
            prop_assert!(direction.waiting.is_empty() && direction.waiting_bytes == 0);
        }
    }

    #[test]
    fn a_gap_is_said_with_its_length() {
        let mut direction = Direction::default();
        direction.begin(u32::MAX);
        let mut out = Vec::new();
        direction.take(u32::MAX, b"a", 0, 1, &mut out);
        direction.take(9, b"b", 0, 2, &mut out);
        direction.finish(&mut out);
        assert_eq!(out[1], Delivered::Lost(9));
        assert_eq!(bytes_of(&out), b"ab");
    }
}
