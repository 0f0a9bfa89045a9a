//! Real upgrades from 16 to 18, and failures in each place where one can happen.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::watch;

use super::{Restored, Server, StepsResult, UpgradeContext, prepare_target, run_steps};
use crate::net::Target;
use crate::record::{Item, channel};
use crate::scenario::plan::{
    AnalyzeMode, Cluster as Side, PgUpgradeOptions, Plan, SqlTarget, Step, StepKind, StopMode, TransferMode, Wait,
};
use crate::server::cluster::LocalCluster;
use crate::server::endpoint::{Endpoint, Logins};
use crate::server::fixture::{DEADLINE, Run, pinned};
use crate::server::login::Login;
use crate::timeline::{StepOutcome, What};
use crate::words::time::RunClock;

/// Two clusters, the old one running, with a directory for the run's results.
struct Staging {
    context: UpgradeContext,
    items: Receiver<Item>,
    cancel: watch::Sender<Option<&'static str>>,
    results: tempfile::TempDir,
    // Last, so that the servers are gone before their directories are.
    _run: Run,
}

impl Staging {
    async fn new(name: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let (old, new) = (pinned(16).await?, pinned(18).await?);
        let run = Run::new(name);
        let mut old = run.cluster("old", old, settings);
        let mut new = run.cluster("new", new, settings);
        old.init(DEADLINE).await.unwrap();
        prepare_target(&old, &mut new).await.unwrap();
        old.start(DEADLINE).await.unwrap();
        let results = tempfile::tempdir().unwrap();
        let (recorder, items) = channel(RunClock::start());
        let (cancel, cancelled) = watch::channel(None);
        let control = Login::new("postgres", "postgres");
        let endpoint = Endpoint::new("primary", target(&old), "old", Logins::default(), control);
        let context = UpgradeContext {
            recorder,
            endpoints: vec![endpoint],
            old: Server { target: target(&old), cluster: Some(old) },
            new: Some(Server { target: target(&new), cluster: Some(new) }),
            workspace: Some(run.workspace.clone()),
            launcher: run.launcher.clone(),
            run_dir: results.path().into(),
            logs_dir: results.path().into(),
            command_dir: results.path().into(),
            cancelled,
        };
        Some(Self { context, items, cancel, results, _run: run })
    }

    async fn run(&mut self, steps: Vec<Step>) -> StepsResult {
        run_steps(&mut self.context, &Plan { steps }).await
    }

    fn events(&self) -> Vec<What> {
        let events = self.items.try_iter().filter_map(|item| match item {
            Item::Event(event) => Some(event.what),
            _ => None,
        });
        events.collect()
    }

    fn serving(&self) -> String {
        self.context.endpoints[0].current().server.to_string()
    }

    async fn value(&self, query: &str) -> String {
        let endpoint = &self.context.endpoints[0];
        let login = endpoint.control_login("postgres");
        let control = crate::server::control::connect(&endpoint.current().target, &login, DEADLINE).await.unwrap();
        let value = control.query_one(query, &[]).await.unwrap().get(0);
        control.close().await;
        value
    }
}

fn target(cluster: &LocalCluster) -> Target {
    Target::tcp("127.0.0.1", cluster.spec().port)
}

fn step(name: &str, kind: StepKind) -> Step {
    Step { name: name.into(), deadline: DEADLINE, kind }
}

fn sql(name: &str, text: &str) -> Step {
    step(name, StepKind::Sql(SqlTarget { text: text.into(), database: "postgres".into(), user: None }))
}

fn command(name: &str, text: &str) -> Step {
    let program = ["sh", "-c", text].map(str::to_owned).to_vec();
    step(name, StepKind::Command { program, env: BTreeMap::new() })
}

fn options(mode: TransferMode) -> PgUpgradeOptions {
    PgUpgradeOptions { mode, jobs: 2, options: Vec::new() }
}

fn check(mode: TransferMode) -> Step {
    step("check", StepKind::Check(options(mode)))
}

fn stop() -> Step {
    step("stop", StepKind::Stop { cluster: Side::Old, mode: StopMode::Fast })
}

fn pg_upgrade(mode: TransferMode) -> Step {
    step("pg_upgrade", StepKind::PgUpgrade(options(mode)))
}

fn start_new() -> Step {
    step("start", StepKind::Start { cluster: Side::New })
}

fn switch() -> Step {
    step("switch", StepKind::Switch { endpoint: "primary".into(), cluster: Side::New })
}

fn seen<'a>(events: &'a [What], name: &str) -> Option<(u32, Option<u32>, &'a StepOutcome)> {
    let (number, parent) = events.iter().find_map(|event| match event {
        What::StepStarted { step, parent, name: found } if found == name => Some((*step, *parent)),
        _ => None,
    })?;
    events.iter().find_map(|event| match event {
        What::StepEnded { step, outcome, .. } if *step == number => Some((number, parent, outcome)),
        _ => None,
    })
}

