//! Floor 3: the scenario: a TOML file read into a resolved plan in which every default is filled in.
//!
//! [`load`](fn@load) reads, [`check`](fn@check) and [`check_host`](fn@check_host) validate without a server,
//! [`render_text`] and [`to_json`] print.

pub mod check;
mod check_host;
mod clients;
mod diagnostic;
mod json;
mod load;
pub mod plan;
mod pool;
pub mod ramp;
mod read;
mod read_load;
mod read_staging;
mod read_step;
mod read_upgrade;
mod read_workload;
pub mod releases;
mod render;
pub mod resolved;
mod secret;
mod section;
#[cfg(test)]
mod tests;
mod tree;

pub use check::{Finding, Level, ServerVersions, WorkloadFacts, check};
pub use check_host::check_host;
pub use diagnostic::{Diagnostic, Place, ScenarioError};
pub use json::to_json;
pub use load::load;
pub use render::render_text;
pub use resolved::Scenario;
