//! Sequences of symbols: each to another one of the same alphabets, no two to the same.
//!
//! Takes symbols as numbers with the size of their alphabet, and a frame: what must be equal for two sequences to
//! share a permutation. Must not know what the symbols stand for.
//!
//! The same three rounds as for whole numbers, with the front half of the sequence as one coordinate and the back half
//! as the other. The middle round changes the first symbol of the front for certain.

use super::key::Key;

/// A symbol: a number below `size`, which is two or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) index: u32,
    pub(super) size: u32,
}

/// Replaces the symbols by others; an empty sequence stays.
pub(super) fn shuffle(key: &Key, frame: &str, symbols: &mut [Symbol]) {
    if symbols.is_empty() {
        return;
    }
    let (front, back) = symbols.split_at_mut(symbols.len().div_ceil(2));
    add(key, frame, 1, front, back);
    add(key, frame, 2, back, front);
    add(key, frame, 3, front, back);
}

/// Adds to each symbol of `changed` a number that follows from `by`.
fn add(key: &Key, frame: &str, round: u8, by: &[Symbol], changed: &mut [Symbol]) {
    let half: Vec<u8> = by.iter().flat_map(|symbol| (symbol.index as u16).to_be_bytes()).collect();
    let stream = key.stream(&[b"s", &[round], frame.as_bytes(), &half], changed.len());
    for (at, (symbol, number)) in changed.iter_mut().zip(stream).enumerate() {
        let size = symbol.size;
        let difference = if round == 2 && at == 0 { 1 + number % (size - 1) } else { number % size };
        symbol.index = (symbol.index + difference) % size;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn symbols(sizes: &[u32], mut number: u32) -> Vec<Symbol> {
        let symbol = |size: &u32| {
            let index = number % size;
            number /= size;
            Symbol { index, size: *size }
        };
        sizes.iter().map(symbol).collect()
    }

    proptest! {
        #[test]
        fn sequences_are_permuted_and_none_stays(bytes in any::<[u8; 32]>(), sizes in prop::collection::vec(2_u32..8, 1..5)) {
            let key = Key::new(bytes);
            let all = sizes.iter().product::<u32>();
            let mut images = HashSet::new();
            for number in 0..all {
                let before = symbols(&sizes, number);
                let mut after = before.clone();
                shuffle(&key, "frame", &mut after);
                prop_assert_ne!(&after, &before);
                images.insert(after.iter().map(|symbol| symbol.index).collect::<Vec<_>>());
            }
            prop_assert_eq!(images.len(), all as usize);
        }
    }
}
