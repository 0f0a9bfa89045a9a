//! Clients that send a request again after it failed, and what is booked of it.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Replayed, Story, sqlstate};
use crate::replay::pace::Pace;
use crate::samples::sample::Outcome::{ExpectedError, Expired, Failed, Indeterminate, Late, Ok, Skipped};
use crate::samples::sample::{Sample, SampleKind};
use crate::scenario::resolved::{BrokenTransaction, Clients, Retry, RetryOn, Speed};

/// Clients that try `attempts` times after these failures.
pub(super) fn trying(attempts: u16, on: &[&str]) -> Clients {
    let on = on.iter().map(|text| RetryOn::from_text(text).unwrap()).collect();
    let wait = Duration::from_millis(2);
    Clients { retry: Retry { attempts, on, backoff: wait, backoff_max: wait, indeterminate: false }, ..CLIENTS }
}

pub(super) fn retried(replayed: &Replayed) -> Vec<&Sample> {
    replayed.samples.iter().filter(|sample| sample.kind == SampleKind::Retried).collect()
}

/// How often the server has heard a text, over all connections.
pub(super) fn heard(server: &StandIn, sql: &str) -> usize {
    (1..10).map(|connection| server.heard(connection).iter().filter(|text| *text == sql).count()).sum()
}

/// Answers the n-th query of a text by `deeds`, and everything else.
pub(super) fn failing(sql: &'static str, deeds: &'static [Deed]) -> StandIn {
    let times = std::sync::atomic::AtomicUsize::new(0);
    StandIn::new(move |_, asked| {
        if asked != sql {
            return Deed::Answer;
        }
        let time = times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        deeds.get(time).cloned().unwrap_or(Deed::Answer)
    })
}

pub(super) const UPDATE: &str = "UPDATE t SET a = 1";

#[tokio::test]
async fn a_request_that_may_work_later_is_sent_again_and_booked_once() {
    let server = failing(UPDATE, &[Deed::Error("40001"), Deed::Error("40P01")]);
    let story = Story::new(trying(3, &["40001", "40P01"])).session(1).query(0, 1, UPDATE).query(1, 1, "SELECT 1");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok]);
    let (update, tries) = (replayed.requests(1)[0], retried(&replayed));
    assert_eq!(
        tries.iter().map(|tried| (tried.attempt, tried.outcome)).collect::<Vec<_>>(),
        [(1, Failed), (2, Failed)]
    );
    assert_eq!(tries.iter().map(|tried| tried.sqlstate).collect::<Vec<_>>(), [sqlstate("40001"), sqlstate("40P01")]);
    assert_eq!((update.attempt, update.sqlstate), (3, None));
    // All of it counts from when it was due, and the wait between the tries is no lag of ours.
    assert!(tries.iter().all(|tried| tried.due_us == update.due_us && Some(tried.done_us) <= update.ready_us));
    assert_eq!((replayed.report.offered(), replayed.report.retried()), (2, 2));
}

#[tokio::test]
async fn after_its_last_try_a_request_ends_as_that_did() {
    let server = failing(UPDATE, &[Deed::Error("40001"), Deed::Error("40001"), Deed::Error("40001")]);
    let story = Story::new(trying(2, &["40"])).session(1).query(0, 1, UPDATE).query(1, 1, "SELECT 1");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Failed, Ok]);
    assert_eq!((replayed.requests(1)[0].attempt, heard(&server, UPDATE)), (2, 2));
}

#[tokio::test]
async fn what_the_capture_saw_fail_or_nobody_asked_for_is_not_sent_again() {
    let server = StandIn::new(|_, sql| match sql {
        "SELECT 1" => Deed::Error("40001"),
        "SELECT 2" => Deed::Error("23505"),
        _ => Deed::Answer,
    });
    let story = Story::new(trying(3, &["40001"]))
        .session(1)
        .query(0, 1, "SELECT 1")
        .failed_with("40001")
        .query(1, 1, "SELECT 2");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [ExpectedError, Failed]);
    assert_eq!(replayed.report.retried(), 0);
}

#[tokio::test]
async fn a_read_is_sent_again_on_the_next_connection_and_a_write_only_where_that_is_wanted() {
    for (indeterminate, outcome, times) in [(false, Indeterminate, 1), (true, Ok, 2)] {
        let server = StandIn::new(|connection, sql| match (connection, sql) {
            (1, "SELECT 1") | (2, UPDATE) => Deed::ShutDown,
            _ => Deed::Answer,
        });
        let mut clients = trying(2, &["connection"]);
        clients.retry.indeterminate = indeterminate;
        let story = Story::new(clients).session(1).query(0, 1, "SELECT 1").query(1, 1, UPDATE).query(2, 1, "SELECT 3");
        let replayed = story.replay(&server).await;
        assert_eq!(replayed.outcomes(1), [Ok, outcome, Ok]);
        assert_eq!((heard(&server, "SELECT 1"), heard(&server, UPDATE)), (2, times));
        assert_eq!(retried(&replayed)[0].sqlstate, sqlstate("57P01"));
    }
}

