//! Samples and ledger entries on their way to the recorder.
//!
//! Takes them one by one and hands them over in batches: the recorder's queue is of batches. Must not know what they
//! are about.

use std::cell::RefCell;

use crate::facts::LedgerEntry;
use crate::record::Recorder;
use crate::samples::sample::Sample;
use crate::words::time::RunClock;

/// Samples that make a batch; fewer when [`Emitter::flush`] comes first.
const BATCH: usize = 256;

/// Collects for the recorder. Lives on the probes' one thread.
#[derive(Debug)]
pub(super) struct Emitter {
    recorder: Recorder,
    samples: RefCell<Vec<Sample>>,
    entries: RefCell<Vec<LedgerEntry>>,
}

impl Emitter {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, samples: RefCell::default(), entries: RefCell::default() }
    }

    pub(super) fn clock(&self) -> RunClock {
        self.recorder.clock()
    }

    pub(super) fn sample(&self, sample: Sample) {
        self.samples.borrow_mut().push(sample);
        if self.samples.borrow().len() >= BATCH {
            self.flush();
        }
    }

    pub(super) fn entry(&self, entry: LedgerEntry) {
        self.entries.borrow_mut().push(entry);
    }

    /// Hands over what has been collected.
    pub(super) fn flush(&self) {
        self.recorder.samples(self.samples.take());
        self.recorder.ledger(self.entries.take());
    }
}
