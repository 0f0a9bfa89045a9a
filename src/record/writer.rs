//! The one writer of a run directory's growing parts: samples, timeline and ledger.
//!
//! A thread that takes what [`super::sender`] sends until the last sender is gone. Whatever has been here for
//! `SAMPLES_PART_SECONDS` is on disk, so that a killed run can still be reported. When a write fails (a full disk), it
//! says so once, goes on emptying the queue so that nobody hangs, and gives the error at the end. Must not know what
//! any of it means.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::announcer::Announcer;
use super::phase_file::PhaseFile;
use super::sender::{Item, Recorder, channel};
use crate::facts::layout;
use crate::samples::sample::Names;
use crate::samples::{PartWriter, SamplesError, compact, part_path};
use crate::timeline::{TimelineEvent, What};
use crate::words::limits::{SAMPLES_PART_SECONDS, SAMPLES_PER_PART_MAX};
use crate::words::time::RunClock;

/// Why the run could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot record to \"{}\": {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot record samples: {0}")]
    Samples(#[from] SamplesError),
    #[error("the recorder's thread panicked")]
    Panicked,
}

/// Whether other shards were told what concerns them.
type Told = io::Result<()>;

/// The running writer.
pub struct Writer {
    thread: JoinHandle<Result<Told, RecordError>>,
}

impl Writer {
    /// Starts the writer on a run directory; what concerns other shards is told in `phases` too. `failed` is called once,
    /// from the writer's thread, at the first failure: it should cancel the run.
    ///
    /// # Errors
    /// When the files cannot be created or no thread can be had.
    pub fn start(
        dir: &Path,
        clock: RunClock,
        names: Names,
        phases: Option<PhaseFile>,
        failed: impl FnOnce(&RecordError) + Send + 'static,
    ) -> Result<(Recorder, Self), RecordError> {
        let failed_to_start = |source| RecordError::Write { path: dir.to_owned(), source };
        let phases = phases.map(|file| Announcer::start(file, clock)).transpose().map_err(failed_to_start)?;
        let files = Files::create(dir, clock, names, phases)?;
        let (recorder, items) = channel(clock);
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || files.write_all(&items, failed))
            .map_err(failed_to_start)?;
        Ok((recorder, Self { thread }))
    }

    /// Waits for the writer to end. Every [`Recorder`] must be gone by then. Gives what went wrong with the phase file, too,
    /// which harms nothing here.
    ///
    /// # Errors
    /// The first failure of the whole run.
    pub fn finish(self) -> Result<Told, RecordError> {
        self.thread.join().map_err(|_| RecordError::Panicked)?
    }
}

/// The open files of a run directory.
struct Files {
    clock: RunClock,
    timeline: Lines,
    ledger: Lines,
    phases: Option<Announcer>,
    samples_dir: PathBuf,
    names: Arc<Names>,
    part: Option<PartWriter>,
    parts: u32,
}

impl Files {
    fn create(dir: &Path, clock: RunClock, names: Names, phases: Option<Announcer>) -> Result<Self, RecordError> {
        Ok(Self {
            clock,
            timeline: Lines::create(dir.join(layout::TIMELINE))?,
            ledger: Lines::create(dir.join(layout::LEDGER))?,
            phases,
            samples_dir: dir.join(layout::SAMPLES),
            names: Arc::new(names),
            part: None,
            parts: 0,
        })
    }

    fn write_all(mut self, items: &Receiver<Item>, failed: impl FnOnce(&RecordError)) -> Result<Told, RecordError> {
        let outcome = self.write_until_closed(items);
        if let Err(error) = &outcome {
            failed(error);
            // Whoever still sends must not hang on a full queue.
            while items.recv().is_ok() {}
        }
        let told = self.phases.take().map_or(Ok(()), Announcer::finish);
        outcome?;
        if let Err(error) = &told {
            let what = What::PhasesUntold { reason: error.to_string() };
            self.timeline.add(&TimelineEvent { at_us: self.clock.now_us(), what })?;
            self.timeline.flush()?;
        }
        Ok(told)
    }

