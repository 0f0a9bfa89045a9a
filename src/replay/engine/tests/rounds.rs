//! The workload again and again: what lasts keeps its connection, what does not is opened anew, and each request is booked once.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, PATIENT, Replayed, Story};
use crate::replay::pace::Pace;
use crate::replay::{Copies, Rounds};
use crate::samples::sample::{Outcome, Sample};
use crate::scenario::resolved::{Loop, Speed};

/// Session 1 lasts over the whole capture; session 2 ends before it does.
fn story() -> Story {
    let story = Story::new(CLIENTS).session(1).session(2);
    let story = story.query(0, 1, "SET search_path = a").query(5, 2, "SELECT 1").query(10, 1, "SELECT 2");
    story.query(15, 2, "SELECT 3").close(20, 2).query(40, 1, "SELECT 4")
}

fn looped(story: &Story, chosen: Loop, speed: Speed) -> Pace {
    Pace { rounds: Rounds::new(chosen, story.spool().totals().span_us), ..Pace::new(speed, 1) }
}

/// A session's requests in the order in which they were sent.
fn sent(replayed: &Replayed, session: u32) -> Vec<&Sample> {
    let mut requests = replayed.requests(session);
    requests.sort_by_key(|request| request.sent_us);
    requests
}

#[tokio::test]
async fn every_round_sends_all_requests_in_their_order() {
    for speed in [Speed::Factor(4.0), Speed::Max] {
        let server = StandIn::new(|_, _| Deed::Answer);
        let mut story = story();
        story.pace = looped(&story, Loop::Times(3), speed);
        let replayed = story.replay(&server).await;
        assert_eq!((replayed.report.offered(), replayed.report.count(Outcome::Ok)), (15, 15));
        assert!(replayed.report.workload_ended);
        assert_eq!(replayed.report.connects(), (4, 0), "one that lasts, and one in each round");
        for (session, requests) in [(1, 3), (2, 2)] {
            let sent = sent(&replayed, session);
            let events: Vec<u64> = sent.iter().map(|request| request.event).collect();
            assert_eq!(events, events[..requests].repeat(3));
            assert!(sent.windows(2).all(|pair| pair[0].done_us <= pair[1].sent_us.unwrap()), "one after the other");
        }
        if let Speed::Factor(_) = speed {
            let due_us: Vec<u64> = sent(&replayed, 1).iter().map(|request| request.due_us).collect();
            let behind: Vec<u64> = due_us.iter().map(|due| due - due_us[0]).collect();
            assert_eq!(behind, [0, 2_500, 10_000, 10_000, 12_500, 20_000, 20_000, 22_500, 30_000]);
            let due = |until_us| story.spool().requests_due(&story.pace, until_us).unwrap();
            assert_eq!([due(1), due(10_000), due(10_001), due(u64::MAX)].map(Option::unwrap), [1, 4, 6, 15]);
        }
    }
}

#[tokio::test]
async fn a_session_that_lasts_begins_each_round_as_it_began_the_first() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS).session(1).query(0, 1, "BEGIN").execute(1, 1, "s", "SELECT 1");
    story.pace = looped(&story, Loop::Times(2), Speed::Max);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.report.connects(), (1, 0));
    let round = ["BEGIN", "parse s: SELECT 1", "execute s"];
    let heard: Vec<&str> = round.into_iter().chain(["ROLLBACK", "DISCARD ALL"]).chain(round).collect();
    assert_eq!(server.heard(1), heard);
}

#[tokio::test]
async fn where_that_does_not_work_it_connects_again() {
    let server = StandIn::new(|_, sql| if sql == "DISCARD ALL" { Deed::Error("42501") } else { Deed::Answer });
    let mut story = Story::new(CLIENTS).session(1).query(0, 1, "SELECT 1").query(1, 1, "SELECT 2");
    story.pace = looped(&story, Loop::Times(3), Speed::Max);
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Outcome::Ok)), (6, 6));
    assert_eq!(replayed.report.connects(), (3, 0));
}

