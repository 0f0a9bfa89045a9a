//! The integration tests, in one binary, since linking is what costs.

#![allow(clippy::unwrap_used)]

mod bench;
mod capture;
mod ends;
mod inputs;
mod scenarios;
mod tidy;
mod truth;
