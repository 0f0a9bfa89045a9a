//! One rehearsal from beginning to end: leftovers cleaned, staging made ready, the phases conducted, everything put away.
//!
//! Takes a checked scenario and gives a run directory. A signal ends any part of it; whatever way it ends, servers stop
//! and temporary clusters go. Must not know what the samples mean.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::answers::server_version;
use super::begin::{Expected, expected, findings, installations, refuse, spool};
use super::conduct::{Conducted, Score, conduct, explain};
use super::facts::{Known, run_facts, us};
use super::follow::{Following, follow};
use super::load::Place;
use super::measure::{Measuring, connections, pace, probe_settings, probed_databases};
use super::part::{Part, PartError};
use super::signals::{Signals, wait};
use super::staging::{self, Clients, Staging, StagingError};
use super::start::{Start, StartError, await_start};
use crate::facts::RunFacts;
use crate::probe;
use crate::record::{PhaseFile, RecordError, Recorder, RunDir, RunDirError, Writer};
use crate::replay::descriptors;
use crate::replay::{EngineError, Spool, SpoolError};
use crate::samples::sample::Names;
use crate::scenario::plan::StopMode;
use crate::scenario::{Finding, Scenario};
use crate::server::account::{Account, AccountError};
use crate::server::cache::{Cache, CacheError};
use crate::server::install::{Installing, ObtainError};
use crate::server::launch::Launcher;
use crate::server::leftovers;
use crate::server::registry::{Registry, RegistryError};
use crate::timeline::{Side, VERSION, What};
use crate::upgrade::UpgradeContext;
use crate::words::ids::{PgMajor, PgVersion};
use crate::words::time::RunClock;

/// Time from the run's start to the workload's first moment, in which sessions that were there before it connect.
const LEAD: Duration = Duration::from_secs(2);
/// For creating or dropping the ledger of one database.
const SET_UP_DEADLINE: Duration = Duration::from_secs(30);
/// For reading back the ledger of one database.
const READ_BACK_DEADLINE: Duration = Duration::from_secs(60);
/// For replay and probes to end by themselves after an interruption: the whole program shall be gone within ten seconds.
const STOP_DEADLINE_INTERRUPTED: Duration = Duration::from_secs(4);
/// For the orderly stop of a server at the end; what is left after it is ended the hard way.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What to rehearse, and how.
pub struct Request<'a> {
    pub scenario: &'a Scenario,
    /// The resolved plan for `run.json`.
    pub plan: serde_json::Value,
    /// The run directory; it must not hold anything.
    pub out: PathBuf,
    /// Leave temporary clusters behind, stopped.
    pub keep: bool,
    pub installing: Installing,
    pub part: Part,
}

/// How a rehearsal ended, once it had begun to measure.
pub struct Rehearsed {
    pub run_dir: PathBuf,
    pub conducted: Conducted,
}

