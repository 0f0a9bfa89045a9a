//! Check: what becomes of the rest of a transaction block that broke.

use super::super::super::giving_up::RUN_ENDED;
use super::findings::{Findings, Played, Try};
use super::trial::Who;
use crate::samples::sample::{Outcome, Sample};
use crate::scenario::resolved::BrokenTransaction;

pub(super) fn check(played: &Played<'_>, findings: &mut Findings) {
    let skips = played.plan.clients.broken_transaction == BrokenTransaction::Skip;
    for (who, tries) in &played.tries {
        let (mut is_broken, mut round, mut before) = (false, 0, None);
        for one in tries.iter().filter(|one| one.is_last) {
            // Each round begins as the first did.
            is_broken &= one.due.round == round;
            let (sample, inside) = (one.sample, one.due.facts.part.inside);
            let is_skipped = sample.outcome == Outcome::Skipped && sample.message.as_deref() != Some(RUN_ENDED);
            let is_rest = inside && (is_broken || (is_skipped && skips && is_lost_idle(played, *who, before, sample)));
            findings.ensure(is_rest || !is_skipped, || format!("nothing broke before it: {sample:?}"));
            let is_unsent = sample.outcome == Outcome::Skipped && sample.sent_us.is_none();
            findings.ensure(!is_rest || is_unsent, || format!("its block is broken: {sample:?}"));
            is_broken = skips && breaks(one, is_rest);
            (round, before) = (one.due.round, Some(sample));
        }
    }
}

/// Whether what follows in the block is left unsent.
fn breaks(one: &Try<'_>, is_rest: bool) -> bool {
    let (sample, part) = (one.sample, one.due.facts.part);
    let is_unanswered = sample.sent_us.is_some() && sample.first_us.is_none();
    let failed_as_captured = part.stays_open && one.due.facts.captured.sqlstate.is_some();
    match sample.outcome {
        _ if is_rest || is_unanswered => part.stays_open,
        Outcome::Expired | Outcome::Indeterminate => part.stays_open,
        Outcome::Failed => part.stays_open && !failed_as_captured,
        // What the end of the run left unsent breaks nothing.
        Outcome::Ok | Outcome::Late | Outcome::ExpectedError | Outcome::Skipped => false,
    }
}

/// Whether a connection of the session ended between two of its requests.
fn is_lost_idle(played: &Played<'_>, who: Who, before: Option<&Sample>, sample: &Sample) -> bool {
    let since_us = before.map_or(0, |before| before.done_us);
    let dials = played.trial.log.dials.iter().filter(|dial| dial.session == Some(who.0));
    dials.filter_map(|dial| dial.ended_us).any(|ended_us| (since_us..=sample.done_us).contains(&ended_us))
}
