//! Real servers of the pinned majors, for tests. Where none can be had, a test says why and passes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::Account;
use super::binaries::{Installation, Part, Wanted};
use super::cache::Cache;
use super::cluster::LocalCluster;
use super::install::{Installing, obtain};
use super::launch::Launcher;
use super::leftovers::end_run;
use super::registry::Registry;
use super::spec::{ClusterSpec, default_locale};
use super::workspace::{Workspace, free_port};
use crate::scenario::resolved::ServerSource;
use crate::words::ids::PgMajor;

/// Generous: tests share the machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The pinned installation of a major, from the default cache; `None` (and a line on stderr) when it cannot be had.
pub async fn pinned(major: u16) -> Option<Installation> {
    let wanted = Wanted { major: PgMajor(major), bin_dir: None, source: ServerSource::Pinned, part: Part::Target };
    let cache = Cache::locate().unwrap();
    let account = Account::for_servers().unwrap();
    match obtain(&wanted, &cache, &account, Installing::from_environment(), &mut |line| eprintln!("{line}")).await {
        Ok(installation) => Some(installation),
        Err(error) => {
            eprintln!("SKIPPED, no PostgreSQL {major}: {error}");
            None
        }
    }
}

/// A run of its own with a register in a directory of its own.
pub struct Run {
    pub cache_dir: tempfile::TempDir,
    pub launcher: Launcher,
    pub workspace: Workspace,
}

impl Run {
    pub fn new(name: &str) -> Self {
        let cache_dir = tempfile::tempdir().unwrap();
        let run = format!("{name}-{}", std::process::id());
        let registry = Registry::claim(&Cache::at(cache_dir.path()), &run).unwrap();
        let launcher = Launcher::new(Account::for_servers().unwrap(), registry);
        let workspace = Workspace::create(&launcher, None).unwrap();
        Self { cache_dir, launcher, workspace }
    }

    /// A cluster that is not created yet. `name` is `old` or `new`.
    pub fn cluster(&self, name: &str, installation: Installation, settings: &[(&str, &str)]) -> LocalCluster {
        let spec = ClusterSpec {
            installation,
            data_dir: self.workspace.data_dir(name).unwrap(),
            socket_dir: self.workspace.socket_dir(name).unwrap(),
            port: free_port().unwrap(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect::<BTreeMap<_, _>>(),
            checksums: true,
            encoding: "UTF8".into(),
            locale: default_locale().into(),
            superuser: "postgres".into(),
            wal_segment_bytes: None,
            log_file: self.workspace.root().join(format!("{name}.log")),
        };
        LocalCluster::new(spec, self.launcher.clone())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        end_run(self.launcher.registry(), false);
    }
}
