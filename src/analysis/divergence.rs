//! Answers that were not the captured ones, statement by statement.
//!
//! Takes samples and the timeline, in any order; gives counts by kind with the first place of each. Must not know why an answer
//! differs.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::findings::{FirstDifference, StatementDivergence};
use crate::facts::StatementFact;
use crate::samples::sample::{Difference, ResultCheck, Sample};
use crate::timeline::{TimelineEvent, What};
use crate::words::ids::Fingerprint;

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Divergences {
    counts: HashMap<Fingerprint, Counts>,
    first: HashMap<Fingerprint, FirstDifference>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    compared: u64,
    differing: u64,
    sqlstate: u64,
    rows: u64,
    digest: u64,
}

impl Divergences {
    /// Takes the next timeline event: the first that names a statement stands.
    pub fn event(&mut self, event: &TimelineEvent) {
        if let What::AnswerDiffered { fingerprint, request, file, line } = &event.what {
            let first = FirstDifference { request: *request, file: file.clone(), line: *line };
            self.first.entry(*fingerprint).or_insert(first);
        }
    }

    /// Takes a request.
    pub fn push(&mut self, sample: &Sample) {
        if !sample.result.is_known() {
            return;
        }
        let counts = self.counts.entry(sample.fingerprint).or_default();
        counts.compared += 1;
        let ResultCheck::Differs(difference) = sample.result else { return };
        counts.differing += 1;
        match difference {
            Some(Difference::Sqlstate) => counts.sqlstate += 1,
            Some(Difference::Rows) => counts.rows += 1,
            Some(Difference::Digest) => counts.digest += 1,
            None => {}
        }
    }

    /// The statements of which an answer differs, by falling number of them.
    pub fn findings(&self, facts: &HashMap<Fingerprint, StatementFact>) -> Vec<StatementDivergence> {
        let differing = self.counts.iter().filter(|(_, counts)| counts.differing > 0);
        let finding = |(fingerprint, counts): (&Fingerprint, &Counts)| StatementDivergence {
            fingerprint: *fingerprint,
            sql: facts.get(fingerprint).map(|fact| fact.sql.clone()),
            compared: counts.compared,
            differing: counts.differing,
            sqlstate: counts.sqlstate,
            rows: counts.rows,
            digest: counts.digest,
            first: self.first.get(fingerprint).cloned(),
        };
        let mut found: Vec<_> = differing.map(finding).collect();
        found.sort_by_key(|statement| (Reverse(statement.differing), statement.fingerprint));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::sample::{Outcome, SampleKind};
    use crate::words::class::SampleClass;

    fn sample(fingerprint: u64, result: ResultCheck) -> Sample {
        Sample {
            kind: SampleKind::Request,
            class: SampleClass::Read,
            outcome: Outcome::Ok,
            result,
            event: 0,
            session: 0,
            copy: 0,
            tenant: None,
            database: 0,
            endpoint: 0,
            fingerprint: Fingerprint(fingerprint),
            due_us: 0,
            ready_us: None,
            sent_us: None,
            first_us: None,
            done_us: 0,
            deadline_us: 0,
            order_wait_us: 0,
            other_tenant_wait_us: 0,
            sqlstate: None,
            message: None,
            rows: 0,
            bytes: 0,
            attempt: 1,
        }
    }

    fn first(fingerprint: u64, request: u64) -> TimelineEvent {
        let (fingerprint, file) = (Fingerprint(fingerprint), Some("postgresql.csv".to_owned()));
        TimelineEvent { at_us: request, what: What::AnswerDiffered { fingerprint, request, file, line: Some(request) } }
    }

    #[test]
    fn what_differs_is_counted_by_statement_and_kind_with_the_first_place_that_was_told() {
        let mut divergences = Divergences::default();
        let differs = |difference| ResultCheck::Differs(Some(difference));
        let rows = sample(1, differs(Difference::Rows));
        let samples = [
            sample(1, ResultCheck::Same),
            rows.clone(),
            rows,
            sample(1, differs(Difference::Digest)),
            sample(1, ResultCheck::Unknown),
            sample(2, ResultCheck::Same),
            sample(3, differs(Difference::Sqlstate)),
        ];
        samples.iter().for_each(|sample| divergences.push(sample));
        [first(1, 70), first(1, 8)].iter().for_each(|event| divergences.event(event));

        let found = divergences.findings(&HashMap::new());
        let counts = |statement: &StatementDivergence| {
            let StatementDivergence { compared, differing, sqlstate, rows, digest, .. } = *statement;
            (statement.fingerprint.0, compared, differing, [sqlstate, rows, digest])
        };
        let all: Vec<_> = found.iter().map(counts).collect();
        assert_eq!(all, [(1, 4, 3, [0, 2, 1]), (3, 1, 1, [1, 0, 0])]);
        assert_eq!(found[0].first.as_ref().map(|first| first.request), Some(70));
        assert_eq!(found[1].first, None);
    }
}
