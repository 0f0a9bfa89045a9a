//! A shard that does not drive: it replays its part while another process conducts.
//!
//! Takes the phase file, or the lengths of the phases where there is none; gives how it went. It ends when the driver
//! does, or when it has nothing more to replay. Must not run steps or probes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::conduct::Conducted;
use super::facts::us;
use super::measure::Measuring;
use super::signals::{Cancelled, wait};
use crate::net::Target;
use crate::record::Recorder;
use crate::scenario::Scenario;
use crate::server::endpoint::Endpoint;
use crate::timeline::{Phase, PhaseEvent, PhaseReader, PhasesHeader, What};

/// How often the phase file and the replay are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the phase file may say nothing new, from the start on: the driver writes more often, but shared storage may be
/// slow to show it, or away for a while.
const DRIVER_DEADLINE: Duration = Duration::from_secs(90);
/// Bytes that are read of the phase file at one look.
const READ_BYTES_MAX: u64 = 1 << 20;

/// What a follower goes by.
pub struct Following<'a> {
    pub scenario: &'a Scenario,
    pub measuring: &'a Measuring,
    pub recorder: &'a Recorder,
    pub endpoint: &'a Endpoint,
    /// The server on which the rehearsal begins, and the second of the plan.
    pub old: Target,
    pub new: Option<Target>,
    /// Microsecond of the run at which the start lies.
    pub starts_us: u64,
    pub cancelled: Cancelled,
}

