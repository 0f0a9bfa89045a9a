//! Sessions against the other end of a socket pair: what a server may say, and when.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::connect::ConnectError;
use super::connection::Connection;
use crate::net::Stream;
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::{frontend, serve};

/// Long enough for any machine; a test that needs it all has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn pair() -> (Connection, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Connection::new(Stream::Unix(ours)), theirs)
}

/// Two statements with three rows, an error in the second.
fn answer() -> BytesMut {
    let mut out = BytesMut::new();
    serve::row_description(&mut out, &["id"]);
    for _ in 0..3 {
        serve::data_row(&mut out, &[Some(b"42"), None]);
    }
    serve::command_complete(&mut out, "SELECT 3");
    serve::parameter_status(&mut out, "server_version", "18.4");
    serve::error_response(&mut out, "ERROR", "22012", "division by zero");
    serve::error_response(&mut out, "ERROR", "42601", "a second one");
    serve::ready_for_query(&mut out, TransactionStatus::Failed);
    out
}

#[tokio::test]
async fn a_reply_is_summed_up_wherever_it_is_split() {
    let answer = answer();
    for cut in 0..answer.len() {
        let (mut client, mut server) = pair();
        server.write_all(&answer[..cut]).await.unwrap();
        // A wait that is given up loses nothing.
        assert!(tokio::time::timeout(Duration::ZERO, client.read_reply()).await.is_err());
        server.write_all(&answer[cut..]).await.unwrap();
        let reply = client.read_reply().await.unwrap();
        assert_eq!((reply.rows, reply.bytes, reply.statements), (3, 51, 1), "cut at {cut}");
        assert_eq!(reply.tag.as_str(), "SELECT 3");
        assert_eq!(reply.error.unwrap().to_string(), "division by zero (SQLSTATE 22012)");
        assert_eq!(reply.status, TransactionStatus::Failed);
        assert!(reply.first_at <= reply.done_at);
        assert_eq!(client.server_version(), Some("18.4"));
    }
}

#[tokio::test]
async fn the_first_byte_has_its_own_time() {
    let (mut client, mut server) = pair();
    let answer = answer();
    server.write_all(&answer[..1]).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, client.read_reply()).await.is_err());
    let first_at = client.first_at().unwrap();
    server.write_all(&answer[1..]).await.unwrap();
    assert_eq!(client.read_reply().await.unwrap().first_at, first_at);
    assert_eq!(client.first_at(), None);
}

#[tokio::test]
async fn copy_from_the_client_is_refused_in_either_protocol() {
    for extended in [false, true] {
        let (mut client, mut server) = pair();
        let mut out = BytesMut::new();
        if extended {
            serve::bare(&mut out, b'2');
        }
        serve::copy_response(&mut out, b'G');
        server.write_all(&out).await.unwrap();
        let answering = async {
            let mut wire = BytesMut::new();
            let mut seen = Vec::new();
            while seen.len() < 1 + usize::from(extended) {
                while let Some(message) = serve::read(&mut wire, true).unwrap() {
                    let serve::ClientMessage::Tagged { tag, .. } = message else { panic!("{message:?}") };
                    seen.push(tag);
                }
                if seen.is_empty() {
                    server.read_buf(&mut wire).await.unwrap();
                }
            }
            let mut out = BytesMut::new();
            serve::error_response(&mut out, "ERROR", "57014", "COPY from stdin failed");
            serve::ready_for_query(&mut out, TransactionStatus::Idle);
            server.write_all(&out).await.unwrap();
            seen
        };
        let (reply, seen) = tokio::join!(client.read_reply(), answering);
        assert_eq!(reply.unwrap().error.unwrap().sqlstate.as_str(), "57014");
        assert_eq!(seen, if extended { b"fS".to_vec() } else { b"f".to_vec() });
    }
}

#[tokio::test]
async fn copy_to_the_client_is_counted_in_bytes() {
    let (mut client, mut server) = pair();
    let mut out = BytesMut::new();
    serve::copy_response(&mut out, b'H');
    frontend::copy_data(&mut out, &[7; 100]).unwrap();
    frontend::copy_done(&mut out);
    serve::command_complete(&mut out, "COPY 5");
    serve::ready_for_query(&mut out, TransactionStatus::Idle);
    server.write_all(&out).await.unwrap();
    let reply = client.read_reply().await.unwrap();
    assert_eq!((reply.rows, reply.bytes, reply.tag.rows()), (0, 105, Some(5)));
}

#[tokio::test]
async fn what_the_server_said_last_is_the_reason_of_the_end() {
    let mut farewell = BytesMut::new();
    serve::error_response(&mut farewell, "FATAL", "57P01", "terminating connection due to administrator command");
    // While a reply is awaited, while idle, and when only the sending shows it.
    for case in 0..3 {
        let (mut client, mut server) = pair();
        server.write_all(&farewell).await.unwrap();
        drop(server);
        let error = match case {
            0 => client.read_reply().await.unwrap_err(),
            1 => client.lost_already().await.unwrap(),
            _ => {
                frontend::query(client.out(), b"SELECT 1").unwrap();
                client.send().await.unwrap_err()
            }
        };
        assert!(matches!(error, ConnectError::Lost { .. }), "case {case}: {error:?}");
        assert_eq!(error.sqlstate().unwrap().as_str(), "57P01", "case {case}");
        assert_eq!(&*error.message(), "terminating connection due to administrator command");
    }
}

#[tokio::test]
async fn an_idle_session_hears_news_and_stays() {
    let (mut client, mut server) = pair();
    let mut out = BytesMut::new();
    serve::parameter_status(&mut out, "server_version", "16.14");
    server.write_all(&out).await.unwrap();
    assert!(client.lost_already().await.is_none());
    assert_eq!(client.server_version(), Some("16.14"));
    serve::ready_for_query(&mut out, TransactionStatus::Idle);
    server.write_all(&out).await.unwrap();
    assert!(matches!(client.lost_already().await, Some(ConnectError::Protocol { .. })));
}

#[tokio::test]
async fn a_server_that_answers_before_it_reads_blocks_nobody() {
    let (mut client, mut server) = pair();
    frontend::query(client.out(), &vec![b' '; 4 << 20]).unwrap();
    let serving = async {
        let mut out = BytesMut::new();
        serve::data_row(&mut out, &[Some(&vec![1; 4 << 20])]);
        server.write_all(&out).await.unwrap();
        let mut request = vec![0; (4 << 20) + 6];
        server.read_exact(&mut request).await.unwrap();
        out.clear();
        serve::ready_for_query(&mut out, TransactionStatus::Idle);
        server.write_all(&out).await.unwrap();
    };
    let asking = async {
        client.send().await.unwrap();
        client.read_reply().await.unwrap()
    };
    let (reply, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(asking, serving) }).await.unwrap();
    assert_eq!((reply.rows, reply.bytes), (1, (4 << 20) + 11));
}

#[tokio::test]
async fn what_is_not_the_protocol_is_said_and_never_awaited() {
    let (mut client, mut server) = pair();
    server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert!(matches!(client.read_reply().await, Err(ConnectError::Protocol { .. })));
}
