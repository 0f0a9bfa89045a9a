//! TLS through the proxy, ended at the proxy, and begun there.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use pgrehearse::net::Identity;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::running::Proxy;
use crate::clients::python;
use crate::server::Server;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Connects, asks, and says what came back and whether it came by TLS.
const ASK: &str = "
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    print(connection.execute('SELECT %s::text || 1', ['asked by TLS ']).fetchone()[0], connection.pgconn.ssl_in_use)
";

fn certificate(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/net/test_certificates").join(name);
    path.to_str().unwrap().to_owned()
}

/// TLS in front of a server that has none: whatever PostgreSQL the tests find, the proxy meets a server with TLS.
struct TlsServer {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TlsServer {
    fn start(behind: u16) -> Self {
        let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let identity = Identity::read(certificate("server.pem").as_ref(), certificate("server.key").as_ref()).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let serving = async {
                    loop {
                        let (client, _) = listener.accept().await.unwrap();
                        tokio::spawn(serve(client, identity.clone(), ([127, 0, 0, 1], behind).into()));
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        });
        Self { port, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A client that ends its connection early ends this too.
async fn serve(mut client: TcpStream, identity: Identity, behind: SocketAddr) -> Option<()> {
    let mut first = [0; 8];
    client.read_exact(&mut first).await.ok()?;
    let mut server = TcpStream::connect(behind).await.ok()?;
    if first == SSL_REQUEST {
        client.write_all(b"S").await.ok()?;
        copy_bidirectional(&mut identity.accept(client).await.ok()?, &mut server).await.ok()?;
    } else {
        server.write_all(&first).await.ok()?;
        copy_bidirectional(&mut client, &mut server).await.ok()?;
    }
    Some(())
}

/// What a Python driver with these settings says; nothing else of it is the test's own.
fn ask(server: &Server, python: &Path, port: u16, settings: &str) -> Result<String, String> {
    let mut command = server.connecting(Command::new(python), port, "postgres");
    command.env("PGHOST", "localhost").args(["-c", ASK, settings]);
    let ended = command.output().unwrap();
    match ended.status.success() {
        true => Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&ended.stderr).into_owned()),
    }
}

#[test]
fn tls_ends_at_the_proxy_and_begins_there_with_passwords_passing() {
    let Some(python) = python() else { return };
    let server = Server::start_with_password("18", "correct horse battery", "");
    let upstream = TlsServer::start(server.port);
    let (cert, key, roots) = (certificate("server.pem"), certificate("server.key"), certificate("root.pem"));
    let arguments = ["--tls-cert", &cert, "--tls-key", &key, "--sslmode", "verify-full", "--sslrootcert", &roots];
    let proxy = Proxy::start(&format!("localhost:{}", upstream.port), &server.path("out.jsonl"), &arguments);
    for settings in [
        format!("sslmode=verify-full sslrootcert={roots}"),
        format!("sslmode=verify-full sslrootcert={roots} sslnegotiation=direct"),
    ] {
        assert_eq!(ask(&server, python, proxy.port, &settings), Ok("asked by TLS 1 True".into()), "{settings}");
    }
    assert_eq!(ask(&server, python, proxy.port, "sslmode=disable"), Ok("asked by TLS 1 False".into()));
    let output = proxy.output.clone();
    let report = proxy.finish();
    assert!(report.contains("sessions    3 (") && report.contains("executions  3 in"), "{report}");
    let text = std::fs::read_to_string(output).unwrap();
    assert!(text.contains("asked by TLS") && !text.contains("correct horse"), "{text}");
}

#[test]
fn without_a_certificate_what_is_encrypted_passes_and_is_counted() {
    let Some(python) = python() else { return };
    let server = Server::start("18", "");
    let upstream = TlsServer::start(server.port);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", upstream.port), &server.path("out.jsonl"), &[]);
    assert_eq!(ask(&server, python, proxy.port, "sslmode=require"), Ok("asked by TLS 1 True".into()));
    assert_eq!(ask(&server, python, proxy.port, "sslmode=disable"), Ok("asked by TLS 1 False".into()));
    let ended = proxy.end(Some(Signal::INT));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("executions  1 in"), "{}", ended.stdout);
    assert!(ended.stdout.contains("encrypted bytes, "), "{}", ended.stdout);
    assert!(ended.stderr.contains("hint: with --tls-cert and --tls-key the proxy can read"), "{}", ended.stderr);

    // With an sslmode of its own, the proxy has clients speak plainly.
    let proxy =
        Proxy::start(&format!("127.0.0.1:{}", upstream.port), &server.path("out.jsonl"), &["--sslmode", "require"]);
    assert_eq!(ask(&server, python, proxy.port, "sslmode=prefer"), Ok("asked by TLS 1 False".into()));
    assert!(ask(&server, python, proxy.port, "sslmode=require").unwrap_err().contains("does not support SSL"));
    let report = proxy.finish();
    assert!(report.contains("executions  1 in"), "{report}");
}

/// A PostgreSQL of the system's that has TLS, which the pinned builds have not.
fn programs_with_tls() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists());
    if found.is_none() {
        // The pinned servers are built without TLS, and CI installs no other.
        eprintln!("SKIPPED: channel binding needs a PostgreSQL with TLS, and there is none in /usr/lib/postgresql");
    }
    found
}

#[test]
fn scram_bound_to_the_certificate_passes_with_the_servers_own_and_is_not_offered_to_plain_clients() {
    let (Some(python), Some(bin)) = (python(), programs_with_tls()) else { return };
    let keys = tempfile::tempdir().unwrap();
    let server = Server::start_with_tls(bin, "correct horse battery", keys.path());
    let (cert, key) = (certificate("server.pem"), certificate("server.key"));
    let upstream = format!("127.0.0.1:{}", server.port);
    let arguments = ["--tls-cert", cert.as_str(), "--tls-key", &key, "--sslmode", "require"];
    let proxy = Proxy::start(&upstream, &server.path("out.jsonl"), &arguments);
    let bound = ask(&server, python, proxy.port, "sslmode=require channel_binding=require");
    assert_eq!(bound, Ok("asked by TLS 1 True".into()));
    let plain = ask(&server, python, proxy.port, "sslmode=disable");
    assert_eq!(plain, Ok("asked by TLS 1 False".into()));
    let report = proxy.finish();
    assert!(report.contains("executions  2 in"), "{report}");
}

#[test]
fn a_certificate_that_does_not_do_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.jsonl");
    for (cert, key, wanted) in [
        ("root.pem", "server.key", "error: the certificate and the key do not do"),
        ("missing.pem", "server.key", "missing.pem"),
        ("server.key", "server.key", "holds no certificate"),
        ("server.pem", "server.pem", "error: could not read"),
    ] {
        let (cert, key) = (certificate(cert), certificate(key));
        let ended = Proxy::spawn("127.0.0.1:0", "127.0.0.1:1", &output, &["--tls-cert", &cert, "--tls-key", &key]);
        let ended = ended.end(None);
        assert_eq!(ended.code, 2, "{cert}");
        assert!(ended.stderr.contains(wanted), "{wanted}: {}", ended.stderr);
    }
    let alone = Proxy::spawn("127.0.0.1:0", "127.0.0.1:1", &output, &["--tls-cert", "a.pem"]).end(None);
    assert_eq!(alone.code, 2);
    assert!(alone.stderr.contains("--tls-key"), "{}", alone.stderr);
}
