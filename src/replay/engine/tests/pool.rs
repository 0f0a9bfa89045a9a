//! Sessions that share the connections of a pool.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, PATIENT, Replayed, Story, endpoint};
use crate::samples::sample::Outcome::{self, Expired, Failed, Ok, Skipped};
use crate::scenario::resolved::{Clients, Pool};

const SINGLE: Pool = Pool { size: 1, reuse: true, wait: PATIENT, idle: PATIENT };

fn sharing(pool: Pool) -> Story {
    Story::new(Clients { pool: Some(pool), ..CLIENTS })
}

/// Two sessions, the second of which begins when the first has long ended.
fn one_after_the_other(pool: Pool) -> Story {
    let story = sharing(pool).opened(0, 1).query(0, 1, "SELECT 1").close(1, 1);
    story.opened(1_000, 2).query(1_000, 2, "SELECT 2").close(1_001, 2)
}

/// Two sessions that are open at the same time, the first until `closes_ms`.
fn side_by_side(pool: Pool, closes_ms: u64) -> Story {
    let story = sharing(pool).opened(0, 1).query(0, 1, "SELECT 1").close(closes_ms, 1);
    story.opened(300, 2).query(300, 2, "SELECT 2").close(301, 2)
}

fn outcomes_of_both(replayed: &Replayed) -> Vec<Outcome> {
    [replayed.outcomes(1), replayed.outcomes(2)].concat()
}

#[tokio::test]
async fn a_connection_is_handed_on_as_good_as_new() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = sharing(SINGLE);
    for session in 1..=4 {
        let at_ms = u64::from(session) * 5;
        story = story.opened(at_ms, session).query(at_ms, session, "SET search_path = acme");
        story = story.execute(at_ms, session, "s1", "SELECT $1").close(at_ms + 1, session);
    }
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (8, 8));
    let session = ["SET search_path = acme", "parse s1: SELECT $1", "execute s1", "DISCARD ALL"];
    assert_eq!(server.heard(1), session.repeat(4));
    assert_eq!(replayed.report.connects(), (1, 0), "what is handed on is no try to connect");
}

#[tokio::test]
async fn a_session_waits_for_the_one_before_it_and_that_is_its_client_s_time() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let replayed = side_by_side(SINGLE, 800).replay(&server).await;
    assert_eq!(outcomes_of_both(&replayed), [Ok, Ok]);
    let waited = replayed.requests(2)[0];
    assert!(waited.ready_us.unwrap() >= replayed.requests(1)[0].due_us + 800_000);
    assert_eq!(server.heard(1), ["SELECT 1", "DISCARD ALL", "SELECT 2", "DISCARD ALL"]);
}

#[tokio::test]
async fn a_request_that_gets_no_slot_in_time_expires() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let wait = Duration::from_millis(100);
    let story = sharing(Pool { wait, ..SINGLE }).opened(0, 1).query(0, 1, "SELECT 1").close(1_000, 1);
    let story = story.opened(300, 2).query(300, 2, "SELECT 2").query(2_000, 2, "SELECT 3");
    let replayed = story.replay(&server).await;
    assert_eq!(outcomes_of_both(&replayed), [Ok, Expired, Ok]);
    let expired = replayed.requests(2)[0];
    assert_eq!(expired.message.as_deref(), Some("no connection of the pool was free in time"));
    assert!(expired.sent_us.is_none() && expired.done_us - expired.due_us >= 100_000);
}

#[tokio::test]
async fn without_reuse_a_slot_alone_is_handed_on() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let replayed = side_by_side(Pool { reuse: false, ..SINGLE }, 800).replay(&server).await;
    assert_eq!(outcomes_of_both(&replayed), [Ok, Ok]);
    assert_eq!((server.heard(1), server.heard(2)), (vec!["SELECT 1".to_owned()], vec!["SELECT 2".to_owned()]));
    assert!(replayed.connects().nth(1).unwrap().sent_us.unwrap() >= replayed.requests(1)[0].due_us + 800_000);
}

#[tokio::test]
async fn a_connection_that_died_or_was_not_reset_is_not_handed_on() {
    for deed in [Deed::AnswerAndShutDown, Deed::ShutDown, Deed::Error("25001")] {
        let server = StandIn::new(move |connection, sql| match (connection, sql) {
            (1, "DISCARD ALL") => deed.clone(),
            _ => Deed::Answer,
        });
        let replayed = one_after_the_other(SINGLE).replay(&server).await;
        assert_eq!(outcomes_of_both(&replayed), [Ok, Ok]);
        assert_eq!(replayed.report.connects(), (2, 0));
        assert_eq!(server.heard(2), ["SELECT 2", "DISCARD ALL"]);
    }
}

#[tokio::test]
async fn a_connection_that_nobody_had_for_long_is_closed() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let replayed = one_after_the_other(Pool { idle: Duration::from_millis(1), ..SINGLE }).replay(&server).await;
    assert_eq!((outcomes_of_both(&replayed), replayed.report.connects()), (vec![Ok, Ok], (2, 0)));
}

#[tokio::test]
async fn a_block_that_its_session_left_open_is_rolled_back_first() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = sharing(SINGLE).opened(0, 1).query(0, 1, "BEGIN").query(1, 1, "SELECT 1").close(2, 1);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok]);
    assert_eq!(server.heard(1), ["BEGIN", "SELECT 1", "ROLLBACK", "DISCARD ALL"]);
}

#[tokio::test]
async fn a_session_that_logs_in_otherwise_takes_the_place_of_an_idle_connection() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = one_after_the_other(SINGLE)
        .opened(2_000, 3)
        .started_with(serde_json::json!({"application_name": "nightly"}))
        .query(2_000, 3, "SELECT 3")
        .close(2_001, 3);
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.count(Ok), replayed.report.connects()), (3, (2, 0)));
    assert_eq!(server.heard(2), ["SELECT 3", "DISCARD ALL"]);
}

#[tokio::test]
async fn who_loses_a_connection_queues_behind_those_who_wait() {
    let server = StandIn::new(|connection, sql| match (connection, sql) {
        (1, "SELECT 'last'") => Deed::ShutDown,
        _ => Deed::Answer,
    });
    let story = sharing(SINGLE).opened(0, 1).query(0, 1, "SELECT 1").opened(300, 2).query(300, 2, "SELECT 2");
    let story = story.close(301, 2).query(1_000, 1, "SELECT 'last'").query(1_001, 1, "SELECT 3").close(1_002, 1);
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.outcomes(1), replayed.outcomes(2)), (vec![Ok, Failed, Ok], vec![Ok]));
    assert!(replayed.requests(2)[0].sent_us < replayed.requests(1)[2].sent_us);
    assert_eq!(server.heard(2), ["SELECT 2", "DISCARD ALL", "SELECT 3", "DISCARD ALL"]);
}

#[tokio::test]
async fn the_end_of_the_run_ends_the_wait_for_a_slot() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = sharing(SINGLE).opened(0, 1).query(0, 1, "SELECT 1").query(900, 1, "SELECT 'last'");
    let story = story.opened(300, 2).query(300, 2, "SELECT 2").query(3_600_000, 1, "SELECT 3");
    let replayed = story.replay_at(&endpoint(server.target()), server.until_heard("SELECT 'last'")).await;
    assert_eq!((replayed.outcomes(1)[0], replayed.outcomes(2)), (Ok, vec![Skipped]));
    assert_eq!(server.heard(1), ["SELECT 1", "SELECT 'last'"], "nobody is to have the connection");
}
