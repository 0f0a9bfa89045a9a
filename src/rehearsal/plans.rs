//! The plans of the leading statements, as the planner makes them without parameter values (EXPLAIN (GENERIC_PLAN),
//! PostgreSQL 16 and later).
//!
//! Takes folded statement texts and the endpoint; gives one text file for each statement and side in `plans/`. A
//! statement whose plan cannot be had says why in its file. Must not know what the plans are compared for.

use std::time::Duration;

use crate::facts::{StatementFact, layout};
use crate::record::{RunDir, RunDirError};
use crate::server::control::{self, Control};
use crate::server::endpoint::Endpoint;
use crate::timeline::Side;
use crate::words::class::StatementClass;
use crate::words::ids::PgMajor;

/// The first major that can explain a statement without its parameters.
const GENERIC_PLAN_SINCE: PgMajor = PgMajor(16);
/// Statements whose plans are kept.
const STATEMENTS_MAX: usize = 20;
/// For all plans of one side together.
const PLANS_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Writes the plans of one side, as many as can be had within [`PLANS_DEADLINE`]. `statements` are in the order of
/// their weight.
///
/// # Errors
/// When a file cannot be written. A server that does not answer is no error: then there are no plans.
pub async fn explain(
    endpoint: &Endpoint,
    major: PgMajor,
    databases: &[String],
    statements: &[StatementFact],
    side: Side,
    run_dir: &RunDir,
) -> Result<(), RunDirError> {
    if major < GENERIC_PLAN_SINCE {
        return Ok(());
    }
    let mut plans = Vec::new();
    let leading = statements.iter().filter(|statement| has_plan(statement)).take(STATEMENTS_MAX);
    let explaining = async {
        let sessions = connect(endpoint, databases).await;
        for statement in leading {
            plans.push((statement, plan(&sessions, &statement.sql).await));
        }
        for (_, session) in sessions {
            session.close().await;
        }
    };
    // What was explained until then is kept.
    let _ = tokio::time::timeout(PLANS_DEADLINE, explaining).await;
    let side = match side {
        Side::Before => "before",
        Side::After => "after",
    };
    for (statement, plan) in plans {
        let name = format!("{}/{}.{side}.txt", layout::PLANS, statement.fingerprint);
        let text = format!("-- {}\n{plan}\n", statement.sql.replace('\n', " "));
        run_dir.write_whole(&name, |file| std::io::Write::write_all(file, text.as_bytes()))?;
    }
    Ok(())
}

fn has_plan(statement: &StatementFact) -> bool {
    matches!(statement.class, StatementClass::Read | StatementClass::Write) && !statement.sql.contains(';')
}

async fn connect<'a>(endpoint: &Endpoint, databases: &'a [String]) -> Vec<(&'a str, Control)> {
    let mut sessions = Vec::new();
    for database in databases {
        let place = endpoint.current();
        let login = endpoint.control_login(database);
        if let Ok(session) = control::connect(&place.target, &login, CONNECT_DEADLINE).await {
            sessions.push((database.as_str(), session));
        }
    }
    sessions
}

/// The plan in the first database that has the statement's tables, else why there is none.
async fn plan(sessions: &[(&str, Control)], folded: &str) -> String {
    let explain = format!("EXPLAIN (GENERIC_PLAN, COSTS) {}", with_parameters(folded));
    let mut reason = "no database could be reached".to_owned();
    for (database, session) in sessions {
        match session.simple_query(&explain).await {
            Ok(messages) => {
                let lines = messages.iter().filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                return format!("-- database {database}\n{}", lines.collect::<Vec<_>>().join("\n"));
            }
            Err(error) => reason = control::explain(&error).to_string(),
        }
    }
    format!("-- no plan: {reason}")
}

/// The folded text with its `?` numbered, as parameters that EXPLAIN takes.
fn with_parameters(folded: &str) -> String {
    let mut text = String::with_capacity(folded.len() + 16);
    let mut number = 0;
    for c in folded.chars() {
        if c == '?' {
            number += 1;
            text.push_str(&format!("${number}"));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with_parameters;

    #[test]
    fn folded_values_become_numbered_parameters() {
        assert_eq!(
            with_parameters("select body from notes where tenant = ? and id = ?"),
            "select body from notes where tenant = $1 and id = $2"
        );
    }
}
