//! Transaction blocks that their clients run again from BEGIN: each request is offered once and ends once.

use std::time::Duration;

use serde_json::json;

use super::super::block::REQUESTS_MAX;
use super::retry::{UPDATE, failing, heard, retried, trying};
use super::stand_in::{Deed, StandIn};
use super::story::{PATIENT, Replayed, Story, endpoint};
use crate::replay::pace::Pace;
use crate::samples::sample::Outcome::{self, ExpectedError, Failed, Indeterminate, Ok, Skipped};
use crate::scenario::resolved::{BrokenTransaction, Clients, Pacing, Speed};
use crate::timeline::What;
use crate::words;

/// Clients that run a block `attempts` times after these failures.
fn repeating(attempts: u16, on: &[&str]) -> Clients {
    Clients { broken_transaction: BrokenTransaction::Retry, ..trying(attempts, on) }
}

/// Session 1 that sends these texts, a millisecond apart.
fn telling(clients: Clients, texts: &[&str]) -> Story {
    (0..).zip(texts).fold(Story::new(clients).session(1), |story, (at_ms, sql)| story.query(at_ms, 1, sql))
}

/// A block with an update, and a request behind it.
const BLOCK: [&str; 5] = ["BEGIN", UPDATE, "SELECT 2", "COMMIT", "SELECT 3"];

/// Event, attempt and outcome of the tries that another followed, in the order of the workload.
fn tries(replayed: &Replayed) -> Vec<(u64, u16, Outcome)> {
    let mut tries: Vec<_> = retried(replayed).iter().map(|tried| (tried.event, tried.attempt, tried.outcome)).collect();
    tries.sort_by_key(|(event, attempt, _)| (*event, *attempt));
    tries
}

fn attempts(replayed: &Replayed) -> Vec<u16> {
    replayed.requests(1).iter().map(|sample| sample.attempt).collect()
}

#[tokio::test]
async fn a_block_that_fails_in_the_middle_is_run_again_from_its_beginning() {
    for pace in [Speed::Factor(1.0), Speed::Max] {
        let server = failing(UPDATE, &[Deed::Error("40001")]);
        let mut story = telling(repeating(3, &["40001"]), &BLOCK);
        story.pace = Pace::new(pace, 1);
        let replayed = story.replay(&server).await;
        assert_eq!((replayed.outcomes(1), attempts(&replayed)), (vec![Ok; 5], vec![2, 2, 1, 1, 1]));
        assert_eq!(tries(&replayed), [(0, 1, Ok), (1, 1, Failed)]);
        assert_eq!(server.heard(1), [&["BEGIN", UPDATE, "ROLLBACK"], &BLOCK[..]].concat());
        assert_eq!((replayed.report.offered(), replayed.report.retried()), (5, 2));
        for tried in retried(&replayed) {
            let last = replayed.requests(1)[tried.event as usize];
            assert!(tried.due_us == last.due_us && Some(tried.done_us) <= last.ready_us, "{tried:?} {last:?}");
        }
    }
}

#[tokio::test]
async fn a_block_whose_commit_fails_is_run_again() {
    let server = failing("COMMIT", &[Deed::Error("40001"), Deed::Error("40001")]);
    let replayed = telling(repeating(3, &["40"]), &BLOCK).replay(&server).await;
    assert_eq!((replayed.outcomes(1), attempts(&replayed)), (vec![Ok; 5], vec![3, 3, 3, 3, 1]));
    assert_eq!(heard(&server, UPDATE), 3);
}

#[tokio::test]
async fn after_the_last_try_each_request_ends_as_its_own_last_try_did() {
    let server = failing(UPDATE, &[Deed::Error("40001"), Deed::Error("40001")]);
    let replayed = telling(repeating(2, &["40001"]), &BLOCK).replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped, Ok]);
    assert_eq!((heard(&server, UPDATE), attempts(&replayed)), (2, vec![2, 2, 1, 1, 1]));

    // The second try does not come as far as the first.
    let server = StandIn::new({
        let commits = std::sync::atomic::AtomicBool::new(false);
        move |_, sql| match sql {
            "COMMIT" => {
                commits.store(true, std::sync::atomic::Ordering::Relaxed);
                Deed::Error("40001")
            }
            UPDATE if commits.load(std::sync::atomic::Ordering::Relaxed) => Deed::Error("40P01"),
            _ => Deed::Answer,
        }
    });
    let replayed = telling(repeating(2, &["40"]), &BLOCK).replay(&server).await;
    assert_eq!((replayed.outcomes(1), attempts(&replayed)), (vec![Ok, Failed, Ok, Failed, Ok], vec![2, 2, 1, 1, 1]));
    assert_eq!(tries(&replayed), [(0, 1, Ok), (1, 1, Ok)]);
}

