//! Sequences of symbols: each to another one of the same alphabets, no two to the same.
//!
//! Takes symbols as numbers with the size of their alphabet, and a frame: what must be equal for two sequences to
//! share a permutation. Must not know what the symbols stand for.
//!
//! The same three rounds as for whole numbers, with the front half of the sequence as one coordinate and the back half
//! as the other. The middle round changes the first symbol of the front for certain.

use super::key::Key;

/// A symbol: a number below `size`, which is two or more; `first` says what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) first: u32,
    pub(super) index: u32,
    pub(super) size: u32,
}

impl Symbol {
    /// What the symbol stands for: the code of a character, a byte.
    pub(super) fn code(self) -> u32 {
        self.first + self.index
    }

    /// As a character, in UTF-8.
    fn write_character(self, half: &mut Vec<u8>) {
        let character = char::from_u32(self.code()).unwrap_or(char::REPLACEMENT_CHARACTER);
        half.extend(character.encode_utf8(&mut [0; 4]).bytes());
    }

    /// As a byte.
    fn write_byte(self, half: &mut Vec<u8>) {
        half.push(self.code() as u8);
    }
}

/// Replaces the symbols by others, which are characters; an empty sequence stays.
pub(super) fn shuffle(key: &Key, frame: &str, symbols: &mut [Symbol]) {
    mix(key, frame, symbols, Symbol::write_character);
}

/// Replaces the symbols by others, which are bytes; an empty sequence stays.
pub(super) fn shuffle_bytes(key: &Key, frame: &str, symbols: &mut [Symbol]) {
    mix(key, frame, symbols, Symbol::write_byte);
}

fn mix(key: &Key, frame: &str, symbols: &mut [Symbol], write: fn(Symbol, &mut Vec<u8>)) {
    if symbols.is_empty() {
        return;
    }
    let (front, back) = symbols.split_at_mut(symbols.len().div_ceil(2));
    let add = |round: u8, by: &[Symbol], changed: &mut [Symbol]| {
        let mut half = Vec::with_capacity(4 * by.len());
        by.iter().for_each(|symbol| write(*symbol, &mut half));
        // No frame has a zero byte: it ends there.
        let stream = key.stream(&[b"s", &[round], frame.as_bytes(), &[0], &half], changed.len());
        for (at, (symbol, number)) in changed.iter_mut().zip(stream).enumerate() {
            let size = symbol.size;
            let difference = if round == 2 && at == 0 { 1 + number % (size - 1) } else { number % size };
            symbol.index = (symbol.index + difference) % size;
        }
    };
    add(1, front, back);
    add(2, back, front);
    add(3, front, back);
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
            Symbol { first: 48, index, size: *size }
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
