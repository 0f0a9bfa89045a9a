//! The look at a server that is not ours: may it be rehearsed on?
//!
//! A rehearsal writes, locks and breaks things, so an external server must carry the disposable mark: the setting
//! `pgrehearse.disposable = on` (by ALTER DATABASE or ALTER ROLE; ALTER SYSTEM takes such a setting only since 17), or a
//! table `pgrehearse_disposable` on the login's search path. Takes a target and a login; sends nothing but this one look.
//! Must not know what follows.

use std::time::Duration;

use super::connect::{self, ConnectError};
use super::login::Login;
use crate::net::Target;
use crate::pgwire::frontend;
use crate::words::ids::PgVersion;

/// One row if the mark is there, none if not. It calls only functions that everybody may call, takes no lock on a table
/// and writes nothing.
const LOOK: &str = "SELECT 1 WHERE pg_catalog.current_setting('pgrehearse.disposable', true) \
    IN ('on', 'true', 'yes', '1') OR pg_catalog.to_regclass('pgrehearse_disposable') IS NOT NULL";

/// What the look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalServer {
    /// Whether the server may be rehearsed on.
    pub disposable: bool,
    /// As the server reports it at every login.
    pub version: Option<PgVersion>,
}

/// Connects once, looks for the mark, and leaves; all in `within` at most.
pub async fn look(target: &Target, login: &Login, within: Duration) -> Result<ExternalServer, ConnectError> {
    let mut connection = connect::connect(target, login, within).await?;
    let looking = async {
        frontend::query(connection.out(), LOOK.as_bytes()).map_err(ConnectError::protocol)?;
        connection.send().await?;
        connection.read_reply().await
    };
    let reply = tokio::time::timeout(within, looking).await.unwrap_or(Err(ConnectError::TimedOut { within }))?;
    if let Some(error) = reply.error {
        return Err(ConnectError::Rejected(error));
    }
    let version = connection.server_version().and_then(|version| version.parse().ok());
    connection.close().await;
    Ok(ExternalServer { disposable: reply.rows > 0, version })
}
