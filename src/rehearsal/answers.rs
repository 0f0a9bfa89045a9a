//! Asks the server: which version it is, and whether every fate group answers again.
//!
//! Takes the endpoint; gives a version or an answer. Must not know why it is asked.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::server::connect::ConnectError;
use crate::server::control;
use crate::server::endpoint::Endpoint;
use crate::words::ids::PgVersion;

const ASK_DEADLINE: Duration = Duration::from_secs(5);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The exact version of the server behind the endpoint now.
///
/// # Errors
/// When it does not answer; a version that cannot be read counts as a protocol error.
pub async fn server_version(endpoint: &Endpoint) -> Result<PgVersion, ConnectError> {
    let place = endpoint.current();
    let login = endpoint.control_login(endpoint.control_database());
    let asking = async {
        let session = control::connect(&place.target, &login, ASK_DEADLINE).await?;
        let row = session.query_one("SHOW server_version", &[]).await.map_err(|error| control::explain(&error))?;
        session.close().await;
        row.get::<_, &str>(0).parse().map_err(ConnectError::protocol)
    };
    timeout(ASK_DEADLINE, asking).await.unwrap_or(Err(ConnectError::TimedOut { within: ASK_DEADLINE }))
}

/// Waits until a query was answered in every database; gives those that did not answer within `deadline`. The last
/// question may be answered [`ASK_DEADLINE`] after it.
pub async fn await_groups(endpoint: &Endpoint, databases: &[String], deadline: Duration) -> Vec<String> {
    let end = Instant::now() + deadline;
    let mut silent = databases.to_vec();
    loop {
        let mut still_silent = Vec::new();
        for database in silent {
            if Instant::now() >= end || !answers(endpoint, &database).await {
                still_silent.push(database);
            }
        }
        silent = still_silent;
        if silent.is_empty() || Instant::now() >= end {
            return silent;
        }
        sleep(ASK_AGAIN_AFTER).await;
    }
}

async fn answers(endpoint: &Endpoint, database: &str) -> bool {
    let place = endpoint.current();
    let login = endpoint.control_login(database);
    let asking = async {
        let session = control::connect(&place.target, &login, ASK_DEADLINE).await.ok()?;
        session.simple_query("SELECT 1").await.ok()
    };
    timeout(ASK_DEADLINE, asking).await.ok().flatten().is_some()
}
