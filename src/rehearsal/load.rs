//! Fills a local staging server before the rehearsal: scripts, dumps, base backups, programs.
//!
//! Takes a scenario's `[[staging.load]]` entries and a cluster; runs PostgreSQL's own tools, whose output goes to the run
//! directory's logs, and sets sequences. Must not know what is loaded.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::sequences::{self, SequenceError};
use super::staging::local::target;
use crate::scenario::resolved::{Load, LoadSource, Sequences};
use crate::server::cluster::LocalCluster;
use crate::server::connect::ConnectError;
use crate::server::control;
use crate::server::launch::{LaunchError, Launcher, forget_libpq};
use crate::server::login::Login;
use crate::server::registry::Role;

/// For one entry. A base backup of some terabytes may take this long.
const LOAD_DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// To the session that sets sequences.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// Why staging is not filled.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("could not load \"{what}\"")]
    Launch { what: String, source: LaunchError },
    #[error("loading \"{what}\" failed ({status})\ndetail: {said}\nhint: the whole output is in \"{}\"", log.display())]
    Failed { what: String, status: String, said: String, log: PathBuf },
    #[error("deadline \"load\" passed: \"{what}\" was not done within {} s", LOAD_DEADLINE.as_secs())]
    Deadline { what: String },
    #[error("could not connect to database \"{database}\" to set its sequences")]
    Unreachable { database: String, source: ConnectError },
    #[error(transparent)]
    Sequence(#[from] SequenceError),
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

/// Loads every entry but a base backup into the running cluster, in order, and after each sets the sequences that it names.
/// `say` gets a line for each.
///
/// # Errors
/// The first entry that fails ends it, with the last lines of what the tool said; a sequence that could not be set.
pub async fn load(
    loads: &[Load],
    cluster: &LocalCluster,
    place: &Place<'_>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(), LoadError> {
    for (number, load) in (1..).zip(loads) {
        if let Some((command, what)) = filling(load, cluster, place) {
            say(&format!("loading {what}"));
            run(cluster.launcher(), command, &what, &place.logs.join(format!("load-{number}.log"))).await?;
        }
        if load.sequences != Sequences::AsLoaded {
            say(&format!("setting the sequences of {}", load.database));
            set_sequences(load, cluster).await?;
        }
    }
    Ok(())
}

/// The program that loads an entry, and what to call it; none for a base backup, which is there already.
fn filling(load: &Load, cluster: &LocalCluster, place: &Place<'_>) -> Option<(Command, String)> {
    Some(match &load.source {
        LoadSource::BaseBackup(_) => return None,
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
            let mut command = cluster.launcher().command(Path::new(&program[0]), place.scenario_dir);
            command.args(&program[1..]).env("PGREHEARSE_ENDPOINT", dsn(cluster, &load.database));
            (command, program.join(" "))
        }
    })
}

async fn set_sequences(load: &Load, cluster: &LocalCluster) -> Result<(), LoadError> {
    let unreachable = |source| LoadError::Unreachable { database: load.database.clone(), source };
    let login = Login::new(&cluster.spec().superuser, &load.database);
    let session = control::connect(&target(cluster), &login, CONNECT_DEADLINE).await.map_err(unreachable)?;
    // Columns without an index are read whole.
    let setting = sequences::set(&load.sequences, &load.database, &session);
    match tokio::time::timeout(LOAD_DEADLINE, setting).await {
        Ok(set) => set?,
        Err(_) => return Err(LoadError::Deadline { what: format!("sequences of {}", load.database) }),
    }
    session.close().await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fixture::{DEADLINE, Run, pinned};

    const TABLES: &str = "
        CREATE SCHEMA shop;
        CREATE TABLE shop.up (id serial); INSERT INTO shop.up VALUES (41);
        CREATE TABLE down (id bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT -1)); INSERT INTO down VALUES (-7);
        CREATE TABLE bare (id serial); CREATE SEQUENCE \"Own\";";

    #[tokio::test]
    async fn sequences_stand_where_the_scenario_says_once_the_database_is_loaded() {
        let Some(installation) = pinned(16).await else { return };
        let run = Run::new("t-sequences");
        let mut cluster = run.cluster("old", installation, &[]);
        cluster.init(DEADLINE).await.unwrap();
        cluster.start(DEADLINE).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let place = Place { scenario_dir: dir.path(), logs: dir.path() };
        let fill = |sequences| {
            // Through a pipe, since the servers' account need not reach the test's directory.
            let script = format!(
                "echo '{TABLES}' | {} -X -q -d \"$PGREHEARSE_ENDPOINT\"",
                cluster.spec().installation.program("psql").display()
            );
            let program = if sequences == Sequences::FromTables { script } else { "true".to_owned() };
            let source = LoadSource::Command(vec!["sh".to_owned(), "-c".to_owned(), program]);
            Load { source, database: "postgres".to_owned(), sequences }
        };
        let to = |name: &str, value| Sequences::To([(name.to_owned(), value)].into());
        let mut said = Vec::new();
        let loads = [fill(Sequences::FromTables), fill(to("\"Own\"", 1000))];
        load(&loads, &cluster, &place, &mut |line| said.push(line.to_owned())).await.unwrap();
        assert_eq!(said[1], "setting the sequences of postgres");

        let session = control::connect(&target(&cluster), &Login::new("postgres", "postgres"), DEADLINE).await.unwrap();
        let next = "SELECT concat_ws(' ', nextval('shop.up_id_seq'), nextval('down_id_seq'), nextval('bare_id_seq'),
                                     nextval('\"Own\"'))";
        assert_eq!(session.query_one(next, &[]).await.unwrap().get::<_, &str>(0), "42 -8 1 1001");
        session.close().await;

        for (name, value, reason) in [("own", 1, "relation \"own\" does not exist"), ("\"Own\"", 0, "out of bounds")] {
            let error = load(&[fill(to(name, value))], &cluster, &place, &mut |_| {}).await.unwrap_err().to_string();
            let place = format!("staging.load.sequences: could not set \"{name}\" to {value} in database \"postgres\"");
            assert!(error.starts_with(&place) && error.contains(reason), "{error}");
        }
    }
}
