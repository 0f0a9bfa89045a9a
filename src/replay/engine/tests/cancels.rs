//! Cancel requests of captured clients.

use super::live::{cluster, target};
use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story, endpoint};
use crate::samples::sample::Outcome::{ExpectedError, Ok};
use crate::server::fixture::Run;

#[tokio::test]
async fn a_cancelled_statement_is_cancelled_again() {
    let run = Run::new("t-replay-cancel");
    let Some(cluster) = cluster(&run).await else { return };
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SELECT pg_sleep(60)")
        .failed_with("57014")
        .cancel(300, 1)
        .query(310, 1, "SELECT 1");
    let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
    assert_eq!(replayed.outcomes(1), [ExpectedError, Ok]);
    let slept = replayed.requests(1)[0];
    assert!(slept.done_us - slept.sent_us.unwrap_or_default() >= 300_000, "{slept:?}");
}

#[tokio::test]
async fn the_next_statement_waits_until_the_server_is_done_with_the_cancel_request() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 'long'" { Deed::WaitForCancel } else { Deed::Answer });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SELECT 'long'")
        .failed_with("57014")
        .cancel(5, 1)
        .query(6, 1, "SELECT 1");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [ExpectedError, Ok]);
    assert_eq!(server.heard_of_all(), ["SELECT 'long'", "cancel", "cancelled", "SELECT 1"]);
    let [long, next] = replayed.requests(1)[..] else { panic!("two requests") };
    // The session was busy that long: no lag of the schedule's.
    assert!(next.ready_us.unwrap() >= long.done_us + 25_000, "{long:?} {next:?}");
}

#[tokio::test]
async fn what_is_answered_is_not_cancelled() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SELECT 'slow in the capture'")
        .failed_with("57014")
        .cancel(30, 1)
        .query(60, 1, "SELECT 1");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok]);
    assert!(server.heard(0).is_empty(), "a cancel request has no connection's number");
}
