//! More traffic than the captured: copies of sessions.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Replayed, Story};
use crate::replay::Copies;
use crate::replay::pace::Pace;
use crate::samples::sample::{Outcome::Ok, Sample};
use crate::scenario::resolved::Speed;

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
