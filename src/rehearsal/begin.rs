//! What comes before anything is started: programs found, the workload prepared, the scenario checked.
//!
//! Takes the scenario and the cache; gives installations and a spool, or says why not. `check` and `run` share it. Must
//! not start a server.

use crate::replay::{Spool, SpoolError};
use crate::scenario::resolved::Staging as Choice;
use crate::scenario::{Finding, Level, Scenario, ServerVersions, WorkloadFacts, check, check_host};
use crate::server::account::Account;
use crate::server::binaries::{Part, Wanted};
use crate::server::cache::Cache;
use crate::server::install::{Installing, ObtainError, obtain, obtainable};
use crate::words::ids::PgVersion;
use crate::words::shard::Shard;

use super::measure::{pace, replayed_at_once};
use super::staging::Installations;

/// Below the cache: prepared workloads.
const SPOOLS: &str = "spools";

/// Finds the programs of local staging, and installs what is missing. None for external staging.
///
/// # Errors
/// What could neither be found nor installed.
pub async fn installations(
    scenario: &Scenario,
    cache: &Cache,
    account: &Account,
    installing: Installing,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Option<Installations>, ObtainError> {
    let Choice::Local(local) = &scenario.staging else { return Ok(None) };
    let old = obtain(&Wanted::of(&local.server, Part::Source), cache, account, installing, say).await?;
    let new = match &scenario.upgrade.to {
        None => None,
        Some(choice) => Some(obtain(&Wanted::of(choice, Part::Target), cache, account, installing, say).await?),
    };
    for installation in [Some(&old), new.as_ref()].into_iter().flatten() {
        say(&format!(
            "PostgreSQL {}: {} in {}",
            installation.version,
            installation.origin,
            installation.bin_dir.display()
        ));
    }
    Ok(Some(Installations { old, new }))
}

/// What a run would have for servers, as far as it is known without installing or connecting.
#[derive(Debug, Default)]
pub struct Expected {
    pub versions: ServerVersions,
    /// Servers that are not to be had.
    pub lacking: Vec<ObtainError>,
}

/// Looks for the programs of local staging; what would be installed counts as there.
pub fn expected(scenario: &Scenario, cache: &Cache, account: &Account, installing: Installing) -> Expected {
    let mut expected = Expected::default();
    let Choice::Local(local) = &scenario.staging else { return expected };
    let mut version = |choice, part| -> Option<PgVersion> {
        let found = obtainable(&Wanted::of(choice, part), cache, account, installing);
        found.map_err(|error| expected.lacking.push(error)).ok()
    };
    let source = version(&local.server, Part::Source);
    let target = scenario.upgrade.to.as_ref().and_then(|choice| version(choice, Part::Target));
    expected.versions = ServerVersions { source, target };
    expected
}

/// Finds or makes the prepared workload. It reads the whole file, so it runs beside the async threads.
///
/// # Errors
/// Those of the workload's reader, unchanged.
pub async fn spool(scenario: &Scenario, cache: &Cache) -> Result<Spool, SpoolError> {
    let workload = scenario.workload.file.clone();
    let dir = cache.dir().join(SPOOLS);
    let names = match &scenario.staging {
        Choice::External(external) => external.databases.clone(),
        Choice::Local(_) => Default::default(),
    };
    let order = scenario.workload.order;
    let making = tokio::task::spawn_blocking(move || Spool::prepare(&workload, &dir, names, order));
    making.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Everything that can be said against the scenario, errors first.
pub fn findings(scenario: &Scenario, spool: Option<&Spool>, versions: ServerVersions) -> Vec<Finding> {
    let workload = spool.map(|spool| workload_facts(scenario, spool));
    let mut findings = check_host(scenario);
    findings.extend(check(scenario, workload.as_ref(), versions));
    findings.sort_by_key(|finding| finding.level);
    findings
}

/// Whether these findings keep a rehearsal from being run.
pub fn refuse(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}

fn workload_facts(scenario: &Scenario, spool: &Spool) -> WorkloadFacts {
    // A spool that cannot be read is said by the replay.
    let copies = spool.copies_of_sessions(&pace(scenario, spool, Shard::WHOLE).copies).unwrap_or_default();
    let totals = spool.totals();
    let users: std::collections::BTreeSet<_> = spool.sessions().iter().map(|session| session.user.clone()).collect();
    WorkloadFacts {
        span_us: totals.span_us,
        sessions: spool.sessions().len() as u64,
        peak_connections: replayed_at_once(scenario, spool, &copies) as u64,
        peak_sessions: spool.connections_by_login(&copies),
        databases: spool.databases().to_vec(),
        tenants: spool.tenants().into_iter().map(|fact| fact.tenant).collect(),
        users: users.into_iter().collect(),
        requests: totals.requests,
    }
}
