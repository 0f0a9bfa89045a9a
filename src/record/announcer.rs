//! Tells other shards, from a thread of its own, what concerns them: storage that several machines share may be slow or gone,
//! and the run itself neither waits for it nor ends with it.
//!
//! Takes the timeline's events and puts those into the phase file; when there is nothing to say, it says at intervals that the
//! driver goes on. Must not know who reads.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::phase_file::PhaseFile;
use crate::timeline::{TimelineEvent, What};
use crate::words::time::RunClock;

/// How often the driver says that it goes on.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Events that may wait for the storage; a rehearsal has some ten of them.
const WAITING_MAX: usize = 256;

/// How long the end of the run waits for the storage.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

/// A phase file that is being written.
#[derive(Debug)]
pub(super) struct Announcer {
    events: SyncSender<TimelineEvent>,
    /// How it ended.
    ended: Receiver<io::Result<()>>,
    has_dropped: bool,
}

impl Announcer {
    /// Starts the thread. `clock` is that of the events.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(mut file: PhaseFile, clock: RunClock) -> io::Result<Self> {
        let (events, waiting) = sync_channel(WAITING_MAX);
        let (end, ended) = sync_channel(1);
        let announcing = move || {
            let outcome = announce_all(&mut file, &waiting, clock);
            // The file is closed, or removed if nothing was announced, before anybody is told.
            drop(file);
            let _ = end.send(outcome);
        };
        std::thread::Builder::new().name("phases".into()).spawn(announcing)?;
        Ok(Self { events, ended, has_dropped: false })
    }

    /// Hands over an event if it concerns other shards; never waits.
    pub fn announce(&mut self, event: &TimelineEvent) {
        if event.what.concerns_shards() {
            self.has_dropped |= matches!(self.events.try_send(event.clone()), Err(TrySendError::Full(_)));
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// Why other shards do not know everything: a write failed, or the storage is too slow.
    pub fn finish(self) -> io::Result<()> {
        let Self { events, ended, has_dropped } = self;
        drop(events);
        let late = |what: String| Err(io::Error::new(io::ErrorKind::TimedOut, what));
        match ended.recv_timeout(FINISH_DEADLINE) {
            Ok(outcome) if !has_dropped => outcome,
            Ok(outcome) => {
                outcome.and_then(|()| late(format!("more than {WAITING_MAX} events waited for the storage")))
            }
            Err(RecvTimeoutError::Timeout) => {
                late(format!("the storage took longer than {} s at the end", FINISH_DEADLINE.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("its thread panicked")),
        }
    }
}

/// Writes until the last sender is gone. What could not be written is tried again, since storage may come back.
fn announce_all(file: &mut PhaseFile, waiting: &Receiver<TimelineEvent>, clock: RunClock) -> io::Result<()> {
    loop {
        // What fails is still to be written, and what counts is whether it can be at the end.
        let _ = match waiting.recv_timeout(ALIVE_INTERVAL) {
            Ok(event) => file.add(&event),
            Err(RecvTimeoutError::Timeout) if file.is_behind() => file.flush(),
            Err(RecvTimeoutError::Timeout) => {
                file.add(&TimelineEvent { at_us: clock.now_us(), what: What::DriverAlive })
            }
            Err(RecvTimeoutError::Disconnected) => return file.flush(),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::phase_file::tests::header;
    use super::*;
    use crate::timeline::{Phase, PhaseReader};

    #[test]
    fn what_concerns_other_shards_is_in_the_file_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("phases.jsonl");
        let mut announcer = Announcer::start(PhaseFile::create(&path, &header()).unwrap(), RunClock::start()).unwrap();
        let phase = What::PhaseStarted { phase: Phase::Before };
        announcer.announce(&TimelineEvent { at_us: 5, what: phase.clone() });
        announcer.announce(&TimelineEvent { at_us: 6, what: What::InFlight { tenants: Vec::new() } });
        announcer.finish().unwrap();
        let events = PhaseReader::new(header()).take(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(events.into_iter().map(|event| event.what).collect::<Vec<_>>(), [phase]);
    }

    #[test]
    fn a_storage_that_takes_nothing_is_told_at_the_end_and_stops_nobody() {
        // Every write to this device fails for want of space.
        let file = PhaseFile::on("/dev/full".as_ref()).unwrap();
        let mut announcer = Announcer::start(file, RunClock::start()).unwrap();
        for _ in 0..2 * WAITING_MAX {
            announcer.announce(&TimelineEvent { at_us: 5, what: What::RunEnded { complete: true } });
        }
        assert_eq!(announcer.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
