//! The sending half of the recorder: what replay, steps and probes hold.
//!
//! Takes batches of samples, timeline events and ledger entries and puts them in a bounded queue. A full queue makes
//! the sender wait: nothing is dropped, and the wait shows as the tool's own lag. Must not know how anything is stored.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::facts::LedgerEntry;
use crate::samples::sample::Sample;
use crate::timeline::{TimelineEvent, What};
use crate::words::time::RunClock;

/// Batches that may wait for the writer. A batch holds at most 256 samples of some 260 bytes, so this is 17 MiB at most.
const QUEUE_BATCHES: usize = 256;

/// What travels to the writer.
#[derive(Debug)]
pub enum Item {
    Samples(Vec<Sample>),
    Event(TimelineEvent),
    Ledger(Vec<LedgerEntry>),
}

/// A handle to the one writer. Cheap to clone; the writer ends when the last is dropped.
#[derive(Clone, Debug)]
pub struct Recorder {
    clock: RunClock,
    items: SyncSender<Item>,
}

impl Recorder {
    /// The run's clock, by which every time in a sample is counted.
    pub fn clock(&self) -> RunClock {
        self.clock
    }

    /// Hands over samples, in any order. Callers collect some hundred, or 100 ms worth, before they call.
    pub fn samples(&self, batch: Vec<Sample>) {
        if !batch.is_empty() {
            self.send(Item::Samples(batch));
        }
    }

    /// Hands over a timeline event that happened now.
    pub fn event(&self, what: What) {
        self.event_at(self.clock.now_us(), what);
    }

    /// Hands over a timeline event that happened at `at_us` of the run.
    pub fn event_at(&self, at_us: u64, what: What) {
        self.send(Item::Event(TimelineEvent { at_us, what }));
    }

    /// Hands over ledger entries.
    pub fn ledger(&self, entries: Vec<LedgerEntry>) {
        if !entries.is_empty() {
            self.send(Item::Ledger(entries));
        }
    }

    fn send(&self, item: Item) {
        // The writer only goes away early when it failed, and then it has already said so and cancelled the run:
        // what is sent after that is of no use to anybody.
        let _ = self.items.send(item);
    }
}

/// A recorder and the receiving end that the writer (or a test) reads.
pub fn channel(clock: RunClock) -> (Recorder, Receiver<Item>) {
    let (items, received) = sync_channel(QUEUE_BATCHES);
    (Recorder { clock, items }, received)
}