    fn write_until_closed(&mut self, items: &Receiver<Item>) -> Result<(), RecordError> {
        let interval = Duration::from_secs(SAMPLES_PART_SECONDS);
        let mut flush_at = Instant::now() + interval;
        loop {
            match items.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
                Ok(item) => self.write(item)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= flush_at {
                self.close_part()?;
                self.ledger.flush()?;
                flush_at = Instant::now() + interval;
            }
        }
        self.close_part()?;
        self.ledger.flush()?;
        compact(&self.samples_dir, &self.names)?;
        Ok(())
    }

    fn write(&mut self, item: Item) -> Result<(), RecordError> {
        match item {
            Item::Samples(batch) => {
                for sample in batch {
                    if self.part.as_ref().is_some_and(|part| part.samples() >= SAMPLES_PER_PART_MAX) {
                        self.close_part()?;
                    }
                    self.open_part()?.push(sample)?;
                }
            }
            Item::Event(event) => {
                if let Some(phases) = &mut self.phases {
                    phases.announce(&event);
                }
                self.timeline.add(&event)?;
                // Events are few, and people look at the timeline while the run goes on.
                self.timeline.flush()?;
            }
            Item::Ledger(entries) => {
                for entry in &entries {
                    self.ledger.add(entry)?;
                }
            }
        }
        Ok(())
    }

    fn open_part(&mut self) -> Result<&mut PartWriter, RecordError> {
        let part = match self.part.take() {
            Some(part) => part,
            None => {
                let path = part_path(&self.samples_dir, self.parts);
                self.parts += 1;
                PartWriter::create(&path, Arc::clone(&self.names))?
            }
        };
        Ok(self.part.insert(part))
    }

    fn close_part(&mut self) -> Result<(), RecordError> {
        if let Some(part) = self.part.take() {
            part.close()?;
        }
        Ok(())
    }
}

/// A file of JSON lines that grows.
struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    fn create(path: PathBuf) -> Result<Self, RecordError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file: BufWriter::new(file) }),
            Err(source) => Err(RecordError::Write { path, source }),
        }
    }

    fn add(&mut self, line: &impl Serialize) -> Result<(), RecordError> {
        serde_json::to_writer(&mut self.file, line)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|source| RecordError::Write { path: self.path.clone(), source })
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        self.file.flush().map_err(|source| RecordError::Write { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::facts::{LedgerEntry, WriteOutcome};
    use crate::record::RunDir;

    #[test]
    fn what_is_sent_is_in_the_run_directory_when_the_writer_has_finished() {
        let place = tempfile::tempdir().unwrap();
        let run = RunDir::create(&place.path().join("run")).unwrap();
        let clock = RunClock::start();
        let (recorder, writer) = Writer::start(run.path(), clock, Names::default(), None, |_| ()).unwrap();
        recorder.event_at(0, What::RunStarted { version: 1 });
        recorder.ledger(vec![LedgerEntry::Written { database: "app".into(), id: 7, outcome: WriteOutcome::Failed }]);
        drop(recorder);
        writer.finish().unwrap().unwrap();
        let timeline = std::fs::read_to_string(run.path().join(layout::TIMELINE)).unwrap();
        assert_eq!(timeline, "{\"at_us\":0,\"event\":\"run_started\",\"version\":1}\n");
        assert!(std::fs::read_to_string(run.path().join(layout::LEDGER)).unwrap().contains("\"id\":7"));
    }

    #[test]
    fn that_the_phase_file_could_not_be_written_is_told_by_the_timeline_and_ends_nothing() {
        let place = tempfile::tempdir().unwrap();
        let run = RunDir::create(&place.path().join("run")).unwrap();
        // Every write to this device fails for want of space.
        let phases = PhaseFile::on("/dev/full".as_ref()).unwrap();
        let failed = |error: &RecordError| panic!("{error}");
        let (recorder, writer) =
            Writer::start(run.path(), RunClock::start(), Names::default(), Some(phases), failed).unwrap();
        recorder.event_at(0, What::RunEnded { complete: true });
        drop(recorder);
        assert!(writer.finish().unwrap().is_err());
        let timeline = std::fs::read_to_string(run.path().join(layout::TIMELINE)).unwrap();
        let lines: Vec<&str> = timeline.lines().collect();
        assert!(lines[0].contains("run_ended") && lines[1].contains("phases_untold"), "{timeline}");
        assert!(lines[1].contains("No space left on device"), "{timeline}");
    }
}
