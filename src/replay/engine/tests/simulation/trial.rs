//! A simulation that has run: the engine's worker on a clock that moves only when everybody waits, against played servers.
//!
//! Takes a plan; gives the samples, what the servers saw, and what should have been offered. Must not know what is right.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::super::super::alarm::Alarm;
use super::super::super::book::{Book, Counts};
use super::super::super::differences::Differences;
use super::super::super::ids::Ids;
use super::super::super::in_flight::InFlight;
use super::super::super::order::CommitOrder;
use super::super::super::pool::Pools;
use super::super::super::run::{deal, openings};
use super::super::super::schedule::Schedule;
use super::super::super::timer::Timer;
use super::super::super::worker::{self, Context};
use super::super::story::endpoint;
use super::log::{Log, Shared};
use super::plan::Plan;
use super::server::{Stage, target};
use crate::record::{self, Item, Recorder};
use crate::replay::pace::Turn;
use crate::replay::spool::{DatabaseNames, RequestFacts, Spool};
use crate::samples::sample::Sample;
use crate::server::endpoint::Endpoint;
use crate::words::time::RunClock;

/// Far more than any of these replays takes on its own clock.
const ENDLESS: Duration = Duration::from_secs(24 * 3_600);

/// A session and copy.
pub(super) type Who = (u32, u16);

/// A request that is to fall due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Due {
    pub round: u32,
    /// In a closed loop it means nothing.
    pub due_us: u64,
    pub facts: RequestFacts,
}

/// All that a simulation leaves.
#[derive(Debug, PartialEq)]
pub(super) struct Trial {
    /// In the order in which they were booked.
    pub samples: Vec<Sample>,
    pub log: Log,
    pub counts: Counts,
    /// Every session came to its end; none where the replay never ended.
    pub ended: Option<bool>,
    pub ended_us: u64,
    /// Tenants whose requests are in flight for ever.
    pub in_flight: Vec<(u32, u64)>,
    /// What each session and copy is to send, in its order.
    pub due: BTreeMap<Who, Vec<Due>>,
}

impl Trial {
    /// Plays the plan.
    pub fn new(plan: &Plan) -> Self {
        let spool = Spool::from_lines(&plan.lines, DatabaseNames::new());
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build_local(LocalOptions::default()).unwrap();
        let plan = plan.clone();
        runtime.block_on(async { tokio::task::spawn_local(play(plan, spool)).await.unwrap() })
    }
}

async fn play(plan: Plan, spool: Spool) -> Trial {
    let clock = RunClock::start();
    let (recorder, items) = record::channel(clock);
    // The recorder's queue is bounded, so somebody has to empty it; what it gives comes in the order of one sender.
    let taking = thread::spawn(move || items.into_iter().filter_map(samples_of).flatten().collect::<Vec<_>>());
    let (log, place) = (Shared::default(), endpoint(target(0)));
    let mut around = play_servers(&plan, clock, &log);
    let (stop, stopped) = watch::channel(false);
    let (switched, switches_us) = (place.clone(), plan.switches_us);
    around.spawn_local(async move {
        until(clock, switches_us).await;
        switched.switch(target(1), "new");
    });
    let stops_us = plan.stops_us;
    around.spawn_local(async move {
        until(clock, stops_us).await;
        stop.send_replace(true);
        // Without its sender, a run is as good as stopped.
        stop.closed().await;
    });
    let (context, copies_of) = context(&plan, &spool, &recorder, place);
    drop(recorder);
    let openings = openings(spool.sessions(), &copies_of, &context.schedule);
    let shares = deal(&openings, places(&plan, &spool, &copies_of), 1, &stopped);
    let share = shares.into_iter().next().unwrap();
    let due = due(&context.schedule, &spool, &copies_of);
    let ended = tokio::time::timeout(ENDLESS, worker::run(Rc::clone(&context), spool, share)).await;
    let ended_us = clock.now_us();
    around.shutdown().await;
    context.book.flush();
    let (counts, in_flight) = (context.book.counts(), context.in_flight.oldest());
    // With the last sender the samples end.
    assert!(Rc::into_inner(context).is_some(), "a task outlived the worker");
    let samples = taking.join().unwrap();
    let log = log.take();
    Trial { samples, log, counts, ended: ended.ok().map(|ended| ended.unwrap()), ended_us, in_flight, due }
}

