//! Finding a byte that is near.
//!
//! Fields of a log are short: setting up a vectorised search for each costs more than looking at eight bytes at a time in
//! plain registers. Takes bytes and gives positions. Must not know what the bytes mean.

use memchr::{memchr, memchr2};

const ONES: u64 = u64::MAX / 255;
const HIGH_BITS: u64 = ONES << 7;

/// Words that are looked at before the search is handed over to vectors.
const WORDS: usize = 4;

/// The position of the first `wanted`.
#[inline]
pub fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    match near(bytes, |word| zero_bytes(word ^ (ONES * u64::from(wanted)))) {
        Ok(found) => Some(found),
        Err(from) => Some(from + memchr(wanted, &bytes[from..])?),
    }
}

/// The position of the first byte that is one of two.
#[inline]
pub fn find_either(bytes: &[u8], one: u8, other: u8) -> Option<usize> {
    let is_either = |word| zero_bytes(word ^ (ONES * u64::from(one))) | zero_bytes(word ^ (ONES * u64::from(other)));
    match near(bytes, is_either) {
        Ok(found) => Some(found),
        Err(from) => Some(from + memchr2(one, other, &bytes[from..])?),
    }
}

/// The position of the first match in the first words, or where to look on. Of what `matches` gives, the lowest high bit
/// is right.
#[inline]
fn near(bytes: &[u8], matches: impl Fn(u64) -> u64) -> Result<usize, usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let words = &words[..words.len().min(WORDS)];
    for (index, word) in words.iter().enumerate() {
        let found = matches(u64::from_le_bytes(*word));
        if found != 0 {
            return Ok(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    Err(8 * words.len())
}

/// Sets the high bit of the lowest byte that is zero; of bytes above it, others may be set as well.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_are_those_of_a_plain_search(bytes in proptest::collection::vec(0_u8..5, 0..80), from in 3_u8..6) {
            prop_assert_eq!(find(&bytes, from), bytes.iter().position(|byte| *byte == from));
            let expected = bytes.iter().position(|byte| *byte == from || *byte == 4);
            prop_assert_eq!(find_either(&bytes, from, 4), expected);
        }

        #[test]
        fn neighbours_do_not_matter(bytes in any::<Vec<u8>>(), wanted in any::<u8>()) {
            prop_assert_eq!(find(&bytes, wanted), bytes.iter().position(|byte| *byte == wanted));
        }
    }
}
