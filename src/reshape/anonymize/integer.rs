//! Whole numbers: each to another one of as many digits, no two to the same.
//!
//! Takes and gives magnitudes below 2^63; the sign stays, so that `-5` is mapped alike as a literal and as a minus
//! before a 5. Must not know where a number stands.
//!
//! Promised is that equal numbers stay equal, unequal ones unequal, that zero stays, and that each stays as long as it is
//! and within its integer type: so keys and joins hold, and a `numeric(10,2)` still fits. Not promised are order, sums,
//! distances and bounds other than those: a rating of 1 to 5 may become 8. Such numbers belong on the list of values that
//! stay, or in columns that are kept.
//!
//! The numbers of one length form ranges of `high * low` numbers, cut where the integer types end, so that a smallint
//! stays one. A number's place in its range is a pair of coordinates, and three rounds of a Feistel network add keyed
//! numbers to one of them, chosen by the other. The middle round alone changes the high one and never adds nothing: so
//! no number is mapped to itself.

use super::key::Key;

/// `high * low` numbers from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) high: u64,
    pub(super) low: u64,
}

const fn range(first: u64, high: u64, low: u64) -> Range {
    Range { first, high, low }
}

/// All magnitudes from 1 to 2^63 - 1.
pub(super) const RANGES: [Range; 24] = [
    range(1, 9, 1),
    range(10, 9, 10),
    range(100, 90, 10),
    range(1_000, 90, 100),
    range(10_000, 200, 100),
    range(30_000, 173, 16),
    range(32_768, 352, 191),
    range(100_000, 900, 1_000),
    range(1_000_000, 9_000, 1_000),
    range(10_000_000, 9_000, 10_000),
    range(100_000_000, 90_000, 10_000),
    range(1_000_000_000, 50_000, 20_000),
    range(2_000_000_000, 144_027, 1_024),
    range(2_147_483_648, 7_668_473, 1_024),
    range(10_000_000_000, 900_000, 100_000),
    range(100_000_000_000, 900_000, 1_000_000),
    range(1_000_000_000_000, 9_000_000, 1_000_000),
    range(10_000_000_000_000, 9_000_000, 10_000_000),
    range(100_000_000_000_000, 90_000_000, 10_000_000),
    range(1_000_000_000_000_000, 90_000_000, 100_000_000),
    range(10_000_000_000_000_000, 900_000_000, 100_000_000),
    range(100_000_000_000_000_000, 900_000_000, 1_000_000_000),
    range(1_000_000_000_000_000_000, 4_000_000_000, 2_000_000_000),
    range(9_000_000_000_000_000_000, 852_096_698_207, 262_144),
];

/// Magnitudes that stay: with a minus they are the smallest smallint, integer and bigint, whose types have none beside
/// them that is as long.
pub(super) const KEPT: [u64; 3] = [32_768, 2_147_483_648, 1 << 63];

/// The largest magnitude that is mapped as a whole number.
pub(super) const MAX: u64 = i64::MAX as u64;

/// The number for a magnitude from 1 to [`MAX`]; one round trip through its range.
pub(super) fn permuted(key: &Key, magnitude: u64) -> u64 {
    let Some(range) = RANGES.iter().rfind(|range| range.first <= magnitude) else { return magnitude };
    let place = magnitude - range.first;
    let (mut high, mut low) = (place / range.low, place % range.low);
    let round = |number: u8, half: u64| key.number(&[b"i", &[number], &range.first.to_be_bytes(), &half.to_be_bytes()]);
    low = (low + round(1, high) % range.low) % range.low;
    high = (high + 1 + round(2, low) % (range.high - 1)) % range.high;
    low = (low + round(3, high) % range.low) % range.low;
    range.first + high * range.low + low
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ranges_follow_each_other_and_end_where_digits_and_types_do() {
        let mut next = 1;
        for range in RANGES {
            assert_eq!(range.first, next);
            next = range.first + range.high * range.low;
        }
        assert_eq!(next, 1 << 63);
        for end in (1..19).map(|digits| 10_u64.pow(digits)).chain([1 << 15, 1 << 31]) {
            assert!(RANGES.iter().any(|range| range.first == end), "{end}");
        }
    }

    #[test]
    fn no_two_numbers_become_one_and_none_stays() {
        let key = Key::new([7; 32]);
        for digits in 0..5 {
            let numbers = 10_u64.pow(digits)..10_u64.pow(digits + 1);
            let images: HashSet<u64> = numbers.clone().map(|number| permuted(&key, number)).collect();
            assert_eq!(images, numbers.clone().collect());
            assert!(numbers.into_iter().all(|number| permuted(&key, number) != number));
        }
    }

    proptest! {
        #[test]
        fn a_number_stays_in_its_range_and_is_another(bytes in any::<[u8; 32]>(), number in 1..=MAX, shift in 0_u32..63) {
            let number = (number >> shift).max(1);
            let image = permuted(&Key::new(bytes), number);
            let home = |number| RANGES.iter().rfind(|range| range.first <= number);
            prop_assert_eq!(home(image), home(number));
            prop_assert_ne!(image, number);
        }
    }
}
