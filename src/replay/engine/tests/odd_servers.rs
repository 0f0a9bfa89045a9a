//! Servers and networks that are not as they should be: whatever they do, each request ends once and as it should.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Replayed, Story, endpoint, sqlstate};
use crate::net::Target;
use crate::pgwire::serve;
use crate::samples::sample::Outcome::{Expired, Failed, Indeterminate, Late, Ok, Skipped};
use crate::scenario::resolved::{Clients, OnDeadline};

const DEADLINE: Duration = Duration::from_millis(300);

/// Clients that give up soon.
fn hasty() -> Clients {
    Clients { deadline: DEADLINE, abandon: DEADLINE, connect_timeout: DEADLINE, ..CLIENTS }
}

/// Something behind a socket that treats every connection alike, as long as it lives.
struct Odd {
    directory: tempfile::TempDir,
    serving: tokio::task::JoinHandle<()>,
}

impl Odd {
    fn new<F: Future<Output = ()> + Send + 'static>(treat: impl Fn(UnixStream) -> F + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                connections.spawn(treat(listener.accept().await.unwrap().0));
            }
        });
        Self { directory, serving }
    }

    /// Answers the startup with these bytes and the first query with those, then leaves.
    fn saying(login: BytesMut, query: BytesMut) -> Self {
        let said = Arc::new([login, query]);
        Self::new(move |mut stream| {
            let said = Arc::clone(&said);
            async move {
                for text in said.iter().filter(|text| !text.is_empty()) {
                    let mut heard = [0; 4_096];
                    if stream.read(&mut heard).await.is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(text).await;
                    }
                }
            }
        })
    }

    async fn replay(&self, story: &Story) -> Replayed {
        let target = Target::unix(PathBuf::from(self.directory.path()), 5432);
        story.replay_at(&endpoint(target), std::future::pending()).await
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn welcome() -> BytesMut {
    let mut out = BytesMut::new();
    serve::welcome(&mut out, "16.14");
    out
}

/// A read alone, and a transaction with a write.
fn story(clients: Clients) -> Story {
    Story::new(clients)
        .session(1)
        .query(0, 1, "SELECT 1")
        .query(1, 1, "BEGIN")
        .query(2, 1, "UPDATE t SET a = 1")
        .query(3, 1, "COMMIT")
}

#[tokio::test]
async fn where_no_login_works_all_expires_and_each_try_says_why() {
    for code in ["28P01", "3D000", "53300"] {
        let mut refusal = BytesMut::new();
        serve::error_response(&mut refusal, "FATAL", code, "as the test wants it");
        let replayed = Odd::saying(refusal, BytesMut::new()).replay(&story(hasty())).await;
        assert_eq!(replayed.outcomes(1), [Expired, Expired, Skipped, Skipped]);
        assert!(replayed.connects().all(|tried| (tried.outcome, tried.sqlstate) == (Failed, sqlstate(code))), "{code}");
        assert!(replayed.connects().count() > 1);
        assert!((replayed.report.offered(), replayed.report.workload_ended) == (4, true));
    }
}

#[tokio::test]
async fn what_speaks_another_protocol_is_no_server() {
    let other = BytesMut::from(&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..]);
    let replayed = Odd::saying(other, BytesMut::new()).replay(&story(hasty())).await;
    assert_eq!(replayed.outcomes(1), [Expired, Expired, Skipped, Skipped]);
    assert!(replayed.connects().all(|tried| tried.outcome == Failed && tried.message.is_some()));
}

