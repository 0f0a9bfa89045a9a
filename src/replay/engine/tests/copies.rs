//! COPY from the client with the captured data, against a real server.

use std::time::Duration;

use serde_json::{Value, json};

use super::live::{ask, cluster, session, target};
use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story, endpoint, inline, sqlstate};
use crate::replay::pace::Pace;
use crate::samples::sample::Outcome::{ExpectedError, Failed, Indeterminate, Ok, Skipped};
use crate::samples::sample::ResultCheck;
use crate::scenario::resolved::{Clients, OnDeadline, Speed};
use crate::server::fixture::Run;

const COPY: &str = "COPY t FROM STDIN";

/// A COPY by the extended protocol, with what follows its end.
fn extended(behind: &[Value]) -> Value {
    let mut messages = vec![
        json!({"parse": {"statement": "c", "sql": inline(COPY)}}),
        json!({"bind": {"statement": "c"}}),
        json!({"describe_portal": {"name": ""}}),
        json!({"execute": {"sql": inline(COPY)}}),
    ];
    messages.extend_from_slice(behind);
    Value::Array(messages)
}

#[tokio::test]
async fn captured_data_is_copied_again() {
    let run = Run::new("t-replay-copy");
    let Some(cluster) = cluster(&run).await else { return };
    let mut observer = session(&cluster).await;
    ask(&mut observer, "CREATE TABLE t (a int, b text); CREATE TABLE u (a int)").await;
    // More than every buffer on the way holds.
    let piece = |from: u64| (from..from + 3_000).map(|a| format!("{a}\tsome text\n")).collect::<String>();
    let mut story = Story::new(CLIENTS).session(1).query(0, 1, COPY).results(json!([{"rows": 300_000}]));
    for number in 0..100 {
        story = story.data(0, 1, &piece(number * 3_000), None);
    }
    let story = story
        .data(0, 1, "", Some("done"))
        // Two in one text, and a setting that the next connection would have to know.
        .query(1, 1, "SET search_path = public; COPY t FROM STDIN; COPY u FROM STDIN; SELECT 1")
        .data(1, 1, "1\ta\n2\tb\n", Some("done"))
        .data(1, 1, "5\n6\n7\n", Some("done"))
        // As libpq does it, and one that is followed by another statement before the Sync.
        .messages(2, 1, extended(&[json!("sync")]))
        .results(json!([{"rows": 1}]))
        .data(2, 1, "3\tc\n", Some("done"))
        .messages(
            3,
            1,
            extended(&[
                json!({"parse": {"sql": inline("SELECT 1")}}),
                json!({"bind": {}}),
                json!({"execute": {"sql": inline("SELECT 1")}}),
                json!("sync"),
            ]),
        )
        .data(3, 1, "4\td\n", Some("done"))
        // Nothing at all.
        .query(4, 1, COPY)
        .results(json!([{"rows": 0}]))
        .data(4, 1, "", Some("done"))
        .query(5, 1, "SELECT a FROM u");
    let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
    let requests = replayed.requests(1);
    assert_eq!(replayed.outcomes(1), [Ok; 6], "{requests:#?}");
    for at in [0, 2, 4] {
        assert_eq!(requests[at].result, ResultCheck::Same, "{:?}", requests[at]);
    }
    assert_eq!(ask(&mut observer, "SELECT FROM t").await.rows, 300_004);
    assert_eq!(ask(&mut observer, "SELECT FROM t WHERE b <> 'some text'").await.rows, 4);
    assert_eq!(ask(&mut observer, "SELECT FROM u").await.rows, 3);
    assert_eq!(replayed.report.connects(), (1, 0));
}

