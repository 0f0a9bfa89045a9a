//! The life of real clusters of both pinned majors.

use std::collections::BTreeMap;
use std::path::Path;

use super::cache::Cache;
use super::cluster::ClusterError;
use super::fixture::{DEADLINE, Run, pinned};
use super::leftovers::clean_leftovers;
use super::process::ProcessIdentity;
use super::registry::{LiveRun, Role};
use crate::scenario::plan::StopMode;

async fn a_cluster_lives_and_stops(major: u16) {
    let Some(installation) = pinned(major).await else { return };
    let run = Run::new(&format!("t-life-{major}"));
    let mut cluster = run.cluster("old", installation, &[("max_connections", "17")]);
    cluster.init(DEADLINE).await.unwrap();
    let control = cluster.control_data().await.unwrap();
    assert!(control.checksums() && control.shut_down());

    cluster.start(DEADLINE).await.unwrap();
    assert_eq!(cluster.control_data().await.unwrap().state, "in production");
    let first = cluster.postmaster().unwrap();
    cluster.restart(StopMode::Fast, DEADLINE).await.unwrap();
    assert!(!first.is_alive());
    assert_ne!(cluster.postmaster(), Some(first));
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(&cluster.spec().socket_dir)
        .port(cluster.spec().port)
        .user("postgres")
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let row = client.query_one("select current_setting('max_connections'), version()", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "17");
    drop(client);
    connection.await.unwrap().unwrap();

    cluster.stop(StopMode::Fast, DEADLINE).await.unwrap();
    assert!(cluster.control_data().await.unwrap().shut_down());
    assert_eq!(cluster.postmaster_pid(), None);
    let root = run.workspace.root().to_path_buf();
    drop((cluster, run));
    assert!(!root.exists());
}

#[tokio::test]
async fn a_16_cluster_lives_and_stops() {
    a_cluster_lives_and_stops(16).await;
}

#[tokio::test]
async fn an_18_cluster_lives_and_stops() {
    a_cluster_lives_and_stops(18).await;
}

#[tokio::test]
async fn what_stops_a_start_is_said() {
    let Some(installation) = pinned(18).await else { return };
    let run = Run::new("t-start");
    let mut cluster = run.cluster("old", installation, &[("no_such_setting", "1")]);
    cluster.init(DEADLINE).await.unwrap();
    let error = cluster.start(DEADLINE).await.unwrap_err().to_string();
    assert!(error.contains("unrecognized configuration parameter \"no_such_setting\""), "{error}");

    cluster.set(BTreeMap::new()).unwrap();
    let listener = std::net::TcpListener::bind(cluster.address()).unwrap();
    let error = cluster.start(DEADLINE).await.unwrap_err();
    assert!(matches!(error, ClusterError::PortTaken { port } if port == cluster.spec().port), "{error}");
    drop(listener);
    cluster.start(DEADLINE).await.unwrap();
    cluster.stop(StopMode::Immediate, DEADLINE).await.unwrap();
}

/// As if the tool had been killed: the server runs on, frozen even, and the entry names an owner that is gone.
#[tokio::test]
async fn the_server_of_a_killed_run_is_cleaned_up_even_when_it_is_frozen() {
    let Some(installation) = pinned(16).await else { return };
    let run = Run::new("t-killed");
    let mut cluster = run.cluster("old", installation, &[]);
    cluster.init(DEADLINE).await.unwrap();
    cluster.start(DEADLINE).await.unwrap();
    let postmaster = cluster.postmaster().unwrap();
    let children = postmaster.descendants();
    assert!(!children.is_empty());
    for process in children.iter().chain([&postmaster]) {
        process.signal(rustix::process::Signal::STOP);
    }
    orphan(run.cache_dir.path());

    let cache = Cache::at(run.cache_dir.path());
    let cleaned = tokio::task::spawn_blocking(move || clean_leftovers(&cache)).await.unwrap();
    assert_eq!(cleaned[0].problems, Vec::<String>::new());
    assert_eq!((cleaned[0].processes, cleaned[0].directories), (1, 2));
    assert!(!postmaster.is_alive() && children.iter().all(|child| !child.is_alive()));
    assert!(!run.workspace.root().exists());
}

/// `pg_upgrade` starts its servers with pg_ctl, in sessions of their own, so they stand in no register.
#[tokio::test]
async fn a_server_that_a_program_of_a_killed_run_started_is_found_by_its_data_directory() {
    let Some(installation) = pinned(18).await else { return };
    let run = Run::new("t-other");
    let mut cluster = run.cluster("old", installation, &[]);
    cluster.init(DEADLINE).await.unwrap();
    let mut pg_ctl = cluster.command("pg_ctl");
    pg_ctl.args(["start", "-w", "-D"]).arg(&cluster.spec().data_dir);
    let mut pg_ctl = run.launcher.spawn_logged(pg_ctl, Role::Program, &cluster.spec().log_file).unwrap();
    assert!(pg_ctl.wait(DEADLINE).await.unwrap().unwrap().success());
    let postmaster = cluster.postmaster().unwrap();
    orphan(run.cache_dir.path());

    let cache = Cache::at(run.cache_dir.path());
    let cleaned = tokio::task::spawn_blocking(move || clean_leftovers(&cache)).await.unwrap();
    assert_eq!((cleaned[0].processes, cleaned[0].problems.len()), (1, 0));
    assert!(!postmaster.is_alive() && !run.workspace.root().exists());
}

fn orphan(cache: &Path) {
    let entry = std::fs::read_dir(cache.join("live")).unwrap().flatten().map(|entry| entry.path());
    let path = entry.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let mut live: LiveRun = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    live.owner = ProcessIdentity { pid: 1, started: "never".into() };
    std::fs::write(&path, serde_json::to_vec(&live).unwrap()).unwrap();
}
