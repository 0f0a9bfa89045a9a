//! Runs all probes of an endpoint on a thread of their own, so that neither the replay nor a step can make them late.
//!
//! Takes settings, endpoint and recorder; runs until told to stop. Must not know what the samples will say.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, interval, sleep_until};

use super::emitter::Emitter;
use super::logins;
use super::settings::{Database, Settings};
use super::stream::Stream;
use crate::record::Recorder;
use crate::samples::sample::{Outcome, ResultCheck, Sample, SampleKind};
use crate::server::endpoint::Endpoint;
use crate::server::{ConnectError, Connection, connect};
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;

/// How often collected samples are handed over at least.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Why the probes did not run.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("could not start the probes' thread")]
    Start(#[source] std::io::Error),
    #[error("the probes' thread panicked")]
    Panicked,
}

/// The running probes.
#[derive(Debug)]
pub struct Probes {
    answers: Arc<Answers>,
    ended: oneshot::Receiver<()>,
}

impl Probes {
    /// What has been answered so far.
    pub fn answers(&self) -> Arc<Answers> {
        self.answers.clone()
    }

    /// Waits until every probe has its outcome and everything is handed to the recorder. After the stop that takes a
    /// deadline or a connect timeout at most.
    pub async fn join(self) -> Result<(), ProbeError> {
        self.ended.await.map_err(|_| ProbeError::Panicked)
    }
}

/// When each stream's last probe that was answered well was sent. Shared with whoever waits for a recovery.
#[derive(Debug)]
pub struct Answers {
    /// Per fate group reads and writes: microseconds of the run, 0 for never.
    sent_us: Vec<[AtomicU64; 2]>,
}

impl Answers {
    fn new(groups: usize) -> Self {
        Self { sent_us: (0..groups).map(|_| Default::default()).collect() }
    }

    /// Whether every fate group has answered a read and a write that were sent at `at_us` of the run or later.
    pub fn all_since(&self, at_us: u64) -> bool {
        self.sent_us.iter().flatten().all(|sent_us| sent_us.load(Ordering::Relaxed) >= at_us.max(1))
    }

    pub(super) fn note(&self, group: usize, stream: usize, sent_us: u64) {
        self.sent_us[group][stream].fetch_max(sent_us.max(1), Ordering::Relaxed);
    }
}

/// Starts probing the endpoint (index `endpoint_index` in the samples) until `stop` turns true or its sender is gone.
/// The ledger must have been set up. `settings.interval` is kept as it is: see [`super::effective_interval`].
///
/// # Errors
/// When no thread can be had.
pub fn start(
    settings: Settings,
    endpoint: Endpoint,
    endpoint_index: u8,
    recorder: Recorder,
    stop: watch::Receiver<bool>,
) -> Result<Probes, ProbeError> {
    let answers = Arc::new(Answers::new(settings.databases.len()));
    let (ending, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProbeError::Start)?;
    let noted = answers.clone();
    let work = move || {
        let emitter = Rc::new(Emitter::new(recorder));
        let streams = run(Rc::new(settings), endpoint, endpoint_index, emitter, noted, stop);
        LocalSet::new().block_on(&runtime, streams);
        // Nobody need be waiting any more.
        let _ = ending.send(());
    };
    std::thread::Builder::new().name("probes".into()).spawn(work).map_err(ProbeError::Start)?;
    Ok(Probes { answers, ended })
}

async fn run(
    settings: Rc<Settings>,
    endpoint: Endpoint,
    endpoint_index: u8,
    emitter: Rc<Emitter>,
    answers: Arc<Answers>,
    stop: watch::Receiver<bool>,
) {
    let mut streams = tokio::task::JoinSet::new();
    for (number, database) in settings.databases.iter().enumerate() {
        let group = Rc::new(Group {
            number,
            database: database.clone(),
            settings: settings.clone(),
            endpoint: endpoint.clone(),
            endpoint_index,
            emitter: emitter.clone(),
            answers: answers.clone(),
            stop: stop.clone(),
        });
        for (stream, class) in [SampleClass::Read, SampleClass::Write].into_iter().enumerate() {
            streams.spawn_local(Stream::new(group.clone(), stream, class).run(settings.offset(number, stream)));
        }
        streams.spawn_local(logins::log_in_afresh(group, settings.login_offset(number)));
    }
    let mut flushes = interval(FLUSH_INTERVAL);
    loop {
        tokio::select! {
            _ = flushes.tick() => emitter.flush(),
            joined = streams.join_next() => match joined {
                None => break,
                Some(Ok(())) => {}
                Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            },
        }
    }
    emitter.flush();
}

