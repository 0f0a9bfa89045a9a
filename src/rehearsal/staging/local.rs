//! Local staging: a cluster of the old version, started and filled.
//!
//! Takes the scenario's local staging and the run's directories; gives running servers and the endpoint that leads to
//! them. Must not know what is done to them afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::StagingError;
use crate::net::Target;
use crate::rehearsal::load::{self, Place};
use crate::scenario::plan::Cluster as Side;
use crate::scenario::resolved::LocalStaging;
use crate::server::binaries::Installation;
use crate::server::cluster::LocalCluster;
use crate::server::endpoint::{Endpoint, Logins};
use crate::server::login::Login;
use crate::server::spec::ClusterSpec;
use crate::server::workspace::{Workspace, free_port};
use crate::upgrade::prepare_target;

const INIT_DEADLINE: Duration = Duration::from_secs(120);
/// A base backup may have to be recovered first.
const START_DEADLINE: Duration = Duration::from_secs(600);

/// Starts and fills the old cluster. `say` gets a line for each thing done.
///
/// # Errors
/// Whatever keeps the server from running or a load from succeeding.
pub async fn start(
    staging: &LocalStaging,
    installation: Installation,
    workspace: &Workspace,
    place: &Place<'_>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<LocalCluster, StagingError> {
    let spec = spec(staging, installation, workspace, place.logs, Side::Old)?;
    say(&format!("starting PostgreSQL {} on port {}", spec.installation.version, spec.port));
    let mut cluster = LocalCluster::new(spec, workspace.launcher().clone());
    match load::base_backup(&staging.load) {
        Some(backup) => {
            load::restore_base_backup(backup, &cluster, place).await?;
            cluster.adopt()?;
        }
        None => cluster.init(INIT_DEADLINE).await?,
    }
    cluster.start(START_DEADLINE).await?;
    load::load(&staging.load, &cluster, place, say).await?;
    Ok(cluster)
}

/// Creates the new, empty cluster for an upgrade of `old`, with the old one's settings and `settings` on top.
///
/// # Errors
/// Whatever keeps the cluster from being created.
pub async fn create_new(
    staging: &LocalStaging,
    settings: &BTreeMap<String, String>,
    installation: Installation,
    old: &LocalCluster,
    workspace: &Workspace,
    logs: &Path,
) -> Result<LocalCluster, StagingError> {
    let mut spec = spec(staging, installation, workspace, logs, Side::New)?;
    spec.settings.extend(settings.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut new = LocalCluster::new(spec, workspace.launcher().clone());
    prepare_target(old, &mut new).await?;
    Ok(new)
}

fn spec(
    staging: &LocalStaging,
    installation: Installation,
    workspace: &Workspace,
    logs: &Path,
    side: Side,
) -> Result<ClusterSpec, StagingError> {
    let port = match (side, staging.port) {
        (Side::Old, Some(port)) => port,
        _ => free_port()?,
    };
    Ok(ClusterSpec {
        installation,
        data_dir: workspace.data_dir(side.name())?,
        socket_dir: workspace.socket_dir(side.name())?,
        port,
        settings: staging.settings.clone(),
        checksums: staging.checksums,
        encoding: staging.encoding.clone(),
        locale: staging.locale.clone(),
        superuser: staging.superuser.clone(),
        wal_segment_bytes: None,
        log_file: logs.join(format!("server-{}.log", side.name())),
    })
}

/// The endpoint that leads to a local cluster: everybody is who they were, and nobody needs a password.
pub fn endpoint(cluster: &LocalCluster) -> Endpoint {
    let control = Login::new(&cluster.spec().superuser, "postgres").with_parameter("application_name", "pgrehearse");
    Endpoint::new("primary", target(cluster), "old", Logins::default(), control)
}

/// Where clients reach a local cluster.
pub fn target(cluster: &LocalCluster) -> Target {
    let address = cluster.address();
    Target::tcp(address.ip().to_string(), address.port())
}

/// The directory of a scenario, where its programs run.
pub fn scenario_dir(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}
