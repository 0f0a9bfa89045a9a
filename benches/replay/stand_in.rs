//! A server that only says that it did what it was asked, in a process of its own: what it takes is the least that any server
//! could.
//!
//! Speaks plainly or by TLS and answers simple queries without a row. Must not know what is measured with it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::BytesMut;
use pgrehearse::pgwire::backend::TransactionStatus;
use pgrehearse::pgwire::serve::{self, ClientMessage};
use pgrehearse::replay::descriptors;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

/// The argument with which the bench starts itself as the stand-in.
pub const ARGUMENT: &str = "--stand-in";

/// A running stand-in; ended when dropped.
pub struct StandIn {
    process: Child,
    pub port: u16,
}

impl StandIn {
    pub fn start() -> Self {
        let itself = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(itself);
        let mut process = command.arg(ARGUMENT).stdout(Stdio::piped()).spawn().expect("the bench starts itself");
        let mut port = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut port).expect("a port");
        Self { process, port: port.trim().parse().expect("a port") }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("the stand-in ends");
    }
}

/// The stand-in's process: prints its port and serves until it is killed.
pub fn child() {
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