#[tokio::test]
async fn a_copy_fails_as_in_the_capture_and_the_session_goes_on() {
    let run = Run::new("t-replay-copy-fails");
    let Some(cluster) = cluster(&run).await else { return };
    let mut observer = session(&cluster).await;
    ask(&mut observer, "CREATE TABLE t (a int, b text)").await;
    let long = "9\tx\n".repeat(10_000);
    let mut story = Story::new(CLIENTS).session(1);
    for (at_ms, is_simple) in [(0, true), (10, false)] {
        let copy = |story: Story, at_ms| match is_simple {
            true => story.query(at_ms, 1, COPY),
            false => story.messages(at_ms, 1, extended(&[json!("sync")])),
        };
        // Data that is none, with far more behind it.
        story = copy(story, at_ms).failed_with("22P02").data(at_ms, 1, "x\ta\n", None);
        story = (0..100).fold(story, |story, _| story.data(at_ms, 1, &long, None));
        story = story.data(at_ms, 1, "", Some("done"));
        // The client gave up, and one whose capture broke off.
        story = copy(story, at_ms + 1).failed_with("57014").data(at_ms + 1, 1, "1\ta\n", Some("failed"));
        story = copy(story, at_ms + 2).failed_with("57014").data(at_ms + 2, 1, "1\ta\n", None);
        // The server wants more than there is.
        story = story.query(at_ms + 3, 1, "COPY t FROM STDIN; COPY t FROM STDIN").data(at_ms + 3, 1, "", Some("done"));
        story = story.query(at_ms + 4, 1, "SELECT 1");
    }
    // It fails before it asks for data.
    let story = story.query(20, 1, "COPY missing FROM STDIN").data(20, 1, "1\n", Some("done")).query(
        21,
        1,
        "INSERT INTO t VALUES (1, 'last')",
    );
    let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
    let requests = replayed.requests(1);
    let round = [ExpectedError, ExpectedError, ExpectedError, Failed, Ok];
    let wanted: Vec<_> = round.into_iter().chain(round).chain([Failed, Ok]).collect();
    assert_eq!(replayed.outcomes(1), wanted, "{requests:#?}");
    assert_eq!(requests[10].sqlstate, sqlstate("42P01"));
    assert_eq!(ask(&mut observer, "SELECT FROM t").await.rows, 1);
    assert_eq!(replayed.report.connects(), (1, 0));
}

#[tokio::test]
async fn a_pipeline_goes_on_behind_a_copy_that_failed() {
    let run = Run::new("t-replay-copy-pipeline");
    let Some(cluster) = cluster(&run).await else { return };
    let mut observer = session(&cluster).await;
    ask(&mut observer, "CREATE TABLE t (a int, b text)").await;
    let again =
        [json!("sync"), json!({"bind": {"statement": "c"}}), json!({"execute": {"sql": inline(COPY)}}), json!("sync")];
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, "SELECT 1")
        .messages(1, 1, extended(&again))
        .results(json!([{"sqlstate": "22P02"}, {"rows": 1}]))
        .data(1, 1, "x\ta\n", Some("done"))
        .data(1, 1, "1\ta\n", Some("done"))
        .query(2, 1, "SELECT 1");
    let replayed = story.replay_at(&endpoint(target(&cluster)), std::future::pending()).await;
    assert_eq!(replayed.outcomes(1), [Ok, ExpectedError, Ok], "{:#?}", replayed.requests(1));
    assert_eq!(ask(&mut observer, "SELECT FROM t").await.rows, 1);
}

#[tokio::test]
async fn a_server_that_takes_no_data_is_given_up_at_the_deadline() {
    let server = StandIn::new(|_, sql| if sql == COPY { Deed::AskForData } else { Deed::Answer });
    let clients = Clients { deadline: Duration::from_millis(200), on_deadline: OnDeadline::Disconnect, ..CLIENTS };
    let more = "1\n".repeat(20_000);
    let mut story = Story::new(clients).session(1).query(0, 1, COPY);
    story = (0..200).fold(story, |story, _| story.data(0, 1, &more, None));
    story = story
        .query(1, 1, "BEGIN")
        .query(2, 1, COPY)
        .data(2, 1, &more, Some("done"))
        // What was not sent for the transaction's sake passes its data over.
        .query(3, 1, COPY)
        .data(3, 1, &more, Some("done"))
        .query(4, 1, "COMMIT")
        .query(5, 1, "SELECT 1");
    story.pace = Pace::new(Speed::Max, 1);
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Indeterminate, Ok, Failed, Skipped, Skipped, Ok]);
    assert_eq!(
        (server.heard(1), server.heard(2), server.heard(3)),
        (vec![COPY.to_owned()], vec!["BEGIN".to_owned(), COPY.to_owned()], vec!["SELECT 1".to_owned()],)
    );
}
