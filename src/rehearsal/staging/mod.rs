//! The database under test, made ready: local servers, or the look at an external one.
//!
//! Takes the scenario and the run's launcher; gives the endpoint and the servers that the steps work on. Must not know
//! the steps.

pub mod external;
pub mod local;

use std::collections::BTreeSet;

use crate::scenario::Scenario;
use crate::scenario::resolved::Staging as Choice;
use crate::server::binaries::Installation;
use crate::server::endpoint::Endpoint;
use crate::server::launch::Launcher;
use crate::server::workspace::Workspace;
use crate::upgrade::{Server, StepError};
use crate::words::ids::PgVersion;

use crate::net::password::PasswordError;
use crate::rehearsal::load::{LoadError, Place};
use crate::server::cluster::ClusterError;
use crate::server::connect::ConnectError;
use crate::server::workspace::WorkspaceError;

/// Staging, ready to be replayed against.
pub struct Staging {
    pub endpoint: Endpoint,
    pub old: Server,
    /// None: the plan has no second server.
    pub new: Option<Server>,
    /// Present with local servers.
    pub workspace: Option<Workspace>,
    pub version_before: Option<PgVersion>,
    pub version_after: Option<PgVersion>,
}

/// The servers' programs, for local staging.
pub struct Installations {
    pub old: Installation,
    pub new: Option<Installation>,
}

/// Who will log in, and where.
pub struct Clients {
    /// As captured.
    pub users: BTreeSet<String>,
    /// By staging's names.
    pub databases: Vec<String>,
}

/// Makes staging ready. `installations` are present for local staging.
///
/// # Errors
/// Whatever keeps a server from running, a load from succeeding, or an external server from being used.
pub async fn prepare(
    scenario: &Scenario,
    installations: Option<Installations>,
    clients: &Clients,
    launcher: &Launcher,
    place: &Place<'_>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Staging, StagingError> {
    match (&scenario.staging, installations) {
        (Choice::Local(choice), Some(Installations { old, new })) => {
            let workspace = Workspace::create(launcher, choice.tmp_dir.as_deref())?;
            let versions = (old.version, new.as_ref().map(|new| new.version));
            let old = local::start(choice, old, &workspace, place, say).await?;
            let mut server = None;
            if let Some(new) = new {
                say(&format!("creating an empty PostgreSQL {} cluster", new.version));
                let settings = &scenario.upgrade.settings;
                let new = local::create_new(choice, settings, new, &old, &workspace, place.logs).await?;
                server = Some(Server { target: local::target(&new), cluster: Some(new) });
            }
            let new = server;
            let endpoint = local::endpoint(&old);
            let old = Server { target: local::target(&old), cluster: Some(old) };
            let workspace = Some(workspace);
            Ok(Staging { endpoint, old, new, workspace, version_before: Some(versions.0), version_after: versions.1 })
        }
        (Choice::Local(_), None) => unreachable!("local staging comes with its installations"),
        (Choice::External(choice), _) => {
            say("looking at the external server");
            let (endpoint, version_before) = external::look(choice, clients).await?;
            let old = Server { target: endpoint.current().target.clone(), cluster: None };
            let new = match &choice.new_dsn {
                None => None,
                Some(dsn) => Some(Server { target: external::target(dsn)?, cluster: None }),
            };
            Ok(Staging { endpoint, old, new, workspace: None, version_before, version_after: None })
        }
    }
}

/// Why there is no staging.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("cannot use the DSN of external staging: {0}")]
    Dsn(String),
    #[error("environment variable {variable}, which should hold the password of user \"{user}\", is not set")]
    NoPassword { user: String, variable: String },
    #[error(transparent)]
    Password(PasswordError),
    #[error("could not create the new cluster")]
    Target(#[from] StepError),
    #[error("cannot reach the external server ({dsn})")]
    Unreachable { dsn: String, source: ConnectError },
    #[error(
        "the external server ({dsn}) does not carry the disposable mark; nothing was sent to it but that look\n\
         hint: if it may be written to and thrown away, run there: ALTER DATABASE {database} \
         SET pgrehearse.disposable = 'on'"
    )]
    Unmarked { dsn: String, database: String },
}
