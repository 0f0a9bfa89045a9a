//! Probes against real servers that are restarted and frozen, and against one that never answers.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::*;
use crate::facts::{LedgerEntry, WriteOutcome};
use crate::net::Target;
use crate::pgwire::{frontend, serve};
use crate::record::{Item, Recorder, channel};
use crate::samples::sample::{Outcome, Sample, SampleKind};
use crate::scenario::plan::StopMode;
use crate::server::cluster::LocalCluster;
use crate::server::endpoint::{Endpoint, Logins};
use crate::server::fixture::{DEADLINE, Run, pinned};
use crate::server::{Login, connect};
use crate::words::class::SampleClass;
use crate::words::time::RunClock;

const INTERVAL: Duration = Duration::from_millis(20);

/// Probes of the database `postgres` that are running, and what they record.
struct Probing {
    endpoint: Endpoint,
    databases: Vec<Database>,
    recorder: Recorder,
    items: Receiver<Item>,
    probes: Probes,
    stop: watch::Sender<bool>,
}

impl Probing {
    fn start(target: Target, change: impl FnOnce(&mut Settings)) -> Self {
        let databases = vec![Database { name: "postgres".into(), index: 0 }];
        let control = Login::new("postgres", "postgres");
        let endpoint = Endpoint::new("primary", target, "old", Logins::default(), control);
        let (recorder, items) = channel(RunClock::start());
        let (stop, stopping) = watch::channel(false);
        let mut settings = Settings::new(INTERVAL, Duration::from_millis(500), databases.clone());
        change(&mut settings);
        let probes = start(settings, endpoint.clone(), 0, recorder.clone(), stopping).unwrap();
        Self { endpoint, databases, recorder, items, probes, stop }
    }