#[tokio::test]
async fn from_16_to_18_with_links() {
    let Some(mut staging) = Staging::new("t-link", &[]).await else { return };
    let analyze = step("analyze", StepKind::Analyze { mode: AnalyzeMode::InStages, jobs: 1 });
    let waited = SqlTarget { text: "SELECT true".into(), database: "postgres".into(), user: None };
    let steps = vec![
        sql("fill", "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000); VACUUM t"),
        check(TransferMode::Link),
        stop(),
        pg_upgrade(TransferMode::Link),
        start_new(),
        switch(),
        step("wait", StepKind::Wait(Wait::Until { query: waited, poll: Duration::from_millis(10) })),
        analyze,
        command(
            "look",
            "test -d \"$PGREHEARSE_RUN_DIR\" && kill -0 \"$PGREHEARSE_SERVER_PID\" && echo \"$PGREHEARSE_ENDPOINT\"",
        ),
    ];
    let result = staging.run(steps).await;
    assert_eq!((result.outcome, result.reason.as_deref()), (StepOutcome::Ok, None));
    assert_eq!(staging.serving(), "new");
    assert!(staging.value("SHOW server_version").await.starts_with("18."));
    assert_eq!(staging.value("SELECT count(*)::text FROM t").await, "1000");

    let events = staging.events();
    let (upgrade, parent, _) = seen(&events, "pg_upgrade").unwrap();
    assert_eq!(parent, None);
    for phase in ["Restoring database schemas in the new cluster", "Checking cluster versions"] {
        assert!(seen(&events, phase).is_some_and(|(_, _, outcome)| *outcome == StepOutcome::Ok), "{phase}");
    }
    let (_, parent, _) = seen(&events, "Restoring database schemas in the new cluster").unwrap();
    assert_eq!(parent, Some(upgrade));
    assert!(events.contains(&What::EndpointSwitched { endpoint: "primary".into(), server: "new".into() }));
    let started = events.iter().filter(|event| matches!(event, What::StepStarted { .. })).count();
    let ended = events.iter().filter(|event| matches!(event, What::StepEnded { .. })).count();
    assert_eq!(started, ended);
    let look = std::fs::read_dir(staging.results.path()).unwrap().flatten().map(|entry| entry.path());
    let look = look.into_iter().find(|path| path.to_string_lossy().ends_with("-look.log")).unwrap();
    assert!(std::fs::read_to_string(look).unwrap().starts_with("host=127.0.0.1 "));
}

#[tokio::test]
async fn a_prepared_transaction_fails_the_upgrade_and_the_old_server_comes_back() {
    let Some(mut staging) = Staging::new("t-prep", &[("max_prepared_transactions", "5")]).await else { return };
    let steps = vec![
        sql("fill", "CREATE TABLE t (a int)"),
        check(TransferMode::Link),
        sql("prepare", "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'forgotten'"),
        stop(),
        pg_upgrade(TransferMode::Link),
        start_new(),
        switch(),
    ];
    let result = staging.run(steps).await;
    assert_eq!((result.outcome, result.failed_step.as_deref()), (StepOutcome::Failed, Some("pg_upgrade")));
    let reason = result.reason.unwrap();
    let expected = "pg_upgrade failed at \"Checking for prepared transactions\"\n\
                    detail: The source cluster contains prepared transactions";
    assert_eq!(reason, expected);
    assert_eq!(result.restored, Restored::BroughtBack);
    assert_eq!(staging.serving(), "old");
    assert_eq!(staging.value("SELECT count(*)::text FROM pg_prepared_xacts").await, "1");
}

#[tokio::test]
async fn a_failing_check_lists_what_it_found_and_leaves_the_old_server_alone() {
    let Some(mut staging) = Staging::new("t-check", &[]).await else { return };
    let before = staging.context.old.cluster.as_ref().unwrap().postmaster();
    let result = staging.run(vec![sql("fill", "CREATE TABLE t (a regproc)"), check(TransferMode::Copy)]).await;
    assert_eq!((result.outcome, result.restored), (StepOutcome::Failed, Restored::NotNeeded));
    let reason = result.reason.unwrap();
    assert!(reason.contains("postgres") && reason.contains("public.t.a"), "{reason}");
    let list = reason.rsplit("see \"").next().unwrap().trim_end_matches('"');
    assert!(Path::new(list).starts_with(staging.results.path()) && Path::new(list).exists(), "{reason}");
    assert_eq!(staging.context.old.cluster.as_ref().unwrap().postmaster(), before);
}

#[tokio::test]
async fn before_the_new_server_has_started_the_linked_old_one_comes_back() {
    let Some(mut staging) = Staging::new("t-back", &[]).await else { return };
    let steps = vec![
        sql("fill", "CREATE TABLE t (a int); INSERT INTO t VALUES (7)"),
        stop(),
        pg_upgrade(TransferMode::Link),
        command("sanity", "echo not today; exit 3"),
        start_new(),
    ];
    let result = staging.run(steps).await;
    assert_eq!(result.failed_step.as_deref(), Some("sanity"));
    assert!(result.reason.unwrap().ends_with("detail: not today"));
    assert_eq!(result.restored, Restored::BroughtBack);
    assert_eq!(staging.value("SELECT a::text FROM t").await, "7");
    assert!(staging.value("SHOW server_version").await.starts_with("16."));
}

