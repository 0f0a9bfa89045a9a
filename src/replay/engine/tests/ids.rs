//! Ids that the server generates: what one session got is what the others send.

use serde_json::json;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, PATIENT, Story};
use crate::samples::sample::Outcome;
use crate::samples::sample::ResultCheck;
use crate::scenario::resolved::{Retry, RetryOn};
use crate::timeline::What;

const INSERT: &str = "INSERT INTO orders (customer) VALUES ('ada') RETURNING id";
const DELETE: &str = "DELETE FROM orders WHERE id = 41";

/// Session 1 gets the id 41, which session 2 sends some time later.
fn story(later_ms: u64) -> Story {
    let returned = json!([{"total_us": 1_000, "rows": 1, "command_tag": "INSERT 0 1", "returned_columns": ["id"],
        "returned": ["41"]}]);
    Story::new(CLIENTS)
        .session(1)
        .session(2)
        .session(3)
        .query(0, 1, INSERT)
        .results(returned)
        .query(later_ms, 2, DELETE)
        .results(json!([{"total_us": 1_000, "rows": 1, "digest": "u:1"}]))
        .query(later_ms + 1, 2, "SELECT pay(41)")
        .query(300, 3, "SELECT 'release'")
}

#[tokio::test]
async fn an_id_of_the_replay_takes_the_place_of_the_captured_one() {
    let server = StandIn::new(|_, sql| if sql == INSERT { Deed::Return("9000") } else { Deed::Answer });
    let replayed = story(100).replay(&server).await;
    server.until_heard("DELETE FROM orders WHERE id = 9000").await;
    server.until_heard("SELECT pay(41)").await;
    assert!(replayed.events.contains(&What::IdsMapped { mapped: 1, unfilled: 0, unsure: 1 }), "{:?}", replayed.events);
    let results: Vec<_> = [1, 2].iter().map(|session| replayed.requests(*session)[0].result).collect();
    assert_eq!(results, [ResultCheck::Same; 2], "rows are compared, and not their digests");
}

#[tokio::test]
async fn an_id_that_is_not_there_is_sent_as_captured() {
    let server = StandIn::new(|_, sql| if sql == INSERT { Deed::Error("23505") } else { Deed::Answer });
    let replayed = story(100).replay(&server).await;
    server.until_heard(DELETE).await;
    assert!(replayed.events.contains(&What::IdsMapped { mapped: 0, unfilled: 1, unsure: 1 }), "{:?}", replayed.events);
}

#[tokio::test]
async fn in_the_order_of_commits_a_request_waits_for_its_id() {
    let server = StandIn::new(|_, sql| match sql {
        INSERT => Deed::ReturnAfter("9000", "SELECT 'release'"),
        _ => Deed::Answer,
    });
    let mut told = story(10);
    told.order_wait = Some(PATIENT);
    let replayed = told.replay(&server).await;
    server.until_heard("DELETE FROM orders WHERE id = 9000").await;
    assert!(replayed.requests(2)[0].order_wait_us > 0);
}

#[tokio::test]
async fn a_request_that_is_tried_again_sends_its_id_again_and_counts_it_once() {
    let tries = std::sync::atomic::AtomicU32::new(0);
    let server = StandIn::new(move |_, sql| match sql {
        INSERT => Deed::Return("9000"),
        _ if sql.starts_with("DELETE") && tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
            Deed::Error("40001")
        }
        _ => Deed::Answer,
    });
    let mut told = story(100);
    told.clients.retry = Retry { attempts: 2, on: vec![RetryOn::from_text("40001").unwrap()], ..Retry::NONE };
    let replayed = told.replay(&server).await;
    assert_eq!((replayed.report.retried(), replayed.outcomes(2)[0]), (1, Outcome::Ok));
    assert!(replayed.events.contains(&What::IdsMapped { mapped: 1, unfilled: 0, unsure: 1 }), "{:?}", replayed.events);
}

#[tokio::test]
async fn a_workload_without_ids_says_nothing_of_them() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let replayed = Story::new(CLIENTS).session(1).query(0, 1, DELETE).replay(&server).await;
    assert!(!replayed.events.iter().any(|event| matches!(event, What::IdsMapped { .. })));
}