#[tokio::test]
async fn what_accepts_and_never_answers_is_left_after_the_connect_timeout() {
    let silent = Odd::new(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let clients = Clients { connect_timeout: Duration::from_millis(50), ..hasty() };
    let replayed = silent.replay(&story(clients)).await;
    assert_eq!(replayed.outcomes(1), [Expired, Expired, Skipped, Skipped]);
    assert!(replayed.connects().all(|tried| tried.outcome == Failed && tried.done_us >= tried.due_us + 50_000));
}

#[tokio::test]
async fn garbage_and_a_reset_in_the_middle_of_a_row_end_the_request_and_its_connection() {
    let mut cut = BytesMut::new();
    serve::row_description(&mut cut, &["a"]);
    serve::data_row(&mut cut, &[Some(b"some value")]);
    cut.truncate(cut.len() - 5);
    for answer in [cut, BytesMut::from(&b"\xff\xff\xff\xff\xff\xff\xff\xff"[..])] {
        let clients = Clients { deadline: Duration::from_secs(10), abandon: Duration::from_secs(10), ..CLIENTS };
        let story = Story::new(clients).session(1).query(0, 1, "SELECT 1").query(1, 1, "UPDATE t SET a = 1");
        let replayed = Odd::saying(welcome(), answer).replay(&story).await;
        assert_eq!(replayed.outcomes(1), [Failed, Indeterminate]);
        assert!(replayed.requests(1).iter().all(|request| request.sent_us.is_some() && request.message.is_some()));
        assert_eq!(replayed.report.offered(), 2);
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_left_at_the_deadline_or_after_abandon() {
    for on_deadline in [OnDeadline::Wait, OnDeadline::Cancel, OnDeadline::Disconnect] {
        // It logs in and then neither reads nor closes.
        let gone = Odd::new(|mut stream| async move {
            let mut heard = [0; 4_096];
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(&welcome()).await;
            std::future::pending().await
        });
        let large = format!("UPDATE t SET a = '{}'", "x".repeat(4_000_000));
        let story = Story::new(Clients { on_deadline, ..hasty() })
            .session(1)
            .query(0, 1, "SELECT 1")
            .query(500, 1, "UPDATE t SET a = 1")
            // More than the socket takes.
            .query(1_000, 1, &large);
        let replayed = gone.replay(&story).await;
        assert_eq!(replayed.outcomes(1), [Failed, Indeterminate, Indeterminate]);
        assert_eq!(replayed.report.offered(), 3);
    }
}

/// Passes on what comes, but for the connection that says `held`: that one stands still in both directions until
/// another connection says `released`.
async fn relay(mut client: UnixStream, mut server: UnixStream, released: Arc<watch::Sender<bool>>) {
    let (mut heard, mut said) = ([0; 4_096], [0; 4_096]);
    loop {
        let passed = tokio::select! {
            Result::Ok(count) = client.read(&mut heard) => {
                let text = String::from_utf8_lossy(&heard[..count]);
                if text.contains("released") {
                    released.send_replace(true);
                }
                if text.contains("held") {
                    released.subscribe().wait_for(|released| *released).await.unwrap();
                }
                count > 0 && server.write_all(&heard[..count]).await.is_ok()
            }
            Result::Ok(count) = server.read(&mut said) => count > 0 && client.write_all(&said[..count]).await.is_ok(),
        };
        if !passed {
            return;
        }
    }
}

#[tokio::test]
async fn a_network_that_stands_still_and_goes_on_makes_answers_late_and_loses_none() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let (released, socket) = (Arc::new(watch::Sender::new(false)), server.socket());
    let network = Odd::new(move |client| {
        let (released, socket) = (Arc::clone(&released), socket.clone());
        async move { relay(client, UnixStream::connect(socket).await.unwrap(), released).await }
    });
    let story = Story::new(Clients { deadline: DEADLINE, ..CLIENTS })
        .session(1)
        .session(2)
        .query(0, 1, "UPDATE t SET a = 'held'")
        .query(1, 1, "SELECT 'behind'")
        .query(1_000, 2, "SELECT 'released'")
        .query(1_001, 1, "SELECT 2")
        .took(20_000);
    let replayed = network.replay(&story).await;
    assert_eq!((replayed.outcomes(1), replayed.outcomes(2)), (vec![Late, Expired, Ok], vec![Ok]));
    assert_eq!(server.heard(1).len() + server.heard(2).len(), 3);
}

#[tokio::test]
async fn a_workload_that_ends_in_a_transaction_leaves_it_to_the_server() {
    let server = StandIn::new(|_, _| Deed::Answer);
    let story = Story::new(CLIENTS).session(1).query(0, 1, "BEGIN").query(1, 1, "UPDATE t SET a = 1");
    let replayed = story.replay(&server).await;
    assert_eq!(replayed.outcomes(1), [Ok, Ok]);
    assert_eq!(
        (server.heard(1), replayed.report.workload_ended),
        (vec!["BEGIN".into(), "UPDATE t SET a = 1".into()], true)
    );
}

#[tokio::test]
async fn a_server_that_ends_every_session_at_once_is_not_asked_without_pause() {
    let mut ended = welcome();
    serve::error_response(&mut ended, "FATAL", "57P01", "terminating connection due to administrator command");
    let clients = Clients { reconnect_first: DEADLINE, reconnect_last: DEADLINE, ..hasty() };
    let replayed = Odd::saying(ended, BytesMut::new()).replay(&story(clients)).await;
    assert_eq!(replayed.report.offered(), 4);
    assert!(replayed.requests(1).iter().all(|request| request.outcome != Ok));
    assert!(replayed.connects().count() <= 4, "{}", replayed.connects().count());
}
