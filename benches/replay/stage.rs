//! One replay in a process of its own, so that its CPU time and its memory are its own too.
//!
//! The bench starts itself again with the workload and the port; the child prints its figures in one line. Must not know
//! what they are compared with.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use pgrehearse::net::Target;
use pgrehearse::record::{Item, Recorder, RunDir, Writer, channel};
use pgrehearse::replay::pace::Pace;
use pgrehearse::replay::{DatabaseNames, Engine, Settings, Spool};
use pgrehearse::samples::sample::{Names, Outcome, SampleKind};
use pgrehearse::scenario::resolved::{BrokenTransaction, Clients, OnDeadline, Order, Reconnect, Retry, Speed};
use pgrehearse::server::Login;
use pgrehearse::server::endpoint::{Endpoint, Logins};
use pgrehearse::words::time::RunClock;
use pgrehearse::workload::Reader;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// Sessions connect within this time before the first statement is due.
const LEAD: Duration = Duration::from_millis(1_500);

const PATIENT: Duration = Duration::from_secs(60);

/// What is done with the samples.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Written as in a run.
    Files,
    /// Received and forgotten.
    Null,
    /// Received, and the lag of each kept.
    Lags,
}

impl Recording {
    const ALL: [(Self, &'static str); 3] = [(Self::Files, "files"), (Self::Null, "null"), (Self::Lags, "lags")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

/// The figures of one replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// From the moment at which the first statement was due to the end.
    pub wall_s: f64,
    /// Of all threads, preparation left out.
    pub cpu_s: f64,
    pub peak_mib: f64,
    pub replayed: f64,
    /// Reading the workload file, and preparing the spool.
    pub read_s: f64,
    pub prepared_s: f64,
    /// Resident when the spool was prepared, before anything is replayed.
    pub prepared_mib: f64,
    /// Schedule lag, and that of a thread that does nothing but sleep, in the same time; milliseconds.
    pub lag_p50_ms: f64,
    pub lag_p99_ms: f64,
    pub bare_p50_ms: f64,
    pub bare_p99_ms: f64,
}

/// Replays a workload in a process of its own; at the captured pace, or as fast as it goes.
pub fn in_a_child(workload: &Path, port: u16, speed: Speed, recording: Recording) -> Figures {
    let program = std::env::current_exe().expect("this program has a path");
    let speed = if speed == Speed::Max { "max" } else { "captured" };
    let mut command = Command::new(program);
    command.args(["--stage", speed, recording.name(), &port.to_string()]).arg(workload);
    let output = command.output().expect("the bench starts itself");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall_s, cpu_s, peak_mib, replayed, read_s, prepared_s, prepared_mib, ref lags @ ..] = numbers[..] else {
        panic!("the child said {said}")
    };
    let [lag_p50_ms, lag_p99_ms, bare_p50_ms, bare_p99_ms] = lags.try_into().expect("four lags");
    Figures {
        wall_s,
        cpu_s,
        peak_mib,
        replayed,
        read_s,
        prepared_s,
        prepared_mib,
        lag_p50_ms,
        lag_p99_ms,
        bare_p50_ms,
        bare_p99_ms,
    }
}

/// What the child does.
pub fn child(speed: &str, recording: &str, port: u16, workload: &Path) {
    let recording = Recording::ALL.iter().find(|(_, name)| *name == recording).expect("a way to record").0;
    let speed = if speed == "max" { Speed::Max } else { Speed::Factor(1.0) };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let began = Instant::now();
    Reader::open(workload).expect("a workload").for_each(|record| drop(record.expect("a record")));
    let read_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let spool = Spool::prepare(workload, &directory.path().join("spool"), DatabaseNames::new(), Order::Free)
        .expect("a workload");
    let (prepared_s, prepared_mib) = (began.elapsed().as_secs_f64(), memory_mib("VmHWM:"));
    let clock = RunClock::start();
    let sink = Sink::start(recording, clock, directory.path());
    let cpu = cpu_s();
    let starts_us = clock.now_us() + LEAD.as_micros() as u64;
    let bare = (recording == Recording::Lags).then(|| {
        let ends_us = starts_us + spool.totals().span_us;
        std::thread::spawn(move || bare_lags(clock, starts_us, ends_us))
    });
    replay(&spool, speed, starts_us, Target::tcp("127.0.0.1", port), sink.recorder.clone());
    let wall_s = (clock.now_us() - starts_us) as f64 / 1e6;
    let cpu_s = cpu_s() - cpu;
    let [lag_p50_ms, lag_p99_ms] = sink.finish();
    let [bare_p50_ms, bare_p99_ms] = bare.map_or([0.0; 2], |thread| quantiles_ms(thread.join().expect("a thread")));
    let (peak_mib, replayed) = (memory_mib("VmHWM:"), spool.totals().replayed);
    let lags = format!("{lag_p50_ms} {lag_p99_ms} {bare_p50_ms} {bare_p99_ms}");
    println!("{wall_s} {cpu_s} {peak_mib} {replayed} {read_s} {prepared_s} {prepared_mib} {lags}");
}

/// Replays all of it; every request must succeed.
pub fn replay(spool: &Spool, speed: Speed, starts_us: u64, target: Target, recorder: Recorder) {
    let endpoint = Endpoint::new("primary", target, "old", Logins::default(), Login::new("admin", "postgres"));
    let clients = Clients {
        deadline: PATIENT,
        on_deadline: OnDeadline::Wait,
        abandon: PATIENT,
        connect_timeout: PATIENT,
        reconnect_first: Duration::from_millis(100),
        reconnect_last: Duration::from_secs(1),
        reconnect_jitter: 0.5,
        reconnect: Reconnect::AtOnce,
        endpoint_lag: Duration::ZERO,
        broken_transaction: BrokenTransaction::Skip,
        retry: Retry::NONE,
        pool: None,
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = Settings { pace: Pace::new(speed, 1), clients, order_wait: None, starts_us, workers };
    let (_stop, stopped) = watch::channel(false);
    let mut engine = Engine::start(spool, &settings, &endpoint, &recorder, stopped).expect("a replay");
    drop(recorder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let report = runtime.block_on(engine.finished()).expect("a report");
    assert_eq!(report.count(Outcome::Ok), spool.totals().replayed, "{report:?}");
}

/// Where samples go.
pub struct Sink {
    pub recorder: Recorder,
    ended: Box<dyn FnOnce() -> Vec<u64>>,
}

impl Sink {
    pub fn start(recording: Recording, clock: RunClock, directory: &Path) -> Self {
        if recording == Recording::Files {
            let run = RunDir::create(&directory.join("run")).expect("a run directory");
            let names = |name: &str| vec![name.to_owned()];
            let names = Names { tenants: names("bench"), databases: names("postgres"), endpoints: names("primary") };
            let failed = |error: &_| panic!("{error}");
            let (recorder, writer) = Writer::start(run.path(), clock, names, None, failed).expect("a writer");
            let ended = move || {
                writer.finish().expect("samples are written").expect("there is no phase file");
                Vec::new()
            };
            return Self { recorder, ended: Box::new(ended) };
        }
        let (recorder, items) = channel(clock);
        let receiving = std::thread::spawn(move || {
            let mut lags_us = Vec::new();
            for item in items {
                let Item::Samples(batch) = item else { continue };
                if recording == Recording::Lags {
                    let requests = batch.iter().filter(|sample| sample.kind == SampleKind::Request);
                    lags_us.extend(requests.filter_map(|sample| {
                        Some(sample.sent_us?.saturating_sub(sample.due_us.max(sample.ready_us.unwrap_or_default())))
                    }));
                }
            }
            lags_us
        });
        Self { recorder, ended: Box::new(move || receiving.join().expect("a receiver")) }
    }

    pub fn finish(self) -> [f64; 2] {
        drop(self.recorder);
        quantiles_ms((self.ended)())
    }
}

/// How late a thread wakes that sleeps to one moment after the other, 5 ms apart.
fn bare_lags(clock: RunClock, starts_us: u64, ends_us: u64) -> Vec<u64> {
    (starts_us..ends_us)
        .step_by(5_000)
        .map(|due_us| {
            std::thread::sleep(Duration::from_micros(due_us.saturating_sub(clock.now_us())));
            clock.now_us().saturating_sub(due_us)
        })
        .collect()
}

/// The median and the 99th percentile.
fn quantiles_ms(mut lags_us: Vec<u64>) -> [f64; 2] {
    lags_us.sort_unstable();
    [50, 99].map(|percent| lags_us.get(lags_us.len() * percent / 100).map_or(0.0, |lag_us| *lag_us as f64 / 1e3))
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A line of `/proc/self/status`.
pub fn memory_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