/// Why nothing could be measured, or not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Obtain(Box<ObtainError>),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// At least one of these is an error.
    #[error("{}", .0.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Finding>),
    #[error(transparent)]
    Descriptors(#[from] descriptors::TooFewDescriptors),
    #[error(transparent)]
    Part(#[from] PartError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Ledger(#[from] probe::LedgerError),
    #[error(transparent)]
    Probe(#[from] probe::ProbeError),
    #[error(transparent)]
    Replay(#[from] EngineError),
    #[error("could not start the watch on the tool itself")]
    Generator(#[source] std::io::Error),
    #[error("could not listen for signals")]
    Signals(#[source] std::io::Error),
    /// Before anything was measured: there is nothing to report.
    #[error("interrupted by {0} before anything was measured")]
    Interrupted(&'static str),
}

/// Rehearses. `say` gets a line for each thing done.
///
/// # Errors
/// Whatever kept the rehearsal from measuring. What was measured until a failed recording is in the run directory.
pub async fn rehearse(request: &Request<'_>, say: &mut (dyn FnMut(&str) + Send)) -> Result<Rehearsed, RehearsalError> {
    request.part.check(request.scenario)?;
    let signals = Signals::listen().map_err(RehearsalError::Signals)?;
    let cache = Cache::locate()?;
    for cleaned in leftovers::clean_leftovers(&cache) {
        say(&format!("cleaned up after run {}: {} processes ended", cleaned.run, cleaned.processes));
    }
    let run_dir = RunDir::create(&request.out)?;
    let launcher = launcher(&cache)?;
    let mut cancelled = signals.cancelled();
    let preparing = prepare(request, &cache, &run_dir, &launcher, say);
    let prepared = tokio::select! {
        prepared = preparing => prepared,
        signal = wait(&mut cancelled) => Err(RehearsalError::Interrupted(signal)),
    };
    let outcome = match prepared {
        Ok(prepared) => measure(request, prepared, &run_dir, &launcher, &signals, say).await,
        Err(error) => Err(error),
    };
    // Whatever happened: servers, their clusters and what else is this run's go now.
    let cleaned = leftovers::end_run(launcher.registry(), request.keep);
    for problem in cleaned.problems {
        say(&format!("could not clean up: {problem}"));
    }
    outcome
}

/// What stands when measuring can begin.
struct Prepared {
    spool: Spool,
    staging: Staging,
    /// The driver's, where the other shards are told of phases.
    phases: Option<PhaseFile>,
}

fn launcher(cache: &Cache) -> Result<Launcher, RehearsalError> {
    let account = Account::for_servers()?;
    let run = format!("{}-{}", jiff::Timestamp::now().as_millisecond(), std::process::id());
    Ok(Launcher::new(account, Registry::claim(cache, &run)?))
}

async fn prepare(
    request: &Request<'_>,
    cache: &Cache,
    run_dir: &RunDir,
    launcher: &Launcher,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Prepared, RehearsalError> {
    let scenario = request.scenario;
    let lacks = |error| RehearsalError::Obtain(Box::new(error));
    // Everything that can be refused is refused before anything is installed or started.
    let Expected { versions, lacking } = expected(scenario, cache, launcher.account(), request.installing);
    if let Some(error) = lacking.into_iter().next() {
        return Err(lacks(error));
    }
    let spool = spool(scenario, cache).await?;
    let findings = findings(scenario, Some(&spool), versions);
    if refuse(&findings) {
        return Err(RehearsalError::Refused(findings));
    }
    findings.iter().chain(&request.part.warning(&spool)).for_each(|finding| say(&finding.to_string()));
    descriptors::check(connections(scenario, &spool, request.part.shard)?, descriptors::raise())?;
    let account = launcher.account();
    let installations = installations(scenario, cache, account, request.installing, say).await.map_err(lacks)?;
    let users = spool.sessions().iter().map(|session| session.user.clone()).collect();
    let clients = Clients { users, databases: spool.databases().to_vec() };
    let logs = run_dir.logs();
    let place = Place { scenario_dir: staging::local::scenario_dir(&scenario.file), logs: &logs };
    let staging = staging::prepare(scenario, installations, &clients, launcher, &place, say).await?;
    let part = &request.part;
    let mut phases = None;
    if part.shard.is_driver() {
        if let Some((path, header)) = part.phase_file.as_ref().zip(part.phases_header(&spool)) {
            phases = Some(PhaseFile::create(path, &header)?);
        }
        if scenario.probes.enabled {
            probe::set_up(&staging.endpoint, &probed_databases(spool.databases()), SET_UP_DEADLINE).await?;
        }
    }
    Ok(Prepared { spool, staging, phases })
}

/// Records the whole measurement of a prepared rehearsal, then stops its servers.
async fn measure(
    request: &Request<'_>,
    prepared: Prepared,
    run_dir: &RunDir,
    launcher: &Launcher,
    signals: &Signals,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Rehearsed, RehearsalError> {
    let Prepared { spool, staging, phases } = prepared;
    let (scenario, shard) = (request.scenario, request.part.shard);
    let endpoint = staging.endpoint.clone();
    let start = agreed_start(request, &staging, signals, say).await?;
    let mut facts = known(request, &spool, &staging).await;
    let tenants = spool.tenants().into_iter().map(|tenant| tenant.tenant).collect();
    let names = Names { tenants, databases: facts.databases.clone(), endpoints: facts.endpoints.clone() };
    let clock = RunClock::start();
    // A start that was missed leaves nothing behind.
    let start_us = start.as_ref().map_or(Ok(us(LEAD)), |start| start.place(clock))?;
    facts.start = start.map(|start| start.facts(start_us));
    begin(&facts, &spool, run_dir)?;
    let phases = phases.map(|file| file.starting_at(start_us));
    let canceller = signals.canceller();
    // Going on without a record of it would be of no use to anybody.
    let failed = move |_: &RecordError| canceller.cancel("a failure of the recorder");
    let (recorder, writer) = Writer::start(run_dir.path(), clock, names, phases, failed)?;
    tell_begin(&recorder, &facts);
    let measuring = Measuring::start(scenario, &spool, &endpoint, &recorder, shard, start_us)?;
    let mut context = context(request, staging, run_dir, launcher, &recorder, signals);
    let mut score = Score {
        scenario,
        databases: spool.databases(),
        statements: spool.statements(),
        run_dir,
        major: major_of(&facts),
        starts_us: start_us,
        cancelled: signals.cancelled(),
    };
    let mut conducted = match shard.is_driver() {
        true => conduct(&mut score, &mut context, say).await,
        false => {
            let (old, new) = (endpoint.current().target.clone(), context.new.as_ref().map(|new| new.target.clone()));
            let (measuring, recorder, cancelled, endpoint) = (&measuring, &recorder, signals.cancelled(), &endpoint);
            let following =
                Following { scenario, measuring, recorder, endpoint, old, new, starts_us: start_us, cancelled };
            let phases = request.part.phase_file.clone().zip(request.part.phases_header(&spool));
            follow(following, phases, say).await
        }
    };
    let until_us = clock.now_us().saturating_sub(start_us);
    let measured = stop_measuring(measuring, &mut context).await;
    if conducted.interrupted.is_none() && shard.is_driver() {
        conducted.interrupted = read_back(&score, &context, &recorder, signals, say).await;
    }
    conducted.complete &= conducted.interrupted.is_none() && measured.is_ok();
    recorder.event(What::RunEnded { complete: conducted.complete });
    let clusters = context.workspace.as_ref().map(|workspace| workspace.root().to_owned());
    stop_servers(context).await;
    if let Some(clusters) = clusters.filter(|_| request.keep) {
        say(&format!("the stopped clusters are kept in {}", clusters.display()));
    }
    drop(recorder);
    // First, since a recorder that failed is the cause of what fails after it.
    if let Err(error) = writer.finish()? {
        say(&format!("other shards were not told everything, the phase file could not be written: {error}"));
    }
    facts.requests_due = spool.requests_due(&pace(scenario, &spool, shard), until_us)?;
    run_dir.write_facts(&facts)?;
    measured?;
    Ok(Rehearsed { run_dir: run_dir.path().to_owned(), conducted })
}

/// Waits for the agreed start, if there is one.
async fn agreed_start(
    request: &Request<'_>,
    staging: &Staging,
    signals: &Signals,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Option<Start>, RehearsalError> {
    let Some(start_at) = request.part.start_at else { return Ok(None) };
    let awaited = await_start(start_at, &staging.endpoint, &mut signals.cancelled(), say).await?;
    awaited.map(Some).map_err(RehearsalError::Interrupted)
}

/// What is known before the first phase.
async fn known(request: &Request<'_>, spool: &Spool, staging: &Staging) -> RunFacts {
    let version_before = match staging.version_before {
        Some(version) => Some(version),
        None => server_version(&staging.endpoint).await.ok(),
    };
    let shard = request.part.shard;
    let probes = probe_settings(request.scenario, shard, spool.databases());
    let known = Known {
        server_before: version_before,
        server_after: staging.version_after,
        clusters_dir: staging.workspace.as_ref().map(|workspace| workspace.root().display().to_string()),
        probe_interval: probes.map(|settings| settings.interval),
        requests_due: None,
        plan: request.plan.clone(),
        shard,
    };
    run_facts(request.scenario, spool, known)
}

/// Writes what is known before the first phase.
fn begin(facts: &RunFacts, spool: &Spool, run_dir: &RunDir) -> Result<(), RunDirError> {
    run_dir.write_tenants(&spool.tenants())?;
    run_dir.write_statements(spool.statements())?;
    run_dir.write_facts(facts)
}

/// Opens the timeline.
fn tell_begin(recorder: &Recorder, facts: &RunFacts) {
    recorder.event_at(0, What::RunStarted { version: VERSION });
    if let Some(version) = &facts.server_before {
        recorder.event(What::ServerSeen { side: Side::Before, version: version.clone() });
    }
}

fn context(
    request: &Request<'_>,
    staging: Staging,
    run_dir: &RunDir,
    launcher: &Launcher,
    recorder: &Recorder,
    signals: &Signals,
) -> UpgradeContext {
    UpgradeContext {
        recorder: recorder.clone(),
        endpoints: vec![staging.endpoint],
        old: staging.old,
        new: staging.new,
        workspace: staging.workspace,
        launcher: launcher.clone(),
        run_dir: run_dir.path().to_owned(),
        logs_dir: run_dir.logs(),
        command_dir: staging::local::scenario_dir(&request.scenario.file).to_owned(),
        cancelled: signals.cancelled(),
    }
}

/// Verifies what was written; gives the signal that ended it early.
async fn read_back(
    score: &Score<'_>,
    context: &UpgradeContext,
    recorder: &Recorder,
    signals: &Signals,
    say: &mut (dyn FnMut(&str) + Send),
) -> Option<&'static str> {
    say("reading back the ledger");
    let mut cancelled = signals.cancelled();
    tokio::select! {
        () = verify(score, context, recorder, say) => None,
        signal = wait(&mut cancelled) => {
            recorder.event(What::Interrupted { signal: signal.to_owned() });
            Some(signal)
        }
    }
}

/// Reads back every ledger and takes the plans of the server as it is now. A server that stays keeps nothing of ours.
async fn verify(score: &Score<'_>, context: &UpgradeContext, recorder: &Recorder, say: &mut (dyn FnMut(&str) + Send)) {
    let endpoint = &context.endpoints[0];
    let stays = context.old.cluster.is_none();
    explain(score, context, Side::After).await;
    if stays && let Ok(version) = server_version(endpoint).await {
        recorder.event(What::ServerSeen { side: Side::After, version: version.to_string() });
    }
    if !score.scenario.probes.enabled {
        return;
    }
    let databases = probed_databases(score.databases);
    let left = match probe::read_back(endpoint, &databases, recorder, READ_BACK_DEADLINE).await {
        Ok(()) if stays => probe::drop_schema(endpoint, &databases, SET_UP_DEADLINE).await,
        Ok(()) => Ok(()),
        Err(error) => {
            // Whether a write was lost stays unknown then; the reason goes to whoever judges the run.
            let (database, reason) = (error.database.clone(), error.source.to_string());
            recorder.event(What::ReadBackFailed { database, reason });
            Err(error)
        }
    };
    if let Err(error) = left {
        say(&error.to_string());
    }
}

/// Stops replay and probes. After an interruption they get a short time; then the servers are ended under them, since
/// what waits for a frozen server would wait as long as its deadline allows.
async fn stop_measuring(measuring: Measuring, context: &mut UpgradeContext) -> Result<(), RehearsalError> {
    let mut stopping = std::pin::pin!(measuring.stop());
    if context.cancelled.borrow().is_some() {
        if let Ok(measured) = timeout(STOP_DEADLINE_INTERRUPTED, &mut stopping).await {
            return measured;
        }
        for server in [Some(&mut context.old), context.new.as_mut()].into_iter().flatten() {
            if let Some(cluster) = &mut server.cluster {
                cluster.kill().await;
            }
        }
    }
    stopping.await
}

/// Stops local servers in an orderly way, so that a kept cluster can be started again; after an interruption at once.
async fn stop_servers(context: UpgradeContext) {
    for server in [Some(context.old), context.new].into_iter().flatten() {
        if let Some(mut cluster) = server.cluster {
            if context.cancelled.borrow().is_some() {
                // A step that was ended may have left its server frozen, and that one heeds no order to stop.
                cluster.kill().await;
            } else {
                // Dropping the cluster ends a server that would not stop.
                let _ = cluster.stop(StopMode::Fast, STOP_DEADLINE).await;
            }
        }
    }
}

fn major_of(facts: &RunFacts) -> PgMajor {
    let version = facts.server_before.as_deref().and_then(|version| version.parse::<PgVersion>().ok());
    version.map_or(PgMajor(0), |version| version.major)
}
