//! A local cluster: created, started, stopped and looked at, each with a deadline.
//!
//! Takes a specification and a launcher; runs `postgres` as our own child in a process group of its own, so that nothing
//! stands between us and its exit. Must not know what the cluster is rehearsed for.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::configuration;
use super::control_data::ControlData;
use super::launch::{LaunchError, Launched, Launcher};
use super::log::{log_end, log_tail};
use super::postmaster::{self, PidFile};
use super::process::{ProcessIdentity, end_postmaster};
use super::registry::Role;
pub use super::spec::ClusterSpec;
use crate::scenario::plan::StopMode;

/// How often `postmaster.pid` is looked at while a server starts.
const READY_POLL: Duration = Duration::from_millis(10);

/// Time for `pg_controldata`, which reads one file.
const CONTROL_DATA_DEADLINE: Duration = Duration::from_secs(30);

/// Why a cluster is not in the wanted state. `tail` is the end of its log.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("could not configure the cluster in \"{}\"{}", data_dir.display(), full(source))]
    Configure { data_dir: PathBuf, source: io::Error },
    #[error("the disk is full: \"{}\" could not be {doing}\ndetail: {tail}", data_dir.display())]
    DiskFull { data_dir: PathBuf, doing: &'static str, tail: String },
    #[error("initdb failed for \"{}\" ({status})\ndetail: {tail}", data_dir.display())]
    Init { data_dir: PathBuf, status: String, tail: String },
    #[error("port {port} on 127.0.0.1 is taken\nhint: choose another port, or none for any free one")]
    PortTaken { port: u16 },
    #[error("the server in \"{}\" ended while starting ({status})\ndetail: {tail}", data_dir.display())]
    Start { data_dir: PathBuf, status: String, tail: String },
    #[error("deadline \"{name}\" passed: the server in \"{}\" was not done within {} ms\ndetail: {tail}",
        data_dir.display(), deadline.as_millis())]
    Deadline { name: &'static str, data_dir: PathBuf, deadline: Duration, tail: String },
    #[error("pg_controldata failed for \"{}\"\ndetail: {said}", data_dir.display())]
    ControlData { data_dir: PathBuf, said: String },
}

fn full(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { ": the disk is full" } else { "" }
}

/// A cluster on this machine. Dropping it ends its server (immediate shutdown, then SIGKILL).
#[derive(Debug)]
pub struct LocalCluster {
    spec: ClusterSpec,
    launcher: Launcher,
    /// The server, if we started it and have not seen its end.
    server: Option<Launched>,
}

