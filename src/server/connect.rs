//! Opens sessions on our own wire code: dials, logs in, and hands over a [`Connection`] that is ready for queries.
//!
//! Takes a target, a login and a time limit; tells apart why it did not work, without secrets. Must not know what the
//! session is for.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::authenticate;
use super::connection::Connection;
use super::login::Login;
use super::ways::Ways;
use crate::net::{self, DialError, Target};
use crate::pgwire::backend::{CancelKey, ServerError};
use crate::pgwire::{PROTOCOL_3_0, frontend};
use crate::samples::sample::Outcome;
use crate::words::sqlstate::SqlState;

/// Why there is no session, or no longer one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there, the host is unknown or unreachable, or the socket is missing.
    #[error("could not connect: {reason}")]
    Refused { reason: Box<str> },
    /// The machine of the tool has no descriptor, port or memory left for a connection: that says nothing about the server.
    #[error("no connection for want of the tool's own resources: {reason}")]
    NoResources { reason: Box<str> },
    /// The connection ended; `server` is what the server said before, such as 57P01.
    #[error("{}", match server { Some(error) => error.to_string(), None => format!("connection lost: {reason}") })]
    Lost { reason: Box<str>, server: Option<ServerError> },
    #[error("no session within {} ms", within.as_millis())]
    TimedOut { within: Duration },
    /// The server answered the login with an error.
    #[error("{0}")]
    Rejected(ServerError),
    /// The server wants a proof that this login does not have, or did not prove itself.
    #[error("{reason}")]
    Authentication { reason: Box<str> },
    /// TLS was asked for and did not come about.
    #[error("no TLS: {reason}")]
    Tls { reason: Box<str> },
    /// What came is not PostgreSQL's protocol.
    #[error("protocol error: {reason}")]
    Protocol { reason: Box<str> },
}

impl ConnectError {
    /// The server's code, where the server said something.
    pub fn sqlstate(&self) -> Option<SqlState> {
        self.server_error().map(|error| error.sqlstate)
    }

    /// The server's own words, where it said something.
    pub fn server_error(&self) -> Option<&ServerError> {
        match self {
            Self::Rejected(error) | Self::Lost { server: Some(error), .. } => Some(error),
            _ => None,
        }
    }

    /// One short line for a sample: the server's primary message, else what the system said.
    pub fn message(&self) -> Box<str> {
        self.server_error().map_or_else(|| self.to_string().into(), |error| error.message.clone())
    }

    /// What a try to connect comes to that failed so: nothing that the server did where it was the tool's own machine.
    pub fn outcome(&self) -> Outcome {
        if matches!(self, Self::NoResources { .. }) { Outcome::Skipped } else { Outcome::Failed }
    }

    pub fn protocol(reason: impl ToString) -> Self {
        Self::Protocol { reason: reason.to_string().into() }
    }

    pub(super) fn lost(error: &io::Error) -> Self {
        Self::Lost { reason: error.to_string().into(), server: None }
    }
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::TimedOut(within) => Self::TimedOut { within },
            DialError::Resolve(source) | DialError::Connect(source) => {
                Self::Refused { reason: source.to_string().into() }
            }
            DialError::NoResources(source) => Self::NoResources { reason: source.to_string().into() },
            DialError::Lost(source) => Self::lost(&source),
            DialError::TlsNotOffered => Self::Tls { reason: "the server does not offer it".into() },
            DialError::Handshake(source) => Self::Tls { reason: source.to_string().into() },
            DialError::CertificateNotAsked | DialError::ProtocolNotNamed => {
                Self::Tls { reason: error.to_string().into() }
            }
            DialError::Protocol(_) => Self::protocol(error),
        }
    }
}

/// Opens a session up to its first ReadyForQuery, in `within` at most.
pub async fn connect(target: &Target, login: &Login, within: Duration) -> Result<Connection, ConnectError> {
    let opening = async {
        let mut ways = Ways::new(target);
        loop {
            let mut connection = Connection::new(ways.dial(within).await?);
            frontend::startup(connection.out(), PROTOCOL_3_0, login.startup_parameters())
                .map_err(ConnectError::protocol)?;
            match authenticate::log_in(&mut connection, login, target.tls.settings().channel_binding()).await {
                Ok(()) => return Ok(connection),
                Err(error) => ways.rejected(error)?,
            }
        }
    };
    tokio::time::timeout(within, opening).await.unwrap_or(Err(ConnectError::TimedOut { within }))
}

/// Asks the server to cancel what the session with this key is doing, and waits until it has done so. It answers nothing but
/// closes the connection, as libpq's PQcancel waits for: the outcome shows in the session itself.
pub async fn cancel_request(target: &Target, key: &CancelKey, within: Duration) -> Result<(), ConnectError> {
    let asking = async {
        let mut stream = net::dial(target, within).await?;
        let mut out = BytesMut::new();
        frontend::cancel_request(&mut out, key.process_id, &key.secret).map_err(ConnectError::protocol)?;
        stream.write_all(&out).await.map_err(|error| ConnectError::lost(&error))?;
        stream.flush().await.map_err(|error| ConnectError::lost(&error))?;
        // A connection that breaks is closed, too.
        while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
        Ok(())
    };
    tokio::time::timeout(within, asking).await.unwrap_or(Err(ConnectError::TimedOut { within }))
}
