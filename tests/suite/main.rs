//! The integration tests, in one binary, since linking is what costs.

#![allow(clippy::unwrap_used)]

mod bench;
mod capture;
mod classes;
mod corpora_logs;
mod ends;
mod external;
mod five_ways;
mod inputs;
mod plans;
mod scenarios;
mod server;
mod tenants;
mod tidy;
mod truth;
