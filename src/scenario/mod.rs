//! Floor 3: the scenario: a TOML file read into a resolved plan in which every default is filled in.

pub mod plan;
pub mod resolved;
pub mod secret;
