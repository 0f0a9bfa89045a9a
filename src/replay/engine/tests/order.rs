//! Transactions that touch the same rows, in the captured order of their commits or free of it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, PATIENT, Replayed, Story, endpoint};
use crate::samples::sample::Outcome::Ok;
use crate::scenario::resolved::{Retry, RetryOn};
use crate::timeline::What;

const FIRST: &str = "UPDATE t SET a = 1 WHERE id = 5";
const SECOND: &str = "UPDATE t SET a = 2 WHERE id = 5";

/// Session 1 commits its update of a row before session 2 sends its own; session 3 is busy with another row.
fn story(order_wait: Option<Duration>) -> Story {
    let mut story = Story::new(CLIENTS)
        .session(1)
        .session(2)
        .session(3)
        .query(0, 1, FIRST)
        .took(10)
        .query(20, 2, SECOND)
        .took(10)
        .query(30, 3, "UPDATE t SET a = 3 WHERE id = 6")
        .query(300, 3, "SELECT 'release'");
    story.order_wait = order_wait;
    story
}

fn sent_us(replayed: &Replayed, session: u32) -> u64 {
    replayed.requests(session)[0].sent_us.unwrap()
}

#[tokio::test]
async fn a_request_waits_for_the_commit_that_it_came_after() {
    let server = StandIn::new(|_, sql| if sql == FIRST { Deed::AnswerAfter("SELECT 'release'") } else { Deed::Answer });
    let replayed = story(Some(PATIENT)).replay(&server).await;
    let (first, second) = (replayed.requests(1)[0], replayed.requests(2)[0]);
    assert_eq!((first.outcome, second.outcome), (Ok, Ok));
    assert!(second.sent_us.unwrap() >= first.done_us, "{second:?}");
    assert!(second.order_wait_us > 0);
    assert!(second.schedule_lag_us().unwrap() < second.order_wait_us, "the wait is not the tool's: {second:?}");
    let third = replayed.requests(3)[0];
    assert_eq!(third.order_wait_us, 0);
    assert!(third.done_us < first.done_us, "another row waits for nobody: {third:?}");
    assert_eq!(replayed.report.order_waits(), (1, 0));
    assert!(replayed.events.contains(&What::OrderKept { waits: 1, broken: 0 }));
}

#[tokio::test]
async fn sessions_that_are_free_do_not_wait() {
    let server = StandIn::new(|_, sql| if sql == FIRST { Deed::AnswerAfter(SECOND) } else { Deed::Answer });
    let replayed = story(None).replay(&server).await;
    assert!(sent_us(&replayed, 2) < replayed.requests(1)[0].done_us);
    assert_eq!(replayed.requests(2)[0].order_wait_us, 0);
    assert!(!replayed.events.iter().any(|event| matches!(event, What::OrderKept { .. })));
}

#[tokio::test]
async fn a_wait_that_cannot_end_is_broken_and_counted() {
    // The first is answered only when the second has been sent, which waits for it.
    let server = StandIn::new(|_, sql| if sql == FIRST { Deed::AnswerAfter(SECOND) } else { Deed::Answer });
    let replayed = story(Some(Duration::from_millis(50))).replay(&server).await;
    let second = replayed.requests(2)[0];
    assert!(second.order_wait_us >= 50_000, "{second:?}");
    assert_eq!((replayed.outcomes(1), replayed.outcomes(2)), (vec![Ok], vec![Ok]));
    assert_eq!(replayed.report.order_waits(), (1, 1));
}

#[tokio::test]
async fn a_request_that_is_tried_again_does_not_wait_again() {
    let fails = AtomicBool::new(true);
    let server = StandIn::new(move |_, sql| match sql {
        FIRST => Deed::AnswerAfter("SELECT 'release'"),
        SECOND if fails.swap(false, Relaxed) => Deed::Error("40001"),
        _ => Deed::Answer,
    });
    let mut told = story(Some(PATIENT));
    let on = vec![RetryOn::from_text("40001").unwrap()];
    told.clients.retry = Retry { attempts: 2, on, ..Retry::NONE };
    let replayed = told.replay(&server).await;
    assert_eq!((replayed.outcomes(2), replayed.report.retried()), (vec![Ok], 1));
    assert_eq!(replayed.report.order_waits(), (1, 0));
}

#[tokio::test]
async fn a_session_that_is_gone_is_waited_for_no_longer() {
    let server = StandIn::new(|_, sql| if sql == FIRST { Deed::ShutDown } else { Deed::Answer });
    let replayed = story(Some(PATIENT)).replay(&server).await;
    assert_eq!(replayed.outcomes(2), [Ok]);
    assert_eq!(replayed.report.order_waits().1, 0);
}

#[tokio::test]
async fn the_end_of_the_run_ends_a_wait() {
    let server = StandIn::new(|_, sql| if sql == FIRST { Deed::Hang } else { Deed::Answer });
    let told = story(Some(PATIENT));
    let stops = server.until_heard("SELECT 'release'");
    let replayed = told.replay_at(&endpoint(server.target()), stops).await;
    assert_eq!(replayed.report.offered(), 4);
    assert!(replayed.requests(2)[0].sent_us.is_none());
}
