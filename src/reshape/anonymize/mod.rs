//! Anonymising: values to other values of their kind, under a key.
//!
//! Takes a key and gives a mapping of values. Equal values stay equal, whatever the position: a value's form alone
//! decides how it is mapped. Types, lengths and classes of characters stay, zero, NULL, booleans, intervals and an
//! allow-list stay. Numbers, uuids and texts of one form are permuted, so that unique values stay unique; dates all
//! move back by the same whole weeks. Must not know where values come from.

mod alphabet;
mod calendar;
mod form;
mod integer;
mod key;
mod number;
mod script;
mod shuffle;
mod structure;
mod value;

pub use key::{KEY_VARIABLE, Key, KeyError};
pub use script::ScriptError;
pub use value::{Fate, Mapping, Watch};

#[cfg(test)]
mod tests;
