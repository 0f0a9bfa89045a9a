//! Every `sslmode` against a server whose certificate is for `localhost` and signed by a root of our own.
//!
//! The certificates in `test_certificates` are valid for a hundred years; nothing but these tests knows their keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Address, DialError, Identity, SslMode, Stream, Target, Tls, TlsSettings, dial};

const WITHIN: Duration = Duration::from_secs(30);

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/net/test_certificates").join(name)
}

/// Answers one SSLRequest with `S`, shakes hands, says hello and what it hears. Gives the port.
async fn tls_server() -> u16 {
    let identity = Identity::read(&certificate("server.pem"), &certificate("server.key")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.read_exact(&mut [0; 8]).await.unwrap();
        client.write_all(b"S").await.unwrap();
        if let Ok(mut stream) = identity.accept(client).await {
            stream.write_all(b"hello").await.unwrap();
            stream.flush().await.unwrap();
            // Most have nothing to say.
            if let Ok(heard) = stream.read_u8().await {
                stream.write_u8(heard).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    port
}

async fn target(mode: SslMode, roots: Option<&str>, host: &str) -> Target {
    let tls = Tls::new(&TlsSettings { sslrootcert: roots.map(certificate), ..TlsSettings::of_mode(mode) }).unwrap();
    let port = tls_server().await;
    Target { address: Address::Tcp { host: host.into(), address: Some([127, 0, 0, 1].into()), port }, tls }
}

async fn dial_with(mode: SslMode, roots: Option<&str>, host: &str) -> Result<Stream, DialError> {
    dial(&target(mode, roots, host).await, WITHIN).await
}

#[tokio::test]
async fn a_stream_outlives_the_thread_that_opened_it() {
    let target = target(SslMode::VerifyFull, Some("root.pem"), "localhost").await;
    let opening = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stream = dial(&target, WITHIN).await.unwrap();
            stream.read_exact(&mut [0; 5]).await.unwrap();
            stream
        })
    };
    let mut stream = tokio::task::spawn_blocking(opening).await.unwrap();
    stream.settle_here().unwrap();
    stream.write_u8(7).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 7);
}

#[tokio::test]
async fn a_certificate_is_looked_at_as_far_as_the_mode_says() {
    for (mode, roots, host) in [
        (SslMode::Prefer, None, "elsewhere"),
        (SslMode::Require, None, "elsewhere"),
        (SslMode::Require, Some("root.pem"), "elsewhere"),
        (SslMode::VerifyCa, Some("root.pem"), "elsewhere"),
        (SslMode::VerifyFull, Some("root.pem"), "localhost"),
    ] {
        let mut stream = dial_with(mode, roots, host).await.unwrap();
        assert!(matches!(stream, Stream::Tls(_)), "{mode:?}");
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_do_ends_the_handshake() {
    for (mode, roots, host) in [
        (SslMode::Require, "other.pem", "localhost"),
        (SslMode::VerifyCa, "other.pem", "localhost"),
        (SslMode::VerifyFull, "other.pem", "localhost"),
        (SslMode::VerifyFull, "root.pem", "elsewhere"),
    ] {
        let failed = dial_with(mode, Some(roots), host).await;
        assert!(matches!(failed, Err(DialError::Handshake(_))), "{mode:?} {roots} {host}: {failed:?}");
    }
}
