//! How often what is worth simulating happened: a simulation in which nothing happens proves nothing.

use std::collections::BTreeMap;

use super::super::super::giving_up::RUN_ENDED;
use super::findings::Played;
use super::log::Dial;
use super::plan::Plan;
use super::script::Absence;
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::scenario::resolved::{BrokenTransaction, OnDeadline};
use crate::words::sqlstate::SqlState;

/// Occasions by what happened.
#[derive(Debug, Default)]
pub(super) struct Tally(pub BTreeMap<&'static str, u64>);

impl Tally {
    /// Counts what happened in one more simulation.
    pub fn add(&mut self, played: &Played<'_>) {
        let (plan, trial) = (played.plan, played.trial);
        let samples = |is: &dyn Fn(&Sample) -> bool| trial.samples.iter().filter(|sample| is(sample)).count() as u64;
        let runs = |is: bool| u64::from(is);
        let is = |outcome: Outcome| samples(&|sample| sample.kind == SampleKind::Request && sample.outcome == outcome);
        let given_up =
            |sample: &Sample| sample.message.as_deref().is_some_and(|why| why.starts_with("no answer within"));
        let ended = |sample: &Sample| sample.message.as_deref() == Some(RUN_ENDED);
        let failed = |sample: &Sample| sample.kind == SampleKind::Connect && sample.outcome == Outcome::Failed;
        let counts = &trial.counts;
        for (what, times) in [
            ("ok", is(Outcome::Ok)),
            ("failed", is(Outcome::Failed)),
            ("late", is(Outcome::Late)),
            ("expired", is(Outcome::Expired)),
            ("indeterminate", is(Outcome::Indeterminate)),
            ("expected errors", is(Outcome::ExpectedError)),
            ("skipped with their block", is(Outcome::Skipped) - samples(&ended)),
            ("in flight at the end", samples(&|sample| ended(sample) && sample.sent_us.is_some())),
            ("due at the end", samples(&|sample| ended(sample) && sample.sent_us.is_none())),
            ("given up", samples(&given_up)),
            ("tried again", counts.retried),
            ("answered at a later try", samples(&|sample| sample.attempt > 1 && sample.outcome == Outcome::Ok)),
            ("tried again in vain", samples(&|sample| sample.attempt > 1 && sample.outcome == Outcome::Failed)),
            ("connected again", samples(&|sample| sample.kind == SampleKind::Connect && sample.event > 1)),
            ("logins that timed out", samples(&|sample| failed(sample) && waited(plan, sample))),
            ("logins refused or rejected", samples(&|sample| failed(sample) && !waited(plan, sample))),
            ("cancelled", samples(&|sample| sample.sqlstate == Some(SqlState::QUERY_CANCELED))),
            (
                "cancel requests too late",
                trial.log.cancels.iter().filter(|cancel| cancel.busy_with.is_none()).count() as u64,
            ),
            ("settings not restored", counts.restores_failed),
            ("waits for commits", counts.order_waits),
            ("waits that were broken", counts.order_breaks),
            ("runs stopped", runs(trial.ended == Some(false))),
            ("runs with copies", runs(plan.pace.copies.most() > 1)),
            ("runs with rounds", runs(plan.pace.rounds.most() > 1)),
            ("closed loops", runs(plan.pace.is_closed_loop())),
            ("on the new server", trial.log.dials.iter().filter(|dial| dial.server == 1).count() as u64),
            ("connections handed on", handed_on(played)),
            ("runs that continue", runs(plan.clients.broken_transaction == BrokenTransaction::Continue)),
            ("runs that disconnect", runs(plan.clients.on_deadline == OnDeadline::Disconnect)),
            ("servers down", outages(plan, Absence::Down)),
            ("servers frozen", outages(plan, Absence::Frozen)),
            ("servers mute", outages(plan, Absence::Mute)),
        ] {
            *self.0.entry(what).or_default() += times;
        }
    }
}

/// In one round only a pool has a connection go on after its session.
fn handed_on(played: &Played<'_>) -> u64 {
    let is_pooled = played.plan.clients.pool.is_some() && played.plan.pace.rounds.most() == 1;
    let goes_on = |dial: &&Dial| {
        dial.asked.iter().skip_while(|asked| asked.text != "DISCARD ALL").any(|asked| asked.event.is_some())
    };
    played.trial.log.dials.iter().filter(|_| is_pooled).filter(goes_on).count() as u64
}

fn waited(plan: &Plan, sample: &Sample) -> bool {
    sample.done_us - sample.due_us >= plan.clients.connect_timeout.as_micros() as u64
}

fn outages(plan: &Plan, kind: Absence) -> u64 {
    plan.script.outages.iter().filter(|outage| outage.kind == kind).count() as u64
}
