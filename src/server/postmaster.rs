//! The file `postmaster.pid`, and the server that it stands for.
//!
//! Takes a data directory; gives the postmaster that runs on it, ours or one that `pg_upgrade` started. Must not know who
//! asks, and ends nothing.

use std::path::Path;

use super::process::{ProcessIdentity, identify};

/// What the lines of `postmaster.pid` say (`src/include/utils/pidfile.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidFile {
    pub pid: i32,
    /// Whether connections are accepted.
    pub ready: bool,
}

impl PidFile {
    /// Reads the file's text; `None` while it is not written so far. A single-user backend writes its id negated.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse::<i32>().ok()?.checked_abs()?;
        // The status is the eighth line, padded with blanks: starting, stopping, ready, standby.
        let ready = lines.nth(6).is_some_and(|status| matches!(status.trim(), "ready" | "standby"));
        Some(Self { pid, ready })
    }

    /// Reads the file of a data directory; `None` when there is none.
    pub fn read(data_dir: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(data_dir.join("postmaster.pid")).ok()?)
    }
}

/// The live postmaster of a data directory. The file alone proves nothing, since a killed server leaves it behind and
/// its id is used again: the process must work in that directory.
pub fn running_in(data_dir: &Path) -> Option<ProcessIdentity> {
    let identity = identify(PidFile::read(data_dir)?.pid)?;
    works_in(&identity, data_dir).then_some(identity)
}

#[cfg(target_os = "linux")]
fn works_in(identity: &ProcessIdentity, data_dir: &Path) -> bool {
    let wanted = data_dir.canonicalize();
    identity.working_directory().is_some_and(|dir| wanted.is_ok_and(|wanted| dir == wanted))
}

/// Where the working directory is not shown, the command line must name the data directory.
#[cfg(not(target_os = "linux"))]
fn works_in(identity: &ProcessIdentity, data_dir: &Path) -> bool {
    let output = std::process::Command::new("ps").args(["-o", "command=", "-p", &identity.pid.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*data_dir.to_string_lossy()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_eighth_line_says_so() {
        let text = "4711\n/data\n1780000000\n5432\n/tmp/s\n127.0.0.1\n  5432001     12345\nready   \n";
        assert_eq!(PidFile::parse(text), Some(PidFile { pid: 4711, ready: true }));
        let starting = text.replace("ready   ", "starting");
        assert_eq!(PidFile::parse(&starting), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(PidFile::parse("4711\n/data\n"), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(PidFile::parse(""), None);
    }

    #[test]
    fn a_file_that_names_a_foreign_process_gives_nobody() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(running_in(dir.path()), None);
    }
}
