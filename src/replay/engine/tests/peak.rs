//! More traffic than the captured: copies of sessions and of the tenants in them, with values of their own.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, PATIENT, Replayed, Story};
use crate::replay::pace::Pace;
use crate::replay::{Copies, Rounds, UniqueColumns};
use crate::samples::sample::{Difference, Outcome::Ok, ResultCheck, Sample};
use crate::scenario::resolved::{Loop, Speed};

/// Two sessions of two requests each.
fn two_sessions() -> Story {
    let story = Story::new(CLIENTS).session(1).session(2);
    story.query(0, 1, "SELECT 1").query(5, 2, "SELECT 2").query(20, 1, "SELECT 3").query(25, 2, "SELECT 4")
}

/// The requests of a copy of a session in the order of their due times.
fn of_copy(replayed: &Replayed, session: u32, copy: u16) -> Vec<&Sample> {
    let mut requests = replayed.requests(session);
    requests.retain(|request| request.copy == copy);
    requests.sort_by_key(|request| request.due_us);
    requests
}

#[tokio::test]
async fn sessions_of_a_copy_start_apart_and_keep_their_own_times() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = two_sessions();
    let copies = Copies::new(3).with_jitter(Duration::from_millis(50), 1);
    story.pace = Pace { copies: copies.clone(), ..Pace::new(Speed::Factor(20.0), 3) };
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (12, 12));
    let first_us = |session, copy| of_copy(&replayed, session, copy)[0].due_us;
    for (session, number) in [(1, 0), (2, 1)] {
        for copy in 0..3 {
            let requests = of_copy(&replayed, session, copy);
            assert_eq!(requests.len(), 2);
            assert_eq!(requests[1].due_us - requests[0].due_us, 1_000, "a session's own pace is the captured one");
            let behind_us = requests[0].due_us - first_us(session, 0);
            assert!(behind_us.abs_diff(copies.offset_us(number, copy) / 20) <= 1, "{behind_us}");
        }
    }
    assert_ne!(first_us(2, 1) - first_us(1, 1), first_us(2, 0) - first_us(1, 0));
    let due = |until_us| story.spool().requests_due(&story.pace, until_us).unwrap();
    assert_eq!((due(1), due(1_000), due(u64::MAX)), (Some(1), Some(2), Some(12)));
}

/// What came on each connection, the one with the most first.
fn heard(server: &StandIn, connections: usize) -> Vec<Vec<String>> {
    let mut heard: Vec<_> = (1..=connections).map(|connection| server.heard(connection)).collect();
    heard.sort_by_key(|texts| std::cmp::Reverse(texts.len()));
    heard
}

#[tokio::test]
async fn a_tenant_s_copies_are_its_transactions_alone_and_what_the_session_sets() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SET search_path = both")
        .of_bolt()
        .query(1, 1, "SELECT 'bolt'")
        .of_bolt()
        .query(2, 1, "BEGIN")
        .query(3, 1, "SELECT 'acme'")
        .query(4, 1, "SELECT 'bolt, in acme''s transaction'")
        .of_bolt()
        .query(5, 1, "COMMIT")
        .session(2)
        .query(6, 2, "SELECT 'bolt again'")
        .of_bolt();
    story.pace = Pace { copies: Copies::new(1).with_tenants(vec![2.0, 1.0]), ..Pace::new(Speed::Factor(100.0), 1) };
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (12, 12));
    assert_eq!(story.spool().requests_due(&story.pace, u64::MAX).unwrap(), Some(12));
    assert_eq!(replayed.report.connects(), (3, 0), "session 2 is bolt's alone");
    let heard = heard(&server, 3);
    let copied =
        ["SET search_path = both", "BEGIN", "SELECT 'acme'", "SELECT 'bolt, in acme''s transaction'", "COMMIT"];
    assert_eq!((heard[0].len(), &heard[1][..], heard[2].len()), (6, &copied.map(str::to_owned)[..], 1));
}

#[tokio::test]
async fn nobody_waits_for_the_commit_of_a_copy_that_there_is_not() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS)
        .session(1)
        .session(2)
        .query(0, 1, "UPDATE t SET a = 1 WHERE id = 5")
        .took(1)
        .query(5, 2, "UPDATE t SET a = 2 WHERE id = 5")
        .of_bolt();
    story.order_wait = Some(PATIENT);
    story.pace = Pace { copies: Copies::new(1).with_tenants(vec![1.0, 2.0]), ..Pace::new(Speed::Factor(100.0), 1) };
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (3, 3));
    assert_eq!(of_copy(&replayed, 2, 1)[0].order_wait_us, 0);
}

#[tokio::test]
async fn long_stretches_of_others_are_passed_over() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS).session(1);
    for at_ms in 0..1_000 {
        story = story.query(at_ms, 1, "SELECT 'bolt'").of_bolt();
    }
    let mut story = story.query(1_000, 1, "SELECT 'acme'");
    for speed in [Speed::Factor(50.0), Speed::Max] {
        story.pace = Pace { copies: Copies::new(1).with_tenants(vec![1.0, 0.0]), ..Pace::new(speed, 1) };
        let replayed = story.replay(&server).await;
        assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (1, 1));
    }
    assert_eq!(server.heard(1), ["SELECT 'acme'"]);
}

#[tokio::test]
async fn blocks_of_others_are_not_begun_however_far_they_lie() {
    let server = StandIn::new(|_, _| Deed::Answer);
    // Every 257th request of others waits for its time instead of being passed over in one go with those before it.
    let mut story = Story::new(CLIENTS).session(1);
    for at_ms in 0..256 {
        story = story.query(at_ms, 1, "SELECT 'bolt'").of_bolt();
    }
    story = story.query(256, 1, "BEGIN").of_bolt().query(257, 1, "COMMIT").of_bolt();
    let mut story = story.query(300, 1, "INSERT INTO acme VALUES (1)");
    story.pace = Pace { copies: Copies::new(1).with_tenants(vec![1.0, 0.0]), ..Pace::new(Speed::Factor(10.0), 1) };
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (1, 1));
    assert_eq!(server.heard(1), ["INSERT INTO acme VALUES (1)"]);
}

#[tokio::test]
async fn copies_and_rounds_have_values_of_their_own_in_unique_columns() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "INSERT INTO orders (id, sum) VALUES (7, 7)")
        .query(10, 1, "SELECT sum FROM orders WHERE id = 7")
        .results(serde_json::json!([{"rows": 1}]));
    let unique = UniqueColumns::new([("orders".to_owned(), "id".to_owned())], 100);
    story.pace = Pace {
        copies: Copies::new(2).with_unique(unique),
        rounds: Rounds::new(Loop::Times(2), 20_000),
        ..Pace::new(Speed::Factor(10.0), 1)
    };
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Ok)), (8, 8));
    let mut heard = [server.heard(1), server.heard(2)];
    heard.sort();
    let round = |id| {
        [format!("INSERT INTO orders (id, sum) VALUES ({id}, 7)"), format!("SELECT sum FROM orders WHERE id = {id}")]
    };
    let texts = |first, second| [&round(first)[..], &["DISCARD ALL".to_owned()], &round(second)].concat();
    assert_eq!(heard, [texts(107, 307), texts(7, 207)]);
    let selected = |copy| of_copy(&replayed, 1, copy)[1].result;
    assert_eq!(selected(0), ResultCheck::Differs(Some(Difference::Rows)));
    assert_eq!(selected(1), ResultCheck::Unknown, "rows of other values");
}
