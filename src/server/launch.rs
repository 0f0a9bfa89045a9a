//! Starts programs for a run: under the right account, in process groups of their own, entered in the register.
//!
//! Takes a program and its arguments; gives a running child that can be awaited with a deadline and never outlives its
//! handle. Must not know what the programs do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::account::Account;
use super::process::{ProcessIdentity, end_postmaster, end_program};
use super::registry::{RUN_VARIABLE, Registry, RegistryError, Role};

/// Patience with a process that was sent an ending signal.
pub(super) const END_PATIENCE: Duration = Duration::from_secs(5);

/// Why a program did not run to a good end.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("could not start \"{}\"", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("could not wait for \"{}\"", program.display())]
    Wait { program: PathBuf, source: io::Error },
    #[error("could not write \"{}\"", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What every program of a run is started with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    account: Account,
    registry: Registry,
}

impl Launcher {
    pub fn new(account: Account, registry: Registry) -> Self {
        Self { account, registry }
    }

    /// The account of the servers.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The run's entry in the register.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A PostgreSQL program, to run under the servers' account in `dir`, with nothing of libpq's in its environment and
    /// with messages in English, since some are read.
    pub fn server_command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = self.command(program, dir);
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        forget_libpq(&mut command);
        if self.account.lent {
            command.uid(self.account.uid).gid(self.account.gid).env("HOME", dir).env("USER", &self.account.name);
        }
        command
    }

    /// A program of the user's, to run as ourselves in `dir`.
    pub fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        // A group of its own, so that a terminal's ctrl-C reaches us alone and the order of ending is ours.
        command.current_dir(dir).env(RUN_VARIABLE, self.registry.run()).stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts a program and enters it in the register.
    ///
    /// # Errors
    /// When it cannot be started, or not be entered (then it was ended again).
    pub fn spawn(&self, mut command: Command, role: Role) -> Result<Launched, LaunchError> {
        let program = PathBuf::from(command.as_std().get_program());
        let child = command.spawn().map_err(|source| LaunchError::Start { program: program.clone(), source })?;
        let mut launched = Launched { program, child, identity: None, role, registry: self.registry.clone() };
        if let Some(pid) = launched.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // Our own child keeps its id until it was waited for, so this is it.
            launched.identity = super::process::identify(pid);
            self.registry.add_process(pid, role)?;
        }
        Ok(launched)
    }

    /// Starts a program with its output going to the end of `log`.
    pub fn spawn_logged(&self, mut command: Command, role: Role, log: &Path) -> Result<Launched, LaunchError> {
        let failed = |source| LaunchError::Log { path: log.into(), source };
        let out = File::options().create(true).append(true).open(log).map_err(failed)?;
        let error = out.try_clone().map_err(failed)?;
        command.stdout(out).stderr(error);
        self.spawn(command, role)
    }
}

/// Takes away what steers the user's own libpq and servers: it must not steer ours.
pub fn forget_libpq(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_libpq) {
            command.env_remove(name);
        }
    }
}

/// The variables by which libpq and the servers are steered; our own begin with `PGREHEARSE`.
fn is_of_libpq(name: &str) -> bool {
    name.starts_with("PG") && !name.starts_with("PGREHEARSE")
}

/// A running program. Dropping it ends it, with everything that it started.
#[derive(Debug)]
pub struct Launched {
    program: PathBuf,
    child: Child,
    identity: Option<ProcessIdentity>,
    role: Role,
    registry: Registry,
}

impl Launched {
    /// Who it is; `None` when it had ended before it could be looked at.
    pub fn identity(&self) -> Option<&ProcessIdentity> {
        self.identity.as_ref()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, LaunchError> {
        let status = self.child.try_wait();
        let status = status.map_err(|source| LaunchError::Wait { program: self.program.clone(), source })?;
        if status.is_some() {
            self.strike_out();
        }
        Ok(status)
    }

    /// Waits for its end, for callers that keep a deadline themselves: dropping the future and the handle ends it.
    pub async fn finished(&mut self) -> Result<ExitStatus, LaunchError> {
        let status = self.child.wait().await;
        let status = status.map_err(|source| LaunchError::Wait { program: self.program.clone(), source })?;
        self.strike_out();
        Ok(status)
    }

    /// Waits for its end; `None` when it still runs at the deadline.
    pub async fn wait(&mut self, deadline: Duration) -> Result<Option<ExitStatus>, LaunchError> {
        timeout(deadline, self.finished()).await.map_or(Ok(None), |status| status.map(Some))
    }

    /// Ends it and what it started, and waits until that is so.
    pub async fn end(&mut self) {
        if let Some(identity) = self.identity.clone() {
            let role = self.role;
            // The looks at the process table block; a panic in there would mean that nothing was ended, which `drop`
            // then tries again.
            let _ = tokio::task::spawn_blocking(move || end(&identity, role)).await;
        }
        let _ = self.wait(END_PATIENCE).await;
    }

    fn strike_out(&mut self) {
        if let Some(identity) = self.identity.take() {
            // A line too many in the register does no harm: the identity is that of nobody any more.
            let _ = self.registry.remove_process(&identity);
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if let Some(identity) = self.identity.clone() {
            end(&identity, self.role);
            self.strike_out();
        }
    }
}

fn end(identity: &ProcessIdentity, role: Role) {
    match role {
        Role::Server => end_postmaster(identity, END_PATIENCE),
        Role::Program => end_program(identity, END_PATIENCE),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::server::cache::Cache;

    fn launcher(dir: &Path) -> Launcher {
        let registry = Registry::claim(&Cache::at(dir), "run").unwrap();
        Launcher::new(Account::for_servers().unwrap(), registry)
    }

    #[test]
    fn only_variables_of_libpq_are_taken_away() {
        assert!(is_of_libpq("PGHOST") && is_of_libpq("PGPASSWORD") && is_of_libpq("PGDATA"));
        assert!(!is_of_libpq("PGREHEARSE_CACHE") && !is_of_libpq("PATH"));
    }

    #[tokio::test]
    async fn a_program_that_passes_its_deadline_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let launcher = launcher(dir.path());
        let mut command = launcher.command(Path::new("/bin/sh"), dir.path());
        command.args(["-c", "sleep 600 & sleep 600"]);
        let mut launched = launcher.spawn(command, Role::Program).unwrap();
        let identity = launched.identity().unwrap().clone();
        assert!(launched.wait(Duration::from_millis(50)).await.unwrap().is_none());
        let children = identity.descendants();
        launched.end().await;
        assert!(!identity.is_alive());
        assert!(children.iter().all(|child| !child.is_alive()));
        assert!(launcher.registry().snapshot().processes.is_empty());
    }

    #[tokio::test]
    async fn the_exit_status_is_given_and_the_program_struck_out() {
        let dir = tempfile::tempdir().unwrap();
        let launcher = launcher(dir.path());
        let mut command = launcher.command(Path::new("/bin/sh"), dir.path());
        command.args(["-c", "exit 3"]);
        let mut launched = launcher.spawn(command, Role::Program).unwrap();
        let status = launched.wait(Duration::from_secs(10)).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(launcher.registry().snapshot().processes.is_empty());
    }
}
