//! Counts errors, and tells the new ones from those that were there before.
//!
//! Takes samples with their phase, gives counts by statement and SQLSTATE. Must not know about availability.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::findings::{ByPhase, ErrorFindings};
use crate::facts::StatementFact;
use crate::samples::sample::{Outcome, Sample};
use crate::timeline::Phase;
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// The SQLSTATEs that the capture had, by statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Captured(BTreeSet<(Fingerprint, SqlState)>);

impl Captured {
    /// Takes them from `statements.jsonl`; what is no SQLSTATE is passed over.
    pub fn new<'a>(statements: impl Iterator<Item = &'a StatementFact>) -> Self {
        let codes = |fact: &'a StatementFact| {
            let codes = fact.captured_errors.iter().filter_map(|code| code.parse().ok());
            codes.map(|code| (fact.fingerprint, code))
        };
        Self(statements.flat_map(codes).collect())
    }
}

/// What failed: a statement, or (without one) a try to connect; and how.
type What = (Option<Fingerprint>, Option<SqlState>);

/// The errors so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    counts: HashMap<Key, u64>,
    /// The earliest message of each, with its moment.
    messages: BTreeMap<What, (u64, Box<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: Option<u32>,
    phase: Phase,
    what: What,
    expected: bool,
}

impl Errors {
    /// Takes a sample of a phase; a sample without an error adds nothing.
    pub fn push(&mut self, sample: &Sample, phase: Phase) {
        let failed = matches!(sample.outcome, Outcome::Failed | Outcome::Indeterminate);
        if !failed && sample.sqlstate.is_none() {
            return;
        }
        let fingerprint = (sample.class != SampleClass::Connect).then_some(sample.fingerprint);
        let what = (fingerprint, sample.sqlstate);
        let expected = sample.outcome == Outcome::ExpectedError;
        *self.counts.entry(Key { tenant: sample.tenant, phase, what, expected }).or_default() += 1;
        if let Some(message) = &sample.message {
            let found = (sample.done_us, message.clone());
            let kept = self.messages.entry(what).or_insert_with(|| found.clone());
            if found < *kept {
                *kept = found;
            }
        }
    }

    /// A judge of what is new.
    pub fn judge<'a>(&'a self, captured: &'a Captured) -> NewErrors<'a> {
        let before = self.counts.keys().filter(|key| key.phase == Phase::Before);
        NewErrors { errors: self, captured, before: before.map(|key| key.what).collect() }
    }
}

/// The errors with what it takes to tell the new ones.
pub(super) struct NewErrors<'a> {
    errors: &'a Errors,
    captured: &'a Captured,
    /// What `before` had.
    before: BTreeSet<What>,
}

impl NewErrors<'_> {
    fn was_captured(&self, what: What) -> bool {
        let (Some(fingerprint), Some(code)) = what else { return false };
        self.captured.0.contains(&(fingerprint, code))
    }

    /// An error is new when the capture did not have it and, from the upgrade on, `before` neither. Violated
    /// constraints and rollbacks depend on data and timing, unavailability is downtime: neither is a new error.
    fn is_new(&self, key: &Key) -> bool {
        let Some(code) = key.what.1 else { return false };
        let counts = !(key.expected || code.is_unavailable() || code.is_read_only() || code.depends_on_data());
        counts && !self.was_captured(key.what) && (key.phase == Phase::Before || !self.before.contains(&key.what))
    }

    /// New errors by tenant; those without a tenant under `None`.
    pub fn by_tenant(&self) -> HashMap<Option<u32>, ByPhase<u64>> {
        let mut counts: HashMap<Option<u32>, ByPhase<u64>> = HashMap::new();
        for (key, count) in self.errors.counts.iter().filter(|(key, _)| self.is_new(key)) {
            if let Some(sum) = counts.entry(key.tenant).or_default().get_mut(key.phase) {
                *sum += count;
            }
        }
        counts
    }

    /// New errors in `upgrade` and `after` by statement.
    pub fn by_statement(&self) -> HashMap<Fingerprint, u64> {
        let mut counts = HashMap::new();
        for (key, count) in &self.errors.counts {
            if let (Some(fingerprint), true) = (key.what.0, key.phase > Phase::Before && self.is_new(key)) {
                *counts.entry(fingerprint).or_default() += count;
            }
        }
        counts
    }

    /// Every error, by falling count.
    pub fn findings(&self) -> Vec<ErrorFindings> {
        let mut sums: BTreeMap<(Phase, What, bool, bool), u64> = BTreeMap::new();
        for (key, count) in &self.errors.counts {
            let expected = key.expected || self.was_captured(key.what);
            *sums.entry((key.phase, key.what, expected, self.is_new(key))).or_default() += count;
        }
        let mut errors: Vec<ErrorFindings> = sums
            .into_iter()
            .map(|((phase, what, expected, new), count)| ErrorFindings {
                sqlstate: what.1,
                message: self.errors.messages.get(&what).map(|(_, message)| message.to_string()),
                fingerprint: what.0,
                count,
                phase,
                expected,
                new,
            })
            .collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        errors
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::attempts::tests::request;
    use super::*;
    use crate::words::class::StatementClass;

    fn failed(code: &str, statement: u64) -> Sample {
        Sample {
            sqlstate: Some(code.parse().unwrap()),
            message: Some(format!("error {code}").into()),
            fingerprint: Fingerprint(statement),
            ..request(SampleClass::Read, Outcome::Failed, 10, 20)
        }
    }

    fn new_errors(samples: &[(Phase, Sample)]) -> ByPhase<u64> {
        let captured = StatementFact {
            fingerprint: Fingerprint(9),
            sql: "SELECT 1 / $1".into(),
            class: StatementClass::Read,
            captured_errors: vec!["22012".into()],
        };
        let mut errors = Errors::default();
        samples.iter().for_each(|(phase, sample)| errors.push(sample, *phase));
        let captured = Captured::new(std::iter::once(&captured));
        errors.judge(&captured).by_tenant().remove(&Some(0)).unwrap_or_default()
    }

    #[test]
    fn an_error_is_new_when_neither_the_capture_nor_before_had_it() {
        let found = new_errors(&[
            (Phase::Before, failed("42P01", 1)),
            (Phase::After, failed("42P01", 1)),
            (Phase::After, failed("42P01", 2)),
            (Phase::After, failed("22012", 9)),
        ]);
        assert_eq!(found, ByPhase { before: 1, upgrade: 0, after: 1 });
    }

    #[test]
    fn what_depends_on_data_and_what_is_downtime_is_not_new() {
        let codes = ["23505", "40001", "40P01", "57P01", "08006", "53300", "55P03", "25006"];
        let samples: Vec<_> = codes.iter().map(|code| (Phase::After, failed(code, 1))).collect();
        assert_eq!(new_errors(&samples), ByPhase::default());
    }

    #[test]
    fn the_earliest_message_is_shown_whatever_came_first() {
        let later = Sample { done_us: 99_000, message: Some("later".into()), ..failed("42703", 1) };
        for samples in [[failed("42703", 1), later.clone()], [later, failed("42703", 1)]] {
            let mut errors = Errors::default();
            samples.iter().for_each(|sample| errors.push(sample, Phase::After));
            let found = errors.judge(&Captured::default()).findings();
            assert_eq!((found.len(), found[0].count, found[0].message.as_deref()), (1, 2, Some("error 42703")));
        }
    }
}
