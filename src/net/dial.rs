//! Where a server listens, and how a stream to it is opened.
//!
//! Takes an address with its TLS settings and a time limit and gives a connected [`Stream`], after the SSLRequest and
//! the handshake where asked. Must not know who logs in.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::identity::PROTOCOL_NAME;
use super::stream::Stream;
use super::tls::{Tls, Way};
use super::tls_settings::{SslMode, SslNegotiation};
use crate::pgwire::frontend;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `address` is the host's address where it is known without asking; `host` is also the name in the certificate.
    Tcp { host: String, address: Option<IpAddr>, port: u16 },
    /// The socket is `directory/.s.PGSQL.port`.
    Unix { directory: PathBuf, port: u16 },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix { directory, port } => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}

/// Where and how to reach a server. Cheap enough to clone, but meant to be shared.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: Address,
    /// Unix sockets never use it, as with libpq.
    pub tls: Tls,
}

impl Target {
    /// A server on a Unix socket.
    pub fn unix(directory: impl Into<PathBuf>, port: u16) -> Self {
        Self { address: Address::Unix { directory: directory.into(), port }, tls: Tls::DISABLED }
    }

    /// A server on TCP, without TLS.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self { address: Address::Tcp { host: host.into(), address: None, port }, tls: Tls::DISABLED }
    }

    /// The ways to begin a connection, in the order in which they are tried.
    pub fn ways(&self) -> &'static [Way] {
        match self.address {
            Address::Tcp { .. } => self.tls.ways(),
            Address::Unix { .. } => &[Way::Plain],
        }
    }

    /// `host` and `port` as they stand in a DSN.
    pub fn host_and_port(&self) -> (String, u16) {
        match &self.address {
            Address::Tcp { host, port, .. } => (host.clone(), *port),
            Address::Unix { directory, port } => (directory.display().to_string(), *port),
        }
    }
}

