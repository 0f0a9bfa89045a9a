//! Floor 4, judging wing: from a run directory to findings. No server, no tokio, no clock.

mod attempts;
mod course;
mod divergence;
mod downtime;
mod errors;
pub mod findings;
mod fold;
mod latency;
mod ledger;
mod load;
mod quality;
mod shards;
mod spans;
mod streams;
mod tenants;
mod trust;
#[cfg(test)]
mod trust_tests;
mod unite;
#[cfg(test)]
mod worked_cases;

pub use findings::Findings;
pub use fold::Analysis;
pub use load::{LoadError, load};
