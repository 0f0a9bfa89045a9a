//! Looking for many texts in many others with bounded memory.
//!
//! Takes the texts to look for, then the texts to look in, and gives how often one stands in another. The first eight
//! characters of each go into a filter of fixed size; only texts whose beginning may have been met are held in a second
//! round. Must not know what the texts are.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

/// Characters of a text that is looked for, at least.
pub(super) const CHARACTERS_MIN: usize = 8;

/// 32 MiB of bits: beginnings of ten million texts are told from others with few mistakes.
const FILTER_BITS: u64 = 1 << 28;
const PROBES: u64 = 4;

/// Beginnings that are met at most, and bytes of the texts that begin so: beyond these bounds a find is counted without
/// being looked at.
const CANDIDATES_MAX: usize = 1 << 18;
const SOUGHT_BYTES_MAX: usize = 64 << 20;

/// The texts that are looked for, as bits.
pub(super) struct Originals {
    bits: Vec<u64>,
    count: u64,
    /// The share of all places in which chance would put one of them.
    chance: f64,
}

impl Default for Originals {
    fn default() -> Self {
        Self { bits: vec![0; (FILTER_BITS / 64) as usize], count: 0, chance: 0.0 }
    }
}

impl Originals {
    /// Takes a text of eight characters or more.
    pub(super) fn add(&mut self, text: &str) {
        // The whole text's own bits tell whether it was there before.
        let is_new = !self.set(xxh3_64(text.as_bytes()) ^ 1);
        if let Some(beginning) = windows(text).next() {
            self.set(hash(beginning));
        }
        if is_new {
            self.count += 1;
            self.chance += chance(text);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How often chance would put one of them into so many characters.
    pub(super) fn by_chance(&self, characters: u64) -> f64 {
        self.chance * characters as f64
    }

    fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        let step = (hash >> 32) | 1;
        (0..PROBES).map(move |probe| {
            let bit = hash.wrapping_add(probe.wrapping_mul(step)) % FILTER_BITS;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    /// Sets the bits of a hash, and says whether they were set before.
    fn set(&mut self, hash: u64) -> bool {
        let mut were_set = true;
        for (word, bit) in Self::probes(hash) {
            were_set &= self.bits[word] & bit != 0;
            self.bits[word] |= bit;
        }
        were_set
    }

    fn may_hold(&self, hash: u64) -> bool {
        Self::probes(hash).all(|(word, bit)| self.bits[word] & bit != 0)
    }
}

/// How likely it is that so many characters are these, when each letter and digit is any of its kind.
fn chance(text: &str) -> f64 {
    let of_one = |character: char| match character {
        _ if character.is_ascii_digit() => 0.1,
        _ if character.is_ascii_alphabetic() => 1.0 / 26.0,
        _ if character.is_alphabetic() => 1.0 / 64.0,
        // Signs stay where they are: most places have others there.
        _ => 0.2,
    };
    text.chars().map(of_one).product()
}

/// The beginnings that were met.
#[derive(Default)]
pub(super) struct Candidates {
    hashes: HashSet<u64>,
    characters: u64,
}

impl Candidates {
    /// Looks for beginnings in a text.
    pub(super) fn look(&mut self, text: &str, originals: &Originals) {
        self.characters += text.len() as u64;
        for window in windows(text) {
            let hash = hash(window);
            if originals.may_hold(hash) && self.hashes.len() < CANDIDATES_MAX {
                self.hashes.insert(hash);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub(super) fn characters(&self) -> u64 {
        self.characters
    }
}

/// The texts whose beginnings were met.
pub(super) struct Sought {
    by_beginning: HashMap<u64, HashSet<Box<str>>>,
    bytes: usize,
}

impl Sought {
    pub(super) fn new(candidates: Candidates) -> Self {
        Self { by_beginning: candidates.hashes.into_iter().map(|hash| (hash, HashSet::new())).collect(), bytes: 0 }
    }

    /// Takes a text that is looked for, if its beginning was met. Beyond the bound the beginning stands for it.
    pub(super) fn add(&mut self, text: &str) {
        let Some(beginning) = windows(text).next() else { return };
        let Some(texts) = self.by_beginning.get_mut(&hash(beginning)) else { return };
        let held = if self.bytes < SOUGHT_BYTES_MAX { text } else { beginning };
        if !texts.contains(held) {
            self.bytes += held.len();
            texts.insert(held.into());
        }
    }

    /// How often one of the texts stands in this one.
    pub(super) fn count_in(&self, text: &str) -> u64 {
        let mut found = 0;
        for (at, window) in text.char_indices().map(|(at, _)| at).zip(windows(text)) {
            if let Some(texts) = self.by_beginning.get(&hash(window)) {
                found += texts.iter().filter(|sought| text[at..].starts_with(&***sought)).count() as u64;
            }
        }
        found
    }
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Every eight characters in a row.
fn windows(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.char_indices().map(|(at, _)| at);
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).skip(CHARACTERS_MIN);
    starts.zip(ends).map(|(start, end)| &text[start..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(sought: &[&str], texts: &[&str]) -> u64 {
        let mut originals = Originals::default();
        sought.iter().for_each(|text| originals.add(text));
        let mut candidates = Candidates::default();
        texts.iter().for_each(|text| candidates.look(text, &originals));
        let mut exact = Sought::new(candidates);
        sought.iter().for_each(|text| exact.add(text));
        texts.iter().map(|text| exact.count_in(text)).sum()
    }

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        assert_eq!(found(&["Ann Brown", "émigré é"], &["xAnn Brown.", "Ann Brow", "an émigré é", "Ann Brown"]), 3);
        assert_eq!(windows("éàüöäßñç!").collect::<Vec<_>>(), ["éàüöäßñç", "àüöäßñç!"]);
        assert_eq!(windows("seven c").count(), 0);
    }

    proptest! {
        #[test]
        fn as_many_are_found_as_there_are(sought in "[ab]{8,10}", text in "[ab]{0,60}") {
            let count = (0..text.len()).filter(|at| text[*at..].starts_with(&sought)).count() as u64;
            prop_assert_eq!(found(&[&sought], &[&text]), count);
        }
    }
}
