//! Whether a rehearsal by several processes is a whole one.
//!
//! Takes what `run.json` says of the shards; gives reasons not to trust the run, each with its number. Must not know what
//! was measured.

use super::findings::Reason;
use super::trust::reason;
use crate::facts::RunFacts;

/// How far the starts of two shards may be apart, what is unknown of their clocks included: windows are cut on one clock.
const APART_US_MAX: u64 = 50_000;

/// The reasons; none for a run of one process.
pub(super) fn reasons(facts: &RunFacts) -> Vec<Reason> {
    match (&facts.merged, facts.shard) {
        (Some(merged), _) => {
            let there = (merged.present.len() + merged.unlike.len()) as u64;
            let missing = u64::from(merged.shards).saturating_sub(there);
            [missing_reason(missing, merged.shards), unlike(&merged.unlike), apart(merged.apart_us)]
                .into_iter()
                .flatten()
                .collect()
        }
        // A part that was not merged with the others.
        (None, Some(shard)) => missing_reason(shard.of.saturating_sub(1).into(), shard.of).into_iter().collect(),
        (None, None) => Vec::new(),
    }
}

fn missing_reason(missing: u64, of: u32) -> Option<Reason> {
    let text = format!("{missing} of {of} shards are missing, and with them their part of the traffic");
    (missing > 0).then(|| reason("shards_missing", text, Some(missing as f64), Some(0.0)))
}

fn unlike(unlike: &[u32]) -> Option<Reason> {
    let numbers: Vec<String> = unlike.iter().map(u32::to_string).collect();
    let text = format!(
        "another workload, other databases or other rules than the driver's were replayed by shard {}, which is left out",
        numbers.join(", ")
    );
    (!unlike.is_empty()).then(|| reason("shards_unlike", text, Some(unlike.len() as f64), Some(0.0)))
}

fn apart(apart_us: u64) -> Option<Reason> {
    let ms = |us: u64| us as f64 / 1_000.0;
    let text = format!(
        "the shards may have started {} ms apart by the database's clock, the limit is {} ms",
        ms(apart_us),
        ms(APART_US_MAX)
    );
    (apart_us > APART_US_MAX).then(|| reason("shards_apart", text, Some(apart_us as f64), Some(APART_US_MAX as f64)))
}

#[cfg(test)]
mod tests {
    use super::super::worked_cases::facts;
    use super::*;
    use crate::facts::{MergedFacts, ShardFacts};

    fn merged(change: impl FnOnce(&mut MergedFacts)) -> Vec<(String, Option<f64>, Option<f64>)> {
        let mut merged =
            MergedFacts { shards: 3, present: vec![0, 1, 2], unlike: Vec::new(), apart_us: 50_000, left_out: 9 };
        change(&mut merged);
        let reasons = reasons(&RunFacts { merged: Some(merged), ..facts() });
        reasons.into_iter().map(|reason| (reason.code, reason.value, reason.limit)).collect()
    }

    #[test]
    fn a_whole_run_has_nothing_against_it() {
        assert_eq!(reasons(&facts()), []);
        assert_eq!(merged(|_| ()), []);
    }

    #[test]
    fn what_is_missing_other_or_apart_is_said_with_its_number() {
        let said = |code: &str, value, limit| vec![(code.to_owned(), Some(value), Some(limit))];
        assert_eq!(merged(|merged| merged.present = vec![1]), said("shards_missing", 2.0, 0.0));
        let unlike = |merged: &mut MergedFacts| (merged.present, merged.unlike) = (vec![0, 2], vec![1]);
        assert_eq!(merged(unlike), said("shards_unlike", 1.0, 0.0));
        assert_eq!(merged(|merged| merged.apart_us = 50_001), said("shards_apart", 50_001.0, 50_000.0));
    }

    #[test]
    fn a_part_alone_is_no_run() {
        let part = RunFacts { shard: Some(ShardFacts { index: 1, of: 4 }), ..facts() };
        let reasons = reasons(&part);
        assert_eq!((reasons[0].code.as_str(), reasons[0].value), ("shards_missing", Some(3.0)));
        assert!(reasons[0].text.starts_with("3 of 4 shards are missing"), "{}", reasons[0].text);
    }
}
