//! The phases of a run.
//!
//! Gives the closed list with its written names. Must not know when a phase begins or ends.

use serde::{Deserialize, Serialize};

/// A phase of the run; a request belongs to the phase of its due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Warmup,
    Before,
    Upgrade,
    After,
}

impl Phase {
    /// In the order in which they happen.
    pub const ALL: [Self; 4] = [Self::Warmup, Self::Before, Self::Upgrade, Self::After];

    /// The written name, as in scenarios and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Before => "before",
            Self::Upgrade => "upgrade",
            Self::After => "after",
        }
    }
}
