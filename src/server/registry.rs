//! The register of live runs, so that what a killed run left behind can be found and proven to be its own.
//!
//! Takes the directories and processes of a run as they come and go; keeps them in `<cache>/live/<run>.json`, replaced
//! atomically at each change. Must not know how leftovers are cleaned.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::cache::{Cache, CacheError};
use super::process::{ProcessIdentity, identify, own_identity};

/// Set in the environment of every child, so that its descendants can be told to be this run's.
pub const RUN_VARIABLE: &str = "PGREHEARSE_RUN_ID";

/// A file in every directory of a run; it holds the run's id. A directory without it is never removed.
pub(super) const MARKER: &str = ".pgrehearse-run";

/// The directory of entries below the cache.
pub(super) const LIVE: &str = "live";

/// Why the register cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("could not write the register of live runs \"{}\"", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not create the directory \"{}\"", path.display())]
    Directory { path: PathBuf, source: io::Error },
}

/// What a recorded process is, which decides how it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A postmaster: gets an immediate shutdown first.
    Server,
    /// Anything else: initdb, pg_upgrade, vacuumdb, a command step.
    Program,
}

/// A process that the run started; it leads its own process group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordedProcess {
    pub identity: ProcessIdentity,
    pub role: Role,
}

/// One run's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LiveRun {
    pub run: String,
    /// The machine (or container) that the process ids belong to: a cache may be shared by several.
    pub host: String,
    pub owner: ProcessIdentity,
    /// Directories that go with the run.
    pub dirs: Vec<PathBuf>,
    /// Data directories of clusters, in which servers that we did not start ourselves (pg_upgrade's) may run.
    pub data_dirs: Vec<PathBuf>,
    pub processes: Vec<RecordedProcess>,
}

/// This run's entry. Cheap to clone; all copies write the same file.
#[derive(Clone, Debug)]
pub struct Registry {
    path: PathBuf,
    live: Arc<Mutex<LiveRun>>,
}

impl Registry {
    /// Enters a run, owned by this process. `run` must be unique and fit into a file name.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn claim(cache: &Cache, run: &str) -> Result<Self, RegistryError> {
        let path = cache.create(LIVE)?.join(format!("{run}.json"));
        let live = LiveRun {
            run: run.to_owned(),
            host: host(),
            owner: own_identity(),
            dirs: Vec::new(),
            data_dirs: Vec::new(),
            processes: Vec::new(),
        };
        let registry = Self { path, live: Arc::new(Mutex::new(live)) };
        registry.change(|_| {})?;
        Ok(registry)
    }

    /// The run's id.
    pub fn run(&self) -> String {
        self.locked().run.clone()
    }

    /// Creates a directory (mode 0700) that goes with the run. It is entered before it is made, so there is no moment
    /// at which a kill would leave it unknown.
    ///
    /// # Errors
    /// When it exists already or cannot be made.
    pub fn create_dir(&self, dir: &Path) -> Result<(), RegistryError> {
        self.change(|live| live.dirs.push(dir.to_path_buf()))?;
        let failed = |source| RegistryError::Directory { path: dir.into(), source };
        fs::DirBuilder::new().mode(0o700).create(dir).map_err(failed)?;
        fs::write(dir.join(MARKER), self.run()).map_err(failed)
    }

    /// Enters a data directory before its cluster is created.
    pub fn add_data_dir(&self, data_dir: &Path) -> Result<(), RegistryError> {
        self.change(|live| live.data_dirs.push(data_dir.to_path_buf()))
    }

    /// Enters a process that was just started and gives its identity; `None` when it has ended already.
    pub fn add_process(&self, pid: i32, role: Role) -> Result<Option<ProcessIdentity>, RegistryError> {
        let Some(identity) = identify(pid) else { return Ok(None) };
        let process = RecordedProcess { identity: identity.clone(), role };
        self.change(|live| live.processes.push(process))?;
        Ok(Some(identity))
    }

    /// Strikes out a process that has ended.
    pub fn remove_process(&self, identity: &ProcessIdentity) -> Result<(), RegistryError> {
        self.change(|live| live.processes.retain(|process| process.identity != *identity))
    }

    /// What is entered now.
    pub(super) fn snapshot(&self) -> LiveRun {
        self.locked().clone()
    }

    /// Removes the entry. Only for a run of which nothing is left.
    pub(super) fn forget(&self) {
        // An entry that stays is found again at the next start, with nothing in it that lives.
        let _ = fs::remove_file(&self.path);
    }

    fn locked(&self) -> MutexGuard<'_, LiveRun> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut LiveRun)) -> Result<(), RegistryError> {
        let mut live = self.locked();
        change(&mut live);
        write_entry(&self.path, &live).map_err(|source| RegistryError::Write { path: self.path.clone(), source })
    }
}

/// The name of this machine or container.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn write_entry(path: &Path, live: &LiveRun) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".entry-").tempfile_in(dir)?;
    serde_json::to_writer_pretty(&mut file, live)?;
    file.write_all(b"\n")?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_its_owner_directories_and_processes() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::claim(&Cache::at(dir.path()), "run-1").unwrap();
        let workspace = dir.path().join("workspace");
        registry.create_dir(&workspace).unwrap();
        let own = registry.add_process(own_identity().pid, Role::Program).unwrap().unwrap();

        let read =
            || -> LiveRun { serde_json::from_slice(&fs::read(dir.path().join("live/run-1.json")).unwrap()).unwrap() };
        let entry = read();
        assert_eq!((entry.owner, entry.dirs), (own_identity(), vec![workspace.clone()]));
        assert_eq!(entry.processes.len(), 1);
        assert_eq!(fs::read_to_string(workspace.join(MARKER)).unwrap(), "run-1");

        registry.remove_process(&own).unwrap();
        assert!(read().processes.is_empty());
        registry.forget();
        assert!(!dir.path().join("live/run-1.json").exists());
    }
}
