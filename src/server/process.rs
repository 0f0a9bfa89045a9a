//! Processes of the machine: who they are beyond doubt, what descends from them, and how they are ended.
//!
//! Takes process ids; gives identities (id plus start time, since ids are used again) and sends signals. Reads `/proc`
//! on Linux and asks `ps` elsewhere. Must not know what the processes are for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// How often a process that is not our child is looked at while its end is awaited.
const POLL: Duration = Duration::from_millis(10);

/// A process that cannot be mistaken for a later one with the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Linux: clock ticks since boot (`/proc/PID/stat`, field 22); elsewhere `ps -o lstart`.
    pub started: String,
}

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    identity: ProcessIdentity,
    parent: i32,
    /// Ended, but not yet waited for by its parent: as good as gone.
    zombie: bool,
}

/// The identity of a live process; `None` when there is none with this id.
pub fn identify(pid: i32) -> Option<ProcessIdentity> {
    entry(pid).filter(|entry| !entry.zombie).map(|entry| entry.identity)
}

/// The identity of this very process.
pub fn own_identity() -> ProcessIdentity {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    identify(pid).unwrap_or(ProcessIdentity { pid, started: String::new() })
}

impl ProcessIdentity {
    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        identify(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, if this very process still runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end between the look and the call; that is what the signal was for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal to the process group that this process leads.
    pub fn signal_group(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Waits until the process is gone; false when it still runs at the deadline.
    pub fn wait_gone(&self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        while self.is_alive() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// Its children, their children and so on, as they are now.
    pub fn descendants(&self) -> Vec<ProcessIdentity> {
        descendants_in(&table(), self.pid)
    }

    /// The working directory, where the system tells it (Linux).
    pub fn working_directory(&self) -> Option<PathBuf> {
        std::fs::read_link(Path::new("/proc").join(self.pid.to_string()).join("cwd")).ok()
    }
}

/// Every live process in whose initial environment `NAME=value` stands, this process left out. Empty where the system
/// does not show environments (all but Linux).
pub fn with_environment(name: &str, value: &str) -> Vec<ProcessIdentity> {
    let wanted = format!("{name}={value}").into_bytes();
    let own = own_identity();
    table()
        .into_iter()
        .filter(|entry| !entry.zombie && entry.identity != own)
        .filter(|entry| {
            std::fs::read(format!("/proc/{}/environ", entry.identity.pid))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == wanted))
        })
        .map(|entry| entry.identity)
        .collect()
}

/// Ends a postmaster for good and all its children with it: an immediate shutdown first, so that the server frees its
/// shared memory, then SIGKILL. Stopped processes (SIGSTOP) are continued, else they would outlive their postmaster.
///
/// Returns false when something still runs after both.
pub fn end_postmaster(postmaster: &ProcessIdentity, patience: Duration) -> bool {
    // A server process leads a session of its own, so no signal to the postmaster's group would reach it.
    let children = postmaster.descendants();
    postmaster.signal(Signal::QUIT);
    postmaster.signal(Signal::CONT);
    for child in &children {
        child.signal(Signal::CONT);
    }
    if !postmaster.wait_gone(patience) {
        postmaster.signal(Signal::KILL);
    }
    let mut gone = postmaster.wait_gone(patience);
    for child in children {
        child.signal(Signal::KILL);
        gone &= child.wait_gone(patience);
    }
    gone
}

/// Ends a program and what it started: its process group and its descendants, with SIGKILL. For programs that hold no
/// state worth an orderly end. Returns false when something still runs after it.
pub fn end_program(program: &ProcessIdentity, patience: Duration) -> bool {
    let descendants = program.descendants();
    program.signal_group(Signal::KILL);
    program.signal(Signal::KILL);
    let mut gone = program.wait_gone(patience);
    for descendant in descendants {
        descendant.signal(Signal::KILL);
        gone &= descendant.wait_gone(patience);
    }
    gone
}

fn descendants_in(table: &[Entry], root: i32) -> Vec<ProcessIdentity> {
    let mut family = BTreeSet::from([root]);
    let mut found = Vec::new();
    // The table is not ordered by age, so go over it until nothing is added; it has some hundred lines.
    loop {
        let before = found.len();
        for entry in table.iter().filter(|entry| !entry.zombie) {
            if family.contains(&entry.parent) && family.insert(entry.identity.pid) {
                found.push(entry.identity.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(target_os = "linux")]
fn entry(pid: i32) -> Option<Entry> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

#[cfg(target_os = "linux")]
fn table() -> Vec<Entry> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|dir| dir.file_name().to_str()?.parse().ok()).filter_map(entry).collect()
}

#[cfg(not(target_os = "linux"))]
fn entry(pid: i32) -> Option<Entry> {
    table().into_iter().find(|entry| entry.identity.pid == pid)
}

#[cfg(not(target_os = "linux"))]
fn table() -> Vec<Entry> {
    let output =
        std::process::Command::new("ps").args(["-axo", "pid=,ppid=,stat=,lstart="]).env("LC_ALL", "C").output();
    output.map_or_else(
        |_| Vec::new(),
        |output| String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_ps).collect(),
    )
}

/// Reads `/proc/PID/stat`. The program's name stands in parentheses and may hold spaces and parentheses itself.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn parse_stat(stat: &str) -> Option<Entry> {
    let pid = stat.split_once(' ')?.0.parse().ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.to_owned();
    Some(Entry { identity: ProcessIdentity { pid, started }, parent, zombie: matches!(state, "Z" | "X") })
}

/// Reads a line of `ps -axo pid=,ppid=,stat=,lstart=`.
#[cfg_attr(target_os = "linux", allow(dead_code))]
fn parse_ps(line: &str) -> Option<Entry> {
    let mut fields = line.split_ascii_whitespace();
    let pid = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let zombie = fields.next()?.starts_with('Z');
    let started = fields.collect::<Vec<_>>().join(" ");
    Some(Entry { identity: ProcessIdentity { pid, started }, parent, zombie })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(pid: i32, parent: i32) -> Entry {
        Entry { identity: ProcessIdentity { pid, started: "1".into() }, parent, zombie: false }
    }

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) (b c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        let entry = parse_stat(stat).unwrap();
        assert_eq!((entry.identity.pid, entry.parent, entry.zombie), (42, 7, false));
        assert_eq!(entry.identity.started, "987654");
    }

    #[test]
    fn a_line_of_ps_gives_the_start_as_text() {
        let entry = parse_ps("  501   1 Z+   Mon Jun  1 10:00:00 2026").unwrap();
        assert_eq!((entry.identity.pid, entry.parent, entry.zombie), (501, 1, true));
        assert_eq!(entry.identity.started, "Mon Jun 1 10:00:00 2026");
    }

    #[test]
    fn descendants_are_found_whatever_the_order_of_the_table() {
        let table = [entry(30, 20), entry(20, 10), entry(99, 1), entry(10, 1)];
        let pids: Vec<i32> = descendants_in(&table, 10).into_iter().map(|identity| identity.pid).collect();
        assert_eq!(pids, [20, 30]);
    }

    #[test]
    fn a_process_with_another_start_time_is_another_process() {
        let own = own_identity();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { started: "0".into(), ..own }.is_alive());
    }
}
