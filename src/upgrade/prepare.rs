//! What must hold before `pg_upgrade`: a new cluster that matches the old one, a target that is not older, and a file
//! system that can do what the transfer mode asks.
//!
//! Takes both clusters. Must not know how they are upgraded.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::scenario::plan::TransferMode;
use crate::scenario::releases::Batch;
use crate::server::cluster::LocalCluster;
use crate::words::ids::PgMajor;

use super::context::UpgradeContext;
use super::error::StepError;

/// Time for initdb of the new cluster.
const INIT_DEADLINE: Duration = Duration::from_secs(120);

/// Creates the new cluster with the old one's checksums and WAL segment size, unless it exists. Done before the upgrade
/// begins, so that initdb is no part of the window.
///
/// # Errors
/// When the old cluster cannot be read or initdb fails.
pub async fn prepare_target(old: &LocalCluster, new: &mut LocalCluster) -> Result<(), StepError> {
    if !new.exists() {
        new.follow(&old.control_data().await?);
        new.init(INIT_DEADLINE).await?;
    }
    Ok(())
}

/// [`prepare_target`] on the servers of a context.
pub(super) async fn prepare_in(context: &mut UpgradeContext) -> Result<(), StepError> {
    let old = context.old.cluster.as_ref().ok_or(StepError::NotLocal { side: "old" })?;
    let new = context.new.as_mut().ok_or(StepError::NoServer { side: "new" })?;
    prepare_target(old, new.cluster.as_mut().ok_or(StepError::NotLocal { side: "new" })?).await
}

/// Refuses a target that was released before the source.
pub(super) fn check_releases(old: &LocalCluster, new: &LocalCluster) -> Result<(), StepError> {
    let (source, target) = (old.spec().installation.version, new.spec().installation.version);
    // An unknown major is left to pg_upgrade.
    if Batch::of(target).zip(Batch::of(source)).is_some_and(|(target, source)| target < source) {
        return Err(StepError::TargetOlder { target: target.to_string(), source_version: source.to_string() });
    }
    Ok(())
}

/// Refuses a transfer mode that the programs or the file system do not have. `pg_upgrade` itself notices some of it only
/// after the dumps.
pub(super) fn check_transfer(mode: TransferMode, old: &LocalCluster, new: &LocalCluster) -> Result<(), StepError> {
    let refused = |why: String| Err(StepError::Transfer { mode: mode.name(), why });
    let target = new.spec().installation.version.major;
    let since = match mode {
        TransferMode::Swap => PgMajor(18),
        TransferMode::CopyFileRange => PgMajor(17),
        _ => PgMajor(10),
    };
    if target < since {
        return refused(format!("it exists since PostgreSQL {since}, the target is {target}"));
    }
    let device = |cluster: &LocalCluster| cluster.spec().data_dir.metadata().map(|metadata| metadata.dev()).ok();
    let one_file_system = device(old) == device(new);
    if !one_file_system && matches!(mode, TransferMode::Link | TransferMode::Swap | TransferMode::Clone) {
        return refused("the data directories lie on different file systems".to_owned());
    }
    if mode == TransferMode::Clone
        && let Err(error) = probe_clone(old, new)
    {
        return refused(format!("the file system cannot clone files ({error}); XFS with reflinks, Btrfs and APFS can"));
    }
    Ok(())
}

/// Clones one small file from one data directory into the other.
#[cfg(target_os = "linux")]
fn probe_clone(old: &LocalCluster, new: &LocalCluster) -> std::io::Result<()> {
    let target = new.spec().data_dir.join("pgrehearse-clone-probe");
    let from = std::fs::File::open(old.spec().data_dir.join("PG_VERSION"))?;
    let to = std::fs::File::create(&target)?;
    let cloned = rustix::fs::ioctl_ficlone(&to, &from);
    std::fs::remove_file(&target)?;
    Ok(cloned?)
}

/// APFS always can; elsewhere `pg_upgrade` says so itself.
#[cfg(not(target_os = "linux"))]
fn probe_clone(_old: &LocalCluster, _new: &LocalCluster) -> std::io::Result<()> {
    Ok(())
}
