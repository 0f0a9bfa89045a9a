//! What follows from statement texts, found out once for each shape.
//!
//! Clients that write values into their texts send millions of texts and few shapes. Must not know where texts come from.

use std::hash::{BuildHasher, RandomState};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::sql;
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;

/// Shapes that are remembered; with one more all are forgotten.
const SHAPES_MAX: usize = 16_384;

/// What follows from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
}

impl Marks {
    /// Of this text.
    pub fn of(text: &[u8]) -> Self {
        let readable = String::from_utf8_lossy(text);
        Self { fingerprint: sql::fingerprint(&readable), class: sql::classify(&readable) }
    }
}

/// The marks of the shapes that came before, by 128 bits of hash under a seed of this process, so that nobody can write two
/// shapes that meet.
pub struct KnownMarks {
    by_shape: FxHashMap<u128, Marks>,
    shape: Vec<u8>,
    seed: u64,
}

impl Default for KnownMarks {
    fn default() -> Self {
        Self { by_shape: FxHashMap::default(), shape: Vec::new(), seed: RandomState::new().hash_one(0) }
    }
}

impl KnownMarks {
    /// The marks of a text.
    pub fn of(&mut self, text: &[u8]) -> Marks {
        self.shape.clear();
        if !sql::shape(text, &mut self.shape) {
            return Marks::of(text);
        }
        if self.by_shape.len() >= SHAPES_MAX {
            self.by_shape.clear();
        }
        let key = xxh3_128_with_seed(&self.shape, self.seed);
        *self.by_shape.entry(key).or_insert_with(|| Marks::of(text))
    }
}