    /// Waits until a read and a write that are sent from now on have been answered well.
    async fn answered(&self) {
        let since_us = self.recorder.clock().now_us();
        let answers = self.probes.answers();
        let all = async {
            while !answers.all_since(since_us) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(DEADLINE, all).await.unwrap();
    }

    /// Stops, reads the ledger back if asked, and gives what was recorded, samples in the order of their due times.
    async fn stop(self, reading_back: bool) -> (Vec<Sample>, Vec<LedgerEntry>) {
        self.stop.send_replace(true);
        self.probes.join().await.unwrap();
        if reading_back {
            read_back(&self.endpoint, &self.databases, &self.recorder, DEADLINE).await.unwrap();
        }
        drop(self.recorder);
        let (mut samples, mut ledger) = (Vec::new(), Vec::new());
        for item in self.items {
            match item {
                Item::Samples(batch) => samples.extend(batch),
                Item::Ledger(entries) => ledger.extend(entries),
                Item::Event(event) => panic!("{event:?}"),
            }
        }
        samples.sort_by_key(|sample| sample.due_us);
        (samples, ledger)
    }
}

/// A fresh 16 with an empty ledger; `None` where no server can be had.
async fn cluster(name: &str) -> Option<(LocalCluster, Target, Run)> {
    let installation = pinned(16).await?;
    let run = Run::new(name);
    let mut cluster = run.cluster("old", installation, &[]);
    cluster.init(DEADLINE).await.unwrap();
    cluster.start(DEADLINE).await.unwrap();
    let target = Target::unix(&cluster.spec().socket_dir, cluster.spec().port);
    let control = Login::new("postgres", "postgres");
    let endpoint = Endpoint::new("primary", target.clone(), "old", Logins::default(), control);
    let databases = [Database { name: "postgres".into(), index: 0 }];
    set_up(&endpoint, &databases, DEADLINE).await.unwrap();
    Some((cluster, target, run))
}

fn of(samples: &[Sample], class: SampleClass) -> impl Iterator<Item = &Sample> + Clone {
    samples.iter().filter(move |sample| sample.class == class && sample.kind == SampleKind::Probe)
}

/// From the first bad attempt's due time to the end of the first good one after the last bad one, microseconds.
fn outage_us(samples: &[Sample], class: SampleClass) -> (u64, u64) {
    let logins = samples.iter().filter(|sample| sample.class == SampleClass::Connect);
    let bad = of(samples, class).chain(logins).filter(|sample| sample.outcome != Outcome::Ok);
    let first_us = bad.clone().map(|sample| sample.due_us).min().unwrap();
    let last_us = bad.map(|sample| sample.due_us).max().unwrap();
    let good = of(samples, class).filter(|sample| sample.outcome == Outcome::Ok && sample.due_us > last_us);
    (first_us, good.map(|sample| sample.done_us).min().unwrap())
}

/// Every due time of a stream has its sample: a probe, or the try to connect that stood for it.
fn assert_nothing_left_out(samples: &[Sample], class: SampleClass) {
    let mut due_us: Vec<u64> = of(samples, class).map(|sample| sample.due_us).collect();
    let interval_us = INTERVAL.as_micros() as u64;
    let first_us = due_us[0];
    due_us.extend(samples.iter().filter(|sample| sample.class == SampleClass::Connect).map(|sample| sample.due_us));
    due_us.retain(|due_us| *due_us >= first_us && (due_us - first_us).is_multiple_of(interval_us));
    due_us.sort_unstable();
    due_us.dedup();
    let expected: Vec<u64> = (0..due_us.len() as u64).map(|n| first_us + n * interval_us).collect();
    assert_eq!(due_us, expected, "{class:?}");
}

/// Everything acknowledged was found, nothing twice, and the read-back came to its end.
fn assert_ledger_holds(ledger: &[LedgerEntry]) -> usize {
    let mut written = BTreeMap::new();
    let mut found = Vec::new();
    for entry in ledger {
        match entry {
            LedgerEntry::Written { id, outcome, .. } => assert!(written.insert(*id, *outcome).is_none()),
            LedgerEntry::Found { first, last, .. } => found.push(*first..=*last),
            LedgerEntry::Duplicate { .. } => panic!("{entry:?}"),
            LedgerEntry::ReadBack { .. } | LedgerEntry::ReadBackEnded { .. } => {}
        }
    }
    assert!(matches!(ledger.last(), Some(LedgerEntry::ReadBackEnded { .. })));
    let is_found = |id: &u64| found.iter().any(|range| range.contains(id));
    let acknowledged: Vec<u64> =
        written.iter().filter(|(_, outcome)| **outcome == WriteOutcome::Acknowledged).map(|(id, _)| *id).collect();
    assert!(acknowledged.iter().all(is_found));
    for (id, outcome) in &written {
        assert!(*outcome != WriteOutcome::Failed || !is_found(id), "{id} failed and was found");
    }
    assert!(found.iter().all(|range| range.clone().all(|id| written.contains_key(&id))));
    acknowledged.len()
}

/// One warm connection, a query every 10 ms, a new connection as soon as it breaks: the outage as it sees it.
async fn observe(target: &Target, clock: RunClock, mut until: watch::Receiver<bool>) -> (u64, u64) {
    let login = Login::new("postgres", "postgres");
    let (mut session, mut outage) = (None, (0, 0));
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while !*until.borrow_and_update() {
        ticks.tick().await;
        let began_us = clock.now_us();
        let answered = async {
            let mut connection = match session.take() {
                Some(connection) => connection,
                None => connect(target, &login, DEADLINE).await?,
            };
            frontend::query(connection.out(), b"SELECT 1").unwrap();
            connection.send().await?;
            connection.read_reply().await?;
            session = Some(connection);
            Ok::<(), crate::server::ConnectError>(())
        };
        match answered.await {
            Err(_) if outage.0 == 0 => outage.0 = began_us,
            Ok(()) if outage.0 > 0 && outage.1 == 0 => outage.1 = clock.now_us(),
            _ => {}
        }
    }
    outage
}

#[tokio::test]
async fn a_restart_is_seen_as_an_independent_observer_sees_it() {
    let Some((mut cluster, target, _run)) = cluster("t-probe-restart").await else { return };
    let probing = Probing::start(target.clone(), |_| {});
    let (ended, until) = watch::channel(false);
    let restart = async {
        probing.answered().await;
        cluster.restart(StopMode::Fast, DEADLINE).await.unwrap();
        probing.answered().await;
        ended.send_replace(true);
    };
    let clock = probing.recorder.clock();
    let (observed, ()) = tokio::join!(observe(&target, clock, until), restart);
    let (samples, ledger) = probing.stop(true).await;
    for class in [SampleClass::Read, SampleClass::Write] {
        assert_nothing_left_out(&samples, class);
        let seen = outage_us(&samples, class);
        eprintln!("{class:?}: probes {seen:?}, observer {observed:?} us");
        // The two look at different moments, and this machine may be busy: they are the same outage.
        assert!(seen.0 < observed.1 && observed.0 < seen.1, "probes {seen:?}, observer {observed:?}");
    }
    assert!(samples.iter().any(|sample| sample.sqlstate.is_some_and(|code| code.as_str() == "57P01")));
    assert!(samples.iter().any(|sample| sample.session == FRESH_LOGIN_SESSION));
    assert!(assert_ledger_holds(&ledger) >= 2);
}

fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    std::fs::read_to_string(path).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn signal(pids: &[i32], signal: rustix::process::Signal) {
    for pid in pids {
        // A process that ended meanwhile needs no signal.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(*pid).unwrap(), signal);
    }
}

#[tokio::test]
async fn a_freeze_shows_as_late_answers_and_a_recovery() {
    let Some((cluster, target, _run)) = cluster("t-probe-freeze").await else { return };
    let probing = Probing::start(target, |settings| settings.deadline = Duration::from_millis(300));
    probing.answered().await;
    let postmaster = cluster.postmaster_pid().unwrap();
    let mut stopped = vec![postmaster];
    signal(&stopped, rustix::process::Signal::STOP);
    stopped.extend(children(postmaster));
    signal(&stopped, rustix::process::Signal::STOP);
    let frozen_us = probing.recorder.clock().now_us();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let thawed_us = probing.recorder.clock().now_us();
    signal(&stopped, rustix::process::Signal::CONT);
    probing.answered().await;
    let (samples, ledger) = probing.stop(true).await;
    for class in [SampleClass::Read, SampleClass::Write] {
        assert_nothing_left_out(&samples, class);
        let late: Vec<&Sample> = of(&samples, class).filter(|sample| sample.outcome == Outcome::Late).collect();
        assert!((1..=4).contains(&late.len()), "{class:?}: {late:#?}");
        assert!(late.iter().all(|sample| sample.done_us >= thawed_us));
        assert!(of(&samples, class).any(|sample| sample.outcome == Outcome::Expired));
        eprintln!("{class:?}: frozen {frozen_us} to {thawed_us}, probes {:?}", outage_us(&samples, class));
        // Nobody got an answer in between.
        let answered = of(&samples, class).filter(|sample| sample.outcome == Outcome::Ok);
        assert!(answered.clone().all(|sample| !(frozen_us + 1..thawed_us).contains(&sample.done_us)));
        assert!(answered.clone().any(|sample| sample.done_us >= thawed_us));
    }
    assert_ledger_holds(&ledger);
    drop(cluster);
}

/// Lets everybody in and never answers a query; counts who is connected.
async fn silent_server(listener: UnixListener, connected_max: watch::Sender<usize>) {
    async fn serve_one(mut client: UnixStream) {
        let (mut wire, mut out) = (BytesMut::new(), BytesMut::new());
        serve::welcome(&mut out, "16.14");
        while matches!(serve::read(&mut wire, false), Ok(None)) {
            if client.read_buf(&mut wire).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let _ = client.write_all(&out).await;
        while client.read_buf(&mut wire).await.is_ok_and(|number| number > 0) {}
    }
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                clients.spawn(serve_one(accepted.unwrap().0));
                connected_max.send_if_modified(|max| {
                    let more = clients.len() > *max;
                    *max = clients.len().max(*max);
                    more
                });
            }
            Some(_) = clients.join_next() => {}
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_a_bounded_number_of_connections() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
    let (connected_max, connected) = watch::channel(0);
    let server = tokio::spawn(silent_server(listener, connected_max));
    let probing = Probing::start(Target::unix(directory.path(), 5432), |settings| {
        settings.deadline = Duration::from_millis(60);
        settings.abandon = Duration::from_millis(200);
    });
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let (samples, ledger) = probing.stop(false).await;
    server.abort();
    assert!(*connected.borrow() <= connections_max(1), "{}", *connected.borrow());
    for class in [SampleClass::Read, SampleClass::Write] {
        assert_nothing_left_out(&samples, class);
        let given_up = if class == SampleClass::Write { Outcome::Indeterminate } else { Outcome::Failed };
        assert!(of(&samples, class).all(|sample| [given_up, Outcome::Expired].contains(&sample.outcome)));
        let waited_us = of(&samples, class).filter_map(Sample::service_us).max().unwrap();
        assert!(waited_us >= 200_000, "{waited_us}");
    }
    let sent = of(&samples, SampleClass::Write).filter(|sample| sample.sent_us.is_some()).count();
    assert_eq!(ledger.len(), sent);
}

#[tokio::test]
async fn a_write_that_was_applied_twice_shows_in_the_ledger() {
    let Some((_cluster, target, _run)) = cluster("t-probe-twice").await else { return };
    let mut session = connect(&target, &Login::new("postgres", "postgres"), DEADLINE).await.unwrap();
    let twice = b"INSERT INTO pgrehearse.ledger (id) VALUES (1), (2), (2), (3)";
    frontend::query(session.out(), twice).unwrap();
    session.send().await.unwrap();
    assert_eq!(session.read_reply().await.unwrap().error, None);
    let control = Login::new("postgres", "postgres");
    let endpoint = Endpoint::new("primary", target, "old", Logins::default(), control);
    let databases = [Database { name: "postgres".into(), index: 0 }];
    let (recorder, items) = channel(RunClock::start());
    read_back(&endpoint, &databases, &recorder, DEADLINE).await.unwrap();
    drop_schema(&endpoint, &databases, DEADLINE).await.unwrap();
    let error = read_back(&endpoint, &databases, &recorder, DEADLINE).await.unwrap_err();
    assert!(error.to_string().contains("could not read back the ledger in database \"postgres\""), "{error}");
    drop(recorder);
    let entries: Vec<LedgerEntry> = items
        .into_iter()
        .flat_map(|item| match item {
            Item::Ledger(entries) => entries,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(entries.contains(&LedgerEntry::Duplicate { database: "postgres".into(), id: 2, copies: 2 }));
    let ends = entries.iter().filter(|entry| matches!(entry, LedgerEntry::ReadBackEnded { .. })).count();
    assert_eq!(ends, 1);
}
