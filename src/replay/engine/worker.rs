//! One worker: a thread with its share of the sessions, each opened at its time as a task of its own.
//!
//! A task exists only while its session is open, so that memory follows the sessions of the moment. A session's next round is
//! opened once the one before is over. Must not know the other workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::LocalOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet, spawn_local};

use super::book::{BATCH_INTERVAL, Book, Counts};
use super::differences::Differences;
use super::ids::Ids;
use super::in_flight::InFlight;
use super::order::CommitOrder;
use super::pool::Pools;
use super::rounds::lasts;
use super::run::EngineError;
use super::schedule::Schedule;
use super::session::SessionTask;
use super::stop::{RunEnd, Stop};
use super::timer::Timer;
use crate::replay::pace::Turn;
use crate::replay::spool::{Spool, SpoolError};
use crate::scenario::resolved::Clients;
use crate::server::endpoint::Endpoint;
use crate::words::time::RunClock;

/// What all sessions of a worker share.
#[derive(Debug)]
pub(super) struct Context {
    pub schedule: Schedule,
    pub timer: Timer,
    pub clients: Clients,
    pub endpoint: Endpoint,
    pub book: Book,
    pub differences: Differences,
    pub in_flight: Arc<InFlight>,
    pub ids: Arc<Ids>,
    /// None where sessions are free of each other.
    pub order: Option<Arc<CommitOrder>>,
    /// None where each session has a connection of its own.
    pub pools: Option<Arc<Pools>>,
    pub end: Rc<RunEnd>,
}

/// A round of a session and copy with the moment at which it connects; in the order in which they are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opening {
    pub at_us: u64,
    pub round: u32,
    /// Index among the spool's sessions.
    pub session: usize,
    pub copy: u16,
    /// Its slot among those in flight.
    pub slot: usize,
}

impl Opening {
    pub fn turn(&self, spool: &Spool) -> Turn {
        Turn { number: spool.sessions()[self.session].number, copy: self.copy, round: self.round }
    }

    /// The session's next round, once this one is over: none where there is none, or where the session itself went on.
    fn next(&self, context: &Context, spool: &Spool) -> Option<Self> {
        let session = &spool.sessions()[self.session];
        let turn = self.turn(spool);
        let round = context.schedule.pace().rounds.after(turn.round).filter(|_| !lasts(session));
        let next = round.map(|round| Turn { round, ..turn });
        let next = next.filter(|next| context.is_offered(next, session.opened_us));
        if let (None, Some(order)) = (next, &context.order) {
            order.ended(turn.number, turn.copy);
        }
        let next = next?;
        Some(Self { at_us: context.schedule.due_us(session.opened_us, next), round: next.round, ..*self })
    }
}

/// The rounds that are still to be opened, the next on top.
type Openings = BinaryHeap<Reverse<Opening>>;

type Tasks = JoinSet<(Opening, Result<(), SpoolError>)>;

/// A worker's share.
pub(super) struct Share {
    /// The first rounds.
    pub openings: Vec<Opening>,
    /// As many as sessions of all workers may be open at one moment; only a closed loop comes to it.
    pub places: Option<Arc<Semaphore>>,
    pub stop: watch::Receiver<bool>,
}

/// What a worker reports at its end.
pub(super) struct WorkerReport {
    pub counts: Counts,
    /// Every session came to its own end.
    pub ended: bool,
}

/// Runs a worker on this thread until its sessions, or the run, are at their end. `equip` gives what they share, with the
/// timer of this thread.
pub(super) fn work(
    clock: RunClock,
    equip: impl FnOnce(Timer) -> Context,
    spool: &Spool,
    share: Share,
) -> Result<WorkerReport, EngineError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).map_err(EngineError::Thread)?;
    let timer = {
        let _inside = runtime.enter();
        Timer::new(clock).map_err(EngineError::Timer)?
    };
    let context = Rc::new(equip(timer));
    let working = run(Rc::clone(&context), spool.clone(), share);
    // A task of its own: a waker of `block_on` would have all of it looked at whenever a session's answer came.
    let result = runtime.block_on(async { spawn_local(working).await.unwrap_or(Err(EngineError::Panicked)) });
    context.book.flush();
    Ok(WorkerReport { counts: context.book.counts(), ended: result? })
}

