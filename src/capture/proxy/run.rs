//! A proxy from its start to its workload.
//!
//! Takes plain options and a way to say what happens; gives a report. Owns the listening sockets, the workers, the
//! recorder's thread and the journal. Must not know the command line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::super::error::CaptureError;
use super::decode::{Decoded, JournalOptions, decode};
use super::endpoint::Listening;
use super::greeting::Encryption;
use super::journal::JournalWriter;
use super::progress::{Counters, News, Stage};
use super::recorder::{Recorded, RecorderNews, record};
use super::tap::Tap;
use super::worker::{Workplace, work};
use crate::net::{Address, Target, dial};
use crate::workload::WriteError;
use crate::workload::record::{Loss, Skipped};

/// Until the upstream has answered when the proxy starts.
const FIRST_DIAL_DEADLINE: Duration = Duration::from_secs(3);

/// Between two looks at how far the proxy is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// For the recorder to write what it holds when the proxy leaves at once.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);

/// More threads than this gain nothing: relaying is mostly the system's work.
const WORKERS_MAX: usize = 4;

/// Descriptors that are no connection's: files, sockets to listen on, runtimes.
const OTHER_DESCRIPTORS: u64 = 64;

/// What the recorder may say before somebody listens.
const RECORDER_NEWS_MAX: usize = 16;

/// `SIGXFSZ`, on every system that has it.
const FILE_SIZE_SIGNAL: i32 = 25;

/// What to relay and where to record it.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    pub listen: Address,
    pub upstream: Target,
    pub encryption: Encryption,
    pub connections_max: usize,
    /// The journal stands beside the output.
    pub journal: JournalOptions,
}

/// How a proxy ended.
#[derive(Debug)]
pub enum Ended {
    /// The workload is written and the journal is gone.
    Captured(Box<Decoded>),
    /// A second signal: the journal is left.
    Left { journal: PathBuf },
}

/// The journal of a workload: beside it, so that there is room for both or neither.
pub fn journal_path(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_owned();
    path.push(".journal");
    PathBuf::from(path)
}

/// Relays until a signal comes, then writes the workload.
///
/// # Errors
/// The address, the output or the journal cannot be had, and nothing was relayed; or no workload could be made of what
/// was, and the journal is left.
pub fn run(options: &ProxyOptions, tell: &mut dyn FnMut(News)) -> Result<Ended, CaptureError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(starting)?;
    let ended = runtime.block_on(relay_and_decode(options, tell));
    // After a second signal the decoding may still be under way: nobody waits for it any more.
    runtime.shutdown_background();
    ended
}

fn starting(source: io::Error) -> CaptureError {
    CaptureError::ProxyStart { source }
}

async fn relay_and_decode(options: &ProxyOptions, tell: &mut dyn FnMut(News)) -> Result<Ended, CaptureError> {
    if options.journal.output.is_dir() {
        let (file, source) = (options.journal.output.clone(), io::ErrorKind::IsADirectory.into());
        return Err(WriteError::Create { file, source }.into());
    }
    let mut signals = Signals::listen().map_err(starting)?;
    let connections_max = allowed_connections(options.connections_max, tell);
    let listening = Listening::bind(&options.listen)
        .await
        .map_err(|source| CaptureError::Listen { address: options.listen.to_string(), source })?;
    let upstream = options.upstream.address.to_string();
    if listening.address() == upstream {
        return Err(CaptureError::ProxyOfItself { address: upstream });
    }
    let mut running = Running::start(options, listening, connections_max)?;
    if let Err(error) = dial(&options.upstream, FIRST_DIAL_DEADLINE).await {
        let reason = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        tell(News::UpstreamSilent { upstream: upstream.clone(), reason: format!("{error}{reason}") });
    }
    tell(News::Listening { address: running.listening.address(), upstream });
    let signal = running.watch(&mut signals, options, tell).await;
    tell(News::Draining { signal, open: running.place.counters.open.load(Ordering::Relaxed) });
    let left = || Ended::Left { journal: options.journal.journal.clone() };
    let Some(stopped) = running.stop(&mut signals).await else { return Ok(left()) };
    tell(News::Decoding);
    let stop = Arc::new(AtomicBool::new(false));
    let decoding = {
        let (options, stop) = (options.journal.clone(), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || decode(&options, stopped.recorded.given_up_bytes, &stop))
    };
    let decoded = tokio::select! {
        decoded = decoding => decoded.unwrap_or_else(|error| Err(starting(io::Error::other(error)))),
        _ = signals.next() => {
            stop.store(true, Ordering::Relaxed);
            return Ok(left());
        }
    };
    let mut decoded = decoded.map_err(|error| left_behind(error, &options.journal.journal))?;
    stopped.add_to(&mut decoded);
    // The workload is there; a journal that cannot be removed is no reason to fail.
    let _ = std::fs::remove_file(&options.journal.journal);
    Ok(Ended::Captured(Box::new(decoded)))
}

/// Without a statement the journal is of no use to anyone; after any other error all of the traffic is still in it.
fn left_behind(error: CaptureError, journal: &Path) -> CaptureError {
    match error {
        CaptureError::NothingRelayed { .. } => {
            let _ = std::fs::remove_file(journal);
            error
        }
        error => CaptureError::JournalLeft { journal: journal.to_owned(), source: Box::new(error) },
    }
}