#[tokio::test]
async fn a_failure_that_is_not_named_or_was_captured_leaves_the_rest_of_the_block() {
    let server = failing(UPDATE, &[Deed::Error("23505")]);
    let replayed = telling(repeating(3, &["40001"]), &BLOCK).replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped, Ok]);

    let server = failing(UPDATE, &[Deed::Error("40001"), Deed::Error("40P01")]);
    let story = |code| {
        telling(repeating(3, &["40001"]), &["BEGIN", UPDATE])
            .failed_with(code)
            .query(2, 1, "ROLLBACK")
            .query(3, 1, "SELECT 3")
    };
    assert_eq!(story("40001").replay(&server).await.outcomes(1), [Ok, ExpectedError, Ok, Ok]);
    assert_eq!(story("40001").replay(&server).await.outcomes(1), [Ok, Failed, Ok, Ok]);
    assert_eq!((heard(&server, "BEGIN"), heard(&server, UPDATE)), (2, 2));
}

#[tokio::test]
async fn a_block_that_loses_its_connection_is_run_again_on_the_next_in_the_session_that_it_began_in() {
    const PREPARE: &str = "PREPARE q AS SELECT 1";
    for deed in [Deed::ShutDown, Deed::AnswerAndShutDown] {
        let broken = deed.clone();
        let server = StandIn::new(move |connection, sql| match (connection, sql) {
            (1, UPDATE) => broken.clone(),
            _ => Deed::Answer,
        });
        let story = telling(
            repeating(2, &["connection"]),
            &["SET work_mem = '1MB'", "BEGIN", "SET search_path = a", PREPARE, UPDATE],
        );
        let replayed = story.query(300, 1, "COMMIT").query(301, 1, "SELECT 3").replay(&server).await;
        assert_eq!((replayed.outcomes(1), attempts(&replayed)), (vec![Ok; 7], vec![1, 2, 2, 2, 2, 1, 1]), "{deed:?}");
        let again = ["SET work_mem = '1MB'", "BEGIN", "SET search_path = a", PREPARE, UPDATE, "COMMIT", "SELECT 3"];
        assert_eq!(server.heard(2), again);
        assert_eq!(replayed.report.restores_failed(), 0);
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_sent_again_only_where_that_is_wanted() {
    for (indeterminate, outcome, times) in [(false, Indeterminate, 1), (true, Ok, 2)] {
        let server = failing("COMMIT", &[Deed::ShutDown]);
        let mut clients = repeating(2, &["connection", "57P01"]);
        clients.retry.indeterminate = indeterminate;
        let replayed = telling(clients, &BLOCK).replay(&server).await;
        assert_eq!(replayed.outcomes(1), [Ok, Ok, Ok, outcome, Ok]);
        assert_eq!((heard(&server, UPDATE), heard(&server, "COMMIT")), (times, times));
    }
}

#[tokio::test]
async fn the_end_of_the_run_ends_a_block_between_its_tries() {
    for (pace, outcomes) in [(Speed::Factor(1.0), vec![Ok, Failed, Skipped]), (Speed::Max, vec![Ok, Failed])] {
        let server = failing(UPDATE, &[Deed::Error("40001")]);
        let mut clients = repeating(2, &["40001"]);
        (clients.retry.backoff, clients.retry.backoff_max) = (Duration::from_secs(3_600), Duration::from_secs(3_600));
        let mut story = telling(clients, &BLOCK[..3]).query(PATIENT.as_millis() as u64, 1, "COMMIT");
        story.pace = Pace::new(pace, 1);
        let stops = async {
            server.until_heard("ROLLBACK").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let replayed = story.replay_at(&endpoint(server.target()), stops).await;
        assert_eq!((replayed.outcomes(1), replayed.report.retried()), (outcomes, 0));
    }
}

#[tokio::test]
async fn a_block_whose_next_try_finds_no_connection_ends_as_its_last_one_did() {
    let server = failing(UPDATE, &[Deed::ShutDown]);
    let nowhere = tempfile::tempdir().unwrap();
    let place = endpoint(server.target());
    let clients = Clients { deadline: Duration::from_millis(100), ..repeating(2, &["connection"]) };
    let moved = async {
        server.until_heard(UPDATE).await;
        place.switch(crate::net::Target::unix(nowhere.path(), 5432), "new");
        std::future::pending().await
    };
    let replayed = telling(clients, &BLOCK[..4]).replay_at(&place, moved).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped]);
    assert_eq!((attempts(&replayed), replayed.report.retried()), (vec![1; 4], 0));
}

#[tokio::test]
async fn what_cannot_be_done_again_leaves_its_block_as_it_is() {
    // Too long a block, and one that is as long as can be.
    for (length, outcome) in [(REQUESTS_MAX + 1, Failed), (REQUESTS_MAX, Ok)] {
        let server = failing("COMMIT", &[Deed::Error("40001")]);
        let reads = vec!["SELECT 1"; length - 2];
        let story = telling(repeating(2, &["40001"]), &[&["BEGIN"], &reads[..], &["COMMIT", "SELECT 3"]].concat());
        assert_eq!(story.replay(&server).await.outcomes(1)[length - 1..], [outcome, Ok]);
    }
    // Data that its client sent.
    let server = failing(UPDATE, &[Deed::Error("40001")]);
    let story = telling(repeating(2, &["40001"]), &["BEGIN", "COPY t FROM STDIN"]).data(1, 1, "1\n", Some("done"));
    let replayed = story.query(2, 1, UPDATE).query(3, 1, "COMMIT").query(4, 1, "SELECT 3").replay(&server).await;
    assert_eq!((replayed.outcomes(1), replayed.report.retried()), (vec![Ok, Ok, Failed, Skipped, Ok], 0));
    // A commit in the middle.
    let server = failing(UPDATE, &[Deed::Error("40001")]);
    let story = telling(repeating(2, &["40001"]), &["BEGIN", "COMMIT AND CHAIN", UPDATE, "COMMIT", "SELECT 3"]);
    assert_eq!(story.replay(&server).await.outcomes(1), [Ok, Ok, Failed, Skipped, Ok]);
    // Requests that a replay which is to change nothing leaves out.
    let server = failing("SELECT 2", &[Deed::Error("40001")]);
    let mut story = telling(repeating(2, &["40001"]), &BLOCK);
    story.pace.read_only = true;
    assert_eq!(story.replay(&server).await.outcomes(1), [Ok, Failed, Skipped, Ok]);
}

#[tokio::test]
async fn a_block_that_is_run_again_stands_where_it_stood_in_the_order_of_commits() {
    let server = StandIn::new({
        let fails = std::sync::atomic::AtomicBool::new(true);
        move |_, sql| match sql {
            "COMMIT" if fails.swap(false, std::sync::atomic::Ordering::Relaxed) => Deed::Error("40001"),
            "COMMIT" => Deed::AnswerAfter("SELECT 'release'"),
            _ => Deed::Answer,
        }
    });
    let mut story = Story::new(repeating(2, &["40001"])).session(1).session(2).session(3);
    for (at_ms, sql) in [(0, "BEGIN"), (1, "UPDATE t SET a = 1 WHERE id = 5"), (2, "COMMIT")] {
        story = story.query(at_ms, 1, sql).took(1);
    }
    story = story.query(20, 2, "UPDATE t SET a = 2 WHERE id = 5").took(1).query(300, 3, "SELECT 'release'");
    story.order_wait = Some(PATIENT);
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.outcomes(1), replayed.outcomes(2)), (vec![Ok; 3], vec![Ok]));
    assert_eq!((replayed.report.retried(), replayed.report.order_waits()), (3, (1, 0)));
    let (commit, behind) = (replayed.requests(1)[2], replayed.requests(2)[0]);
    assert!(behind.sent_us.unwrap() >= commit.done_us, "{behind:?}");
}