/// Why no stream came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("no connection within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("could not look up the host")]
    Resolve(#[source] io::Error),
    #[error("could not connect")]
    Connect(#[source] io::Error),
    /// Which says nothing about the server.
    #[error("this machine has no file descriptor, port or memory left for a connection")]
    NoResources(#[source] io::Error),
    #[error("the connection broke before TLS began")]
    Lost(#[source] io::Error),
    #[error("the server does not offer TLS, and sslmode asks for it")]
    TlsNotOffered,
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the server did not ask for a certificate, and sslcertmode asks for that")]
    CertificateNotAsked,
    #[error("the handshake did not name PostgreSQL's protocol, as sslnegotiation=direct needs it")]
    ProtocolNotNamed,
    #[error("the server answered 0x{0:02x} to the request for TLS")]
    Protocol(u8),
}

impl DialError {
    fn connecting(error: io::Error) -> Self {
        const OWN: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
        let is_own = Errno::from_io_error(&error).is_some_and(|errno| OWN.contains(&errno));
        if is_own { Self::NoResources(error) } else { Self::Connect(error) }
    }

    /// Whether the way was the trouble, so that another one may do.
    pub fn is_of_way(&self) -> bool {
        match self {
            Self::TlsNotOffered | Self::Handshake(_) | Self::CertificateNotAsked | Self::ProtocolNotNamed => true,
            Self::Protocol(answer) => *answer == b'E',
            Self::TimedOut(_) | Self::Resolve(_) | Self::Connect(_) | Self::NoResources(_) | Self::Lost(_) => false,
        }
    }
}

/// Opens a stream to `target` by the first way that does, TLS included, in `within` at most. Who logs in goes through
/// the ways himself, since the login may fail by one of them.
pub async fn dial(target: &Target, within: Duration) -> Result<Stream, DialError> {
    let opening = async {
        let mut failed = None;
        for way in target.ways() {
            match dial_by(target, *way, within).await {
                Err(error) if error.is_of_way() => failed.get_or_insert(error),
                done => return done,
            };
        }
        Err(failed.unwrap_or(DialError::TlsNotOffered))
    };
    tokio::time::timeout(within, opening).await.unwrap_or(Err(DialError::TimedOut(within)))
}

/// Opens a stream to `target` by one way in `within` at most. With `prefer`, a server without TLS gives a plain one.
pub async fn dial_by(target: &Target, way: Way, within: Duration) -> Result<Stream, DialError> {
    let opening = async {
        #[cfg(test)]
        if let Some(dialled) = super::played::dial(&target.address).await {
            return dialled.map(Stream::Played).map_err(DialError::connecting);
        }
        match &target.address {
            Address::Unix { directory, port } => {
                let path = directory.join(format!(".s.PGSQL.{port}"));
                UnixStream::connect(path).await.map(Stream::Unix).map_err(DialError::connecting)
            }
            Address::Tcp { host, address, port } => {
                let tcp = dial_tcp(host, *address, *port).await?;
                match way {
                    Way::Plain => Ok(Stream::Tcp(tcp)),
                    Way::Encrypted => secure(tcp, host, &target.tls).await,
                }
            }
        }
    };
    tokio::time::timeout(within, opening).await.unwrap_or(Err(DialError::TimedOut(within)))
}

/// Tries every address of the host in turn.
async fn dial_tcp(host: &str, address: Option<IpAddr>, port: u16) -> Result<TcpStream, DialError> {
    let addresses: Vec<SocketAddr> = match address.or_else(|| host.parse().ok()) {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => lookup_host((host, port)).await.map_err(DialError::Resolve)?.collect(),
    };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match dial_address(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(DialError::connecting(failed))
}

async fn dial_address(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_keepalive(true)?;
    // A request must leave when it is sent: Nagle's algorithm would hold small ones back.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

async fn secure(mut tcp: TcpStream, host: &str, tls: &Tls) -> Result<Stream, DialError> {
    let Some((config, shown)) = tls.config() else {
        return Ok(Stream::Tcp(tcp));
    };
    let is_direct = tls.settings().negotiation() == SslNegotiation::Direct;
    if !is_direct && !ask_for_tls(&mut tcp).await? {
        return match tls.settings().mode() {
            SslMode::Prefer => Ok(Stream::Tcp(tcp)),
            _ => Err(DialError::TlsNotOffered),
        };
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| DialError::Handshake(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(DialError::Handshake)?;
    // A server of another protocol may shake hands, too: it must say that PostgreSQL is what it speaks.
    if is_direct && stream.get_ref().1.alpn_protocol() != Some(PROTOCOL_NAME) {
        return Err(DialError::ProtocolNotNamed);
    }
    if shown.is_some_and(|shown| !shown.was_asked_for()) {
        return Err(DialError::CertificateNotAsked);
    }
    Ok(Stream::Tls(Box::new(stream.into())))
}

/// Whether the server offers TLS.
async fn ask_for_tls(tcp: &mut TcpStream) -> Result<bool, DialError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(DialError::Lost)?;
    // Exactly one byte is read, so what an attacker put behind it would be part of the handshake and break it.
    match tcp.read_u8().await.map_err(DialError::Lost)? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        other => Err(DialError::Protocol(other)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::tls_settings::TlsSettings;
    use super::*;

    const WITHIN: Duration = Duration::from_secs(20);

    async fn answering(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            client.read_exact(&mut request).await.unwrap();
            client.write_all(answer).await.unwrap();
        });
        port
    }

    fn target(port: u16, mode: SslMode) -> Target {
        Target { tls: Tls::new(&TlsSettings::of_mode(mode)).unwrap(), ..Target::tcp("127.0.0.1", port) }
    }

    #[tokio::test]
    async fn prefer_goes_on_without_tls_and_require_does_not() {
        let port = answering(b"N").await;
        assert!(matches!(dial(&target(port, SslMode::Prefer), WITHIN).await, Ok(Stream::Tcp(_))));
        let port = answering(b"N").await;
        assert!(matches!(dial(&target(port, SslMode::Require), WITHIN).await, Err(DialError::TlsNotOffered)));
        let port = answering(b"E").await;
        assert!(matches!(dial(&target(port, SslMode::Require), WITHIN).await, Err(DialError::Protocol(b'E'))));
    }

    #[tokio::test]
    async fn a_missing_socket_and_a_closed_port_are_refusals() {
        let missing = Target::unix("/nowhere", 5432);
        assert!(matches!(dial(&missing, WITHIN).await, Err(DialError::Connect(_))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(dial(&Target::tcp("127.0.0.1", port), WITHIN).await, Err(DialError::Connect(_))));
    }
}
