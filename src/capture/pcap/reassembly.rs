//! Both directions of a TCP connection put together again: in order, once, and with what is missing said.
//!
//! Takes segments in the order of their capture and gives bytes in the order in which the two ends read them. A segment
//! waits until everything has been given that its sender had acknowledged, so an answer never comes before its question,
//! however the packets were captured. Bytes that the other end has, and the capture has not, are lost; bytes that it has
//! not are still to come. Bounded. Must not know what the bytes mean.

use super::direction::{Direction, Waiting};

/// Segments, and their bytes, that wait in one direction.
const WAITING_MAX: usize = 1_024;
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A packet may be captured so much later than another one that acknowledges it.
const REORDER_US_MAX: i64 = 100_000;

/// What the other end does not say to have is sent again within this time, or never was.
const RETRANSMISSION_US_MAX: i64 = 60_000_000;

/// The same where the other end is not seen to say anything.
const GAP_US_MAX: i64 = 1_000_000;

/// A segment as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which of the two ends sent it.
    pub from_second: bool,
    /// Of the first byte.
    pub sequence: u32,
    pub acknowledged: Option<u32>,
    pub bytes: &'a [u8],
    pub is_end: bool,
    pub time_us: i64,
    pub packet: u64,
}

/// What comes next in a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    Bytes {
        from_second: bool,
        bytes: Vec<u8>,
        time_us: i64,
        packet: u64,
    },
    /// So many bytes were never captured; `packet` is the one that tells so.
    Lost {
        from_second: bool,
        count: u64,
        packet: u64,
    },
}

/// The connection so far.
#[derive(Clone, Debug, Default)]
pub struct Reassembly {
    directions: [Direction; 2],
    /// When each end was heard last.
    heard_us: [Option<i64>; 2],
}

impl Reassembly {
    /// The first byte from this end will have this sequence number.
    pub fn begin(&mut self, from_second: bool, sequence: u32) {
        self.directions[usize::from(from_second)].begin(sequence);
    }

    /// Takes a segment, and gives what can be given now.
    pub fn take(&mut self, piece: &Piece<'_>, out: &mut Vec<Delivered>) {
        let Piece { from_second, sequence, acknowledged, bytes, is_end, time_us, packet } = *piece;
        let (own, other) = (usize::from(from_second), usize::from(!from_second));
        self.heard_us[own] = Some(time_us);
        let said_at = self.directions[own].begin_of(sequence);
        let needs = acknowledged.map_or(0, |acknowledged| self.directions[other].acknowledge(acknowledged, said_at));
        self.directions[own].take(sequence, bytes, time_us, packet, needs);
        if is_end {
            self.directions[own].end(sequence.wrapping_add(bytes.len() as u32));
        }
        self.deliver(out);
        while let Some(index) = self.overdue(time_us, packet) {
            self.give_up(index, out);
        }
    }

    /// Gives what still waits.
    pub fn flush(&mut self, out: &mut Vec<Delivered>) {
        while let Some(index) = self.directions.iter().position(|direction| !direction.waiting.is_empty()) {
            self.give_up(index, out);
        }
    }

    /// Gives what still waits, and says what is missing: nothing more comes.
    pub fn finish(&mut self, out: &mut Vec<Delivered>) {
        self.flush(out);
        for index in 0..2 {
            // One byte more than there is may be the end itself, where that was not captured.
            if self.directions[index].missing_bytes(0) > 1 {
                self.lose(index, 0, out);
            }
        }
    }

    /// Whether nothing waits, and nothing is known to be missing.
    pub fn is_whole(&self) -> bool {
        self.directions.iter().all(|direction| direction.waiting.is_empty() && direction.missing_bytes(0) <= 1)
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.directions.iter().map(|direction| direction.waiting_bytes).sum()
    }

    fn deliver(&mut self, out: &mut Vec<Delivered>) {
        let mut passes = true;
        while passes {
            passes = false;
            for index in 0..2 {
                let other_passed = self.directions[1 - index].passed;
                while let Some(Waiting { bytes, time_us, packet, .. }) = self.directions[index].take_ready(other_passed)
                {
                    passes = true;
                    if !bytes.is_empty() {
                        out.push(Delivered::Bytes { from_second: index == 1, bytes, time_us, packet });
                    }
                }
            }
        }
    }

    /// A direction in which nothing is to be waited for any more.
    fn overdue(&mut self, now_us: i64, packet: u64) -> Option<usize> {
        (0..2).find(|&index| {
            let heard_us = self.heard_us[1 - index];
            let direction = &mut self.directions[index];
            let since = |then_us: i64| now_us.saturating_sub(then_us);
            let is_full = direction.waiting.len() > WAITING_MAX || direction.waiting_bytes > WAITING_BYTES_MAX;
            if direction.acknowledged > direction.passed && !direction.is_contiguous() {
                let (missed_since_us, _) = *direction.missed.get_or_insert((now_us, packet));
                // One byte may be the end itself, where that was not captured.
                let is_end = direction.waiting.is_empty() && direction.missing_bytes(0) == 1;
                return is_full || (since(missed_since_us) > REORDER_US_MAX && !is_end);
            }
            let Some(first) = direction.waiting.values().next() else { return false };
            // Both directions wait for each other, or one waits for what its own sender sends again.
            let is_answered = heard_us.is_some_and(|heard_us| heard_us >= first.time_us);
            let patience_us = match direction.is_contiguous() {
                true => REORDER_US_MAX,
                false if is_answered => RETRANSMISSION_US_MAX,
                false => GAP_US_MAX,
            };
            is_full || since(first.time_us) > patience_us
        })
    }

    /// Goes on without what the direction waits for.
    fn give_up(&mut self, index: usize, out: &mut Vec<Delivered>) {
        let needs = self.directions[index].waiting.values().next().map_or(0, |first| first.needs);
        if !self.directions[index].is_contiguous() {
            self.lose(index, 0, out);
        } else if !self.directions[1 - index].is_contiguous() {
            self.lose(1 - index, needs, out);
        } else {
            // Each waits for the other one, which no two ends do: an answer to a packet that was captured twice, say.
            self.directions[index].waiting.values_mut().next().expect("what is contiguous waits").needs = 0;
        }
        self.deliver(out);
    }

    fn lose(&mut self, index: usize, needed: u64, out: &mut Vec<Delivered>) {
        let direction = &mut self.directions[index];
        let count = direction.missing_bytes(needed);
        if count > 0 {
            let waiting = direction.waiting.values().next().map(|first| first.packet);
            let packet = direction.missed.map(|(_, packet)| packet).or(waiting).unwrap_or(0);
            direction.pass(count);
            out.push(Delivered::Lost { from_second: index == 1, count, packet });
        }
    }
}

#[cfg(test)]
mod tests;