/// A fate group: what all its streams need.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) number: usize,
    pub(super) database: Database,
    pub(super) settings: Rc<Settings>,
    endpoint: Endpoint,
    endpoint_index: u8,
    emitter: Rc<Emitter>,
    pub(super) answers: Arc<Answers>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Group {
    pub(super) fn now_us(&self) -> u64 {
        self.emitter.clock().now_us()
    }

    pub(super) fn to_us(&self, instant: std::time::Instant) -> u64 {
        self.emitter.clock().to_us(instant)
    }

    pub(super) fn emit(&self, sample: Sample) {
        self.emitter.sample(sample);
    }

    pub(super) fn enter(&self, entry: crate::facts::LedgerEntry) {
        self.emitter.entry(entry);
    }

    /// One try to connect, recorded, to the server that the endpoint leads to now.
    pub(super) async fn connect(&self, session: u32, due_us: u64) -> Result<Connection, ConnectError> {
        let name = &self.database.name;
        let login = match &self.settings.user {
            Some(user) => self.endpoint.login_for(user, name, &[]),
            None => self.endpoint.control_login(name),
        };
        let login = login.with_parameter("application_name", "pgrehearse probe");
        let began_us = self.now_us();
        let place = self.endpoint.current();
        let connected = connect(&place.target, &login, self.settings.connect_timeout).await;
        let outcome = connected.as_ref().map_or_else(ConnectError::outcome, |_| Outcome::Ok);
        let mut sample = self.connect_sample(session, due_us, Some(began_us), outcome);
        if let Err(error) = &connected {
            sample.sqlstate = error.sqlstate();
            sample.message = Some(error.message());
        }
        self.emit(sample);
        connected
    }

    /// A sample of a try to connect that ends now; `began_us` none when it never began.
    pub(super) fn connect_sample(&self, session: u32, due_us: u64, began_us: Option<u64>, outcome: Outcome) -> Sample {
        Sample {
            kind: SampleKind::Connect,
            ready_us: began_us.map(|_| due_us),
            sent_us: began_us,
            deadline_us: self.settings.connect_timeout.as_micros() as u64,
            ..self.sample(SampleClass::Connect, session, due_us, outcome)
        }
    }

    /// A sample of a probe that ends now, without what only the caller knows.
    pub(super) fn sample(&self, class: SampleClass, session: u32, due_us: u64, outcome: Outcome) -> Sample {
        Sample {
            kind: SampleKind::Probe,
            class,
            outcome,
            result: ResultCheck::Unknown,
            event: 0,
            session,
            copy: 0,
            tenant: None,
            database: self.database.index,
            endpoint: self.endpoint_index,
            fingerprint: Fingerprint(0),
            due_us,
            ready_us: None,
            sent_us: None,
            first_us: None,
            done_us: self.now_us(),
            deadline_us: self.settings.deadline.as_micros() as u64,
            order_wait_us: 0,
            other_tenant_wait_us: 0,
            sqlstate: None,
            message: None,
            rows: 0,
            bytes: 0,
            attempt: 1,
        }
    }
}

/// Gives the due times of a stream, none left out: after a time in which the tool did not run, the missed ones come at
/// once and show as its lag.
#[derive(Debug)]
pub(super) struct Ticker {
    group: Rc<Group>,
    stop: watch::Receiver<bool>,
    next_us: u64,
    interval_us: u64,
}

impl Ticker {
    pub(super) fn new(group: Rc<Group>, offset: Duration, interval: Duration) -> Self {
        let next_us = group.now_us() + offset.as_micros() as u64;
        let interval_us = (interval.as_micros() as u64).max(1);
        Self { stop: group.stop.clone(), group, next_us, interval_us }
    }

    /// Waits for the next due time; none once the run is told to stop.
    pub(super) async fn next(&mut self) -> Option<u64> {
        let due_us = self.next_us;
        let due = Instant::from_std(self.group.emitter.clock().to_instant(due_us));
        tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return None,
            () = sleep_until(due) => {}
        }
        self.next_us += self.interval_us;
        Some(due_us)
    }
}

/// Waits until the run is told to stop.
pub(super) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone cannot say so any more: nobody wants the probes.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