/// Runs the sessions, their timer and what carries their samples away.
pub(super) async fn run(context: Rc<Context>, spool: Spool, share: Share) -> Result<bool, EngineError> {
    let sessions = run_sessions(Rc::clone(&context), &spool, share);
    let waking = context.timer.run();
    tokio::pin!(sessions, waking);
    loop {
        tokio::select! {
            biased;
            stopped = &mut waking => return stopped.map(|()| false).map_err(EngineError::Timer),
            ended = &mut sessions => return ended,
            () = tokio::time::sleep(BATCH_INTERVAL) => {
                context.book.flush();
                context.close_unused().await;
            }
        }
    }
}

/// Opens every session at its time, round by round, and sees all to their ends; true when none was cut short.
async fn run_sessions(context: Rc<Context>, spool: &Spool, share: Share) -> Result<bool, EngineError> {
    let Share { openings, places, stop } = share;
    let end = Rc::clone(&context.end);
    let mut end_comes = std::pin::pin!(end.watch(stop.clone(), context.schedule.clock()));
    let mut openings: Openings = openings.into_iter().map(Reverse).collect();
    let mut open = Tasks::new();
    let mut result = Ok(());
    while !(openings.is_empty() && open.is_empty()) {
        let at_us = openings.peek().map(|Reverse(opening)| opening.at_us);
        tokio::select! {
            biased;
            () = &mut end_comes => break,
            Some(ended) = open.join_next(), if !open.is_empty() => {
                openings.extend(note_end(ended, &context, spool, &mut result));
            }
            place = place_at(at_us, &context.timer, places.as_ref()), if at_us.is_some() => {
                let Some(Reverse(opening)) = openings.pop() else { continue };
                let task = SessionTask::new(&context, spool, &opening);
                let mut stop = end.waiter();
                open.spawn_local(async move {
                    let _place = place;
                    (opening, task.run(&mut stop).await)
                });
            }
        }
    }
    while let Some(ended) = open.join_next().await {
        openings.extend(note_end(ended, &context, spool, &mut result));
    }
    book_what_was_due(&context, spool, openings, &mut end.waiter(), &mut result).await;
    context.leave_pools().await;
    result.map(|()| !*stop.borrow())
}

/// Waits for a moment, and then for a place among the open sessions, where those are bounded. Cancel-safe.
async fn place_at(at_us: Option<u64>, timer: &Timer, places: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    timer.until(at_us).await;
    // Nobody closes it.
    Arc::clone(places?).acquire_owned().await.ok()
}

/// The run ended: rounds whose time had come while the round before was not over book what had fallen due in them.
async fn book_what_was_due(
    context: &Rc<Context>,
    spool: &Spool,
    mut openings: Openings,
    stop: &mut Stop,
    result: &mut Result<(), EngineError>,
) {
    let ended_us = context.end.came_us().unwrap_or_default();
    let is_open_loop = !context.schedule.pace().is_closed_loop();
    while let Some(Reverse(opening)) =
        openings.pop().filter(|Reverse(opening)| is_open_loop && opening.at_us <= ended_us)
    {
        let task = SessionTask::new(context, spool, &opening);
        let ended = task.run(stop).await;
        openings.extend(note_end(Ok((opening, ended)), context, spool, result));
    }
}

/// Keeps the first failure; the other sessions go on. Gives the session's next round.
fn note_end(
    ended: Result<(Opening, Result<(), SpoolError>), JoinError>,
    context: &Context,
    spool: &Spool,
    result: &mut Result<(), EngineError>,
) -> Option<Reverse<Opening>> {
    let failure = match ended {
        Ok((opening, Ok(()))) => return opening.next(context, spool).map(Reverse),
        Ok((_, Err(error))) => EngineError::Spool(error),
        Err(_) => EngineError::Panicked,
    };
    if result.is_ok() {
        *result = Err(failure);
    }
    None
}
