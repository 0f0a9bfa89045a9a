//! Check: everything that fell due is booked once, at its time, with its tries before it; and the counts say so.

use super::findings::{Findings, Played, Try};
use super::trial::Due;
use crate::samples::sample::Outcome;

pub(super) fn check(played: &Played<'_>, findings: &mut Findings) {
    let trial = played.trial;
    findings.ensure(trial.ended.is_some(), || "the replay does not end".to_owned());
    findings.ensure(trial.in_flight.is_empty(), || format!("in flight for ever: {:?}", trial.in_flight));
    let booked = |outcome| played.each().filter(|one| one.is_last && one.sample.outcome == outcome).count() as u64;
    for outcome in Outcome::ALL {
        let counted = trial.counts.of(*outcome);
        findings
            .ensure(counted == booked(*outcome), || format!("{counted} counted as {outcome:?}: {}", booked(*outcome)));
    }
    let offered = played.each().filter(|one| one.is_last).count() as u64;
    findings.ensure(trial.counts.offered == offered, || format!("{} offered, {offered} booked", trial.counts.offered));
    let retried = played.each().filter(|one| !one.is_last).count() as u64;
    findings.ensure(trial.counts.retried == retried, || format!("{} retried, not {retried}", trial.counts.retried));
    for (who, tries) in &played.tries {
        let booked = tries.iter().filter(|one| one.is_last).count();
        if let Some(what) = all_that_was_due(played, &trial.due[who], booked) {
            findings.0.push(format!("{who:?} {what}"));
        }
        attempts(tries, findings);
        tries.iter().for_each(|one| moments(played, one, findings));
    }
}

/// What is wrong with the number of requests that a session booked.
fn all_that_was_due(played: &Played<'_>, due: &[Due], booked: usize) -> Option<String> {
    let Some(stopped_us) = played.stopped_us() else {
        return (booked != due.len()).then(|| format!("booked {booked} requests of {}", due.len()));
    };
    if played.plan.pace.is_closed_loop() {
        return None;
    }
    let owed = due.iter().take_while(|due| due.due_us <= stopped_us).count();
    (booked != owed).then(|| format!("booked {booked} requests, {owed} being due when the run was stopped"))
}

/// Tries are numbered without gaps, and the last of a request is its own sample.
fn attempts(tries: &[Try<'_>], findings: &mut Findings) {
    let mut tried = 0;
    for one in tries {
        findings
            .ensure(one.sample.attempt == tried + 1, || format!("attempt {} is to come: {:?}", tried + 1, one.sample));
        tried = if one.is_last { 0 } else { tried + 1 };
    }
    findings.ensure(tried == 0, || format!("a request has no last try: {:?}", tries.last()));
}

/// A sample says the moment at which its request was due, and ends when its outcome was known.
fn moments(played: &Played<'_>, one: &Try<'_>, findings: &mut Findings) {
    let (sample, deadline_us) = (one.sample, played.deadline_us(one.due));
    if !played.plan.pace.is_closed_loop() {
        findings.ensure(sample.due_us == one.due.due_us, || format!("due at {}: {sample:?}", one.due.due_us));
    }
    if sample.sent_us.is_some() {
        findings.ensure(sample.deadline_us == deadline_us, || format!("its deadline is {deadline_us}: {sample:?}"));
    }
    if sample.outcome == Outcome::Expired {
        let expires_us = sample.due_us + deadline_us;
        let is_at_its_time = sample.sent_us.is_none() && sample.done_us == expires_us;
        findings.ensure(is_at_its_time, || format!("expires at {expires_us}: {sample:?}"));
        findings.ensure(!played.plan.pace.is_closed_loop(), || format!("nothing is late in a closed loop: {sample:?}"));
    }
    let is_unsent = matches!(sample.outcome, Outcome::Expired | Outcome::Skipped);
    findings.ensure(is_unsent || sample.sent_us.is_some(), || format!("has an answer and was not sent: {sample:?}"));
}
