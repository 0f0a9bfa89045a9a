//! What follows from statement texts, found out once for each shape.
//!
//! Clients that write values into their texts send millions of texts and few shapes. Must not know where texts come from.

use crate::sql::{self, ByShape};
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;

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

/// The marks of texts, found out once for each shape.
#[derive(Default)]
pub struct KnownMarks(ByShape<Marks>);

impl KnownMarks {
    /// The marks of a text.
    pub fn of(&mut self, text: &[u8]) -> Marks {
        self.0.of(text, || Marks::of(text))
    }
}
