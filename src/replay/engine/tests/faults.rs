//! What a session does with errors, and with answers that come late or never.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story, sqlstate};
use crate::replay::pace::Pace;
use crate::samples::sample::Outcome::{ExpectedError, Expired, Failed, Indeterminate, Late, Ok, Skipped};
use crate::samples::sample::ResultCheck;
use crate::scenario::resolved::{Clients, OnDeadline, Speed};

/// A deadline that a busy machine keeps where it should be kept, and that a test can wait for where it should not.
const DEADLINE: Duration = Duration::from_millis(400);

/// What a request must have taken in the capture to have all the time in the world.
const LONG_MS: u64 = 20_000;

/// Clients with that deadline.
fn impatient(on_deadline: OnDeadline) -> Clients {
    Clients { deadline: DEADLINE, on_deadline, ..CLIENTS }
}

#[tokio::test]
async fn an_error_of_the_capture_is_expected_and_its_transaction_goes_on_as_captured() {
    let server = StandIn::new(|_, sql| match sql {
        "INSERT INTO t VALUES (1)" => Deed::Error("23505"),
        "SELECT 1" => Deed::Error("25P02"),
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "BEGIN")
        .query(1, 1, "INSERT INTO t VALUES (1)")
        .failed_with("23505")
        .query(2, 1, "SELECT 1")
        .failed_with("25P02")
        .query(3, 1, "ROLLBACK");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, ExpectedError, ExpectedError, Ok]);
    assert_eq!(replayed.requests(1)[1].result, ResultCheck::Same);
}

#[tokio::test]
async fn after_an_unexpected_error_the_client_rolls_back_and_skips_the_rest() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 1 / 0" { Deed::Error("22012") } else { Deed::Answer });
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "BEGIN")
        .query(1, 1, "SELECT 1 / 0")
        .query(2, 1, "UPDATE t SET a = 1")
        .query(3, 1, "COMMIT")
        .query(4, 1, "SELECT 2");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped, Ok]);
    assert_eq!(replayed.requests(1)[1].sqlstate, sqlstate("22012"));
    assert_eq!(server.heard(1), ["BEGIN", "SELECT 1 / 0", "ROLLBACK", "SELECT 2"]);
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_late_and_what_waited_too_long_expires() {
    let server = StandIn::new(|_, sql| match sql {
        "SELECT 'slow'" => Deed::AnswerAfter("SELECT 'release'"),
        _ => Deed::Answer,
    });
    let story = Story::new(impatient(OnDeadline::Wait))
        .session(1)
        .session(2)
        .query(0, 1, "SELECT 'slow'")
        .query(1, 1, "SELECT 'behind'")
        .query(2, 1, "BEGIN")
        .query(3, 1, "UPDATE t SET a = 1")
        .query(4, 1, "COMMIT")
        .query(1_000, 2, "SELECT 'release'")
        .query(1_001, 1, "SELECT 'on time'")
        .took(LONG_MS);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Late, Expired, Expired, Skipped, Skipped, Ok]);
    let behind = replayed.requests(1)[1];
    assert_eq!((behind.sent_us, behind.ready_us, behind.done_us), (None, None, behind.due_us + 400_000));
}

#[tokio::test]
async fn inside_a_transaction_that_has_begun_nothing_expires() {
    let server = StandIn::new(|_, sql| match sql {
        "UPDATE t SET a = 1" => Deed::AnswerAfter("SELECT 'release'"),
        _ => Deed::Answer,
    });
    let story = Story::new(impatient(OnDeadline::Wait))
        .session(1)
        .session(2)
        .query(0, 1, "BEGIN")
        .query(1, 1, "UPDATE t SET a = 1")
        .query(2, 1, "COMMIT")
        .took(LONG_MS)
        .query(1_000, 2, "SELECT 'release'");
    assert_eq!(story.replay(&server).await.outcomes(1), [Ok, Late, Ok]);
}

#[tokio::test]
async fn a_client_gives_up_after_abandon_or_at_its_deadline() {
    let abandoning = Clients { abandon: DEADLINE, ..impatient(OnDeadline::Wait) };
    for clients in [abandoning, impatient(OnDeadline::Disconnect)] {
        let server = StandIn::new(|_, sql| if sql.contains("hang") { Deed::Hang } else { Deed::Answer });
        let story = Story::new(clients)
            .session(1)
            .query(0, 1, "SELECT 'hang'")
            .query(500, 1, "UPDATE t SET a = 'hang'")
            .query(501, 1, "SELECT 3")
            .took(LONG_MS);
        let replayed = story.replay(&server).await;
        assert_eq!(replayed.outcomes(1), [Failed, Indeterminate, Ok]);
        let hung = replayed.requests(1)[0];
        assert!(hung.service_us() >= Some(400_000) && hung.sqlstate.is_none());
        assert_eq!(replayed.report.connects(), (3, 0));
    }
}

#[tokio::test]
async fn a_client_may_cancel_at_its_deadline() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 'slow'" { Deed::WaitForCancel } else { Deed::Answer });
    let story = Story::new(impatient(OnDeadline::Cancel))
        .session(1)
        .query(0, 1, "SELECT 'slow'")
        .query(1, 1, "SELECT 2")
        .took(LONG_MS);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Failed, Ok]);
    assert_eq!(replayed.requests(1)[0].sqlstate, sqlstate("57014"));
    assert_eq!(replayed.report.connects(), (1, 0));
}

#[tokio::test]
async fn a_wait_behind_another_tenant_is_told_apart() {
    let server = StandIn::new(|_, sql| match sql {
        "SELECT 'bolt'" => Deed::AnswerAfter("SELECT 'release'"),
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS)
        .session(1)
        .session(2)
        .query(0, 1, "SELECT 'bolt'")
        .of_bolt()
        .query(10, 1, "SELECT 'acme'")
        .query(50, 2, "SELECT 'release'");
    let replayed = story.replay(&server).await;
    let (bolt, acme) = (replayed.requests(1)[0], replayed.requests(1)[1]);
    assert_eq!(acme.outcome, Ok);
    let behind_us = bolt.done_us - bolt.sent_us.unwrap().max(acme.due_us);
    assert!(behind_us > 0 && acme.other_tenant_wait_us == behind_us, "{bolt:?} {acme:?}");
}

#[tokio::test]
async fn at_full_speed_nothing_is_late_and_every_copy_is_replayed() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS).session(1).session(2);
    story.pace = Pace::new(Speed::Max, 3);
    for number in 0..50 {
        story = story.query(number * 60_000, 1, "SELECT 1").query(number * 60_000, 2, "UPDATE t SET a = 1");
    }
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.report.count(Ok), 300);
    assert!(replayed.requests(2).iter().all(|sample| Some(sample.due_us) == sample.ready_us));
    assert_eq!(replayed.report.connects(), (6, 0));
}
