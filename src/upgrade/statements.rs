//! `sql` and `wait` steps.
//!
//! Takes statements and sends them to the primary endpoint over a control session. Must not know why.

use std::time::Duration;

use tokio::time::sleep;

use crate::scenario::plan::{SqlTarget, Wait};
use crate::server::control::{self, Control, explain};
use crate::sql::split;

use super::context::UpgradeContext;
use super::error::StepError;

/// Time for a control session to come about.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How much longer than its step a statement may run on the server after we have gone.
const SERVER_GRACE_MS: u128 = 1_000;

/// Sends each statement by itself, so that none runs in a transaction that was not asked for.
pub(super) async fn send(context: &UpgradeContext, target: &SqlTarget, deadline: Duration) -> Result<(), StepError> {
    let control = connect(context, target).await?;
    // When we give up, the server shall too: it would not notice our going before its statement is done.
    let limit = format!("SET statement_timeout = {}", (deadline.as_millis() + SERVER_GRACE_MS).min(i32::MAX as u128));
    let statements = split(&target.text);
    for (number, statement) in std::iter::once(limit.as_str()).chain(statements).enumerate() {
        let sent = control.batch_execute(statement).await;
        sent.map_err(|error| StepError::Statement { number, source: explain(&error) })?;
    }
    control.close().await;
    Ok(())
}

/// Waits for a time, or until a query says true.
pub(super) async fn wait(context: &UpgradeContext, wait: &Wait) -> Result<(), StepError> {
    match wait {
        Wait::For(duration) => sleep(*duration).await,
        Wait::Until { query, poll } => {
            let mut session = None;
            while !holds(context, query, &mut session).await {
                sleep(*poll).await;
            }
        }
    }
    Ok(())
}

/// Whether the query's first column of its first row is true. Any error means not yet, and a new session next time.
async fn holds(context: &UpgradeContext, query: &SqlTarget, session: &mut Option<Control>) -> bool {
    if session.is_none() {
        *session = connect(context, query).await.ok();
    }
    let Some(control) = session else { return false };
    match control.simple_query(&query.text).await {
        Ok(messages) => messages.iter().find_map(first_column).is_some_and(|value| matches!(value, "t" | "true")),
        Err(_) => {
            *session = None;
            false
        }
    }
}

fn first_column(message: &tokio_postgres::SimpleQueryMessage) -> Option<&str> {
    match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    }
}

async fn connect(context: &UpgradeContext, target: &SqlTarget) -> Result<Control, StepError> {
    let endpoint = context.primary()?;
    let login = match &target.user {
        Some(user) => endpoint.login_for(user, &target.database, &[]),
        None => endpoint.control_login(endpoint.logins().database_for(&target.database)),
    };
    let login = login.with_parameter("application_name", "pgrehearse step");
    control::connect(&endpoint.current().target, &login, CONNECT_DEADLINE)
        .await
        .map_err(|source| StepError::Connect { database: target.database.clone(), source })
}
