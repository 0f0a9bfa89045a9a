//! The resolved plan as JSON, for `check --json` and `run.json`.
//!
//! Takes a scenario and gives a value; passwords never get in. Durations are milliseconds. Must not know who reads it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::plan::{PgUpgradeOptions, SqlTarget, Step, StepKind, Wait};
use super::render::{milliseconds as ms, objectives};
use super::resolved::{
    ExternalStaging, Load, LoadSource, LocalStaging, Loop, Scenario, Sequences, ServerChoice, Speed, Staging, Strategy,
};
use super::secret::redact_words;

/// The version of this shape; fields may be added within it.
const VERSION: u32 = 1;

/// The resolved plan.
pub fn to_json(scenario: &Scenario) -> Value {
    let workload = &scenario.workload;
    let (phases, probes) = (&scenario.phases, &scenario.probes);
    json!({
        "version": VERSION,
        "name": scenario.name,
        "file": scenario.file,
        "objectives": objectives(scenario),
        "workload": {
            "file": workload.file,
            "speed": match workload.speed {
                Speed::Factor(factor) => json!(factor),
                Speed::Max => json!("max"),
            },
            "pacing": workload.pacing.name(),
            "order": workload.order.name(),
            "order_wait_ms": ms(workload.order_wait),
            "copies": workload.copies,
            "copy_jitter_ms": ms(workload.copy_jitter),
            "seed": workload.seed,
            "unique": workload.unique.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "unique_stride": workload.unique_stride,
            "read_only": workload.read_only,
            "loop": match workload.repeats {
                Loop::Times(times) => json!({ "rounds": times }),
                Loop::For(time) => json!({ "for_ms": ms(time) }),
            },
            "tenants": workload.tenants.iter().map(|own| {
                json!({ "tenant": own.tenant.as_str(), "copies": own.copies })
            }).collect::<Vec<_>>(),
        },
        "staging": match &scenario.staging {
            Staging::Local(local) => local_json(local),
            Staging::External(external) => external_json(external),
        },
        "upgrade": {
            "strategy": match scenario.upgrade.strategy {
                Strategy::PgUpgrade => "pg_upgrade",
                Strategy::None => "none",
                Strategy::Steps => "steps",
            },
            "to": scenario.upgrade.to.as_ref().map(server),
            "settings": settings(&scenario.upgrade.settings),
            "steps": scenario.upgrade.plan.steps.iter().map(step).collect::<Vec<_>>(),
        },
        "phases": {
            "warmup_ms": ms(phases.warmup), "before_ms": ms(phases.before), "after_ms": ms(phases.after),
        },
        "load": {
            "stages": scenario.load_stages.iter().map(|stage| {
                json!({ "target": stage.target, "duration_ms": ms(stage.duration) })
            }).collect::<Vec<_>>(),
        },
        "clients": scenario.clients.json(),
        "probes": {
            "enabled": probes.enabled,
            "interval_ms": ms(probes.interval),
            "deadline_ms": ms(probes.deadline),
            "connections": probes.connections,
        },
        "trust": { "schedule_lag_p99_ms": ms(scenario.trust.schedule_lag_p99) },
    })
}

fn server(choice: &ServerChoice) -> Value {
    json!({ "version": choice.version, "source": choice.source.name(), "bin_dir": choice.bin_dir })
}

fn settings(settings: &BTreeMap<String, String>) -> Value {
    settings
        .iter()
        .map(|(name, value)| (name.clone(), json!(redact_words(value))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn local_json(local: &LocalStaging) -> Value {
    json!({
        "provider": "local",
        "server": server(&local.server),
        "port": local.port,
        "settings": settings(&local.settings),
        "load": local.load.iter().map(load).collect::<Vec<_>>(),
        "checksums": local.checksums,
        "encoding": local.encoding,
        "locale": local.locale,
        "superuser": local.superuser,
        "tmp_dir": local.tmp_dir,
    })
}

fn load(load: &Load) -> Value {
    let (kind, what) = match &load.source {
        LoadSource::Sql(path) => ("sql", json!(path)),
        LoadSource::Dump(path) => ("dump", json!(path)),
        LoadSource::BaseBackup(path) => ("base_backup", json!(path)),
        LoadSource::Command(program) => ("command", words(program)),
    };
    let sequences = match &load.sequences {
        Sequences::AsLoaded => Value::Null,
        Sequences::FromTables => json!("from-tables"),
        Sequences::To(values) => json!(values),
    };
    json!({ kind: what, "database": load.database, "sequences": sequences })
}

fn external_json(external: &ExternalStaging) -> Value {
    let users = external
        .users
        .iter()
        .map(|(captured, user)| (captured.clone(), json!({ "user": user.user, "password_env": user.password_env })));
    json!({
        "provider": "external",
        "dsn": external.dsn.redacted(),
        "new_dsn": external.new_dsn.as_ref().map(super::resolved::Dsn::redacted),
        "password_env": external.password_env,
        "passfile": external.passfile,
        "databases": external.databases,
        "users": users.collect::<serde_json::Map<_, _>>(),
    })
}

fn step(step: &Step) -> Value {
    let arguments = match &step.kind {
        StepKind::Command { program, env } => {
            // The values of an environment are often secrets; the names say enough.
            json!({ "program": words(program), "env": env.keys().collect::<Vec<_>>() })
        }
        StepKind::Sql(target) => sql(target),
        StepKind::Wait(Wait::For(time)) => json!({ "for_ms": ms(*time) }),
        StepKind::Wait(Wait::Until { query, poll }) => json!({ "until": sql(query), "poll_ms": ms(*poll) }),
        StepKind::Check(options) | StepKind::PgUpgrade(options) => pg_upgrade(options),
        StepKind::Stop { cluster, mode } => json!({ "server": cluster.name(), "mode": mode.name() }),
        StepKind::Start { cluster } => json!({ "server": cluster.name() }),
        StepKind::Switch { endpoint, cluster } => json!({ "endpoint": endpoint, "server": cluster.name() }),
        StepKind::Analyze { mode, jobs } => json!({ "mode": mode.name(), "jobs": jobs }),
    };
    json!({ "name": step.name, "kind": step.kind.name(), "deadline_ms": ms(step.deadline), "arguments": arguments })
}

fn sql(target: &SqlTarget) -> Value {
    json!({ "text": redact_words(&target.text), "database": target.database, "user": target.user })
}

fn pg_upgrade(options: &PgUpgradeOptions) -> Value {
    json!({ "mode": options.mode.name(), "jobs": options.jobs, "options": words(&options.options) })
}

fn words(words: &[String]) -> Value {
    words.iter().map(|word| redact_words(word)).collect()
}