/// How many sessions may be open at once in a closed loop.
fn places(plan: &Plan, spool: &Spool, copies_of: &[u16]) -> Option<Arc<Semaphore>> {
    let is_bounded = plan.pace.is_closed_loop();
    is_bounded.then(|| Arc::new(Semaphore::new(spool.connections_at_once(copies_of).max(1))))
}

fn samples_of(item: Item) -> Option<Vec<Sample>> {
    if let Item::Samples(batch) = item { Some(batch) } else { None }
}

/// For ever where there is no such moment.
async fn until(clock: RunClock, at_us: Option<u64>) {
    match at_us {
        Some(at_us) => tokio::time::sleep_until(clock.to_instant(at_us).into()).await,
        None => std::future::pending().await,
    }
}

/// Starts both servers.
fn play_servers(plan: &Plan, clock: RunClock, log: &Shared) -> JoinSet<()> {
    let (script, cancels) = (Rc::new(plan.script.clone()), Rc::default());
    let stage = Stage { script, log: Rc::clone(log), clock, server: 0, cancels };
    let mut playing = JoinSet::new();
    for server in 0..2 {
        playing.spawn_local(Stage { server, ..stage.clone() }.listen());
    }
    playing
}

/// What the engine gives a worker, and how many copies each session has.
fn context(plan: &Plan, spool: &Spool, recorder: &Recorder, endpoint: Endpoint) -> (Rc<Context>, Vec<u16>) {
    let schedule = Schedule::new(recorder.clock(), plan.pace.clone(), plan.starts_us);
    let copies_of = spool.copies_of_shard(&plan.pace).unwrap();
    let copies = plan.pace.copies.most();
    let context = Context {
        timer: Timer::with_alarm(schedule.clock(), Alarm::of_runtime()),
        schedule,
        clients: plan.clients.clone(),
        endpoint,
        book: Book::new(recorder.clone()),
        differences: Differences::new(recorder.clone(), spool.clone()),
        in_flight: Arc::new(InFlight::new(spool.sessions().len() * usize::from(copies))),
        ids: Arc::new(Ids::new(copies)),
        pools: Pools::new(plan.clients.pool, 1),
        order: plan.order_wait.map(|limit| Arc::new(CommitOrder::new(&copies_of, limit))),
        end: Rc::default(),
    };
    (Rc::new(context), copies_of)
}

/// What is to fall due, from the spool and the pace alone.
fn due(schedule: &Schedule, spool: &Spool, copies_of: &[u16]) -> BTreeMap<Who, Vec<Due>> {
    let pace = schedule.pace();
    let mut due = BTreeMap::new();
    for session in spool.sessions() {
        let mut requests = spool.requests(session);
        let facts: Vec<RequestFacts> = std::iter::from_fn(|| requests.advance().unwrap()).collect();
        for copy in 0..copies_of[session.number as usize] {
            let mut of_copy = Vec::new();
            let mut round = Some(0).filter(|_| !facts.is_empty());
            while let Some(number) = round {
                let turn = Turn { number: session.number, copy, round: number };
                let sent = facts.iter().filter(|facts| pace.copies.sends(session.number, copy, facts.owner));
                let before = of_copy.len();
                of_copy.extend(
                    sent.map(|facts| Due { round: number, due_us: schedule.due_us(facts.t_us, turn), facts: *facts })
                        .filter(|due| due.due_us < schedule.ends_us()),
                );
                // Nothing of a round is due once its beginning is too late.
                round = pace.rounds.after(number).filter(|_| of_copy.len() > before);
            }
            due.insert((session.session, copy), of_copy);
        }
    }
    due
}
