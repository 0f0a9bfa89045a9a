//! Memory of 5,000 sessions that are mostly idle, of 10,000 tenants, in one process, without TLS and with it.
//!
//! No PostgreSQL could hold them cheaply, so a server that only says that it did what it was asked stands in for it, in a
//! process of its own. Takes nothing, prints what the replay's process held while all sessions were open. Must not know
//! how fast anything is.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pgrehearse::net::Dsn;
use pgrehearse::pgwire::backend::TransactionStatus;
use pgrehearse::pgwire::serve::{self, ClientMessage};
use pgrehearse::replay::{DatabaseNames, Spool, descriptors};
use pgrehearse::scenario::resolved::{Order, Speed};
use pgrehearse::words::time::RunClock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::stage::{self, Recording, Sink};
use crate::workload;

const SESSIONS: u32 = 5_000;

const TENANTS: u32 = 10_000;

/// All sessions connect within this time.
const LEAD: Duration = Duration::from_secs(20);

/// Each session sends a statement in the first second and one in the last; it is idle in between.
const SECONDS: u64 = 6;

/// What the process may hold then, without TLS and with it.
const WAYS: [(&str, f64); 2] = [("disable", 96.0), ("require", 256.0)];

/// Prints what is held in each way; panics where it is more than its bound.
pub fn hold(directory: &Path) {
    let file = directory.join("idle.jsonl.zst");
    workload::idle(&file, SESSIONS, TENANTS, SECONDS);
    for (sslmode, bound_mib) in WAYS {
        let mut server = itself().arg("--hold-server").stdout(Stdio::piped()).spawn().expect("the bench starts itself");
        let mut port = String::new();
        BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut port).expect("a port");
        let output =
            itself().args(["--hold", sslmode, port.trim()]).arg(&file).output().expect("the bench starts itself");
        server.kill().and_then(|()| server.wait()).expect("the stand-in ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = said.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [held_mib, peak_mib, before_mib] = numbers[..] else { panic!("the child said {said}") };
        println!(
            "hold      {SESSIONS} sessions of {TENANTS} tenants, sslmode={sslmode}: {held_mib:.1} MiB of at most {bound_mib} held; \
             {before_mib:.1} before they connected, peak {peak_mib:.1}"
        );
        assert!(held_mib <= bound_mib, "sslmode={sslmode}: {held_mib} MiB");
    }
}

fn itself() -> Command {
    Command::new(std::env::current_exe().expect("this program has a path"))
}

/// The replay's process.
pub fn child(sslmode: &str, port: u16, workload: &Path) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let spool = Spool::prepare(workload, &directory.path().join("spool"), DatabaseNames::new(), Order::Free)
        .expect("a workload");
    let before_mib = stage::memory_mib("VmRSS:");
    let dsn = Dsn::parse(&format!("postgresql://admin@127.0.0.1:{port}/postgres?sslmode={sslmode}")).expect("a DSN");
    let clock = RunClock::start();
    let sink = Sink::start(Recording::Null, clock, directory.path());
    let starts_us = clock.now_us() + LEAD.as_micros() as u64;
    let looking = std::thread::spawn(move || {
        let idle = clock.to_instant(starts_us + SECONDS * 1_000_000 / 2);
        std::thread::sleep(idle.saturating_duration_since(std::time::Instant::now()));
        stage::memory_mib("VmRSS:")
    });
    stage::replay(&spool, Speed::Factor(1.0), starts_us, dsn.target().expect("a target"), sink.recorder.clone());
    let held_mib = looking.join().expect("a look");
    sink.finish();
    println!("{held_mib} {} {before_mib}", stage::memory_mib("VmHWM:"));
}

/// The stand-in's process: prints its port and serves until it is killed.
pub fn server() {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        std::io::stdout().flush().expect("the bench listens");
        let tls = TlsAcceptor::from(Arc::new(certificate()));
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let tls = tls.clone();
            // Its client sees how a connection ends.
            tokio::task::spawn_local(async move { greet(stream, &tls).await.unwrap_or_default() });
        }
    });
}

fn certificate() -> ServerConfig {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/net/test_certificates");
    let certificate = CertificateDer::from_pem_file(keys.join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(keys.join("server.key")).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    builder.with_no_client_auth().with_single_cert(vec![certificate], key).expect("a certificate with its key")
}

async fn greet(mut stream: TcpStream, tls: &TlsAcceptor) -> std::io::Result<()> {
    let mut input = BytesMut::with_capacity(256);
    loop {
        match serve::read(&mut input, false) {
            Ok(Some(ClientMessage::Startup { .. })) => return answer(stream, input).await,
            Ok(Some(ClientMessage::Request { .. })) => {
                stream.write_all(b"S").await?;
                let mut stream = tls.accept(stream).await?;
                while !matches!(serve::read(&mut input, false), Ok(Some(_))) {
                    if stream.read_buf(&mut input).await? == 0 {
                        return Ok(());
                    }
                }
                return answer(stream, input).await;
            }
            Ok(_) if stream.read_buf(&mut input).await? > 0 => {}
            _ => return Ok(()),
        }
    }
}

/// Lets the client in and says to each query that it was done.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, mut input: BytesMut) -> std::io::Result<()> {
    let mut output = BytesMut::new();
    serve::welcome(&mut output, "18.4");
    loop {
        stream.write_all(&output).await?;
        stream.flush().await?;
        output.clear();
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        while let Ok(Some(message)) = serve::read(&mut input, true) {
            if message.query().is_some() {
                serve::command_complete(&mut output, "SELECT 0");
                serve::ready_for_query(&mut output, TransactionStatus::Idle);
            }
        }
    }
}
