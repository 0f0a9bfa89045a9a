//! Where statements first answered otherwise than in the capture.
//!
//! Takes requests whose answers differ; tells the timeline the first of each statement with its place in what was captured, so
//! that the run directory knows it without the workload. Must not know how answers are compared.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::record::Recorder;
use crate::replay::spool::{RequestFacts, Spool};
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

    /// A request's answer was not the captured one.
    pub fn note(&self, facts: &RequestFacts) {
        let mut told = self.told.borrow_mut();
        if told.len() >= STATEMENTS_MAX || !told.insert(facts.fingerprint) {
            return;
        }
        let file = facts.at.and_then(|(source, _)| self.spool.source(source)).map(str::to_owned);
        let line = facts.at.map(|(_, line)| line);
        self.recorder.event(What::AnswerDiffered { fingerprint: facts.fingerprint, request: facts.event, file, line });
    }
}
