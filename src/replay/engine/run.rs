//! The engine: deals the sessions to worker threads, looks at what is in flight each second, gathers the reports.
//!
//! Takes a spool, an endpoint and a recorder; gives one report. One thread of its own stands over the workers, so that
//! nothing here depends on the caller's runtime. Must not know why the run ends.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use super::book::{Book, Counts};
use super::differences::Differences;
use super::ids::{IdCounts, Ids};
use super::in_flight::InFlight;
use super::order::CommitOrder;
use super::pool::Pools;
use super::schedule::Schedule;
use super::worker::{Context, Opening, Share, WorkerReport, work};
use crate::record::Recorder;
use crate::replay::descriptors;
use crate::replay::pace::{Pace, Turn};
use crate::replay::spool::{Session, Spool, SpoolError};
use crate::samples::sample::Outcome;
use crate::scenario::resolved::Clients;
use crate::server::endpoint::Endpoint;
use crate::timeline::What;

/// How often the timeline says what is in flight.
const IN_FLIGHT_INTERVAL: Duration = Duration::from_secs(1);

/// Sessions that began before the capture connect within this part of the time before the replay starts; the rest is
/// for slow logins.
const CONNECT_LEAD: f64 = 0.8;

/// How the replay goes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub pace: Pace,
    pub clients: Clients,
    /// Keeps the captured order of commits, each wait being at most so long; needs a spool that knows the order.
    pub order_wait: Option<Duration>,
    /// Microsecond of the run at which captured time 0 lies. Until then the sessions that began before the capture
    /// connect.
    pub starts_us: u64,
    /// Worker threads at most, one per core being the sense of it.
    pub workers: usize,
}

/// Why a replay has no report.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("could not start a worker of the replay")]
    Thread(#[source] std::io::Error),
    #[error("could not set a timer of the replay")]
    Timer(#[source] std::io::Error),
    #[error("the replay cannot go on reading its prepared workload")]
    Spool(#[source] SpoolError),
    #[error("a worker of the replay ended unexpectedly; this is a bug")]
    Panicked,
    /// The promise of exactly one sample for each request was broken.
    #[error("the replay offered {offered} requests but booked {booked}; this is a bug")]
    Miscounted { offered: u64, booked: u64 },
}

/// What the replay did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineReport {
    counts: Counts,
    /// Every session came to its end before the run was stopped.
    pub workload_ended: bool,
}

impl EngineReport {
    /// Requests that fell due; each has exactly one outcome.
    pub fn offered(&self) -> u64 {
        self.counts.offered
    }

    /// Requests that ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.of(outcome)
    }

    /// Tries to connect, and how many of them failed.
    pub fn connects(&self) -> (u64, u64) {
        (self.counts.connects, self.counts.connects_failed)
    }

    /// Tries of requests that failed and were followed by another.
    pub fn retried(&self) -> u64 {
        self.counts.retried
    }

    /// Requests that waited for commits of other sessions, and how many of them went without them at last.
    pub fn order_waits(&self) -> (u64, u64) {
        (self.counts.order_waits, self.counts.order_breaks)
    }

    /// Writing requests that a read-only replay left out; they are not offered.
    pub fn left_out(&self) -> u64 {
        self.counts.left_out
    }

    /// Settings and the like that a session had and a new connection did not take.
    pub fn restores_failed(&self) -> u64 {
        self.counts.restores_failed
    }
}

/// A replay that is under way.
#[derive(Debug)]
pub struct Engine {
    report: oneshot::Receiver<Result<EngineReport, EngineError>>,
    thread: thread::JoinHandle<()>,
}

impl Engine {
    /// Starts the workers. They end when every session has, or soon after `stop` turns true: requests in flight get two
    /// seconds, those due but unsent are booked, later ones are not offered.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        spool: &Spool,
        settings: &Settings,
        endpoint: &Endpoint,
        recorder: &Recorder,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, EngineError> {
        descriptors::raise();
        let (spool, settings) = (spool.clone(), settings.clone());
        let (endpoint, recorder) = (endpoint.clone(), recorder.clone());
        let (reported, report) = oneshot::channel();
        let standing = move || {
            let outcome = replay(&spool, &settings, &endpoint, &recorder, &stop);
            // Nobody waits for it when the run is being torn down.
            let _ = reported.send(outcome);
        };
        let thread = thread::Builder::new().name("replay".into()).spawn(standing).map_err(EngineError::Thread)?;
        Ok(Self { report, thread })
    }

    /// Waits for the end of the replay. Cancel-safe.
    pub async fn finished(&mut self) -> Result<EngineReport, EngineError> {
        (&mut self.report).await.unwrap_or(Err(EngineError::Panicked))
    }

