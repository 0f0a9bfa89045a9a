//! One worker: a thread with its share of the sessions, each opened at its time as a task of its own.
//!
//! A task exists only while its session is open, so that memory follows the sessions of the moment. Must not know the
//! other workers.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use super::book::{BATCH_INTERVAL, Book, Counts};
use super::differences::Differences;
use super::head::Head;
use super::in_flight::InFlight;
use super::link::{About, Link};
use super::memory::SessionMemory;
use super::order::{CommitOrder, place_of};
use super::run::EngineError;
use super::schedule::Schedule;
use super::session::{SessionTask, State};
use super::stop::Stop;
use super::timer::Timer;
use crate::replay::pace::Turn;
use crate::replay::spool::{Session, Spool, SpoolError};
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
    /// None where sessions are free of each other.
    pub order: Option<Arc<CommitOrder>>,
}

/// A session and copy with the moment at which it connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// Index among the spool's sessions.
    pub session: usize,
    pub copy: u16,
    pub at_us: u64,
}

/// A worker's share.
pub(super) struct Share {
    /// Sorted by the time of opening.
    pub openings: Vec<Opening>,
    /// Sessions that may be open at one moment; only a closed loop comes to it.
    pub open_max: usize,
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EngineError::Thread)?;
    let timer = {
        let _inside = runtime.enter();
        Timer::new(clock).map_err(EngineError::Timer)?
    };
    let context = Rc::new(equip(timer));
    let flushed = Rc::clone(&context);
    let result = LocalSet::new().block_on(&runtime, async move {
        let sessions = run_sessions(Rc::clone(&context), spool, share);
        let waking = context.timer.run();
        tokio::pin!(sessions, waking);
        loop {
            tokio::select! {
                biased;
                stopped = &mut waking => return stopped.map(|()| false).map_err(EngineError::Timer),
                ended = &mut sessions => return ended,
                () = tokio::time::sleep(BATCH_INTERVAL) => context.book.flush(),
            }
        }
    });
    flushed.book.flush();
    Ok(WorkerReport { counts: flushed.book.counts(), ended: result? })
}

/// Opens every session at its time and sees all to their ends; true when none was cut short.
async fn run_sessions(context: Rc<Context>, spool: &Spool, share: Share) -> Result<bool, EngineError> {
    let mut stop = Stop::new(share.stop.clone());
    let mut open: JoinSet<Result<(), SpoolError>> = JoinSet::new();
    let mut result = Ok(());
    'opening: for opening in share.openings {
        let mut is_time = false;
        while !is_time || open.len() >= share.open_max {
            tokio::select! {
                biased;
                () = stop.requested() => break 'opening,
                Some(ended) = open.join_next(), if !open.is_empty() => note_end(ended, &mut result),
                () = context.timer.until(Some(opening.at_us)), if !is_time => is_time = true,
            }
        }
        let task = session_task(&context, spool, opening);
        let mut stop = Stop::new(share.stop.clone());
        open.spawn_local(async move { task.run(&mut stop).await });
    }
    while let Some(ended) = open.join_next().await {
        note_end(ended, &mut result);
    }
    result.map(|()| !*share.stop.borrow())
}

/// Keeps the first failure; the other sessions go on.
fn note_end(ended: Result<Result<(), SpoolError>, tokio::task::JoinError>, result: &mut Result<(), EngineError>) {
    let failure = match ended {
        Ok(Ok(())) => return,
        Ok(Err(error)) => EngineError::Spool(error),
        Err(_) => EngineError::Panicked,
    };
    if result.is_ok() {
        *result = Err(failure);
    }
}

fn session_task(context: &Rc<Context>, spool: &Spool, opening: Opening) -> SessionTask {
    let session: &Session = &spool.sessions()[opening.session];
    let schedule = &context.schedule;
    let about = About { session: session.session, copy: opening.copy, database: spool.database_index(session) };
    let parameters: Vec<_> = session.parameters.clone().into_iter().collect();
    let login = context.endpoint.login_for(&session.user, &session.database, &parameters);
    let memory = SessionMemory::carried_in(&session.settings, &session.prepared);
    let turn = Turn { number: session.number, copy: opening.copy };
    let closes_t_us = session.closed_us.unwrap_or(spool.totals().span_us);
    SessionTask {
        context: Rc::clone(context),
        about,
        slot: opening.session * usize::from(schedule.pace().copies.most()) + usize::from(opening.copy),
        head: Head::new(spool.requests(session), turn),
        order: place_of(context, spool.waits(session), session.number, about),
        link: Link::new(Rc::clone(context), about, login, memory),
        closes_us: schedule.due_us(closes_t_us, turn),
        state: State::default(),
    }
}
