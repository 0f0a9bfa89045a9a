//! What the steps of an upgrade work on.
//!
//! Takes endpoints, servers, directories and the cancellation from the rehearsal; gives the steps what they ask for.
//! Must not know which steps there are.

use std::path::PathBuf;

use tokio::sync::watch;

use crate::net::Target;
use crate::record::Recorder;
use crate::scenario::plan::Cluster as Side;
use crate::server::cluster::LocalCluster;
use crate::server::endpoint::Endpoint;
use crate::server::launch::Launcher;
use crate::server::workspace::Workspace;

use super::error::StepError;
use super::track::Track;

/// The receiving side of a cancellation: `None` until the run was interrupted, then the signal's name.
pub type Cancelled = watch::Receiver<Option<&'static str>>;

/// A server on one side of the upgrade.
#[derive(Debug)]
pub struct Server {
    /// Where clients reach it.
    pub target: Target,
    /// Present where it is ours to start and stop.
    pub cluster: Option<LocalCluster>,
}

/// Everything that steps need.
#[derive(Debug)]
pub struct UpgradeContext {
    pub recorder: Recorder,
    /// The first is `primary`.
    pub endpoints: Vec<Endpoint>,
    pub old: Server,
    /// None: the plan has no second server.
    pub new: Option<Server>,
    /// Present with local servers: where `pg_upgrade` works.
    pub workspace: Option<Workspace>,
    /// Starts command steps.
    pub launcher: Launcher,
    /// Absolute; `PGREHEARSE_RUN_DIR`.
    pub run_dir: PathBuf,
    /// Below it, for logs.
    pub logs_dir: PathBuf,
    /// The scenario's directory, where command steps run.
    pub command_dir: PathBuf,
    pub cancelled: Cancelled,
}

/// One step while it runs: its number, for sub-steps and the names of its logs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub track: Track,
    pub number: u32,
    pub name: String,
}

impl Running {
    /// The step's log in the run directory: `step-03-pg_upgrade.log`.
    pub fn log(&self, context: &UpgradeContext) -> PathBuf {
        context.logs_dir.join(format!("{}.log", self.file_name()))
    }

    /// A name for files of this step.
    pub fn file_name(&self) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
        format!("step-{:02}-{}", self.number, self.name.chars().map(safe).collect::<String>())
    }
}

impl UpgradeContext {
    /// The endpoint of this name.
    pub(super) fn endpoint(&self, name: &str) -> Result<&Endpoint, StepError> {
        let found = self.endpoints.iter().find(|endpoint| endpoint.name() == name);
        found.ok_or_else(|| StepError::NoEndpoint { name: name.to_owned() })
    }

    /// The endpoint that steps send their statements to.
    pub(super) fn primary(&self) -> Result<&Endpoint, StepError> {
        self.endpoints.first().ok_or_else(|| StepError::NoEndpoint { name: "primary".to_owned() })
    }

    /// The side that clients of the primary endpoint reach now.
    pub(super) fn serving(&self) -> Side {
        let place = self.endpoints.first().map(|endpoint| endpoint.current());
        place.and_then(|place| Side::from_name(&place.server)).unwrap_or(Side::Old)
    }

    /// A side's server.
    pub(super) fn server(&self, side: Side) -> Result<&Server, StepError> {
        match side {
            Side::Old => Ok(&self.old),
            Side::New => self.new.as_ref().ok_or(StepError::NoServer { side: side.name() }),
        }
    }

    /// A side's cluster, which must be ours.
    pub(super) fn cluster(&self, side: Side) -> Result<&LocalCluster, StepError> {
        self.server(side)?.cluster.as_ref().ok_or(StepError::NotLocal { side: side.name() })
    }

    /// A side's cluster, to start or stop it.
    pub(super) fn cluster_mut(&mut self, side: Side) -> Result<&mut LocalCluster, StepError> {
        let server = match side {
            Side::Old => Some(&mut self.old),
            Side::New => self.new.as_mut(),
        };
        let server = server.ok_or(StepError::NoServer { side: side.name() })?;
        server.cluster.as_mut().ok_or(StepError::NotLocal { side: side.name() })
    }
}