#[tokio::test]
async fn once_the_new_server_has_started_on_linked_files_the_old_one_stays_down() {
    let Some(mut staging) = Staging::new("t-unsafe", &[]).await else { return };
    let steps = vec![stop(), pg_upgrade(TransferMode::Link), start_new(), command("sanity", "exit 1"), switch()];
    let result = staging.run(steps).await;
    let Restored::Unsafe { why } = result.restored else { panic!("{:?}", result.restored) };
    assert!(why.contains("--link"), "{why}");
    assert!(staging.context.old.cluster.as_ref().unwrap().postmaster().is_none());
}

#[tokio::test]
async fn swapped_files_are_not_started_again() {
    let Some(mut staging) = Staging::new("t-swap", &[]).await else { return };
    let result = staging.run(vec![stop(), pg_upgrade(TransferMode::Swap), command("sanity", "exit 1")]).await;
    assert_eq!(result.failed_step.as_deref(), Some("sanity"), "{result:?}");
    let Restored::Unsafe { why } = result.restored else { panic!("{:?}", result.restored) };
    assert!(why.contains("backup"), "{why}");
}

#[tokio::test]
async fn a_step_that_passes_its_deadline_is_ended_with_its_children() {
    let Some(mut staging) = Staging::new("t-late", &[]).await else { return };
    let mut hang = command("hang", "echo $$ > pid; sleep 600 & sleep 600");
    hang.deadline = Duration::from_millis(300);
    let result = staging.run(vec![hang]).await;
    assert_eq!((result.outcome, result.restored), (StepOutcome::TimedOut, Restored::NotNeeded));
    assert_eq!(result.reason.as_deref(), Some("not done within 300 ms"));
    let pid: i32 = std::fs::read_to_string(staging.results.path().join("pid")).unwrap().trim().parse().unwrap();
    assert_eq!(crate::server::process::identify(pid), None);
}

#[tokio::test]
async fn an_old_server_that_does_not_stop_in_time_is_brought_back() {
    let Some(mut staging) = Staging::new("t-stop", &[]).await else { return };
    // A smart shutdown waits for this session, for ever.
    let endpoint = &staging.context.endpoints[0];
    let login = endpoint.control_login("postgres");
    let session = crate::server::control::connect(&endpoint.current().target, &login, DEADLINE).await.unwrap();
    let mut stop = step("stop", StepKind::Stop { cluster: Side::Old, mode: StopMode::Smart });
    stop.deadline = Duration::from_millis(500);
    let result = staging.run(vec![stop]).await;
    assert_eq!((result.outcome, result.restored), (StepOutcome::TimedOut, Restored::BroughtBack));
    assert!(session.query_one("SELECT 1", &[]).await.is_err());
    assert!(staging.value("SHOW server_version").await.starts_with("16."));
}

#[tokio::test]
async fn a_cancelled_upgrade_leaves_no_server_of_pg_upgrade_behind() {
    let Some(mut staging) = Staging::new("t-cancel", &[]).await else { return };
    let cancel = staging.cancel.clone();
    let data_dir = staging.context.old.cluster.as_ref().unwrap().spec().data_dir.clone();
    let first = staging.context.old.cluster.as_ref().unwrap().postmaster().unwrap();
    // Interrupted when pg_upgrade's own server runs on the old cluster.
    let watching = tokio::spawn(async move {
        let is_temporary = |found: crate::server::process::ProcessIdentity| found != first;
        while !crate::server::postmaster::running_in(&data_dir).is_some_and(is_temporary) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.send_replace(Some("SIGINT"));
    });
    let result = staging.run(vec![stop(), pg_upgrade(TransferMode::Copy)]).await;
    watching.await.unwrap();
    assert_eq!((result.outcome, result.restored), (StepOutcome::Cancelled, Restored::NotTried));
    assert_eq!(result.reason.as_deref(), Some("interrupted by SIGINT"));
    let both = [staging.context.old.cluster.as_ref(), staging.context.new.as_ref().unwrap().cluster.as_ref()];
    assert!(both.iter().flatten().all(|cluster| cluster.postmaster().is_none()));
}

#[tokio::test]
async fn cloning_is_refused_before_anything_is_stopped() {
    let Some(mut staging) = Staging::new("t-clone", &[]).await else { return };
    let result = staging.run(vec![check(TransferMode::Clone)]).await;
    // Where the file system can clone there is nothing to refuse.
    if result.outcome != StepOutcome::Ok {
        let reason = result.reason.unwrap();
        assert!(reason.starts_with("transfer mode \"clone\" is not possible"), "{reason}");
    }
}
