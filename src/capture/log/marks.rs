//! Where the bytes stand that give a text its structure, found 64 bytes at a time.
//!
//! A record of a csvlog has 26 short fields. Looking for each field's end anew costs more than comparing every byte once and
//! then taking the places out of words of bits, one bit for each byte. Takes a text and gives positions, which are asked
//! for in ascending order. Must not know what a record is.

use wide::u8x16;

/// Bytes that one step compares.
const BLOCK_BYTES: usize = 64;

/// The quotes, commas and line feeds of a text.
pub struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the block stands that the bits below tell of.
    start: usize,
    quotes: u64,
    commas_and_feeds: u64,
    feeds: u64,
    /// Line feeds before the block.
    feeds_before: u64,
}

impl<'a> Marks<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut marks = Self { bytes, start: 0, quotes: 0, commas_and_feeds: 0, feeds: 0, feeds_before: 0 };
        marks.compare();
        marks
    }

    /// The first quote at or behind `from`.
    #[inline]
    pub fn quote(&mut self, from: usize) -> Option<usize> {
        self.find(from, |marks| marks.quotes)
    }

    /// The first comma or line feed at or behind `from`.
    #[inline]
    pub fn comma_or_feed(&mut self, from: usize) -> Option<usize> {
        self.find(from, |marks| marks.commas_and_feeds)
    }

    /// The number of line feeds before `end`, which lies in or behind the last block that was looked at.
    pub fn feeds_before(&mut self, end: usize) -> u64 {
        while end > self.start + BLOCK_BYTES {
            self.advance();
        }
        let before = u64::MAX.checked_shr((BLOCK_BYTES - (end - self.start)) as u32).unwrap_or(0);
        self.feeds_before + u64::from((self.feeds & before).count_ones())
    }

    #[inline]
    fn find(&mut self, from: usize, bits: impl Fn(&Self) -> u64) -> Option<usize> {
        while from >= self.start + BLOCK_BYTES {
            self.advance();
        }
        let mut found = bits(self) & (u64::MAX << (from - self.start));
        while found == 0 {
            if self.start + BLOCK_BYTES >= self.bytes.len() {
                return None;
            }
            self.advance();
            found = bits(self);
        }
        Some(self.start + found.trailing_zeros() as usize)
    }

    #[inline]
    fn advance(&mut self) {
        // Most records are one line, and counting bits is slow where the processor may have no instruction for it.
        if self.feeds != 0 {
            self.feeds_before += u64::from(self.feeds.count_ones());
        }
        self.start += BLOCK_BYTES;
        self.compare();
    }

    #[inline]
    fn compare(&mut self) {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let mut padded = [0; BLOCK_BYTES];
        let block = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        let lanes = lanes(block);
        let feeds = equal(&lanes, b'\n');
        (self.quotes, self.commas_and_feeds, self.feeds) = (equal(&lanes, b'"'), equal(&lanes, b',') | feeds, feeds);
    }
}

#[inline]
fn lanes(block: &[u8; BLOCK_BYTES]) -> [u8x16; 4] {
    let (chunks, _) = block.as_chunks::<16>();
    std::array::from_fn(|index| u8x16::new(chunks[index]))
}

/// A bit for each byte, set where it is this one.
#[inline]
fn equal(lanes: &[u8x16; 4], byte: u8) -> u64 {
    let bits = |lane: u8x16| u64::from(lane.simd_eq(u8x16::splat(byte)).to_bitmask());
    bits(lanes[0]) | bits(lanes[1]) << 16 | bits(lanes[2]) << 32 | bits(lanes[3]) << 48
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_those_of_a_plain_search(bytes in proptest::collection::vec(
            prop_oneof![1 => Just(b'"'), 1 => Just(b','), 1 => Just(b'\n'), 20 => any::<u8>()], 0..300,
        ), step in 1_usize..90) {
            let after = |from: usize, wanted: &[u8]| {
                bytes.iter().skip(from).position(|byte| wanted.contains(byte)).map(|at| from + at)
            };
            for from in (0..=bytes.len()).step_by(step) {
                let mut marks = Marks::of(&bytes);
                prop_assert_eq!(marks.quote(from), after(from, b"\""));
                let mut marks = Marks::of(&bytes);
                prop_assert_eq!(marks.comma_or_feed(from), after(from, b",\n"));
                let feeds = bytes[..from].iter().filter(|byte| **byte == b'\n').count() as u64;
                prop_assert_eq!(Marks::of(&bytes).feeds_before(from), feeds);
            }
        }
    }
}
