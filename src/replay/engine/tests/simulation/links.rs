//! Check: how sessions connect: after which waits, to which server, one connection at a time; and where cancel requests go.

use std::collections::BTreeMap;

use super::findings::{Findings, Played};
use super::log::Dial;
use super::timing::TICK_US;
use super::trial::Who;
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::scenario::resolved::OnDeadline;
use crate::words::time::doubled;

pub(super) fn check(played: &Played<'_>, findings: &mut Findings) {
    let mut dialled: BTreeMap<u64, i64> = BTreeMap::new();
    played.trial.log.dials.iter().for_each(|dial| *dialled.entry(dial.at_us).or_default() += 1);
    let mut before: BTreeMap<Who, &Sample> = BTreeMap::new();
    for sample in played.trial.samples.iter().filter(|sample| sample.kind == SampleKind::Connect) {
        let dials = dialled.entry(sample.due_us).or_default();
        *dials -= 1;
        findings.ensure(*dials >= 0, || format!("nobody was dialled: {sample:?}"));
        let within_us = played.plan.clients.connect_timeout.as_micros() as u64;
        let took_us = sample.done_us - sample.due_us;
        findings.ensure(took_us <= within_us + TICK_US, || format!("a try that took too long: {sample:?}"));
        let earlier = before.insert((sample.session, sample.copy), sample);
        // A session that is opened anew begins with its first try.
        if let Some(earlier) = earlier.filter(|earlier| sample.event > 1 && earlier.outcome != Outcome::Ok) {
            back_off(played, earlier, sample, findings);
        }
    }
    played.trial.log.dials.iter().for_each(|dial| place(played, dial, findings));
    at_a_time(played, findings);
    cancels(played, findings);
}

/// After a failed try the session waits before the next, longer each time.
fn back_off(played: &Played<'_>, failed: &Sample, next: &Sample, findings: &mut Findings) {
    let clients = &played.plan.clients;
    let longest = doubled(clients.reconnect_first, u32::from(failed.attempt) - 1, clients.reconnect_last);
    let shortest_us = longest.mul_f64(1.0 - clients.reconnect_jitter).as_micros() as u64;
    let waited_us = next.due_us.saturating_sub(failed.done_us);
    // Between two rounds a session has nothing to connect for.
    let rests = played.plan.pace.rounds.most() > 1;
    let longest_us = if rests { u64::MAX } else { longest.as_micros() as u64 + TICK_US };
    let is_between = (shortest_us..=longest_us).contains(&waited_us);
    findings
        .ensure(is_between, || format!("waits {shortest_us} to {longest:?}, not {waited_us} us: {failed:?} {next:?}"));
}

/// Who connects is led where the endpoint leads, and a while after a switch at the latest to the new server.
fn place(played: &Played<'_>, dial: &Dial, findings: &mut Findings) {
    let lag_us = played.plan.clients.endpoint_lag.as_micros() as u64;
    if dial.session.is_some() {
        let switches_us = played.plan.switches_us;
        let is_old = switches_us.is_none_or(|switches_us| dial.at_us <= switches_us + lag_us + TICK_US);
        let is_new = switches_us.is_some_and(|switches_us| dial.at_us >= switches_us);
        findings.ensure([is_old, is_new][dial.server], || format!("dialled the wrong server: {dial:?}"));
    }
}

/// No session has more connections than copies, or than its user's pool.
fn at_a_time(played: &Played<'_>, findings: &mut Findings) {
    let mut changes: BTreeMap<u32, Vec<(u64, i64)>> = BTreeMap::new();
    for dial in &played.trial.log.dials {
        if let Some((session, ready_us)) = dial.session.zip(dial.ready_us) {
            let changes = changes.entry(session).or_default();
            changes.extend([(ready_us, 1), (dial.ended_us.unwrap_or(u64::MAX), -1)]);
        }
    }
    for (session, mut changes) in changes {
        changes.sort_unstable();
        let copies = played.trial.due.keys().filter(|who| who.0 == session).count() as i64;
        let most = played.plan.clients.pool.map_or(copies, |pool| copies.min(pool.size.into()));
        let mut open = 0;
        for (at_us, change) in changes {
            open += change;
            findings.ensure(open <= most, || format!("session {session} has {open} connections at {at_us}"));
        }
    }
}

/// A cancel request stops what was under way when it was sent, and nothing that came after; and none is left out.
fn cancels(played: &Played<'_>, findings: &mut Findings) {
    let log = &played.trial.log;
    for cancel in &log.cancels {
        let hit = cancel.busy_with.map(|request| &log.dials[cancel.dial].asked[request]);
        let is_meant = hit.is_none_or(|asked| asked.at_us <= cancel.dialled_us);
        findings.ensure(is_meant, || format!("a cancel request met another statement: {cancel:?} {hit:?}"));
    }
    if played.plan.clients.on_deadline != OnDeadline::Cancel {
        return;
    }
    for one in played.each() {
        let Some(sent_us) = one.sample.sent_us else { continue };
        let asks_us = sent_us + played.deadline_us(one.due);
        let waits = one.sample.done_us > asks_us + TICK_US && one.sample.outcome != Outcome::Skipped;
        let is_asked = log.dials.iter().any(|dial| (asks_us..=asks_us + TICK_US).contains(&dial.at_us));
        findings.ensure(!waits || is_asked, || format!("nobody asked to cancel it at {asks_us}: {:?}", one.sample));
    }
}