#[tokio::test]
async fn a_block_that_is_run_again_gets_ids_of_its_own_and_its_rounds_come_and_go() {
    const INSERT: &str = "INSERT INTO orders (customer) VALUES ('ada') RETURNING id";
    let server = StandIn::new({
        let inserts = std::sync::atomic::AtomicUsize::new(0);
        let commits = std::sync::atomic::AtomicUsize::new(0);
        let next =
            |counter: &std::sync::atomic::AtomicUsize| counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        move |_, sql| match sql {
            INSERT => Deed::Return(["9000", "9001", "9002", "9003"][next(&inserts)]),
            "COMMIT" if next(&commits) % 2 == 0 => Deed::Error("40001"),
            _ => Deed::Answer,
        }
    });
    let returned = json!([{"total_us": 1_000, "rows": 1, "command_tag": "INSERT 0 1", "returned_columns": ["id"],
        "returned": ["41"]}]);
    let story = telling(repeating(2, &["40001"]), &["BEGIN", INSERT]).results(returned);
    let mut story = story.query(5, 1, "DELETE FROM orders WHERE id = 41").took(1).query(6, 1, "COMMIT");
    let rounds = crate::replay::Rounds::new(crate::scenario::resolved::Loop::Times(2), story.spool().totals().span_us);
    story.pace = Pace { rounds, ..Pace::new(Speed::Max, 1) };
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.outcomes(1), replayed.report.retried()), (vec![Ok; 8], 8));
    let deletes: Vec<_> = server.heard(1).into_iter().filter(|sql| sql.starts_with("DELETE")).collect();
    assert_eq!(deletes, ["9000", "9001", "9002", "9003"].map(|id| format!("DELETE FROM orders WHERE id = {id}")));
    assert!(replayed.events.contains(&What::IdsMapped { mapped: 2, unfilled: 0, unsure: 0 }), "{:?}", replayed.events);
}

