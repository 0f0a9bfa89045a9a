//! What part of a workload is meant: the options that `cat` and `slice` share.
//!
//! Gives what was typed. Must not know what is done with the part.

use clap::Args;

use crate::objective::Pattern;
use crate::reshape::moment::Moment;

/// A window of time, and whose requests.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Begin here: an offset such as 90s or 5m, or a time such as 2026-01-05T09:30:00Z
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<Moment>,
    /// End before this moment
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<Moment>,
    /// Only this tenant's requests; * stands for any characters; may be given several times
    #[arg(long = "tenant", value_name = "NAME")]
    pub tenants: Vec<Pattern>,
    /// Only sessions of this database; * stands for any characters; may be given several times
    #[arg(long = "database", value_name = "NAME")]
    pub databases: Vec<Pattern>,
    /// Only this session, by its number; may be given several times
    #[arg(long = "session", value_name = "NUMBER")]
    pub sessions: Vec<u32>,
}
