//! Floor 5: the upgrade: the plan's steps carried out one after the other, each with a deadline, on the timeline.
//!
//! ```text
//! run         the sequence, deadlines, cancellation        bring_back  the old server after a failed step
//! pg_upgrade  check and upgrade, with phases, failure      prepare     the new cluster, and what must hold before
//! command, statements, analyze                             track       steps as timeline events
//! ```

mod analyze;
mod bring_back;
mod command;
mod context;
mod error;
mod failure;
mod pg_upgrade;
mod phases;
mod prepare;
mod run;
mod statements;
mod track;

pub use bring_back::Restored;
pub use context::{Cancelled, Server, UpgradeContext};
pub use error::StepError;
pub use prepare::prepare_target;
pub use run::{StepsResult, run_steps};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