#[tokio::test]
async fn with_think_time_a_client_pauses_in_each_try() {
    let server = failing("COMMIT", &[Deed::Error("40001")]);
    let mut story = Story::new(repeating(2, &["40001"]))
        .session(1)
        .query(0, 1, "BEGIN")
        .query(60, 1, UPDATE)
        .query(120, 1, "COMMIT");
    story.pace = Pace { pacing: Pacing::ThinkTime, ..Pace::new(Speed::Factor(1.0), 1) };
    let replayed = story.replay(&server).await;
    let requests = replayed.requests(1);
    for pair in requests.windows(2) {
        assert_eq!(pair[1].ready_us.unwrap() - pair[0].done_us, 60_000);
    }
    assert!(requests.iter().all(|request| request.attempt == 2 && request.schedule_lag_us() < Some(30_000)));
}

#[tokio::test]
async fn whatever_breaks_each_request_ends_once_and_its_tries_are_counted_up() {
    const TEXTS: [&str; 7] =
        ["BEGIN", "COMMIT", "ROLLBACK", UPDATE, "SELECT 2", "SET work_mem = '1MB'", "COMMIT AND CHAIN"];
    for seed in 0..40 {
        let chance = move |number: u64, of: usize| (words::chance::chance(&[seed, number]) * of as f64) as usize;
        let asked = std::sync::atomic::AtomicU64::new(1 << 32);
        let server = StandIn::new(move |_, _| {
            let number = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let deeds = [Deed::Error("40001"), Deed::Error("23505"), Deed::ShutDown, Deed::AnswerAndShutDown];
            deeds.get(chance(number, 20)).cloned().unwrap_or(Deed::Answer)
        });
        let texts: Vec<_> = (0..60).map(|number| TEXTS[chance(number, TEXTS.len())]).collect();
        let mut story = telling(repeating(3, &["40001", "connection"]), &texts);
        story.pace = Pace::new(if seed % 2 == 0 { Speed::Factor(4.0) } else { Speed::Max }, 1);
        let replayed = story.replay(&server).await;
        assert_eq!(replayed.report.offered(), 60, "seed {seed}");
        let events: Vec<u64> = replayed.requests(1).iter().map(|request| request.event).collect();
        assert_eq!(events, (0..60).collect::<Vec<u64>>(), "seed {seed}");
        for request in replayed.requests(1) {
            let tries = tries(&replayed).into_iter().filter(|(event, ..)| *event == request.event);
            let counted: Vec<u16> = tries.map(|(_, attempt, _)| attempt).collect();
            assert_eq!(counted, (1..request.attempt).collect::<Vec<u16>>(), "seed {seed}: {request:?}");
            assert!(request.attempt <= 3, "seed {seed}: {request:?}");
        }
    }
}
