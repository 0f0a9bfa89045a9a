//! What runs beside the phases: the replay, the probes, and the watch on the tool itself.
//!
//! Takes the scenario, the spool and the endpoint; starts all three and stops them again, each owned and awaited. Must
//! not know the phases or the steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::generator::GeneratorWatch;
use super::run::RehearsalError;
use crate::probe::{self, Database, Probes};
use crate::record::Recorder;
use crate::replay::SpoolError;
use crate::replay::pace::Pace;
use crate::replay::{self, Copies, Engine, Rounds, Spool, UniqueColumns};
use crate::scenario::Scenario;
use crate::scenario::resolved::Order;
use crate::server::endpoint::Endpoint;
use crate::words::shard::Shard;

/// The running measurement.
pub struct Measuring {
    stop: watch::Sender<bool>,
    engine: Engine,
    probes: Option<Probes>,
    _generator: GeneratorWatch,
}

/// The fate groups of the primary endpoint.
pub fn probed_databases(databases: &[String]) -> Vec<Database> {
    (0..).zip(databases).map(|(index, name)| Database { name: name.clone(), index }).collect()
}

/// The probes' settings by the scenario, the interval stretched where it must be; none when they are switched off
/// or another shard's.
pub fn probe_settings(scenario: &Scenario, shard: Shard, databases: &[String]) -> Option<probe::Settings> {
    let probes = scenario.probes;
    (probes.enabled && shard.is_driver()).then(|| probe::Settings {
        interval: probe::effective_interval(probes.interval, databases.len()),
        deadline: probes.deadline,
        abandon: scenario.clients.abandon,
        connect_timeout: scenario.clients.connect_timeout,
        databases: probed_databases(databases),
        connections: probes.connections.into(),
        user: None,
    })
}

/// Copies, rounds, speed and its stages by the scenario; what it says of tenants, for those of the workload.
pub fn pace(scenario: &Scenario, spool: &Spool, shard: Shard) -> Pace {
    let workload = &scenario.workload;
    let ramp = scenario.ramp().map(Arc::new);
    let mut copies = Copies::new(workload.copies).with_jitter(workload.copy_jitter, workload.seed);
    if !workload.tenants.is_empty() {
        copies = copies.with_tenants(spool.tenants().iter().map(|fact| workload.copies_of(&fact.tenant)).collect());
    }
    if !workload.unique.is_empty() {
        let columns = workload.unique.iter().map(|unique| (unique.table.clone(), unique.column.clone()));
        copies = copies.with_unique(UniqueColumns::new(columns, workload.unique_stride));
    }
    let rounds = Rounds::new(workload.repeats, spool.totals().span_us);
    let (speed, pacing, read_only) = (workload.speed, workload.pacing, workload.read_only);
    Pace { speed, ramp, pacing, copies, rounds, read_only, shard }
}

/// Connections that so many copies of the sessions have at one moment, at most.
pub fn replayed_at_once(scenario: &Scenario, spool: &Spool, copies: &[u16]) -> usize {
    let at_once = spool.connections_at_once(copies);
    let Some(pool) = scenario.clients.pool else { return at_once };
    let pooled =
        |sessions: BTreeMap<_, usize>| sessions.into_values().map(|sessions| sessions.min(pool.size as usize)).sum();
    match pool.reuse {
        // What no session has at the moment stays open.
        true => pooled(spool.sessions_by_login(copies)),
        false => at_once.min(pooled(spool.connections_by_login(copies))),
    }
}

/// Connections that replay and probes of a shard have at one moment, at most.
///
/// # Errors
/// The spool cannot be read.
pub fn connections(scenario: &Scenario, spool: &Spool, shard: Shard) -> Result<u64, SpoolError> {
    let replayed = replayed_at_once(scenario, spool, &spool.copies_of_shard(&pace(scenario, spool, shard))?);
    // Each fate group has warm connections for its reads, as many for its writes, and one for the fresh logins.
    let probes = probe_settings(scenario, shard, spool.databases())
        .map_or(0, |probes| probes.databases.len() * (2 * probes.connections + 1));
    Ok((replayed + probes) as u64)
}

impl Measuring {
    /// Starts everything that is this shard's; the workload's first moment is `starts_us` of the run.
    ///
    /// # Errors
    /// When threads cannot be had.
    pub fn start(
        scenario: &Scenario,
        spool: &Spool,
        endpoint: &Endpoint,
        recorder: &Recorder,
        shard: Shard,
        starts_us: u64,
    ) -> Result<Self, RehearsalError> {
        let (stop, stopped) = watch::channel(false);
        let generator = GeneratorWatch::start(recorder.clone()).map_err(RehearsalError::Generator)?;
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let order_wait = (scenario.workload.order == Order::Commit).then_some(scenario.workload.order_wait);
        let settings = replay::Settings {
            pace: pace(scenario, spool, shard),
            clients: scenario.clients.clone(),
            order_wait,
            starts_us,
            workers,
        };
        let engine = Engine::start(spool, &settings, endpoint, recorder, stopped.clone())?;
        let probes = match probe_settings(scenario, shard, spool.databases()) {
            None => None,
            Some(settings) => Some(probe::start(settings, endpoint.clone(), 0, recorder.clone(), stopped)?),
        };
        Ok(Self { stop, engine, probes, _generator: generator })
    }

    /// Whether everything was replayed.
    pub fn has_replayed(&self) -> bool {
        self.engine.is_finished()
    }

    /// Stops offering requests, waits shortly for those in flight, and sees every one booked.
    ///
    /// # Errors
    /// A replay that could not go on, or that lost count of its requests.
    pub async fn stop(mut self) -> Result<(), RehearsalError> {
        self.stop.send_replace(true);
        let replayed = self.engine.finished().await;
        if let Some(probes) = self.probes {
            probes.join().await?;
        }
        replayed?;
        Ok(())
    }
}
