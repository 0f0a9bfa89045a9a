//! File descriptors: each connection of the replay takes one, and the usual limit of a process is 1,024.
//!
//! Raises the soft limit as far as the hard one allows, and says whether that is enough before anything starts. Must not
//! know whose connections they are.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside the connections: files of the run, control sessions, the programs that are started.
const BESIDE_CONNECTIONS: u64 = 200;

/// The system does not let this process have as many as it needs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{connections} connections need {needed} file descriptors, and the system allows this process {allowed}\n\
     hint: Raise the hard limit to {needed} or more (ulimit -Hn, LimitNOFILE= of a service, --ulimit nofile= of a \
     container), or share the sessions among shards."
)]
pub struct TooFewDescriptors {
    pub connections: u64,
    pub needed: u64,
    pub allowed: u64,
}

/// macOS refuses a higher soft limit than this, however high the hard one is (setrlimit(2), `OPEN_MAX`).
const MACOS_MAX: u64 = 10_240;

/// Lets this process have as many descriptors as the system allows it; gives their number, none without a limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: allowed(limit.maximum), maximum: limit.maximum });
    getrlimit(Resource::Nofile).current
}

/// The highest soft limit under this hard one.
fn allowed(hard: Option<u64>) -> Option<u64> {
    if cfg!(target_os = "macos") { Some(hard.map_or(MACOS_MAX, |hard| hard.min(MACOS_MAX))) } else { hard }
}

/// Whether so many connections fit into the descriptors that are allowed.
///
/// # Errors
/// They do not.
pub fn check(connections: u64, allowed: Option<u64>) -> Result<(), TooFewDescriptors> {
    let needed = connections.saturating_add(BESIDE_CONNECTIONS);
    match allowed {
        Some(allowed) if allowed < needed => Err(TooFewDescriptors { connections, needed, allowed }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_what_is_beside_them_must_fit() {
        assert_eq!(check(5_000, Some(5_200)), Ok(()));
        assert_eq!(check(u64::MAX, None), Ok(()));
        let error = check(5_000, Some(5_199)).map_err(|error| error.to_string());
        let says = "5000 connections need 5200 file descriptors, and the system allows this process 5199";
        assert!(error.is_err_and(|error| error.starts_with(says)));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        assert_eq!(raise(), allowed(getrlimit(Resource::Nofile).maximum));
    }
}
