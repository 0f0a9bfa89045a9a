//! Check: what the servers saw is what the samples say, each request at its time, in the transaction that it was captured in, and
//! with the outcome that the answer is worth.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{Findings, Played, Try};
use super::log::{Asked, Dial};
use super::timing::TICK_US;
use crate::pgwire::backend::TransactionStatus;
use crate::samples::sample::Outcome;
use crate::scenario::resolved::BrokenTransaction;
use crate::words::class::SampleClass;

/// A session's request at its moment.
type Key = (u32, u64, u64);

/// What the client asks of its own accord.
const OWN_STATEMENTS: [&str; 3] = ["ROLLBACK", "DISCARD ALL", "SELECT pg_catalog.set_config("];

pub(super) fn check(played: &Played<'_>, findings: &mut Findings) {
    let log = &played.trial.log;
    log.wrongs.iter().for_each(|wrong| findings.0.push(wrong.clone()));
    let mut sent: BTreeMap<Key, Vec<&Try<'_>>> = BTreeMap::new();
    for one in played.each() {
        if let Some(sent_us) = one.sample.sent_us {
            sent.entry((one.sample.session, one.sample.event, sent_us)).or_default().push(one);
        }
    }
    let mut ambiguous: BTreeSet<Key> = BTreeSet::new();
    for dial in &log.dials {
        for (at, asked) in dial.asked.iter().enumerate() {
            let Some(event) = asked.event else {
                own_statement(asked, findings);
                continue;
            };
            let key = (dial.session.unwrap_or_default(), event, asked.at_us);
            let tries = sent.get_mut(&key).filter(|tries| !tries.is_empty());
            match tries {
                // Copies that send at the same moment cannot be told apart.
                Some(tries) if tries.len() > 1 || ambiguous.contains(&key) => {
                    ambiguous.insert(key);
                    tries.pop();
                }
                Some(tries) => {
                    let one = tries.remove(0);
                    state(played, one, asked, findings);
                    outcome(played, one, asked, findings);
                    promptness(played, one, dial, at, findings);
                }
                None => findings.ensure(asked.text.starts_with("SET ") && is_restored(dial, at), || {
                    format!("heard without a sample, of session {:?}: {asked:?}", dial.session)
                }),
            }
        }
    }
    for one in sent.into_values().flatten() {
        // Sent to a server that ended the connection at that moment and read no more.
        let ends = |dial: &&Dial| dial.session == Some(one.sample.session) && dial.ended_us == one.sample.sent_us;
        let is_lost = one.sample.first_us.is_none() && log.dials.iter().any(|dial| ends(&dial));
        findings.ensure(is_lost, || format!("sent and never heard: {:?}", one.sample));
    }
}

/// Whether a setting is told a new connection again: before anything of the workload was asked there.
fn is_restored(dial: &Dial, at: usize) -> bool {
    let is_own = |asked: &Asked| OWN_STATEMENTS.iter().any(|own| asked.text.starts_with(own));
    dial.asked[..at].iter().all(|asked| is_own(asked) || asked.text.starts_with("SET "))
        || dial.asked[..at].iter().rev().take_while(|asked| asked.text.starts_with("SET ") || is_own(asked)).any(is_own)
}

fn own_statement(asked: &Asked, findings: &mut Findings) {
    let is_known = OWN_STATEMENTS.iter().any(|own| asked.text.starts_with(own));
    findings.ensure(is_known, || format!("nobody asked for it: {asked:?}"));
    let is_in_vain = asked.text == "ROLLBACK" && asked.status == TransactionStatus::Idle;
    findings.ensure(!is_in_vain, || format!("there is nothing to roll back: {asked:?}"));
}

/// A request meets the transaction that it was captured in.
fn state(played: &Played<'_>, one: &Try<'_>, asked: &Asked, findings: &mut Findings) {
    let (is_open, inside) = (asked.status != TransactionStatus::Idle, one.due.facts.part.inside);
    let skips = played.plan.clients.broken_transaction == BrokenTransaction::Skip;
    findings.ensure(inside || !is_open, || format!("it met a transaction: {asked:?} {:?}", one.sample));
    findings.ensure(!skips || !inside || is_open, || format!("it met no transaction: {asked:?} {:?}", one.sample));
}

fn outcome(played: &Played<'_>, one: &Try<'_>, asked: &Asked, findings: &mut Findings) {
    let (sample, captured) = (one.sample, one.due.facts.captured.sqlstate.map(|code| code.to_string()));
    let answered = asked.answered.filter(|_| sample.first_us.is_some());
    let Some((at_us, error)) = answered else {
        // An answer that comes at the moment at which it is given up may come too late.
        let is_missed = asked.answered.is_none_or(|(at_us, _)| at_us == sample.done_us);
        findings.ensure(is_missed, || format!("it was answered: {asked:?} {sample:?}"));
        let is_durable = matches!(one.due.facts.class, SampleClass::Write | SampleClass::Commit);
        let expected = if is_durable { Outcome::Indeterminate } else { Outcome::Failed };
        let is_cut_off = played.stopped_us().is_some() && sample.outcome == Outcome::Skipped;
        findings.ensure(sample.outcome == expected || is_cut_off, || format!("it has no answer: {asked:?} {sample:?}"));
        return;
    };
    let in_time = at_us <= asked.at_us + played.deadline_us(one.due);
    let rolled_back = one.due.facts.part.commits && asked.status == TransactionStatus::Failed;
    let expected = match (error, captured.as_deref()) {
        (Some(code), Some(captured)) if code == captured => {
            if in_time {
                Outcome::ExpectedError
            } else {
                Outcome::Late
            }
        }
        (Some(_), _) => Outcome::Failed,
        (None, None) if rolled_back => Outcome::Failed,
        (None, _) => {
            if in_time {
                Outcome::Ok
            } else {
                Outcome::Late
            }
        }
    };
    let is_same = (sample.done_us, sample.outcome) == (at_us, expected);
    findings.ensure(is_same, || format!("{expected:?} at {at_us}: {asked:?} {sample:?}"));
    let code = sample.sqlstate.map(|code| code.to_string());
    findings.ensure(code.as_deref() == error, || format!("its error is {error:?}: {sample:?}"));
}

/// A request is sent when it is due and the server waits for it: what the engine says of its own readiness is not asked.
fn promptness(played: &Played<'_>, one: &Try<'_>, dial: &Dial, at: usize, findings: &mut Findings) {
    let (sample, sent_us) = (one.sample, dial.asked[at].at_us);
    let Some(waits_us) = dial.waits_since_us(at) else {
        findings.0.push(format!("asked before the answer came: {sample:?}"));
        return;
    };
    // While its client still asks for the cancellation of the one before, it waits for that.
    let cancels_us = at.checked_sub(1).map(|before| dial.asked[before].at_us..=waits_us).filter(|_| at > 0);
    let dials = &played.trial.log.dials;
    let cancels =
        cancels_us.is_some_and(|us| dials.iter().any(|dial| dial.session.is_none() && us.contains(&dial.at_us)));
    let waits_for_others = cancels || played.plan.order_wait.is_some();
    if sample.attempt == 1 && !played.plan.pace.is_closed_loop() && !waits_for_others {
        let ready_us = sample.due_us.max(waits_us);
        findings.ensure(sent_us <= ready_us + TICK_US, || format!("it could be sent at {ready_us}: {sample:?}"));
    }
}
