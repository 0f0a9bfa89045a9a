//! What a session does when its connection breaks, its server moves, or the run ends.

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, PATIENT, Story, endpoint, sqlstate};
use crate::samples::sample::Outcome::{Failed, Indeterminate, Ok, Skipped};
use crate::timeline::What;

#[tokio::test]
async fn a_connection_that_breaks_in_a_transaction_skips_its_rest() {
    let server = StandIn::new(|connection, sql| match (connection, sql) {
        (1, "INSERT INTO t VALUES (1)") => Deed::ShutDown,
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "BEGIN")
        .query(1, 1, "INSERT INTO t VALUES (1)")
        .query(2, 1, "SELECT 1")
        .query(3, 1, "COMMIT")
        .query(4, 1, "SELECT 2")
        .close(5, 1);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped, Ok]);
    assert_eq!(replayed.requests(1)[1].sqlstate, sqlstate("57P01"));
    assert_eq!(replayed.report.offered(), 5);
    assert_eq!(replayed.report.connects(), (2, 0));
    assert_eq!(server.heard(2), ["SELECT 2"]);
    assert!(replayed.report.workload_ended);
    assert!(replayed.events.contains(&What::WorkloadEnded { offered: 5 }));
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_indeterminate() {
    let server = StandIn::new(|connection, sql| match (connection, sql) {
        (1, "UPDATE t SET a = 1") | (2, "COMMIT") => Deed::ShutDown,
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "UPDATE t SET a = 1")
        .query(1, 1, "BEGIN")
        .query(2, 1, "UPDATE t SET a = 2")
        .query(3, 1, "COMMIT")
        .query(4, 1, "SELECT 1");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Indeterminate, Ok, Ok, Indeterminate, Ok]);
}

#[tokio::test]
async fn a_new_connection_is_made_what_the_old_one_was() {
    let server = StandIn::new(|connection, sql| match (connection, sql) {
        (1, "SELECT 'break'") => Deed::ShutDown,
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SET search_path = acme")
        .execute(1, 1, "s1", "SELECT $1")
        .execute(2, 1, "s1", "SELECT $1")
        .execute(3, 1, "s1", "SELECT $1, 2")
        .query(4, 1, "BEGIN")
        .query(5, 1, "SET work_mem = '1MB'")
        .query(6, 1, "ROLLBACK")
        .query(7, 1, "SELECT 'break'")
        .execute(8, 1, "s1", "SELECT $1, 2");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok, Ok, Ok, Ok, Ok, Ok, Failed, Ok]);
    assert_eq!(
        server.heard(1)[1..6],
        ["parse s1: SELECT $1", "execute s1", "execute s1", "close s1", "parse s1: SELECT $1, 2"]
    );
    assert_eq!(server.heard(2), ["SET search_path = acme", "parse s1: SELECT $1, 2", "execute s1"]);
}

#[tokio::test]
async fn after_a_switch_sessions_come_back_to_the_new_server() {
    let old = StandIn::new(|_, sql| if sql == "SELECT 'last'" { Deed::ShutDown } else { Deed::Answer });
    let new = StandIn::new(|_, _| Deed::Answer);
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SELECT 'first'")
        .query(1, 1, "SELECT 'last'")
        .query(2, 1, "SELECT 3");
    let replayed = story.replay_through_switch(&old, &new, "SELECT 'first'").await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Ok]);
    assert_eq!(new.heard(1), ["SELECT 3"]);
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_each_try_is_a_sample() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let nowhere = tempfile::tempdir().unwrap();
    let place = endpoint(crate::net::Target::unix(nowhere.path(), 5432));
    let story = Story::new(CLIENTS).session(1).query(0, 1, "SELECT 1").session(2).query(30, 2, "SELECT 2");
    let opened = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        place.switch(server.target(), "new");
        std::future::pending().await
    };
    let replayed = story.replay_at(&place, opened).await;
    assert_eq!((replayed.outcomes(1), replayed.outcomes(2)), (vec![Ok], vec![Ok]));
    let failed: Vec<_> = replayed.connects().filter(|sample| sample.outcome == Failed).collect();
    assert!(failed.len() >= 2 && failed.iter().all(|sample| sample.tenant == Some(0) && sample.message.is_some()));
    assert_eq!(replayed.report.connects().1, failed.len() as u64);
}

#[tokio::test]
async fn the_end_of_the_run_does_not_wait_for_a_rollback() {
    let server = StandIn::new(|_, sql| match sql {
        "SELECT 1" => Deed::Error("42P01"),
        "ROLLBACK" => Deed::Hang,
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS).session(1).query(0, 1, "BEGIN").query(1, 1, "SELECT 1").query(1, 1, "COMMIT");
    let place = endpoint(server.target());
    let replaying = story.replay_at(&place, server.until_heard("ROLLBACK"));
    let replayed = tokio::time::timeout(PATIENT / 2, replaying).await.expect("long before the rollback's own deadline");
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped]);
}

#[tokio::test]
async fn the_end_of_the_run_books_what_was_due_and_offers_nothing_more() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 'hang'" { Deed::Hang } else { Deed::Answer });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SELECT 'hang'")
        .query(1, 1, "SELECT 'behind'")
        .query(PATIENT.as_millis() as u64, 1, "SELECT 'not due'")
        .session(2)
        .query(5, 2, "SELECT 'now'");
    let place = endpoint(server.target());
    let replayed = story.replay_at(&place, server.until_heard("SELECT 'now'")).await;
    // Neither was answered, but neither had missed a deadline.
    assert_eq!(replayed.outcomes(1), [Skipped, Skipped]);
    assert_eq!(replayed.report.offered(), replayed.outcomes(2).len() as u64 + 2);
    assert!(!replayed.report.workload_ended);
}
