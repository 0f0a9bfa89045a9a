//! The house rules that a machine can hold: floors, sizes, module docs, names, words.
//!
//! Each test collects everything that breaks its rule, so that one run says it all.

mod floors;
mod sizes;
mod sources;
mod texts;
