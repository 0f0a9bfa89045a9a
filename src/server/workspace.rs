//! The temporary directories of a run: clusters' data below one root, sockets below another with a short path.
//!
//! Takes a launcher (account and register) and an id; gives directories that the servers' account can write to. They go
//! when the run ends (`leftovers`). Must not know what is put there.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::launch::Launcher;
use super::registry::RegistryError;

/// The environment variable that names the directory for temporary clusters.
pub const TEMPORARY_VARIABLE: &str = "PGREHEARSE_TMP";

/// A socket's path, with its name in it, must fit into `sockaddr_un`: 107 bytes on Linux, 103 on macOS.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The longest name that PostgreSQL gives a socket.
const SOCKET_NAME: &str = "/.s.PGSQL.65535";

/// Ports below the usual ephemeral range: a port from within it could be taken by one of our own connections while no
/// server listens, or even connect to itself.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// Why no directory or port can be given.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("could not give \"{}\" to account \"{account}\"", path.display())]
    Give { path: PathBuf, account: String, source: io::Error },
    #[error(
        "the socket directory \"{}\" is too long: {} bytes with a socket's name, {SOCKET_PATH_MAX} are possible",
        path.display(), path.as_os_str().len() + SOCKET_NAME.len()
    )]
    SocketPath { path: PathBuf },
    #[error("no free TCP port between {} and {}", PORTS.start, PORTS.end - 1)]
    NoPort,
}

/// The directories of one run.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    sockets: PathBuf,
    launcher: Launcher,
}

impl Workspace {
    /// Creates both roots, the first below `tmp_dir` or else the tool's own choice. The launcher's register entry owns them: they go when it is ended.
    pub fn create(launcher: &Launcher, tmp_dir: Option<&Path>) -> Result<Self, WorkspaceError> {
        let run = launcher.registry().run();
        let root = tmp_dir.map_or_else(temporary_root, Path::to_path_buf).join(format!("pgrehearse-{run}"));
        // Not below the temporary root: that may be deep, and a socket's path must be short.
        let sockets = Path::new("/tmp").join(format!("pgr-{}", short(&run)));
        let workspace = Self { root, sockets, launcher: launcher.clone() };
        check_socket_dir(&workspace.sockets.join("xxxxxxxx"))?;
        for dir in [&workspace.root, &workspace.sockets] {
            launcher.registry().create_dir(dir)?;
            workspace.give(dir)?;
        }
        Ok(workspace)
    }

    /// The directory below which data and working directories lie.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The launcher that the directories belong to.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Where a cluster's data directory shall be; initdb creates it.
    pub fn data_dir(&self, name: &str) -> Result<PathBuf, WorkspaceError> {
        let dir = self.root.join(name);
        self.launcher.registry().add_data_dir(&dir)?;
        Ok(dir)
    }

    /// A directory (mode 0700) for the servers' account to work in.
    pub fn work_dir(&self, name: &str) -> Result<PathBuf, WorkspaceError> {
        self.make(self.root.join(name))
    }

    /// A directory for sockets. `name` must be short (8 bytes).
    pub fn socket_dir(&self, name: &str) -> Result<PathBuf, WorkspaceError> {
        let dir = self.sockets.join(name);
        check_socket_dir(&dir)?;
        self.make(dir)
    }

    fn make(&self, dir: PathBuf) -> Result<PathBuf, WorkspaceError> {
        use std::os::unix::fs::DirBuilderExt;
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(RegistryError::Directory { path: dir, source: error }.into());
            }
            _ => {}
        }
        self.give(&dir)?;
        Ok(dir)
    }

    fn give(&self, dir: &Path) -> Result<(), WorkspaceError> {
        let account = self.launcher.account();
        let failed = |source| WorkspaceError::Give { path: dir.into(), account: account.name.clone(), source };
        account.give(dir).map_err(failed)
    }
}

/// `PGREHEARSE_TMP`, else for root `/var/tmp` (which is on disk and open to the servers' account), else `$TMPDIR`.
fn temporary_root() -> PathBuf {
    match std::env::var_os(TEMPORARY_VARIABLE).filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None if rustix::process::geteuid().is_root() => PathBuf::from("/var/tmp"),
        None => std::env::temp_dir(),
    }
}

/// The end of a run's id, which differs most between runs.
fn short(run: &str) -> &str {
    let start = run.len().saturating_sub(12);
    run.get(start..).unwrap_or(run)
}

fn check_socket_dir(dir: &Path) -> Result<(), WorkspaceError> {
    if dir.as_os_str().len() + SOCKET_NAME.len() > SOCKET_PATH_MAX {
        return Err(WorkspaceError::SocketPath { path: dir.into() });
    }
    Ok(())
}

/// A TCP port on 127.0.0.1 on which nobody listens now.
///
/// # Errors
/// When a thousand tries found none.
pub fn free_port() -> Result<u16, WorkspaceError> {
    use std::hash::{BuildHasher, RandomState};
    let start = RandomState::new().hash_one(std::process::id());
    let count = u64::from(PORTS.end - PORTS.start);
    (0..1000)
        .map(|offset| (start.wrapping_add(offset * 7)) % count)
        .filter_map(|offset| u16::try_from(offset).ok())
        .map(|offset| PORTS.start + offset)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or(WorkspaceError::NoPort)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_that_would_not_fit_is_refused() {
        check_socket_dir(Path::new("/tmp/pgr-123456789012/old")).unwrap();
        let error = check_socket_dir(Path::new(&format!("/tmp/{}", "x".repeat(100)))).unwrap_err().to_string();
        assert!(error.contains("120 bytes"), "{error}");
    }

    #[test]
    fn a_free_port_can_be_listened_on_and_lies_below_the_ephemeral_range() {
        let port = free_port().unwrap();
        assert!(PORTS.contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn the_short_id_is_the_end_of_the_long_one() {
        assert_eq!(short("20260101T101112-000042-abcdef"), "00042-abcdef");
        assert_eq!(short("run"), "run");
    }
}
