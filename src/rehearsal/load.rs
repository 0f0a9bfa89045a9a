//! Fills a local staging server before the rehearsal: scripts, dumps, base backups, programs.
//!
//! Takes a scenario's `[[staging.load]]` entries and a cluster; runs PostgreSQL's own tools, whose output goes to the run
//! directory's logs. Must not know what is loaded.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::scenario::resolved::{Load, LoadSource};
use crate::server::cluster::LocalCluster;
use crate::server::launch::{LaunchError, Launcher, forget_libpq};
use crate::server::registry::Role;

/// For one entry. A base backup of some terabytes may take this long.
const LOAD_DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// Why staging is not filled.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("could not load \"{what}\"")]
    Launch { what: String, source: LaunchError },
    #[error("loading \"{what}\" failed ({status})\ndetail: {said}\nhint: the whole output is in \"{}\"", log.display())]
    Failed { what: String, status: String, said: String, log: PathBuf },
    #[error("deadline \"load\" passed: \"{what}\" was not done within {} s", LOAD_DEADLINE.as_secs())]
    Deadline { what: String },
    #[error("could not give the base backup to the servers' account")]
    Give(#[source] io::Error),
}

/// Where loads run and leave their output.
pub struct Place<'a> {
    /// The scenario's directory, where programs run.
    pub scenario_dir: &'a Path,
    pub logs: &'a Path,
}

/// The base backup that takes the place of initdb, if there is one.
pub fn base_backup(loads: &[Load]) -> Option<&Path> {
    loads.iter().find_map(|load| match &load.source {
        LoadSource::BaseBackup(path) => Some(path.as_path()),
        _ => None,
    })
}

/// Copies or unpacks a base backup into the cluster's data directory.
///
/// # Errors
/// What `cp` or `tar` said; the deadline `load`.
pub async fn restore_base_backup(backup: &Path, cluster: &LocalCluster, place: &Place<'_>) -> Result<(), LoadError> {
    let launcher = cluster.launcher();
    let data_dir = &cluster.spec().data_dir;
    let mut command;
    if backup.is_dir() {
        command = launcher.command(Path::new("cp"), place.scenario_dir);
        command.arg("-a").arg(backup).arg(data_dir);
    } else {
        std::fs::create_dir_all(data_dir).map_err(LoadError::Give)?;
        command = launcher.command(Path::new("tar"), place.scenario_dir);
        command.arg("-xf").arg(backup).arg("-C").arg(data_dir);
    }
    run(launcher, command, &backup.display().to_string(), &place.logs.join("load-base-backup.log")).await?;
    let account = launcher.account();
    if account.lent {
        let mut chown = launcher.command(Path::new("chown"), place.scenario_dir);
        chown.arg("-R").arg(format!("{}:{}", account.uid, account.gid)).arg(data_dir);
        run(launcher, chown, "chown", &place.logs.join("load-base-backup.log")).await?;
    }
    use std::os::unix::fs::PermissionsExt;
    // PostgreSQL refuses a data directory that others can read.
    std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700)).map_err(LoadError::Give)
}

/// Loads every entry but a base backup into the running cluster, in order. `say` gets a line for each.
///
/// # Errors
/// The first entry that fails ends it, with the last lines of what the tool said.
pub async fn load(
    loads: &[Load],
    cluster: &LocalCluster,
    place: &Place<'_>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(), LoadError> {
    for (number, load) in (1..).zip(loads) {
        let launcher = cluster.launcher();
        let log = place.logs.join(format!("load-{number}.log"));
        let (command, what) = match &load.source {
            LoadSource::BaseBackup(_) => continue,
            LoadSource::Sql(file) => {
                let mut command = client(cluster, "psql", &load.database, place);
                command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file);
                (command, file.display().to_string())
            }
            LoadSource::Dump(archive) => {
                let mut command = client(cluster, "pg_restore", &load.database, place);
                command.args(["--exit-on-error", "--no-owner"]).arg(archive);
                (command, archive.display().to_string())
            }
            LoadSource::Command(program) => {
                let mut command = launcher.command(Path::new(&program[0]), place.scenario_dir);
                command.args(&program[1..]).env("PGREHEARSE_ENDPOINT", dsn(cluster, &load.database));
                (command, program.join(" "))
            }
        };
        say(&format!("loading {what}"));
        run(launcher, command, &what, &log).await?;
    }
    Ok(())
}

/// A client program of the cluster's own installation, connecting as its superuser.
fn client(cluster: &LocalCluster, program: &str, database: &str, place: &Place<'_>) -> Command {
    let spec = cluster.spec();
    let mut command = cluster.launcher().command(&spec.installation.program(program), place.scenario_dir);
    forget_libpq(&mut command);
    let address = cluster.address();
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.args(["-U", &spec.superuser, "-d", database]);
    command
}

/// How a program reaches the cluster; local servers trust everybody on this machine, so it holds no password.
fn dsn(cluster: &LocalCluster, database: &str) -> String {
    format!("postgresql://{}@{}/{database}", cluster.spec().superuser, cluster.address())
}

async fn run(launcher: &Launcher, command: Command, what: &str, log: &Path) -> Result<(), LoadError> {
    let failed = |source| LoadError::Launch { what: what.to_owned(), source };
    let from = std::fs::metadata(log).map_or(0, |file| file.len());
    let mut launched = launcher.spawn_logged(command, Role::Program, log).map_err(failed)?;
    match launched.wait(LOAD_DEADLINE).await.map_err(failed)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let said = crate::server::log::log_tail(log, from);
            Err(LoadError::Failed { what: what.to_owned(), status: status.to_string(), said, log: log.to_owned() })
        }
        None => {
            launched.end().await;
            Err(LoadError::Deadline { what: what.to_owned() })
        }
    }
}