    /// Whether the replay has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Runs all workers and gathers their reports.
fn replay(
    spool: &Spool,
    settings: &Settings,
    endpoint: &Endpoint,
    recorder: &Recorder,
    stop: &watch::Receiver<bool>,
) -> Result<EngineReport, EngineError> {
    let schedule = Schedule::new(recorder.clock(), settings.pace.clone(), settings.starts_us);
    let copies = &settings.pace.copies;
    let copies_of = spool.copies_of_shard(&settings.pace).map_err(EngineError::Spool)?;
    let order = settings.order_wait.map(|limit| Arc::new(CommitOrder::new(&copies_of, limit)));
    let ids = Arc::new(Ids::new(copies.most()));
    let openings = openings(spool.sessions(), &copies_of, &schedule);
    let in_flight = Arc::new(InFlight::new(openings.len()));
    // More at once than the capture's clients would be more than anybody was told of.
    let places = schedule.pace().is_closed_loop().then(|| Semaphore::new(spool.connections_at_once(&copies_of).max(1)));
    let shares = deal(&openings, places.map(Arc::new), settings.workers, stop);
    let pools = Pools::new(settings.clients.pool, shares.len());
    let (reports, reported) = mpsc::channel();
    let result = thread::scope(|scope| {
        // Nobody begins before all are there: where one cannot be had, the others go when these do.
        let mut begins = Vec::new();
        for (number, share) in shares.into_iter().enumerate() {
            let (clients, endpoint) = (settings.clients.clone(), endpoint.clone());
            let (clock, schedule) = (schedule.clock(), schedule.clone());
            let (book, in_flight) = (Book::new(recorder.clone()), Arc::clone(&in_flight));
            let (order, ids, pools) = (order.clone(), Arc::clone(&ids), pools.clone());
            let differences = Differences::new(recorder.clone(), spool.clone());
            let equip = move |timer| {
                let end = Rc::default();
                Context { schedule, timer, clients, endpoint, book, differences, in_flight, ids, order, pools, end }
            };
            let reports = reports.clone();
            let (begin, begun) = mpsc::channel::<()>();
            begins.push(begin);
            let working = move || {
                if begun.recv().is_err() {
                    return;
                }
                let _ = reports.send(work(clock, equip, spool, share));
            };
            let named = thread::Builder::new().name(format!("replay-{number}"));
            named.spawn_scoped(scope, working).map_err(EngineError::Thread)?;
        }
        for begin in begins {
            // Each waits for it.
            let _ = begin.send(());
        }
        drop(reports);
        stand_over(&reported, &in_flight, recorder)
    });
    let report = result?;
    tell(&report, order.is_some(), settings.pace.read_only, ids.counts(), recorder);
    match (report.counts.offered, report.counts.booked()) {
        (offered, booked) if offered != booked => Err(EngineError::Miscounted { offered, booked }),
        _ => Ok(report),
    }
}

/// Tells the timeline what the report says that no sample does.
fn tell(report: &EngineReport, keeps_order: bool, read_only: bool, ids: IdCounts, recorder: &Recorder) {
    if keeps_order {
        let (waits, broken) = report.order_waits();
        recorder.event(What::OrderKept { waits, broken });
    }
    if read_only {
        recorder.event(What::WritesLeftOut { requests: report.left_out() });
    }
    if report.restores_failed() > 0 {
        recorder.event(What::SettingsLost { settings: report.restores_failed() });
    }
    let IdCounts { mapped, unfilled, unsure } = ids;
    if mapped + unfilled + unsure > 0 {
        recorder.event(What::IdsMapped { mapped, unfilled, unsure });
    }
    if report.workload_ended {
        recorder.event(What::WorkloadEnded { offered: report.offered() });
    }
}

/// Takes the workers' reports until the last is there, and looks at what is in flight meanwhile.
fn stand_over(
    reported: &mpsc::Receiver<Result<WorkerReport, EngineError>>,
    in_flight: &InFlight,
    recorder: &Recorder,
) -> Result<EngineReport, EngineError> {
    let mut sum = EngineReport { counts: Counts::default(), workload_ended: true };
    let mut failure = None;
    loop {
        match reported.recv_timeout(IN_FLIGHT_INTERVAL) {
            Ok(Ok(report)) => {
                sum.counts.add(&report.counts);
                sum.workload_ended &= report.ended;
            }
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(RecvTimeoutError::Timeout) => recorder.event(What::InFlight { tenants: in_flight.oldest() }),
            Err(RecvTimeoutError::Disconnected) => return failure.map_or(Ok(sum), Err),
        }
    }
}

/// Gives every session and copy to a worker, in turns, with the moment at which it connects.
pub(super) fn deal(
    openings: &[Opening],
    places: Option<Arc<Semaphore>>,
    workers: usize,
    stop: &watch::Receiver<bool>,
) -> Vec<Share> {
    let workers = workers.clamp(1, openings.len().max(1));
    let share = |worker: usize| {
        let own = openings.iter().skip(worker).step_by(workers).copied().collect();
        Share { openings: own, places: places.clone(), stop: stop.clone() }
    };
    (0..workers).map(share).collect()
}

/// When each session and copy connects, sorted: those that began before the capture spread over the time before the
/// replay starts, the others when they were opened.
pub(super) fn openings(sessions: &[Session], copies_of: &[u16], schedule: &Schedule) -> Vec<Opening> {
    let now_us = schedule.now_us();
    let lead_us = schedule.starts_us().saturating_sub(now_us) as f64 * CONNECT_LEAD;
    let copies = |facts: &Session| copies_of.get(facts.number as usize).copied().unwrap_or_default();
    let early = sessions.iter().filter(|session| session.began_before_capture);
    let early = early.map(|session| usize::from(copies(session))).sum::<usize>().max(1);
    let mut openings = Vec::with_capacity(copies_of.iter().copied().map(usize::from).sum());
    let mut rank = 0;
    for (session, facts) in sessions.iter().enumerate() {
        for copy in 0..copies(facts) {
            let at_us = if facts.began_before_capture {
                rank += 1;
                now_us + (lead_us * f64::from(rank - 1) / early as f64) as u64
            } else {
                schedule.due_us(facts.opened_us, Turn { number: facts.number, copy, round: 0 })
            };
            openings.push(Opening { at_us, round: 0, session, copy, slot: openings.len() });
        }
    }
    openings.sort_unstable();
    openings
}
