//! What `run.json` says: the scenario, the workload and the machine, brought together before the first phase.
//!
//! Takes them as they are known by then and gives the record. Must not know how the run goes.

use std::time::Duration;

use crate::facts::{Rules, RunFacts, ShardFacts, VERSION};
use crate::replay::Spool;
use crate::scenario::Scenario;
use crate::words::ids::PgVersion;
use crate::words::shard::Shard;

use super::host::host_facts;

/// What is known of the servers and the probes when the run begins.
pub struct Known {
    pub server_before: Option<PgVersion>,
    pub server_after: Option<PgVersion>,
    pub clusters_dir: Option<String>,
    /// None when the scenario switched probes off.
    pub probe_interval: Option<Duration>,
    /// Requests that fall due within warmup and before: at least these have to be offered. Known in full at the end.
    pub requests_due: Option<u64>,
    pub plan: serde_json::Value,
    pub shard: Shard,
}

/// The facts of a run that begins now.
pub fn run_facts(scenario: &Scenario, spool: &Spool, known: Known) -> RunFacts {
    RunFacts {
        format: "pgrehearse-run".to_owned(),
        version: VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        scenario_name: scenario.name.clone(),
        workload_sha256: spool.workload_sha256().to_owned(),
        shard: known.shard.is_one_of_several().then(|| ShardFacts { index: known.shard.index(), of: known.shard.of() }),
        start: None,
        merged: None,
        server_before: known.server_before.map(|version| version.to_string()),
        server_after: known.server_after.map(|version| version.to_string()),
        host: host_facts(),
        clusters_dir: known.clusters_dir,
        rules: rules(scenario, known.probe_interval),
        databases: spool.databases().to_vec(),
        endpoints: vec!["primary".to_owned()],
        requests_due: known.requests_due,
        unmapped_share: spool.unmapped_share(),
        capture_lost_share: spool.capture_lost_share(),
        plan: known.plan,
    }
}

fn rules(scenario: &Scenario, probe_interval: Option<Duration>) -> Rules {
    Rules {
        objectives: scenario.objectives.iter().map(|objective| objective.text.clone()).collect(),
        deadline_us: us(scenario.clients.deadline),
        probe_interval_us: probe_interval.map(us),
        schedule_lag_p99_us: us(scenario.trust.schedule_lag_p99),
        closed_loop: scenario.workload.closed_loop().is_some(),
        warmup_us: us(scenario.phases.warmup),
        before_us: us(scenario.phases.before),
        after_us: us(scenario.phases.after),
    }
}

/// A duration in microseconds; those of a scenario fit.
pub fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