/// Follows the driver to the end. `say` gets a line for each phase.
pub async fn follow(
    mut following: Following<'_>,
    phases: Option<(PathBuf, PhasesHeader)>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Conducted {
    let ended = match phases {
        Some((path, header)) => following.go_by_file(&path, header, say).await,
        None => following.go_by_lengths(say).await,
    };
    let mut conducted = Conducted { complete: false, interrupted: None, steps: None, silent: Vec::new() };
    match ended {
        Ended::Orderly => conducted.complete = true,
        Ended::Signal(signal) => {
            following.recorder.event(What::Interrupted { signal: signal.to_owned() });
            conducted.interrupted = Some(signal);
        }
        Ended::Lost(reason) => say(&reason),
    }
    conducted
}

enum Ended {
    /// With the driver, or with the own part of the workload.
    Orderly,
    Signal(&'static str),
    /// The driver cannot be followed.
    Lost(String),
}

impl Following<'_> {
    async fn go_by_file(&mut self, path: &Path, header: PhasesHeader, say: &mut (dyn FnMut(&str) + Send)) -> Ended {
        let mut lost_at = Instant::from_std(self.recorder.clock().to_instant(self.starts_us)) + DRIVER_DEADLINE;
        let mut file = GrowingFile { path: path.to_owned(), read: 0 };
        let mut reader = PhaseReader::new(header);
        loop {
            // Looked at first, so that what the driver said before it is not missed.
            let has_replayed = self.measuring.has_replayed();
            // Storage that is away makes whoever reads from it wait without end.
            let looked = tokio::task::spawn_blocking(move || {
                let found = file.more();
                (file, found)
            });
            let found = tokio::select! {
                biased;
                looked = looked => looked,
                () = sleep_until(lost_at) => return match self.measuring.has_replayed() {
                    true => Ended::Orderly,
                    false => Ended::Lost(format!("cannot follow the driver: reading \"{}\" takes too long", path.display())),
                },
                signal = wait(&mut self.cancelled) => return Ended::Signal(signal),
            };
            let Ok((read, found)) = found else { return Ended::Lost("reading the phase file panicked".to_owned()) };
            file = read;
            let failure = found.as_ref().err().map(ToString::to_string);
            let bytes = found.unwrap_or_default();
            let events = match reader.take(&bytes) {
                Ok(events) => events,
                Err(error) => return Ended::Lost(format!("cannot follow the driver: {error}")),
            };
            for event in events {
                if self.take(event, say) {
                    return Ended::Orderly;
                }
            }
            if has_replayed {
                return Ended::Orderly;
            }
            if !bytes.is_empty() {
                lost_at = lost_at.max(Instant::now() + DRIVER_DEADLINE);
            } else if Instant::now() >= lost_at {
                return Ended::Lost(lost(path, reader.has_begun(), failure));
            }
            tokio::select! {
                () = sleep(LOOK_INTERVAL) => {}
                signal = wait(&mut self.cancelled) => return Ended::Signal(signal),
            }
        }
    }

    /// Does as the driver says; true when it has ended.
    fn take(&self, PhaseEvent { at_us, what }: PhaseEvent, say: &mut (dyn FnMut(&str) + Send)) -> bool {
        let at_us = self.starts_us.saturating_add_signed(at_us);
        match &what {
            What::PhaseStarted { phase } => say(&format!("{}: the driver has begun it", phase.name())),
            What::EndpointSwitched { server, .. } => {
                // Also back to the old one, as a failed plan or the steps themselves may have it.
                let target = if server == "new" { self.new.clone() } else { Some(self.old.clone()) };
                if let Some(target) = target {
                    self.endpoint.switch(target, server);
                }
            }
            What::DriverAlive => return false,
            // These are about the driver's own run.
            What::Interrupted { signal } => {
                say(&format!("the driver was interrupted by {signal}"));
                return true;
            }
            What::RunEnded { .. } => return true,
            _ => {}
        }
        let is_last = what == What::PhaseEnded { phase: Phase::After };
        self.recorder.event_at(at_us, what);
        is_last
    }

    /// Without a phase file the ends of warmup and before are known, that of the upgrade is not: what is left is replayed.
    async fn go_by_lengths(&mut self, say: &mut (dyn FnMut(&str) + Send)) -> Ended {
        let phases = self.scenario.phases;
        let warm_us = self.starts_us + us(phases.warmup);
        let known = [(Phase::Warmup, 0, warm_us), (Phase::Before, warm_us, warm_us + us(phases.before))];
        for (phase, started_us, ended_us) in known {
            say(&format!("{}: by its length", phase.name()));
            self.recorder.event_at(started_us, What::PhaseStarted { phase });
            if let Some(ended) = self.until(ended_us).await {
                return ended;
            }
            self.recorder.event_at(ended_us, What::PhaseEnded { phase });
        }
        say("upgrade: replaying to the end of the workload");
        self.recorder.event_at(warm_us + us(phases.before), What::PhaseStarted { phase: Phase::Upgrade });
        self.until(u64::MAX).await.unwrap_or(Ended::Orderly)
    }

    /// Waits for a moment of the run; gives the end that came first.
    async fn until(&mut self, at_us: u64) -> Option<Ended> {
        while !self.measuring.has_replayed() {
            let clock = self.recorder.clock();
            if clock.now_us() >= at_us {
                return None;
            }
            let next_us = at_us.min(clock.now_us().saturating_add(us(LOOK_INTERVAL)));
            tokio::select! {
                () = sleep_until(Instant::from_std(clock.to_instant(next_us))) => {}
                signal = wait(&mut self.cancelled) => return Some(Ended::Signal(signal)),
            }
        }
        Some(Ended::Orderly)
    }
}

/// Why a follower has lost its driver.
fn lost(path: &Path, has_begun: bool, failure: Option<String>) -> String {
    let (file, seconds) = (path.display(), DRIVER_DEADLINE.as_secs());
    match (failure, has_begun) {
        (Some(failure), _) => format!("cannot follow the driver for {seconds} s: {failure}"),
        (None, true) => {
            format!("the driver has said nothing in \"{file}\" for {seconds} s: it has ended or cannot write")
        }
        (None, false) => format!("the driver has not begun \"{file}\" within {seconds} s of the start"),
    }
}

/// A file of shared storage that somebody else appends to.
struct GrowingFile {
    path: PathBuf,
    read: u64,
}

impl GrowingFile {
    /// What was added since the last look. It is opened anew each time: network file systems show what others wrote only
    /// to who opens a file after it.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // The driver has not come so far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read))?;
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        // A network file system may know of the file's new length before it has what is there: it shows zeros.
        bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
        self.read += bytes.len() as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_added_to_a_file_is_read_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("phases.jsonl");
        let mut growing = GrowingFile { path: path.clone(), read: 0 };
        assert_eq!(growing.more().unwrap(), b"", "it may come later");
        for part in [&b"one\ntw"[..], b"o\n"] {
            File::options().append(true).create(true).open(&path).unwrap().write_all(part).unwrap();
            assert_eq!(growing.more().unwrap(), part);
        }
        assert_eq!(growing.more().unwrap(), b"");
    }

    #[test]
    fn zeros_are_what_is_not_there_yet() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("phases.jsonl");
        let mut growing = GrowingFile { path: path.clone(), read: 0 };
        std::fs::write(&path, b"one\n\0\0\0\0").unwrap();
        assert_eq!(growing.more().unwrap(), b"one\n");
        std::fs::write(&path, b"one\ntwo\n").unwrap();
        assert_eq!(growing.more().unwrap(), b"two\n");
    }
}
