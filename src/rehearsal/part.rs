//! Which part of a rehearsal this process has, and what must hold so that several processes make one rehearsal.
//!
//! Takes what was asked for and the scenario; gives the reason to refuse. Must not know how a part is carried out.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::replay::Spool;
use crate::scenario::plan::StepKind;
use crate::scenario::resolved::{Order, Staging};
use crate::scenario::{Finding, Level, Scenario};
use crate::timeline::{PHASES_FORMAT, PHASES_VERSION, PhasesHeader};
use crate::words::shard::Shard;

/// The part of this process. By default it is the whole.
#[derive(Clone, Debug)]
pub struct Part {
    pub shard: Shard,
    /// When the workload's first moment is, by the database's clock; without it as soon as everything is ready.
    pub start_at: Option<Timestamp>,
    /// Where the driver tells the other shards of phases and switches.
    pub phase_file: Option<PathBuf>,
}

impl Part {
    /// Everything, at once.
    pub const WHOLE: Self = Self { shard: Shard::WHOLE, start_at: None, phase_file: None };

    /// Refuses what cannot become one rehearsal.
    ///
    /// # Errors
    /// The first thing that is in the way.
    pub fn check(&self, scenario: &Scenario) -> Result<(), PartError> {
        let several = self.shard.is_one_of_several();
        let switches = || scenario.upgrade.plan.steps.iter().any(|step| matches!(step.kind, StepKind::Switch { .. }));
        match () {
            () if several && matches!(scenario.staging, Staging::Local(_)) => Err(PartError::LocalStaging),
            () if several && scenario.workload.order == Order::Commit => Err(PartError::CommitOrder),
            () if several && self.start_at.is_none() => Err(PartError::NoStart),
            () if several && self.phase_file.is_none() && switches() => Err(PartError::SwitchUnseen),
            () if self.phase_file.is_some() && self.start_at.is_none() => Err(PartError::PhasesWithoutStart),
            () => Ok(()),
        }
    }

    /// What will differ from one process that replays everything.
    pub fn warning(&self, spool: &Spool) -> Option<Finding> {
        let requests = spool.totals().ids_of_others;
        (self.shard.is_one_of_several() && requests > 0).then(|| Finding {
            level: Level::Warning,
            message: format!("{requests} requests send ids that the server gave to another session"),
            hint: Some(
                "where that session is another shard's, they are sent as captured, and find what is there, if anything;                  divergence.ids.unfilled counts them"
                    .to_owned(),
            ),
        })
    }

    /// The header of the phase file, where there is one.
    pub fn phases_header(&self, spool: &Spool) -> Option<PhasesHeader> {
        self.phase_file.as_ref().zip(self.start_at).map(|(_, start_at)| PhasesHeader {
            format: PHASES_FORMAT.to_owned(),
            version: PHASES_VERSION,
            start_at: start_at.to_string(),
            workload_sha256: spool.workload_sha256().to_owned(),
            shards: self.shard.of(),
        })
    }
}

/// Why several processes cannot make one rehearsal of this.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error(
        "shards need external staging: with local staging each would start servers of its own\n\
         hint: Set staging.provider = \"external\", with a server that all shards reach."
    )]
    LocalStaging,
    #[error(
        "shards cannot keep the order of commits, since they do not see each other's\n\
         hint: Set workload.order = \"free\", or replay in one process."
    )]
    CommitOrder,
    #[error("shards need a common start\nhint: Give each of them the same --start-at TIME.")]
    NoStart,
    #[error(
        "the plan switches the endpoint, of which the other shards would not learn\n\
         hint: Give all shards the same --phase-file on storage that they share, or let clients reach both servers by \
         one address."
    )]
    SwitchUnseen,
    #[error("a phase file counts from a common start\nhint: Give --start-at TIME, too.")]
    PhasesWithoutStart,
}
