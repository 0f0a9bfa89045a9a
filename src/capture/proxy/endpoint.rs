//! Addresses as they are typed, and the sockets that a proxy listens on.
//!
//! `HOST:PORT`, `[IPv6]:PORT`, a port alone (of the loopback), or the path of a Unix socket as PostgreSQL names it. Must not
//! know what is said over a connection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

use crate::net::{Address, Stream};

const DEFAULT_PORT: u16 = 5432;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

const SOCKET_PREFIX: &str = ".s.PGSQL.";

/// Reads an address.
///
/// # Errors
/// A text that says what is wrong.
pub fn parse_address(text: &str) -> Result<Address, String> {
    if text.starts_with('/') {
        return Ok(unix_address(Path::new(text)));
    }
    let tcp = |host: &str, port| Ok(Address::Tcp { host: host.to_owned(), address: None, port });
    if let Ok(port) = text.parse::<u16>() {
        return tcp("127.0.0.1", port);
    }
    let invalid =
        || format!("\"{text}\" is no address; write HOST:PORT, [IPv6]:PORT or /DIRECTORY/{SOCKET_PREFIX}PORT");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or_else(invalid)?;
            (host, behind.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            // An IPv6 address without brackets.
            Some((host, _)) if host.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(DEFAULT_PORT), str::parse).map_err(|_| invalid())?;
    match host.is_empty() || host.contains(['/', ' ']) {
        true => Err(invalid()),
        false => tcp(host, port),
    }
}

/// A socket's own path, or the directory of one.
fn unix_address(path: &Path) -> Address {
    let port = path.file_name().and_then(|name| name.to_str()?.strip_prefix(SOCKET_PREFIX)?.parse().ok());
    match port {
        Some(port) => Address::Unix { directory: path.parent().unwrap_or(Path::new("/")).to_owned(), port },
        None => Address::Unix { directory: path.to_owned(), port: DEFAULT_PORT },
    }
}

/// A socket to accept connections on, which several threads may do.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// The file of a Unix socket, which goes with it.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listening {
    /// Takes the address: the first of the host's that can be had.
    ///
    /// # Errors
    /// It is in use, or not this machine's.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp { host, address, port } => {
                let addresses = match address {
                    Some(address) => vec![SocketAddr::new(*address, *port)],
                    None => lookup_host((host.as_str(), *port)).await?.collect(),
                };
                let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in addresses {
                    match listen(address) {
                        Ok(listener) => return Ok(Self::Tcp(listener.into_std()?)),
                        Err(error) => failed = error,
                    }
                }
                Err(failed)
            }
            Address::Unix { directory, port } => {
                let path = directory.join(format!("{SOCKET_PREFIX}{port}"));
                remove_if_stale(&path)?;
                let listener = std::os::unix::net::UnixListener::bind(&path)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(listener, SocketFile(path)))
            }
        }
    }

    /// Where clients connect: with the port that the system chose, if it was asked to.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |addr| addr.to_string())
            }
            Self::Unix(_, SocketFile(path)) => path.display().to_string(),
        }
    }

    /// For another thread to accept on. Must be called on its runtime.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn acceptor(&self) -> io::Result<Acceptor> {
        match self {
            Self::Tcp(listener) => Ok(Acceptor::Tcp(TcpListener::from_std(listener.try_clone()?)?)),
            Self::Unix(listener, _) => Ok(Acceptor::Unix(UnixListener::from_std(listener.try_clone()?)?)),
        }
    }
}

/// One thread's way to accept connections.
#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// What is accepted inherits that it is kept alive: of a client that vanished, the server's session must not stay for ever.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The file of a socket that nobody listens on is what a killed program left.
fn remove_if_stale(path: &Path) -> io::Result<()> {
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("127.0.0.1:6432", "127.0.0.1:6432"),
            ("db.internal", "db.internal:5432"),
            ("6432", "127.0.0.1:6432"),
            ("[::1]:6432", "[::1]:6432"),
            ("::1", "[::1]:5432"),
            ("/run/postgresql", "/run/postgresql/.s.PGSQL.5432"),
            ("/tmp/.s.PGSQL.6432", "/tmp/.s.PGSQL.6432"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), shown, "{text}");
        }
        for text in ["", ":6432", "host:port", "host:99999", "a b:1", "postgresql://host/db", "[::1:6432"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_program_left_is_taken_over_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Unix { directory: directory.path().to_owned(), port: 6432 };
        let path = directory.path().join(".s.PGSQL.6432");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Listening::bind(&address).await.unwrap();
        assert_eq!(Listening::bind(&address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
    }
}
