//! Traffic that is not the captured one: closed loops and other paces.

use std::sync::Arc;
use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story};
use crate::replay::pace::Pace;
use crate::samples::sample::Outcome::{Failed, Ok, Skipped};
use crate::scenario::ramp::Ramp;
use crate::scenario::resolved::{LoadStage, Pacing, Speed};
use crate::words::shard::Shard;

const THINKING: Pacing = Pacing::ThinkTime;

#[tokio::test]
async fn with_think_time_a_client_pauses_after_the_answer_as_it_did_in_the_capture() {
    let server = StandIn::new(|_, sql| match sql {
        "SELECT 'slow'" => Deed::AnswerAfter("SELECT 'release'"),
        _ => Deed::Answer,
    });
    let mut story = Story::new(CLIENTS)
        .session(1)
        .session(2)
        .query(0, 1, "SELECT 'slow'")
        .took(40)
        .query(100, 1, "SELECT 'after 60 ms'")
        .query(150, 1, "SELECT 'after 50 ms'")
        .took(70)
        .query(200, 1, "SELECT 'at once'")
        .query(300, 2, "SELECT 'release'");
    story.pace = Pace { pacing: THINKING, ..Pace::new(Speed::Factor(2.0), 1) };
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok; 4]);
    let requests = replayed.requests(1);
    let pauses_us: Vec<u64> = requests.windows(2).map(|pair| pair[1].due_us - pair[0].done_us).collect();
    assert_eq!(pauses_us, [30_000, 25_000, 0]);
    assert!(requests.iter().all(|request| Some(request.due_us) == request.ready_us), "{requests:?}");
    assert!(requests[0].done_us >= replayed.requests(2)[0].due_us);
    assert_eq!((replayed.report.offered(), replayed.report.workload_ended), (5, true));
}

#[tokio::test]
async fn with_think_time_the_rest_of_a_broken_transaction_takes_no_time() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 1 / 0" { Deed::Error("22012") } else { Deed::Answer });
    let mut story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "BEGIN")
        .query(1, 1, "SELECT 1 / 0")
        .query(300, 1, "UPDATE t SET a = 1")
        .query(600, 1, "COMMIT")
        .query(620, 1, "SELECT 2");
    story.pace = Pace { pacing: THINKING, ..Pace::new(Speed::Factor(1.0), 1) };
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped, Ok]);
    let requests = replayed.requests(1);
    assert!(requests[2..4].iter().all(|skipped| skipped.due_us == skipped.done_us));
    assert_eq!(requests[4].due_us, requests[3].done_us + 20_000);
}

#[tokio::test]
async fn as_fast_as_it_goes_no_more_sessions_are_open_than_were_in_the_capture() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story = Story::new(CLIENTS);
    for session in 1..=12 {
        let at_ms = u64::from(session) * 10;
        story = story.opened(at_ms, session).query(at_ms + 1, session, "SELECT 1").close(at_ms + 5, session);
    }
    story.pace = Pace::new(Speed::Max, 1);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.report.count(Ok), 12);
    let done_us = |session| replayed.requests(session)[0].done_us;
    let mut open: Vec<_> = replayed.connects().map(|tried| (tried.due_us, done_us(tried.session))).collect();
    open.sort_unstable();
    assert!(open.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two workers, and one session at a time: {open:?}");
}

#[tokio::test]
async fn a_rising_pace_brings_what_comes_later_closer_together() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let mut story =
        Story::new(CLIENTS).session(1).query(0, 1, "SELECT 1").query(200, 1, "SELECT 2").query(260, 1, "SELECT 3");
    // 200 ms of the capture pass while the pace goes from its own to three times it.
    let stage = LoadStage { target: 3.0, duration: Duration::from_millis(100) };
    let ramp = Some(Arc::new(Ramp::new(1.0, &[stage])));
    story.pace = Pace { ramp, ..Pace::new(Speed::Factor(1.0), 1) };
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok; 3]);
    let requests = replayed.requests(1);
    let gaps_us: Vec<u64> = requests.windows(2).map(|pair| pair[1].due_us - pair[0].due_us).collect();
    assert_eq!(gaps_us, [100_000, 20_000]);
    let due = |until_us| story.spool().requests_due(&story.pace, until_us).unwrap();
    assert_eq!((due(100_000), due(100_001)), (Some(1), Some(2)));
}

#[tokio::test]
async fn shards_replay_each_session_once_between_them() {
    let mut heard = Vec::new();
    for index in 0..3 {
        let server = StandIn::new(|_, _| Deed::Answer);
        let mut story = (1..=8).fold(Story::new(CLIENTS), Story::session);
        for session in 1..=8 {
            story = story.query(1, session, &format!("SELECT {session}"));
        }
        story.pace.shard = Shard::new(index, 3).unwrap();
        let own = (1..=8).filter(|&session| story.pace.shard.owns(session)).count() as u64;
        let replayed = story.replay(&server).await;
        assert_eq!((replayed.report.offered(), replayed.report.workload_ended), (own, true));
        assert_eq!(replayed.report.connects(), (own, 0), "it opens no connection for others");
        heard.extend(replayed.samples.iter().map(|sample| sample.session).collect::<Vec<_>>());
    }
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard, (1..=8).collect::<Vec<u32>>());
}
