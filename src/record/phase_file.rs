//! The driver's end of the phase file: what the other shards must know goes there as it is recorded.
//!
//! Takes events of the timeline and appends each in one write, so that a reader sees whole lines or a torn last one; what a write
//! left over goes before the next. Must not know who reads.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::rundir::RunDirError;
use crate::timeline::{PhaseEvent, PhasesHeader, TimelineEvent, What};

/// A phase file that this process writes. One in which nothing was announced goes when it is dropped.
#[derive(Debug)]
pub struct PhaseFile {
    path: PathBuf,
    file: File,
    starts_us: u64,
    has_events: bool,
    /// Of lines whose write failed, or only came to a part.
    unwritten: Vec<u8>,
}

impl PhaseFile {
    /// Creates the file with its header.
    ///
    /// # Errors
    /// [`RunDirError::PhaseFileExists`] when there is one: shards of another rehearsal may read it.
    pub fn create(path: &Path, header: &PhasesHeader) -> Result<Self, RunDirError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => RunDirError::PhaseFileExists(path.to_owned()),
            _ => RunDirError::Write { path: path.to_owned(), source },
        };
        let file = File::options().append(true).create_new(true).open(path).map_err(failed)?;
        let mut created = Self { path: path.to_owned(), file, starts_us: 0, has_events: false, unwritten: Vec::new() };
        let line = serde_json::to_vec(header).map_err(io::Error::from);
        line.and_then(|line| created.add_line(&line)).map_err(failed)?;
        Ok(created)
    }

    /// Says at which microsecond of the run the start lies from which the file counts.
    pub fn starting_at(mut self, starts_us: u64) -> Self {
        self.starts_us = starts_us;
        self
    }

    /// Appends an event, behind what could not be written before.
    pub(super) fn add(&mut self, event: &TimelineEvent) -> io::Result<()> {
        self.has_events |= event.what != What::DriverAlive;
        let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        let at_us = signed(event.at_us).saturating_sub(signed(self.starts_us));
        let line = serde_json::to_vec(&PhaseEvent { at_us, what: event.what.clone() }).map_err(io::Error::from);
        line.and_then(|line| self.add_line(&line))
    }

    /// One that goes to a file that is there already, without a header.
    #[cfg(test)]
    pub(super) fn on(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, starts_us: 0, has_events: true, unwritten: Vec::new() })
    }

    /// Whether something is still to be written.
    pub(super) fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }

    fn add_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.unwritten.extend_from_slice(line);
        self.unwritten.push(b'\n');
        self.flush()
    }

    /// Writes what is still to be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.is_behind() {
            let written = self.file.write(&self.unwritten)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unwritten.drain(..written);
        }
        // Over a network file system other machines may see only what was synced.
        self.file.sync_data()
    }
}

impl Drop for PhaseFile {
    fn drop(&mut self) {
        if !self.has_events {
            // Nothing came of this rehearsal, and the next shall find the place free.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::timeline::{PHASES_FORMAT, PHASES_VERSION, Phase, PhaseReader};

    /// The header of a rehearsal of two shards.
    pub fn header() -> PhasesHeader {
        PhasesHeader {
            format: PHASES_FORMAT.into(),
            version: PHASES_VERSION,
            start_at: "2026-01-05T10:00:00Z".into(),
            workload_sha256: "ab".into(),
            shards: 2,
        }
    }

    #[test]
    fn other_shards_read_moments_counted_from_the_start() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("phases.jsonl");
        let mut file = PhaseFile::create(&path, &header()).unwrap().starting_at(2_000_000);
        let phase = What::PhaseStarted { phase: Phase::Before };
        file.add(&TimelineEvent { at_us: 500_000, what: phase.clone() }).unwrap();
        drop(file);
        let events = PhaseReader::new(header()).take(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(events, [PhaseEvent { at_us: -1_500_000, what: phase }]);
    }

    #[test]
    fn a_file_that_is_there_is_refused_and_one_without_events_goes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("phases.jsonl");
        let file = PhaseFile::create(&path, &header()).unwrap();
        assert!(matches!(PhaseFile::create(&path, &header()), Err(RunDirError::PhaseFileExists(_))));
        drop(file);
        assert!(!path.exists());
    }
}
