//! Check: nothing is sent before its time, before the session is free, or later than the clock's millisecond; nobody waits longer
//! than his patience; and the end of the run is the end soon.

use super::super::super::exchange::DRAIN;
use super::findings::{Findings, Played, Try};
use crate::samples::sample::{Outcome, Sample};
use crate::scenario::resolved::OnDeadline;

/// The runtime's timers round up to this.
pub(super) const TICK_US: u64 = 1_000;

pub(super) fn check(played: &Played<'_>, findings: &mut Findings) {
    for tries in played.tries.values() {
        // What was not sent kept nobody busy.
        let mut sent: Vec<(u64, &Try<'_>)> = tries.iter().filter_map(|one| Some((one.sample.sent_us?, one))).collect();
        // The tries of a block go through all of its requests.
        sent.sort_by_key(|(sent_us, _)| *sent_us);
        let mut before: Option<&Sample> = None;
        for (sent_us, one) in sent {
            sending(played, one, sent_us, before, findings);
            answering(played, one, sent_us, findings);
            before = Some(one.sample);
        }
    }
    if let Some(stopped_us) = played.stopped_us() {
        let (ended_us, within_us) = (played.trial.ended_us, end_within_us(played));
        findings.ensure(ended_us <= stopped_us + within_us, || {
            format!("stopped at {stopped_us}, ended at {ended_us}, to be within {within_us}")
        });
    }
}

/// How long after it was stopped a run is over.
fn end_within_us(_played: &Played<'_>) -> u64 {
    DRAIN.as_micros() as u64 + TICK_US
}

fn sending(played: &Played<'_>, one: &Try<'_>, sent_us: u64, before: Option<&Sample>, findings: &mut Findings) {
    let sample = one.sample;
    findings.ensure(sent_us >= sample.due_us, || format!("sent before it is due: {sample:?}"));
    let free_us = before.map_or(0, |before| before.done_us);
    findings.ensure(sent_us >= free_us, || format!("sent before {free_us}, when the one before was over: {sample:?}"));
    let lag_us = sample.schedule_lag_us().unwrap_or(u64::MAX);
    findings.ensure(lag_us <= TICK_US, || format!("sent {lag_us} us late: {sample:?}"));
    findings.ensure(sample.ready_us.is_some_and(|ready_us| ready_us >= free_us), || {
        format!("ready before {free_us}, when the one before was over: {sample:?}")
    });
    if let Some(stopped_us) = played.stopped_us() {
        findings
            .ensure(sent_us <= stopped_us, || format!("sent after the run was stopped at {stopped_us}: {sample:?}"));
    }
    let expires_us = sample.due_us + played.deadline_us(one.due) + sample.order_wait_us;
    let may_expire = sample.attempt == 1 && !one.due.facts.part.inside && !played.plan.pace.is_closed_loop();
    findings.ensure(!may_expire || sent_us < expires_us, || format!("expired at {expires_us}: {sample:?}"));
}

/// Whatever came, it came before its client's patience ended.
fn answering(played: &Played<'_>, one: &Try<'_>, sent_us: u64, findings: &mut Findings) {
    let (sample, clients) = (one.sample, &played.plan.clients);
    let deadline_us = played.deadline_us(one.due);
    let patience_us = match clients.on_deadline {
        OnDeadline::Disconnect => deadline_us,
        OnDeadline::Wait | OnDeadline::Cancel => deadline_us.max(clients.abandon.as_micros() as u64),
    };
    let mut latest_us = sent_us + patience_us;
    if let Some(stopped_us) = played.stopped_us() {
        latest_us = latest_us.min(stopped_us + DRAIN.as_micros() as u64);
    }
    findings.ensure(sample.done_us <= latest_us + TICK_US, || format!("to be given up at {latest_us}: {sample:?}"));
    let is_in_order = sample.first_us.is_none_or(|first_us| (sent_us..=sample.done_us).contains(&first_us));
    findings.ensure(sample.done_us >= sent_us && is_in_order, || format!("answered before it was sent: {sample:?}"));
    let is_late = sample.done_us > sent_us + deadline_us;
    let claims_in_time = matches!(sample.outcome, Outcome::Ok | Outcome::ExpectedError);
    findings.ensure(!(is_late && claims_in_time), || format!("it is late: {sample:?}"));
}
