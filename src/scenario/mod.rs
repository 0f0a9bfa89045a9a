//! Floor 3: the scenario: a TOML file read into a resolved plan in which every default is filled in.
//!
//! [`load`] reads, [`check`](check::check) validates without a server, [`render`] prints.

mod diagnostic;
mod json;
mod load;
pub mod plan;
mod read;
mod read_staging;
mod read_step;
mod read_upgrade;
mod render;
pub mod resolved;
mod secret;
mod section;
#[cfg(test)]
mod tests;
mod tree;

pub use diagnostic::{Diagnostic, Place, ScenarioError};
pub use json::to_json;
pub use load::load;
pub use render::render_text;
pub use resolved::Scenario;