#[tokio::test]
async fn a_request_whose_next_try_finds_no_connection_ends_as_its_last_one_did() {
    let server = failing("SELECT 1", &[Deed::ShutDown]);
    let nowhere = tempfile::tempdir().unwrap();
    let place = super::story::endpoint(server.target());
    let clients = Clients { deadline: Duration::from_millis(100), ..trying(2, &["connection"]) };
    let story = Story::new(clients).session(1).query(0, 1, "SELECT 1").query(10, 1, "SELECT 2");
    let moved = async {
        server.until_heard("SELECT 1").await;
        place.switch(crate::net::Target::unix(nowhere.path(), 5432), "new");
        std::future::pending().await
    };
    let replayed = story.replay_at(&place, moved).await;
    assert_eq!(replayed.outcomes(1), [Failed, Expired]);
    assert_eq!((replayed.requests(1)[0].attempt, replayed.report.retried()), (1, 0));
}

#[tokio::test]
async fn the_end_of_the_run_ends_a_request_between_its_tries() {
    for pace in [Speed::Factor(1.0), Speed::Max] {
        let server = failing("SELECT 1", &[Deed::Error("40001")]);
        let mut clients = trying(2, &["40001"]);
        (clients.retry.backoff, clients.retry.backoff_max) = (Duration::from_secs(3_600), Duration::from_secs(3_600));
        let mut story = Story::new(clients).session(1).query(0, 1, "SELECT 1");
        story.pace = Pace::new(pace, 1);
        let place = super::story::endpoint(server.target());
        let replayed = story.replay_at(&place, server.until_heard("SELECT 1")).await;
        assert_eq!(replayed.outcomes(1), [Failed]);
    }
}

#[tokio::test]
async fn at_full_speed_a_request_is_sent_again_too() {
    let server = failing(UPDATE, &[Deed::Error("40001")]);
    let mut story = Story::new(trying(2, &["40001"])).session(1).query(0, 1, UPDATE).query(1, 1, "SELECT 1");
    story.pace = Pace::new(Speed::Max, 1);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok]);
    let (update, first) = (replayed.requests(1)[0], retried(&replayed)[0]);
    assert!(update.due_us == first.due_us && update.ready_us >= Some(first.done_us));
}

#[tokio::test]
async fn in_a_block_nothing_is_sent_again_alone_and_its_rest_may_go_on_for_itself() {
    for (broken_transaction, outcomes) in [
        (BrokenTransaction::Skip, [Ok, Failed, Skipped, Skipped, Ok]),
        (BrokenTransaction::Continue, [Ok, Failed, Ok, Ok, Ok]),
    ] {
        let server = failing(UPDATE, &[Deed::Error("40001")]);
        let story = Story::new(Clients { broken_transaction, ..trying(2, &["40001"]) })
            .session(1)
            .query(0, 1, "BEGIN")
            .query(1, 1, UPDATE)
            .query(2, 1, "SELECT 2")
            .query(3, 1, "COMMIT")
            .query(4, 1, "SELECT 3");
        let replayed = story.replay(&server).await;
        assert_eq!(replayed.outcomes(1), outcomes);
        assert_eq!(server.heard(1)[1..3], [UPDATE, "ROLLBACK"]);
    }
}

#[tokio::test]
async fn a_try_has_a_deadline_of_its_own() {
    let server = failing("SELECT 1", &[Deed::Error("40001"), Deed::AnswerAfter("SELECT 'release'")]);
    let clients = Clients { deadline: Duration::from_millis(200), ..trying(2, &["40001"]) };
    let story = Story::new(clients).session(1).session(2).query(0, 1, "SELECT 1").query(600, 2, "SELECT 'release'");
    assert_eq!(story.replay(&server).await.outcomes(1), [Late]);
}

#[tokio::test]
async fn what_brings_data_is_not_sent_again() {
    let server = failing("COPY t FROM STDIN", &[Deed::Error("40001")]);
    let story =
        Story::new(trying(2, &["40001"])).session(1).query(0, 1, "COPY t FROM STDIN").data(0, 1, "1\n", Some("done"));
    let replayed = story.query(1, 1, "SELECT 1").replay(&server).await;
    assert_eq!((replayed.outcomes(1), replayed.report.retried()), (vec![Failed, Ok], 0));
}
