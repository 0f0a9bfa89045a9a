//! All that a seed decides: the workload, how clients behave, the pace, what the servers do, and when the run is stopped.

use std::time::Duration;

use serde_json::Value;

use super::dice::Dice;
use super::script::Script;
use super::workload;
use crate::replay::pace::Pace;
use crate::replay::{Copies, Rounds};
use crate::scenario::resolved::{
    BrokenTransaction, Clients, Loop, OnDeadline, Pacing, Pool, Reconnect, Retry, RetryOn, Speed,
};

/// A simulation before it runs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub lines: Vec<Value>,
    pub clients: Clients,
    pub pace: Pace,
    pub order_wait: Option<Duration>,
    pub starts_us: u64,
    pub script: Script,
    /// When the endpoint leads to the new server.
    pub switches_us: Option<u64>,
    pub stops_us: Option<u64>,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (lines, span_us) = workload::lines(&mut dice);
        let pace = pace(&mut dice, span_us);
        let mut clients = clients(&mut dice);
        let script = Script::new(&mut dice, span_us);
        let starts_us = dice.one_of(&[0, 100_000, 1_000_000]);
        let mut some_time = |probability| {
            let (happens, at_us) = (dice.happens(probability), dice.between(0, span_us + 1_000_000));
            happens.then_some(at_us)
        };
        let (switches_us, stops_us) = (some_time(0.25), some_time(0.35));
        let order_wait = dice.happens(0.2).then(|| Duration::from_millis(dice.between(50, 2_000)));
        // Patient enough for every deadline; a request that a pool keeps waiting for longer has a test of its own.
        clients.pool = dice.happens(0.3).then(|| Pool {
            size: dice.between(1, 2) as u32,
            reuse: dice.happens(0.7),
            wait: Duration::from_secs(3_600),
            idle: Duration::from_millis(dice.one_of(&[100, 60_000])),
        });
        Self { lines, clients, pace, order_wait, starts_us, script, switches_us, stops_us }
    }
}

fn pace(dice: &mut Dice, span_us: u64) -> Pace {
    let speed = dice.one_of(&[1.0, 1.0, 1.0, 0.5, 2.0, 3.7]);
    let speed = if dice.happens(0.06) { Speed::Max } else { Speed::Factor(speed) };
    let mut copies = Copies::new(dice.one_of(&[1, 1, 1, 2, 3]));
    if dice.happens(0.3) {
        copies = copies.with_jitter(Duration::from_millis(dice.between(0, 2_000)), dice.between(0, 1_000));
    }
    if dice.happens(0.15) {
        copies = copies.with_tenants((0..3).map(|_| dice.one_of(&[0.0, 0.5, 1.0, 1.5, 2.0])).collect());
    }
    let pacing = if dice.happens(0.08) { Pacing::ThinkTime } else { Pacing::Open };
    let rounds = match dice.between(0, 8) {
        // What a closed loop comes to in a time is not known before.
        1 if speed == Speed::Max || pacing == Pacing::ThinkTime => Rounds::ONE,
        0 => Rounds::new(Loop::Times(dice.between(2, 4) as u32), span_us),
        1 => Rounds::new(Loop::For(Duration::from_micros(dice.between(span_us / 2, span_us * 3))), span_us),
        _ => Rounds::ONE,
    };
    Pace { pacing, copies, rounds, ..Pace::new(speed, 1) }
}

fn clients(dice: &mut Dice) -> Clients {
    let ms = Duration::from_millis;
    let deadline = ms(dice.one_of(&[100, 300, 1_000, 3_000]));
    let reconnect_first = ms(dice.between(10, 100));
    Clients {
        deadline,
        on_deadline: dice.one_of(&[OnDeadline::Wait, OnDeadline::Wait, OnDeadline::Cancel, OnDeadline::Disconnect]),
        abandon: deadline.mul_f64(dice.one_of(&[1.0, 2.0, 5.0])),
        connect_timeout: ms(dice.one_of(&[50, 500, 2_000])),
        reconnect_first,
        reconnect_last: reconnect_first * dice.between(1, 20) as u32,
        reconnect_jitter: dice.one_of(&[0.0, 0.5, 1.0]),
        reconnect: dice.one_of(&[Reconnect::AtOnce, Reconnect::OnDemand]),
        endpoint_lag: ms(dice.one_of(&[0, 0, 1_500])),
        broken_transaction: dice.one_of(&[
            BrokenTransaction::Skip,
            BrokenTransaction::Skip,
            BrokenTransaction::Continue,
        ]),
        retry: if dice.happens(0.5) { retry(dice) } else { Retry::NONE },
        pool: None,
    }
}

fn retry(dice: &mut Dice) -> Retry {
    let on = ["40001", "40P01", "57", "connection", "55P03"].map(|text| RetryOn::from_text(text).unwrap());
    let backoff = Duration::from_millis(dice.between(0, 300));
    Retry {
        attempts: dice.between(2, 6) as u16,
        on: on.into_iter().filter(|_| dice.happens(0.7)).collect(),
        backoff,
        backoff_max: backoff * dice.between(1, 8) as u32,
        indeterminate: dice.happens(0.3),
    }
}