#[tokio::test]
async fn a_time_ends_the_last_round_wherever_it_is() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = story();
    // 40 ms of the capture take 10 ms: two rounds and a part of the third.
    story.pace = looped(&story, Loop::For(Duration::from_millis(23)), Speed::Factor(4.0));
    let replayed = story.replay(&server).await;
    assert_eq!(story.spool().requests_due(&story.pace, u64::MAX).unwrap(), Some(13));
    assert_eq!((replayed.report.offered(), replayed.report.count(Outcome::Ok)), (13, 13));
    assert!(replayed.report.workload_ended);
}

#[tokio::test]
async fn a_closed_loop_goes_on_for_its_time() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = story();
    story.pace = looped(&story, Loop::For(Duration::from_millis(100)), Speed::Max);
    let replayed = story.replay(&server).await;
    assert!(replayed.report.workload_ended);
    let of = |session| sent(&replayed, session).len();
    assert!(of(1) > 3 && of(2) > 2, "{} {}", of(1), of(2));
    assert_eq!(replayed.report.offered(), replayed.report.count(Outcome::Ok));
}

#[tokio::test]
async fn a_session_with_nothing_to_send_does_not_spin() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS).session(1).session(2).query(0, 2, "SELECT 1").query(1, 2, "SELECT 2");
    story.pace = looped(&story, Loop::Times(50), Speed::Max);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.report.offered(), 100);
    assert!(replayed.report.connects().0 <= 2, "at most once for each");
}

#[tokio::test]
async fn what_falls_due_in_rounds_that_a_slow_server_holds_up_is_booked_when_the_run_ends() {
    for slow in ["SELECT 2", "SELECT 1"] {
        let server = StandIn::new(move |_, sql| if sql == slow { Deed::Hang } else { Deed::Answer });
        let mut story = story();
        story.pace = Pace { copies: Copies::new(2), ..looped(&story, Loop::Times(1_000), Speed::Factor(40.0)) };
        let stops = async {
            server.until_heard(slow).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let replayed = story.replay_at(&super::story::endpoint(server.target()), stops).await;
        let first_us = replayed.requests(1).iter().map(|request| request.due_us).min().unwrap();
        // The session that hangs has time to be answered, and books what falls due meanwhile, too.
        let last_us = |(session, copy)| {
            let requests = replayed.requests(session);
            requests.iter().filter(|request| request.copy == copy).map(|request| request.due_us).max().unwrap()
        };
        let until_us = [(1, 0), (1, 1), (2, 0), (2, 1)].map(last_us).into_iter().min().unwrap();
        let due = story.spool().requests_due(&story.pace, until_us - first_us).unwrap().unwrap();
        assert!(due > 10, "{due}");
        assert!(replayed.report.offered() >= due, "{} of {due}", replayed.report.offered());
    }
}

#[tokio::test]
async fn commits_keep_their_order_in_each_round() {
    let first = "UPDATE t SET a = 1 WHERE id = 5";
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS)
        .session(1)
        .session(2)
        .query(0, 1, first)
        .took(1)
        .query(2, 2, "UPDATE t SET a = 2 WHERE id = 5")
        .took(1)
        .close(3, 2)
        .query(4, 1, "SELECT 1");
    story.order_wait = Some(PATIENT);
    story.pace = looped(&story, Loop::Times(20), Speed::Max);
    let replayed = story.replay(&server).await;
    assert_eq!((replayed.report.offered(), replayed.report.count(Outcome::Ok)), (60, 60));
    assert_eq!(replayed.report.order_waits().1, 0);
    let updates: Vec<_> = sent(&replayed, 1).into_iter().filter(|request| request.event == 0).collect();
    for (before, after) in updates.iter().zip(sent(&replayed, 2)) {
        assert!(before.done_us <= after.sent_us.unwrap());
    }
}
