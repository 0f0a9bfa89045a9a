//! Ends runs: the own one when it is over, and those that were killed before they could.
//!
//! Takes entries of the register; ends the processes that are proven to be theirs, removes the directories that carry
//! their mark, and nothing else. Must not know what a run does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::cache::Cache;
use super::postmaster;
use super::process::{ProcessIdentity, end_postmaster, end_program, with_environment};
use super::registry::{LIVE, LiveRun, MARKER, RUN_VARIABLE, Registry, Role, host};

/// Patience with each process that was sent an ending signal.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rounds of looking for processes: a program that is being ended may start another at that moment.
const ROUNDS: usize = 3;

/// What was done about one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub run: String,
    /// Processes that were ended.
    pub processes: usize,
    /// Directories that were removed.
    pub directories: usize,
    /// What could not be done, in words.
    pub problems: Vec<String>,
}

/// Ends this run: whatever of it still runs, its directories (unless they are kept), its entry. Servers that shall have
/// an orderly shutdown are stopped before.
pub fn end_run(registry: &Registry, keep: bool) -> Cleaned {
    let mut live = registry.snapshot();
    if keep {
        live.dirs.clear();
    }
    let cleaned = clean(&live);
    if cleaned.problems.is_empty() {
        registry.forget();
    }
    cleaned
}

/// Cleans up after every run on this machine whose process is gone. Runs that live are left alone.
pub fn clean_leftovers(cache: &Cache) -> Vec<Cleaned> {
    let dir = cache.dir().join(LIVE);
    // Two starts at once must not clean the same run; who comes second waits and finds nothing.
    let Ok(lock) = File::options().create(true).append(true).open(dir.join(".lock")) else { return Vec::new() };
    if flock(&lock, FlockOperation::LockExclusive).is_err() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut cleaned = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(live) = read_entry(&path) else { continue };
        if live.host != host() || live.owner.is_alive() {
            continue;
        }
        let done = clean(&live);
        if done.problems.is_empty() {
            let _ = fs::remove_file(&path);
        }
        cleaned.push(done);
    }
    cleaned
}

fn read_entry(path: &Path) -> Option<LiveRun> {
    (path.extension()? == "json").then_some(())?;
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn clean(live: &LiveRun) -> Cleaned {
    let mut cleaned = Cleaned { run: live.run.clone(), ..Cleaned::default() };
    for _ in 0..ROUNDS {
        let ended = end_processes(live, &mut cleaned.problems);
        cleaned.processes += ended;
        if ended == 0 {
            break;
        }
    }
    for dir in &live.dirs {
        match remove_marked(dir, &live.run) {
            Ok(removed) => cleaned.directories += usize::from(removed),
            Err(error) => cleaned.problems.push(format!("could not remove \"{}\": {error}", dir.display())),
        }
    }
    cleaned
}

/// Ends what runs now and gives their number. Programs go first, so that none starts another server meanwhile.
fn end_processes(live: &LiveRun, problems: &mut Vec<String>) -> usize {
    let servers = |live: &LiveRun| -> BTreeSet<ProcessIdentity> {
        let recorded = live.processes.iter().filter(|process| process.role == Role::Server);
        recorded
            .map(|process| process.identity.clone())
            .filter(ProcessIdentity::is_alive)
            .chain(live.data_dirs.iter().filter_map(|dir| postmaster::running_in(dir)))
            .collect()
    };
    let of_servers: BTreeSet<ProcessIdentity> =
        servers(live).into_iter().flat_map(|server| server.descendants().into_iter().chain([server])).collect();
    let recorded = live.processes.iter().filter(|process| process.role == Role::Program);
    let programs: BTreeSet<ProcessIdentity> = recorded
        .map(|process| process.identity.clone())
        .filter(ProcessIdentity::is_alive)
        .chain(with_environment(RUN_VARIABLE, &live.run))
        .filter(|process| !of_servers.contains(process))
        .collect();
    let mut ended = 0;
    let mut note = |gone: bool, process: &ProcessIdentity| {
        ended += 1;
        if !gone {
            problems.push(format!("process {} did not end", process.pid));
        }
    };
    for program in &programs {
        note(end_program(program, PATIENCE), program);
    }
    for server in &servers(live) {
        note(end_postmaster(server, PATIENCE), server);
    }
    ended
}

/// Removes a directory that carries the run's mark, or that is empty since the run was killed before it was marked.
fn remove_marked(dir: &Path, run: &str) -> io::Result<bool> {
    match fs::read_to_string(dir.join(MARKER)) {
        Ok(marked) if marked == run => fs::remove_dir_all(dir).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fs::remove_dir(dir).is_ok()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::server::process::identify;

    /// An entry of a run whose owner is gone.
    fn dead_run(cache: &Cache, run: &str, change: impl FnOnce(&mut LiveRun)) {
        let registry = Registry::claim(cache, run).unwrap();
        let mut live = registry.snapshot();
        live.owner = ProcessIdentity { pid: 1, started: "never".into() };
        change(&mut live);
        fs::write(cache.dir().join(format!("live/{run}.json")), serde_json::to_vec(&live).unwrap()).unwrap();
    }

    #[test]
    fn a_dead_runs_processes_and_directories_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let [own, foreign] = ["own", "foreign"].map(|name| dir.path().join(name));
        for (path, run) in [(&own, "dead-run"), (&foreign, "other-run")] {
            fs::create_dir(path).unwrap();
            fs::write(path.join(MARKER), run).unwrap();
        }
        let mut marked =
            Command::new("sleep").arg("600").env(RUN_VARIABLE, "dead-run").stdin(Stdio::null()).spawn().unwrap();
        let mut bystander = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let live_bystander = identify(i32::try_from(bystander.id()).unwrap()).unwrap();
        let mut stale = live_bystander.clone();
        stale.started = "earlier".into();
        dead_run(&cache, "dead-run", |live| {
            live.dirs = vec![own.clone(), foreign.clone()];
            // The id of a process that ended and whose number was given to the bystander.
            live.processes.push(crate::server::registry::RecordedProcess { identity: stale, role: Role::Program });
        });

        let cleaned = clean_leftovers(&cache);
        assert_eq!(cleaned.len(), 1);
        assert_eq!((cleaned[0].run.as_str(), cleaned[0].directories), ("dead-run", 1));
        assert_eq!(cleaned[0].problems, Vec::<String>::new());
        assert!(!own.exists() && foreign.exists());
        // Elsewhere environments are not shown, so the process is found by its recorded id alone.
        if cfg!(not(target_os = "linux")) {
            marked.kill().unwrap();
        }
        assert!(!marked.wait().unwrap().success());
        assert!(live_bystander.is_alive());
        assert!(clean_leftovers(&cache).is_empty());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }

    #[test]
    fn a_live_run_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let registry = Registry::claim(&cache, "live-run").unwrap();
        let own = dir.path().join("own");
        registry.create_dir(&own).unwrap();
        assert!(clean_leftovers(&cache).is_empty());
        assert!(own.exists());
        assert_eq!(end_run(&registry, false).directories, 1);
        assert!(!own.exists() && !dir.path().join("live/live-run.json").exists());
    }
}
