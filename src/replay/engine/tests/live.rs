//! The replay against a real server. Where none can be had the tests say why and pass.

use super::story::{CLIENTS, PATIENT, Story, endpoint, sqlstate};
use crate::net::Target;
use crate::pgwire::frontend;
use crate::samples::sample::Outcome::{ExpectedError, Failed, Indeterminate, Ok};
use crate::samples::sample::{Outcome, ResultCheck};
use crate::scenario::plan::StopMode;
use crate::scenario::resolved::{Clients, Pool};
use crate::server::cluster::LocalCluster;
use crate::server::fixture::{DEADLINE, Run, pinned};
use crate::server::{Connection, Login, ReplySummary, connect};

/// A started cluster with user `u` and database `app`.
pub(super) async fn cluster(run: &Run) -> Option<LocalCluster> {
    let mut cluster = run.cluster("old", pinned(16).await?, &[]);
    cluster.init(DEADLINE).await.unwrap();
    cluster.start(DEADLINE).await.unwrap();
    let mut admin = connect(&target(&cluster), &Login::new("postgres", "postgres"), PATIENT).await.unwrap();
    ask(&mut admin, "CREATE USER u").await;
    ask(&mut admin, "CREATE DATABASE app OWNER u").await;
    Some(cluster)
}

pub(super) fn target(cluster: &LocalCluster) -> Target {
    Target::unix(&cluster.spec().socket_dir, cluster.spec().port)
}

pub(super) async fn session(cluster: &LocalCluster) -> Connection {
    connect(&target(cluster), &Login::new("u", "app"), PATIENT).await.unwrap()
}

pub(super) async fn ask(connection: &mut Connection, sql: &str) -> ReplySummary {
    frontend::query(connection.out(), sql.as_bytes()).unwrap();
    connection.send().await.unwrap();
    let reply = connection.read_reply().await.unwrap();
    assert_eq!(reply.error, None, "{sql}");
    reply
}

#[tokio::test]
async fn a_workload_does_to_a_real_server_what_its_clients_did() {
    let run = Run::new("t-replay");
    let Some(cluster) = cluster(&run).await else { return };
    let mut observer = session(&cluster).await;
    ask(&mut observer, "CREATE SCHEMA acme; CREATE TABLE acme.t (a int)").await;
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SET search_path = acme")
        .query(1, 1, "BEGIN")
        .execute(2, 1, "s1", "INSERT INTO t VALUES ($1)")
        .execute(3, 1, "s1", "INSERT INTO t VALUES ($1)")
        .query(4, 1, "COMMIT")
        .query(5, 1, "SELECT 1 / 0")
        .failed_with("22012")
        .query(6, 1, "BEGIN; INSERT INTO t VALUES (1); ROLLBACK")
        .execute(7, 1, "", "SELECT a FROM t WHERE a = $1")
        .query(8, 1, "COPY t TO STDOUT");
    let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok, Ok, Ok, Ok, ExpectedError, Ok, Ok, Ok]);
    let requests = replayed.requests(1);
    assert_eq!((requests[5].result, requests[7].rows), (ResultCheck::Same, 2));
    assert!(requests.iter().all(|sample| sample.first_us >= sample.sent_us && Some(sample.done_us) >= sample.first_us));
    assert_eq!(ask(&mut observer, "SELECT FROM acme.t WHERE a = 7").await.rows, 2);
    assert_eq!(ask(&mut observer, "SELECT FROM acme.t").await.rows, 2);
}

#[tokio::test]
async fn sessions_live_through_a_restart_and_no_acknowledged_write_is_missing() {
    let run = Run::new("t-replay-restart");
    let Some(mut cluster) = cluster(&run).await else { return };
    let place = endpoint(target(&cluster));
    ask(&mut session(&cluster).await, "CREATE TABLE t (a int)").await;
    const SESSIONS: u32 = 4;
    const WRITES: u64 = 150;
    let mut story = (0..SESSIONS).fold(Story::new(CLIENTS), Story::session);
    for number in 0..WRITES {
        for session in 0..SESSIONS {
            story = story.query(number * 10, session, "INSERT INTO t VALUES (1)");
        }
    }
    let restarting = async {
        // In the middle of the writes: some have come, most have not.
        let mut observer = session(&cluster).await;
        while ask(&mut observer, "SELECT FROM t").await.rows < 40 {}
        drop(observer);
        cluster.restart(StopMode::Immediate, DEADLINE).await.unwrap();
        std::future::pending().await
    };
    let replayed = story.replay_at(&place, restarting).await;
    let count = |outcome| replayed.report.count(outcome);
    assert_eq!(replayed.report.offered(), u64::from(SESSIONS) * WRITES);
    assert_eq!(Outcome::ALL.iter().map(|outcome| count(*outcome)).sum::<u64>(), replayed.report.offered());
    assert!(replayed.report.workload_ended && replayed.report.connects().0 > u64::from(SESSIONS));
    assert!((0..SESSIONS).all(|session| replayed.outcomes(session).last() == Some(&Ok)));
    let written = ask(&mut session(&cluster).await, "SELECT FROM t").await.rows;
    let uncertain = count(Indeterminate) + count(Failed);
    assert!((count(Ok)..=count(Ok) + uncertain).contains(&written), "{written}: {:?}", replayed.report);
}

#[tokio::test]
async fn a_pool_comes_back_after_a_restart_and_is_never_larger_than_it_may() {
    let run = Run::new("t-replay-pool");
    let Some(mut cluster) = cluster(&run).await else { return };
    const SIZE: u32 = 3;
    const SESSIONS: u32 = 150;
    let place = endpoint(target(&cluster));
    let mut admin = connect(&target(&cluster), &Login::new("postgres", "app"), PATIENT).await.unwrap();
    ask(&mut admin, "CREATE TABLE t (a int); GRANT ALL ON t TO u").await;
    ask(&mut admin, &format!("ALTER USER u CONNECTION LIMIT {SIZE}")).await;
    let pool = Some(Pool { size: SIZE, reuse: true, wait: PATIENT, idle: PATIENT });
    let mut story = Story::new(Clients { pool, ..CLIENTS });
    for session in 0..SESSIONS {
        let at_ms = u64::from(session) * 10;
        story = story.opened(at_ms, session).query(at_ms, session, "INSERT INTO t VALUES (1)");
        story = story.query(at_ms + 20, session, "SELECT pg_sleep(0.01)").close(at_ms + 21, session);
    }
    let restarting = async {
        while ask(&mut admin, "SELECT FROM t").await.rows < 40 {}
        cluster.restart(StopMode::Immediate, DEADLINE).await.unwrap();
        std::future::pending().await
    };
    let replayed = story.replay_at(&place, restarting).await;
    assert_eq!(replayed.report.offered(), u64::from(SESSIONS) * 2);
    assert!(replayed.report.workload_ended && replayed.report.count(Ok) > u64::from(SESSIONS));
    assert_eq!(replayed.outcomes(SESSIONS - 1), [Ok, Ok]);
    let too_many = sqlstate("53300");
    assert!(replayed.connects().all(|connect| connect.sqlstate != too_many));
    let succeeded = replayed.connects().filter(|connect| connect.outcome == Ok).count();
    assert!(succeeded > SIZE as usize && succeeded < SESSIONS as usize, "{succeeded}");
}
