//! When sessions that lost their connections come back, and to which server.

use std::time::Duration;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story};
use crate::samples::sample::Outcome::{Failed, Ok, Skipped};
use crate::scenario::resolved::{Clients, Reconnect};
use crate::timeline::What;

fn dying(sql: &'static str) -> StandIn {
    StandIn::new(move |connection, asked| if connection == 1 && asked == sql { Deed::ShutDown } else { Deed::Answer })
}

#[tokio::test]
async fn a_session_comes_back_at_once_or_when_it_has_something_to_send() {
    for reconnect in [Reconnect::AtOnce, Reconnect::OnDemand] {
        let server = dying("SELECT 'last'");
        let story = Story::new(Clients { reconnect, ..CLIENTS })
            .session(1)
            .query(0, 1, "SELECT 'last'")
            .query(1_000, 1, "SELECT 2")
            .query(1_001, 1, "SELECT 3");
        let replayed = story.replay(&server).await;
        assert_eq!(replayed.outcomes(1), [Failed, Ok, Ok]);
        let back = replayed.connects().nth(1).unwrap();
        assert_eq!(back.due_us >= replayed.requests(1)[1].due_us, reconnect == Reconnect::OnDemand);
        assert_eq!(replayed.report.connects(), (2, 0));
    }
}

#[tokio::test]
async fn a_server_that_ends_every_session_soon_is_asked_ever_more_seldom() {
    let server = StandIn::new(|_, _| Deed::ShutDown);
    let first = Duration::from_millis(10);
    let reconnecting = Clients { reconnect_first: first, reconnect_last: 8 * first, reconnect_jitter: 0.0, ..CLIENTS };
    let mut story = Story::new(reconnecting).session(1);
    for _ in 0..6 {
        story = story.query(0, 1, "SELECT 1");
    }
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Failed; 6]);
    let connects: Vec<_> = replayed.connects().collect();
    let lost = replayed.requests(1).into_iter().map(|request| request.done_us);
    for ((lost_us, back), factor) in lost.zip(&connects[1..]).zip([1, 2, 4, 8, 8]) {
        let waited = Duration::from_micros(back.due_us - lost_us);
        assert!(waited >= factor * first, "{waited:?} instead of {factor} times {first:?}");
    }
}

#[tokio::test]
async fn the_rest_of_a_broken_transaction_asks_for_no_connection() {
    let server = dying("INSERT INTO t VALUES (1)");
    let story = Story::new(Clients { reconnect: Reconnect::OnDemand, ..CLIENTS })
        .session(1)
        .query(0, 1, "BEGIN")
        .query(1, 1, "INSERT INTO t VALUES (1)")
        .query(2, 1, "SELECT 1")
        .query(3, 1, "COMMIT")
        .query(300, 1, "SELECT 2");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Skipped, Skipped, Ok]);
    assert!(replayed.connects().nth(1).unwrap().due_us >= replayed.requests(1)[4].due_us);
}

#[tokio::test]
async fn a_session_without_further_requests_does_not_come_back() {
    let server = dying("SELECT 'last'");
    let story = Story::new(Clients { reconnect: Reconnect::OnDemand, ..CLIENTS }).session(1);
    let replayed = story.query(0, 1, "SELECT 'last'").close(100, 1).replay(&server).await;
    assert_eq!((replayed.outcomes(1), replayed.report.connects()), (vec![Failed], (1, 0)));
    assert!(replayed.report.workload_ended);
}

#[tokio::test]
async fn a_session_that_has_not_learned_of_a_switch_comes_back_to_the_old_server() {
    let (old, new) = (dying("SELECT 'last'"), StandIn::new(|_, _| Deed::Answer));
    let story = Story::new(Clients { endpoint_lag: Duration::from_secs(3_600), ..CLIENTS })
        .session(1)
        .query(0, 1, "SELECT 'first'")
        .query(1_000, 1, "SELECT 'last'")
        .query(1_001, 1, "SELECT 3");
    let replayed = story.replay_through_switch(&old, &new, "SELECT 'first'").await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Ok]);
    assert_eq!((old.heard(2), new.heard(1)), (vec!["SELECT 3".to_owned()], vec![]));
}

#[tokio::test]
async fn settings_that_a_new_connection_does_not_take_are_told() {
    const SET: &str = "SET search_path = acme";
    let server = StandIn::new(|connection, asked| match asked {
        "SELECT 'last'" => Deed::ShutDown,
        SET if connection == 2 => Deed::Error("22023"),
        _ => Deed::Answer,
    });
    let story = Story::new(CLIENTS).session(1).query(0, 1, SET).query(1, 1, "SELECT 'last'").query(2, 1, "SELECT 3");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Failed, Ok]);
    assert_eq!(server.heard(2), [SET, "SELECT 3"]);
    assert!(replayed.events.contains(&What::SettingsLost { settings: 1 }), "{:?}", replayed.events);
}
