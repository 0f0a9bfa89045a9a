//! Anonymising: values to other values of their kind, under a key.
//!
//! Takes a key and gives a mapping of values. Equal values stay equal, whatever the position: a value's form alone
//! decides how it is mapped. Types, lengths and classes of characters stay, zero, NULL, booleans, intervals and an
//! allow-list stay. Numbers, uuids and texts of one form are permuted, so that unique values stay unique; dates all
//! move back by the same whole weeks. Must not know where values come from.

mod alphabet;
mod binary;
mod calendar;
mod check;
mod comment;
mod copy_options;
mod copy_rows;
mod edit;
mod form;
mod integer;
mod kept;
mod key;
mod literal;
mod number;
mod number_format;
mod parameters;
mod pattern;
mod plan;
mod report;
mod run;
mod script;
mod settings;
mod shuffle;
mod spots;
mod statement;
mod structure;
mod syntax;
mod tally;
mod text_bytes;
mod value;

pub use key::{KEY_VARIABLE, Key, KeyError};
pub use parameters::Unknown;
pub use report::AnonymizeReport;
pub use run::{AnonymizeOptions, anonymize};
pub use script::ScriptError;
pub use value::{Fate, Mapping, Watch};

#[cfg(test)]
mod tests;
