//! Floor 4: servers: found or installed, started under the right account, and never left behind.
//!
//! ```text
//! cache, pinned, wheel, install   where servers come from when the machine has none
//! binaries                        which installations there are
//! account, launch, process        who runs what, in process groups of its own
//! registry, leftovers             what belongs to a run, and how it goes
//! workspace, cluster              temporary clusters and their life
//! ```

pub mod account;
pub mod binaries;
pub mod cache;
pub mod cluster;
pub mod configuration;
pub mod control_data;
pub mod install;
pub mod launch;
pub mod leftovers;
pub mod pinned;
pub mod postmaster;
pub mod process;
pub mod registry;
pub mod wheel;
pub mod workspace;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
