//! Floor 4: servers: found or installed, started under the right account, and never left behind.
//!
//! ```text
//! cache, pinned, wheel, install   where servers come from when the machine has none
//! binaries                        which installations there are
//! account, launch, process        who runs what, in process groups of its own
//! registry, leftovers             what belongs to a run, and how it goes
//! workspace, spec, cluster        temporary clusters and their life
//! login, ways, authenticate, connect  how a session is opened
//! inbox, reply, connection        a session on our own wire code: the replay's and the probes' hot path
//! control                         a session for catalogue queries and steps
//! endpoint, external              what clients connect to, and servers that are not ours
//! ```

pub mod account;
mod authenticate;
pub mod binaries;
pub mod cache;
pub mod cluster;
pub mod configuration;
pub mod connect;
pub mod connection;
pub mod control;
pub mod control_data;
pub mod endpoint;
pub mod external;
mod inbox;
pub mod install;
mod kept_rows;
pub mod launch;
pub mod leftovers;
pub mod log;
pub mod login;
pub mod pinned;
pub mod postmaster;
pub mod process;
pub mod registry;
mod reply;
pub mod spec;
mod ways;
pub mod wheel;
pub mod workspace;

pub use connect::{ConnectError, cancel_request, connect};
pub use connection::{Connection, Turn};
pub use kept_rows::KeptRows;
pub use login::Login;
pub use reply::{Expected, ReplySummary};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod connection_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod fixture;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod session_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tls_tests;
