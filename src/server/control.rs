//! Control sessions: tokio-postgres over our own streams, for set-up, steps, catalogue queries and reading back.
//!
//! Takes a target, a login and a time limit and gives a client together with the task that drives it. Must not know
//! what is asked; nothing on the replay's hot path goes through here.

use std::future::{Ready, ready};
use std::io;
use std::ops::Deref;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{self, SslNegotiation};
use tokio_postgres::tls::{self, TlsConnect};
use tokio_postgres::{Client, Config};

use super::connect::ConnectError;
use super::login::Login;
use super::ways::Ways;
use crate::net::{ChannelBinding, Stream, Target};
use crate::pgwire::backend::ServerError;
use crate::words::limits::MESSAGE_CHARS_MAX;
use crate::words::sqlstate::SqlState;

/// How long a goodbye may take before the connection is dropped.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// A client and the task that moves its messages. Dropping it ends both.
#[derive(Debug)]
pub struct Control {
    client: Option<Client>,
    driver: JoinHandle<()>,
}

impl Control {
    /// Says goodbye and waits, shortly, until the connection is closed.
    pub async fn close(mut self) {
        // The driver ends by itself once its client is gone.
        drop(self.client.take());
        let _ = tokio::time::timeout(CLOSE_DEADLINE, &mut self.driver).await;
    }
}

impl Deref for Control {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client.as_ref().expect("the client is only taken by close, which takes the whole")
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Opens a control session in `within` at most.
pub async fn connect(target: &Target, login: &Login, within: Duration) -> Result<Control, ConnectError> {
    let opening = async {
        let mut ways = Ways::new(target);
        let config = config(login, target.tls.settings().channel_binding());
        loop {
            let stream = ways.dial(within).await?;
            match config.connect_raw(stream, Dialled).await {
                Ok((client, connection)) => {
                    // How the connection ends shows in the client's calls.
                    let driver = tokio::spawn(async move { drop(connection.await) });
                    return Ok(Control { client: Some(client), driver });
                }
                Err(error) => ways.rejected(explain(&error))?,
            }
        }
    };
    tokio::time::timeout(within, opening).await.unwrap_or(Err(ConnectError::TimedOut { within }))
}

/// What a tokio-postgres error says, in our own words.
pub fn explain(error: &tokio_postgres::Error) -> ConnectError {
    if let Some(server) = error.as_db_error() {
        let message = server.message().chars().take(MESSAGE_CHARS_MAX).collect();
        return match SqlState::new(server.code().code().as_bytes()) {
            Some(sqlstate) => {
                ConnectError::Rejected(ServerError { severity: server.severity().into(), sqlstate, message })
            }
            None => ConnectError::protocol("an error without a SQLSTATE"),
        };
    }
    let source = std::error::Error::source(error).map(ToString::to_string);
    ConnectError::Lost { reason: source.unwrap_or_else(|| error.to_string()).into(), server: None }
}

/// Tells tokio-postgres that TLS is there already, where it is, and what binds a password to it.
struct Dialled;

impl TlsConnect<Stream> for Dialled {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Ready<io::Result<Stream>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(stream))
    }
}

impl tls::TlsStream for Stream {
    fn channel_binding(&self) -> tls::ChannelBinding {
        self.tls_server_end_point().map_or_else(tls::ChannelBinding::none, tls::ChannelBinding::tls_server_end_point)
    }
}

fn config(login: &Login, binding: ChannelBinding) -> Config {
    let mut config = Config::new();
    config.user(&login.user).dbname(&login.database);
    // The stream is taken as it is: what `sslmode` asks for has been done.
    config.ssl_mode(config::SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    config.channel_binding(match binding {
        ChannelBinding::Disable => config::ChannelBinding::Disable,
        ChannelBinding::Prefer => config::ChannelBinding::Prefer,
        ChannelBinding::Require => config::ChannelBinding::Require,
    });
    if let Some(password) = &login.password {
        config.password(password.expose());
    }
    for (name, value) in &login.parameters {
        match name.as_str() {
            "application_name" => config.application_name(value),
            "options" => config.options(value),
            _ => &mut config,
        };
    }
    config
}
