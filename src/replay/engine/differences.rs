//! Where statements first answered otherwise than in the capture.
//!
//! Takes requests whose answers differ; tells the timeline the first of each statement with its place in what was captured, so
//! that the run directory knows it without the workload. Must not know how answers are compared.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::record::Recorder;
use crate::replay::spool::Spool;
use crate::timeline::What;
use crate::words::ids::Fingerprint;

/// Statements of which one worker tells a place; where more of them differ, their places help nobody.
const STATEMENTS_MAX: usize = 1_000;

/// The statements of which one worker has told it.
#[derive(Debug)]
pub(super) struct Differences {
    recorder: Recorder,
    spool: Spool,
    told: RefCell<HashSet<Fingerprint>>,
}

impl Differences {
    pub fn new(recorder: Recorder, spool: Spool) -> Self {
        Self { recorder, spool, told: RefCell::default() }
    }

    /// The answer of a request was not the captured one; `at` is where it stands in what was captured.
    pub fn note(&self, fingerprint: Fingerprint, request: u64, at: Option<(u16, u64)>) {
        let mut told = self.told.borrow_mut();
        if told.len() >= STATEMENTS_MAX || !told.insert(fingerprint) {
            return;
        }
        let file = at.and_then(|(source, _)| self.spool.source(source)).map(str::to_owned);
        let line = at.map(|(_, line)| line);
        self.recorder.event(What::AnswerDiffered { fingerprint, request, file, line });
    }
}