impl LocalCluster {
    /// A cluster that may or may not exist yet; nothing is started.
    pub fn new(spec: ClusterSpec, launcher: Launcher) -> Self {
        Self { spec, launcher, server: None }
    }

    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Where clients reach the server over TCP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.spec.port).into()
    }

    /// Creates the cluster with initdb and writes its configuration.
    ///
    /// # Errors
    /// initdb's own words; a full disk; the deadline `initdb`.
    pub async fn init(&mut self, deadline: Duration) -> Result<(), ClusterError> {
        let spec = &self.spec;
        let from = log_end(&spec.log_file);
        let mut command = self.command("initdb");
        command.args(spec.initdb_arguments()).arg("-D").arg(&spec.data_dir);
        let mut initdb = self.launcher.spawn_logged(command, Role::Program, &spec.log_file)?;
        let Some(status) = initdb.wait(deadline).await? else {
            initdb.end().await;
            return Err(self.deadline("initdb", deadline, from));
        };
        if !status.success() {
            let (data_dir, tail) = (spec.data_dir.clone(), log_tail(&spec.log_file, from));
            return Err(match tail.contains("No space left on device") {
                true => ClusterError::DiskFull { data_dir, doing: "created", tail },
                false => ClusterError::Init { data_dir, status: status.to_string(), tail },
            });
        }
        self.configure()
    }

    /// Takes over a data directory that was not made by [`Self::init`], such as a base backup: gives it to the servers'
    /// account, lets local users in, writes the configuration.
    ///
    /// # Errors
    /// When a file cannot be handed over or written.
    pub fn adopt(&self) -> Result<(), ClusterError> {
        let data_dir = &self.spec.data_dir;
        let adopt = || -> io::Result<()> {
            use std::os::unix::fs::PermissionsExt;
            give_all(data_dir, self.launcher.account())?;
            std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700))?;
            configuration::write_trusting_hba(data_dir, self.launcher.account())
        };
        adopt().map_err(|source| ClusterError::Configure { data_dir: data_dir.clone(), source })?;
        self.configure()
    }

    /// Makes the specification follow another cluster where `pg_upgrade` wants both alike. Before [`Self::init`].
    pub fn follow(&mut self, other: &ControlData) {
        self.spec.checksums = other.checksums();
        self.spec.wal_segment_bytes = Some(other.wal_segment_bytes);
    }

    /// Whether the data directory holds a cluster.
    pub fn exists(&self) -> bool {
        self.spec.data_dir.join("PG_VERSION").is_file()
    }

    /// Replaces the settings; they hold from the next start.
    pub fn set(&mut self, settings: BTreeMap<String, String>) -> Result<(), ClusterError> {
        self.spec.settings = settings;
        self.configure()
    }

    /// Starts the server and waits until it accepts connections. A server that runs already is left alone.
    ///
    /// # Errors
    /// A taken port; the end of the log of a server that gave up; the deadline `start` (the server is ended then).
    pub async fn start(&mut self, deadline: Duration) -> Result<(), ClusterError> {
        if self.postmaster().is_some() {
            return Ok(());
        }
        let port = self.spec.port;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            return Err(ClusterError::PortTaken { port });
        }
        let from = log_end(&self.spec.log_file);
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.spec.data_dir);
        let mut server = self.launcher.spawn_logged(command, Role::Server, &self.spec.log_file)?;
        let end = Instant::now() + deadline;
        while !is_ready(&self.spec.data_dir, &server) {
            if let Some(status) = server.try_wait()? {
                return Err(self.failed_start(status.to_string(), from));
            }
            if Instant::now() >= end {
                server.end().await;
                return Err(self.deadline("start", deadline, from));
            }
            sleep(READY_POLL).await;
        }
        self.server = Some(server);
        Ok(())
    }

    /// Shuts the server down and waits for its end. Without a server there is nothing to do.
    ///
    /// # Errors
    /// The deadline `stop`: the server got the signal and still runs.
    pub async fn stop(&mut self, mode: StopMode, deadline: Duration) -> Result<(), ClusterError> {
        let Some(postmaster) = self.postmaster() else { return Ok(()) };
        let from = log_end(&self.spec.log_file);
        postmaster.signal(match mode {
            StopMode::Smart => Signal::TERM,
            StopMode::Fast => Signal::INT,
            StopMode::Immediate => Signal::QUIT,
        });
        let end = Instant::now() + deadline;
        if let Some(server) = self.server.as_mut().filter(|server| server.identity() == Some(&postmaster)) {
            if server.wait(deadline).await?.is_none() {
                return Err(self.deadline("stop", deadline, from));
            }
            self.server = None;
        }
        // A postmaster that a step started is not our child, so its end can only be looked for.
        while postmaster.is_alive() {
            if Instant::now() >= end {
                return Err(self.deadline("stop", deadline, from));
            }
            sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// Stops and starts, each with the deadline.
    pub async fn restart(&mut self, mode: StopMode, deadline: Duration) -> Result<(), ClusterError> {
        self.stop(mode, deadline).await?;
        self.start(deadline).await
    }

    /// Ends the server whatever state it is in, with all its processes.
    pub async fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end().await;
        }
        if let Some(postmaster) = postmaster::running_in(&self.spec.data_dir) {
            // A panic in there leaves the server to the end of the run.
            let _ = tokio::task::spawn_blocking(move || end_postmaster(&postmaster, super::launch::END_PATIENCE)).await;
        }
    }

    /// The postmaster that runs on the data directory, whoever started it.
    pub fn postmaster(&self) -> Option<ProcessIdentity> {
        let started = self.server.as_ref().and_then(|server| server.identity().cloned());
        started.filter(ProcessIdentity::is_alive).or_else(|| postmaster::running_in(&self.spec.data_dir))
    }

    /// The process id of the postmaster.
    pub fn postmaster_pid(&self) -> Option<i32> {
        self.postmaster().map(|postmaster| postmaster.pid)
    }

    /// Reads the control file with `pg_controldata`; works on running and stopped clusters.
    pub async fn control_data(&self) -> Result<ControlData, ClusterError> {
        let mut command = self.command("pg_controldata");
        command.arg("-D").arg(&self.spec.data_dir).kill_on_drop(true);
        let failed = |said: String| ClusterError::ControlData { data_dir: self.spec.data_dir.clone(), said };
        let output = tokio::time::timeout(CONTROL_DATA_DEADLINE, command.output()).await;
        let output = output.map_err(|_| failed("deadline \"pg_controldata\" passed".into()))?;
        let output = output.map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ControlData::parse(&text).ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// One of the installation's programs, to run under the servers' account. Its working directory is the data
    /// directory's parent, which that account can enter.
    pub fn command(&self, program: &str) -> tokio::process::Command {
        let dir = self.spec.data_dir.parent().unwrap_or(&self.spec.data_dir);
        self.launcher.server_command(&self.spec.installation.program(program), dir)
    }

    fn configure(&self) -> Result<(), ClusterError> {
        let mut settings = self.spec.settings.clone();
        settings.insert("listen_addresses".into(), "127.0.0.1".into());
        settings.insert("port".into(), self.spec.port.to_string());
        settings.insert("unix_socket_directories".into(), self.spec.socket_dir.display().to_string());
        configuration::write(&self.spec.data_dir, &settings, self.launcher.account())
            .map_err(|source| ClusterError::Configure { data_dir: self.spec.data_dir.clone(), source })
    }

    fn failed_start(&self, status: String, from: u64) -> ClusterError {
        let (data_dir, tail) = (self.spec.data_dir.clone(), log_tail(&self.spec.log_file, from));
        if tail.contains("Address already in use") {
            return ClusterError::PortTaken { port: self.spec.port };
        }
        if tail.contains("No space left on device") {
            return ClusterError::DiskFull { data_dir, doing: "started", tail };
        }
        ClusterError::Start { data_dir, status, tail }
    }

    fn deadline(&self, name: &'static str, deadline: Duration, from: u64) -> ClusterError {
        let tail = log_tail(&self.spec.log_file, from);
        ClusterError::Deadline { name, data_dir: self.spec.data_dir.clone(), deadline, tail }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        // Our own child ends with its handle; this is for a server that a step started.
        drop(self.server.take());
        if let Some(postmaster) = postmaster::running_in(&self.spec.data_dir) {
            end_postmaster(&postmaster, super::launch::END_PATIENCE);
        }
    }
}

/// Whether the server that we started has said that it accepts connections.
fn is_ready(data_dir: &Path, server: &Launched) -> bool {
    let pid = server.identity().map(|identity| identity.pid);
    PidFile::read(data_dir).is_some_and(|file| file.ready && Some(file.pid) == pid)
}

fn give_all(path: &Path, account: &super::account::Account) -> io::Result<()> {
    account.give(path)?;
    // Tablespaces are links; what lies behind them is not part of the directory.
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if !entry.file_type()?.is_symlink() {
                give_all(&entry.path(), account)?;
            }
        }
    }
    Ok(())
}