/// Each connection takes two descriptors; the system's soft limit is raised where that is allowed.
fn allowed_connections(wanted: usize, tell: &mut dyn FnMut(News)) -> u64 {
    let needed = 2 * wanted as u64 + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit { current: Some(needed.min(maximum)), maximum: limit.maximum };
        // Where this is refused, the limit below says so.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let allowed = (wanted as u64).min(current.saturating_sub(OTHER_DESCRIPTORS) / 2);
    if allowed < wanted as u64 {
        tell(News::FewerConnections { wanted, allowed: allowed as usize });
    }
    allowed
}

/// A proxy at work.
struct Running {
    listening: Listening,
    place: Arc<Workplace>,
    stage: watch::Sender<Stage>,
    workers: Vec<JoinHandle<()>>,
    recorder: JoinHandle<Recorded>,
    news: mpsc::Receiver<RecorderNews>,
}

/// What the threads left when they ended.
struct Stopped {
    place: Arc<Workplace>,
    recorded: Recorded,
}

impl Running {
    fn start(options: &ProxyOptions, listening: Listening, connections_max: u64) -> Result<Self, CaptureError> {
        let path = &options.journal.journal;
        let upstream = options.upstream.address.to_string();
        let journal = JournalWriter::create(path, &upstream).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CaptureError::JournalExists { journal: path.clone() },
            _ => CaptureError::JournalCreate { journal: path.clone(), source },
        })?;
        let tap = Arc::new(Tap::new());
        let (sender, news) = mpsc::channel(RECORDER_NEWS_MAX);
        let recorder = {
            let tap = Arc::clone(&tap);
            thread("recorder", move || record(&tap, journal, &sender))?
        };
        let (upstream, encryption) = (options.upstream.clone(), options.encryption.clone());
        let place = Arc::new(Workplace { upstream, encryption, connections_max, tap, counters: Counters::default() });
        let stage = watch::Sender::new(Stage::Running);
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let mut workers = Vec::new();
        for _ in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(starting)?;
            let acceptor = {
                let _entered = runtime.enter();
                listening.acceptor().map_err(starting)?
            };
            let working = work(Arc::clone(&place), acceptor, stage.subscribe());
            workers.push(thread("relay", move || runtime.block_on(working))?);
        }
        Ok(Self { listening, place, stage, workers, recorder, news })
    }

    /// Says how far the proxy is until a signal comes.
    async fn watch(
        &mut self,
        signals: &mut Signals,
        options: &ProxyOptions,
        tell: &mut dyn FnMut(News),
    ) -> &'static str {
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                signal = signals.next() => return signal,
                Some(news) = self.news.recv() => tell(match news {
                    RecorderNews::Failed(error) => {
                        News::RecordingFailed { journal: options.journal.journal.clone(), error }
                    }
                    RecorderNews::Mended => News::RecordingMended,
                }),
                _ = ticks.tick() => {
                    tell(News::Progress(self.place.counters.progress(self.place.tap.lost_bytes())));
                }
            }
        }
    }

    /// Ends sessions, workers and recorder in this order; none after a second signal.
    async fn stop(self, signals: &mut Signals) -> Option<Stopped> {
        let Self { listening, place, stage, workers, recorder, .. } = self;
        stage.send_replace(Stage::Draining);
        let drained = tokio::task::spawn_blocking(move || {
            workers.into_iter().for_each(|worker| drop(worker.join()));
        });
        let is_hurried = tokio::select! {
            _ = drained => false,
            _ = signals.next() => true,
        };
        stage.send_replace(Stage::Stopping);
        drop(listening);
        place.tap.close();
        let recording = tokio::task::spawn_blocking(move || recorder.join().unwrap_or_default());
        if is_hurried {
            // Too late or not: the journal stands as far as it goes.
            let _ = tokio::time::timeout(LEAVE_DEADLINE, recording).await;
            return None;
        }
        tokio::select! {
            recorded = recording => Some(Stopped { place, recorded: recorded.unwrap_or_default() }),
            _ = signals.next() => None,
        }
    }
}

impl Stopped {
    /// Says in the report what the journal does not know.
    fn add_to(&self, decoded: &mut Decoded) {
        let counters = &self.place.counters;
        let counted = [
            ("connection turned away: too many at a time", counters.turned_away.load(Ordering::Relaxed)),
            ("connection that did not come to its first message", counters.ungreeted.load(Ordering::Relaxed)),
            ("connection for which the upstream was not reached", counters.unreached.load(Ordering::Relaxed)),
            ("time that the journal could not be written", self.recorded.failures),
        ];
        for (reason, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
            let mut skipped = Skipped::none((0, 0));
            // What was not written stands in the journal's own count; connections without a server asked nothing of one.
            skipped.add(count, Loss::None);
            decoded.report.skipped.insert(reason.to_owned(), skipped);
        }
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, CaptureError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(starting)
}

/// The signals that end a proxy.
struct Signals {
    ending: [(Signal, &'static str); 3],
    /// A limit on the size of files is an error of the write that meets it, and no reason to die.
    _file_size: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let ending = [
            (signal(SignalKind::interrupt())?, "SIGINT"),
            (signal(SignalKind::terminate())?, "SIGTERM"),
            (signal(SignalKind::hangup())?, "SIGHUP"),
        ];
        Ok(Self { ending, _file_size: signal(SignalKind::from_raw(FILE_SIZE_SIGNAL))? })
    }

    async fn next(&mut self) -> &'static str {
        let [(interrupt, first), (terminate, second), (hangup, third)] = &mut self.ending;
        tokio::select! {
            _ = interrupt.recv() => first,
            _ = terminate.recv() => second,
            _ = hangup.recv() => third,
        }
    }
}
