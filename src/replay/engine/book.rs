//! A worker's samples and counts on their way to the recorder.
//!
//! Collects samples into batches and counts each outcome once. Must not know why something ended as it did.

use std::cell::RefCell;
use std::time::Duration;

use crate::record::Recorder;
use crate::samples::sample::{Outcome, Sample, SampleKind};

/// Samples that make a batch.
const BATCH_SAMPLES: usize = 256;

/// After this an incomplete batch goes, too.
pub(super) const BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// What was offered and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that fell due.
    pub offered: u64,
    /// Requests by outcome, in the order of `Outcome::ALL`.
    by_outcome: [u64; Outcome::ALL.len()],
    /// Tries to connect, and those that failed.
    pub connects: u64,
    pub connects_failed: u64,
    /// Tries that failed and were followed by another.
    pub retried: u64,
    /// Settings and the like that a new connection did not take.
    pub restores_failed: u64,
    /// Writing requests that a read-only replay passed over, which are not offered.
    pub left_out: u64,
    /// Requests that waited for commits of other sessions, and those of them that went without them at last.
    pub order_waits: u64,
    pub order_breaks: u64,
}

impl Counts {
    /// Requests that ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.by_outcome[outcome as usize]
    }

    /// Requests that were booked; equals `offered` when the replay has ended.
    pub fn booked(&self) -> u64 {
        self.by_outcome.iter().sum()
    }

    /// Adds another worker's.
    pub(super) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.by_outcome.iter_mut().zip(other.by_outcome).for_each(|(sum, count)| *sum += count);
        self.connects += other.connects;
        self.connects_failed += other.connects_failed;
        self.retried += other.retried;
        self.restores_failed += other.restores_failed;
        self.left_out += other.left_out;
        self.order_waits += other.order_waits;
        self.order_breaks += other.order_breaks;
    }
}

/// One worker's book.
#[derive(Debug)]
pub(super) struct Book {
    recorder: Recorder,
    batch: RefCell<Vec<Sample>>,
    counts: RefCell<Counts>,
}

impl Book {
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, batch: RefCell::default(), counts: RefCell::default() }
    }

    /// A request fell due: from now on it is owed exactly one sample.
    pub fn offer(&self) {
        self.counts.borrow_mut().offered += 1;
    }

    /// A writing request was passed over.
    pub fn leave_out(&self) {
        self.counts.borrow_mut().left_out += 1;
    }

    /// A new connection did not take something that the session had set.
    pub fn restore_failed(&self) {
        self.counts.borrow_mut().restores_failed += 1;
    }

    /// A request waited for commits of other sessions, perhaps in vain.
    pub fn waited_for_order(&self, is_broken: bool) {
        let mut counts = self.counts.borrow_mut();
        counts.order_waits += 1;
        counts.order_breaks += u64::from(is_broken);
    }

    /// Books what happened to a request or a try to connect.
    pub fn sample(&self, sample: Sample) {
        let mut counts = self.counts.borrow_mut();
        match sample.kind {
            SampleKind::Connect => {
                counts.connects += 1;
                counts.connects_failed += u64::from(sample.outcome != Outcome::Ok);
            }
            SampleKind::Retried => counts.retried += 1,
            _ => counts.by_outcome[sample.outcome as usize] += 1,
        }
        let mut batch = self.batch.borrow_mut();
        batch.push(sample);
        if batch.len() == BATCH_SAMPLES {
            self.recorder.samples(std::mem::replace(&mut *batch, Vec::with_capacity(BATCH_SAMPLES)));
        }
    }

    /// Hands over an incomplete batch.
    pub fn flush(&self) {
        let batch = std::mem::take(&mut *self.batch.borrow_mut());
        self.recorder.samples(batch);
    }

    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }
}
