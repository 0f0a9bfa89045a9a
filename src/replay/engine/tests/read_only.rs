//! A replay that is to change nothing.

use serde_json::json;

use super::live::{ask, cluster, session, target};
use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Replayed, Story, endpoint, sqlstate};
use crate::samples::sample::Outcome::{self, ExpectedError, Failed, Ok, Skipped};
use crate::server::fixture::Run;
use crate::timeline::What;

/// Session 1 that sends these texts, a millisecond apart, in a replay that leaves out what writes.
fn story(texts: &[&str]) -> Story {
    let mut story =
        (0..).zip(texts).fold(Story::new(CLIENTS).session(1), |story, (at_ms, sql)| story.query(at_ms, 1, sql));
    story.pace.read_only = true;
    story
}

/// What the session's requests came to, each that fell due booked once or left out.
fn outcomes(story: &Story, replayed: &Replayed, left_out: u64) -> Vec<Outcome> {
    let due = story.spool().requests_due(&story.pace, u64::MAX).unwrap();
    assert_eq!((Some(replayed.report.offered()), replayed.report.left_out()), (due, left_out));
    assert!(replayed.events.contains(&What::WritesLeftOut { requests: left_out }));
    replayed.outcomes(1)
}

#[tokio::test]
async fn what_writes_is_left_out_and_the_rest_of_its_transaction_is_sent() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = story(&["BEGIN", "SELECT 1", "UPDATE t SET a = 1", "SELECT 2", "COMMIT", "DELETE FROM t", "SELECT 3"]);
    let replayed = story.replay(&server).await;
    assert_eq!(outcomes(&story, &replayed, 2), [Ok; 5]);
    assert_eq!(server.heard(1), ["BEGIN", "SELECT 1", "SELECT 2", "COMMIT", "SELECT 3"]);
}

#[tokio::test]
async fn blocks_begin_and_end_where_left_out_requests_would_have_begun_and_ended_them() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = story(&[
        "BEGIN",
        "SELECT 1",
        "UPDATE t SET a = 1; COMMIT",
        "SELECT 2",
        "BEGIN; UPDATE t SET a = 2",
        "SAVEPOINT s",
        "COMMIT",
    ]);
    let replayed = story.replay(&server).await;
    assert_eq!(outcomes(&story, &replayed, 2), [Ok; 5]);
    assert_eq!(server.heard(1), ["BEGIN", "SELECT 1", "ROLLBACK", "SELECT 2", "BEGIN", "SAVEPOINT s", "COMMIT"]);
}

#[tokio::test]
async fn what_a_read_only_session_refuses_is_expected_and_breaks_its_transaction() {
    let server = StandIn::new(|_, sql| if sql == "SELECT f()" { Deed::Error("25006") } else { Deed::Answer });
    let story = story(&["BEGIN", "SELECT f()", "SELECT 1", "COMMIT", "SELECT f()", "SELECT 2"]);
    let replayed = story.replay(&server).await;
    assert_eq!(outcomes(&story, &replayed, 0), [Ok, ExpectedError, Skipped, Skipped, ExpectedError, Ok]);
    assert_eq!(server.heard(1), ["BEGIN", "SELECT f()", "ROLLBACK", "SELECT f()", "SELECT 2"]);
}

#[tokio::test]
async fn a_transaction_that_is_lost_ends_with_a_request_that_is_left_out() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 1" { Deed::ShutDown } else { Deed::Answer });
    let story = story(&[
        "BEGIN",
        "SELECT 1",
        "SELECT 2",
        "UPDATE t SET a = 1; COMMIT",
        "BEGIN",
        "SELECT 3",
        "COMMIT",
        "SELECT 4",
    ]);
    let replayed = story.replay(&server).await;
    assert_eq!(outcomes(&story, &replayed, 1), [Ok, Failed, Skipped, Ok, Ok, Ok, Ok]);
}

#[tokio::test]
async fn a_session_does_not_carry_in_that_it_may_write() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let settings = json!({"default_transaction_read_only": "off", "work_mem": "4MB"});
    let mut story = Story::new(CLIENTS).session(1).carries_in(settings).query(0, 1, "SELECT f()");
    let restored = |name: &str, value: &str| format!("SELECT pg_catalog.set_config('{name}', '{value}', false)");
    story.pace.read_only = true;
    assert_eq!(story.replay(&server).await.outcomes(1), [Ok]);
    assert_eq!(server.heard(1), [restored("work_mem", "4MB"), "SELECT f()".to_owned()]);
    story.pace.read_only = false;
    assert_eq!(story.replay(&server).await.outcomes(1), [Ok]);
    assert_eq!(server.heard(2)[0], restored("default_transaction_read_only", "off"));
}

#[tokio::test]
async fn a_function_that_writes_is_refused_by_a_real_server() {
    let run = Run::new("t-replay-read-only");
    let Some(cluster) = cluster(&run).await else { return };
    let mut observer = session(&cluster).await;
    ask(&mut observer, "CREATE TABLE t (a int)").await;
    let function = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a'";
    ask(&mut observer, function).await;
    let mut story = story(&["SELECT f()", "INSERT INTO t VALUES (2)", "SELECT count(*) FROM t"]);
    for _ in 0..2 {
        let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
        match story.pace.read_only {
            true => {
                assert_eq!(outcomes(&story, &replayed, 1), [ExpectedError, Ok]);
                assert_eq!(replayed.requests(1)[0].sqlstate, sqlstate("25006"));
                assert_eq!(ask(&mut observer, "SELECT FROM t").await.rows, 0);
            }
            false => {
                assert_eq!(replayed.outcomes(1), [Ok; 3]);
                assert_eq!(ask(&mut observer, "SELECT FROM t").await.rows, 2);
            }
        }
        story.pace.read_only = false;
    }
}
