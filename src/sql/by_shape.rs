//! What was found out about texts, kept for each shape.
//!
//! Clients that write values into their texts send millions of texts and few shapes, and what follows from the tokens of one
//! text follows from those of every text of its shape. Takes texts and how to find out; bounded. Must not know what is found
//! out, or where texts come from.

use std::hash::{BuildHasher, RandomState};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::shape::shape;

/// Shapes that are remembered; with one more all are forgotten.
const SHAPES_MAX: usize = 16_384;

/// Values by shape: by 128 bits of its hash under a seed of this process, so that nobody can write two shapes that meet.
#[derive(Debug)]
pub struct ByShape<T> {
    known: FxHashMap<u128, T>,
    shape: Vec<u8>,
    seed: u64,
}

impl<T> Default for ByShape<T> {
    fn default() -> Self {
        Self { known: FxHashMap::default(), shape: Vec::new(), seed: RandomState::new().hash_one(0) }
    }
}

impl<T: Clone> ByShape<T> {
    /// What is known of a text's shape; found out where nothing is, or where the text has no shape.
    pub fn of(&mut self, text: &[u8], find_out: impl FnOnce() -> T) -> T {
        self.shape.clear();
        if !shape(text, &mut self.shape) {
            return find_out();
        }
        if self.known.len() >= SHAPES_MAX {
            self.known.clear();
        }
        let key = xxh3_128_with_seed(&self.shape, self.seed);
        self.known.entry(key).or_insert_with(find_out).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_looked_into_once_and_the_number_of_shapes_is_bounded() {
        let mut by_shape = ByShape::default();
        assert_eq!(by_shape.of(b"select 11", || 1), 1);
        assert_eq!(by_shape.of(b"select 22", || 2), 1);
        assert_eq!(by_shape.of(b"select $$x$$", || 3), 3);
        assert_eq!(by_shape.of(b"select $$x$$", || 4), 4);
        for number in 0..2 * SHAPES_MAX {
            by_shape.of(format!("select c{number}").as_bytes(), || 0);
        }
        assert!(by_shape.known.len() <= SHAPES_MAX);
    }
}
