//! The table that probes write to, and the proof that reads it back.
//!
//! Takes an endpoint and its databases; gives ledger entries to the recorder as they are found, in bounded memory. The
//! table has no primary key on purpose: a write that was applied twice must show, not fail. Must not know how the
//! probes write.

use std::time::Duration;

use tokio::time::timeout;

use super::settings::Database;
use crate::facts::LedgerEntry;
use crate::record::Recorder;
use crate::server::ConnectError;
use crate::server::control::{self, Control};
use crate::server::endpoint::Endpoint;
use crate::words::sqlstate::SqlState;

/// Everybody may probe: the users that probes log in as own nothing here.
const SET_UP: &str = "
    CREATE SCHEMA IF NOT EXISTS pgrehearse;
    DROP TABLE IF EXISTS pgrehearse.ledger;
    CREATE TABLE pgrehearse.ledger (id bigint, written_at timestamptz DEFAULT clock_timestamp());
    GRANT USAGE ON SCHEMA pgrehearse TO PUBLIC;
    GRANT SELECT, INSERT ON pgrehearse.ledger TO PUBLIC;";

/// A cursor keeps the memory bounded on this side.
const READ_BACK: &str = "
    BEGIN READ ONLY;
    DECLARE found NO SCROLL CURSOR FOR
        SELECT id, count(*) FROM pgrehearse.ledger WHERE id IS NOT NULL GROUP BY id ORDER BY id";

/// Rows of one fetch.
const FETCH: &str = "FETCH 10000 FROM found";

/// Why the ledger could not be set up, read or dropped. What was read of a database before stays recorded.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} the ledger in database \"{database}\"\ndetail: {source}{}", hint(source))]
pub struct LedgerError {
    pub doing: &'static str,
    pub database: String,
    pub source: ConnectError,
}

/// The usual reason, where it is one: nobody created what the workload was captured from.
fn hint(error: &ConnectError) -> &'static str {
    match error.sqlstate() {
        Some(SqlState::INVALID_CATALOG_NAME) => "\nhint: staging must hold every database of the workload",
        _ => "",
    }
}

/// Creates the schema `pgrehearse` with an empty ledger in every database; a ledger of an earlier run goes.
pub async fn set_up(endpoint: &Endpoint, databases: &[Database], within: Duration) -> Result<(), LedgerError> {
    for database in databases {
        execute(endpoint, &database.name, SET_UP, within).await.map_err(failed("set up", &database.name))?;
    }
    Ok(())
}

/// Drops the schema `pgrehearse` from every database: for servers that stay.
pub async fn drop_schema(endpoint: &Endpoint, databases: &[Database], within: Duration) -> Result<(), LedgerError> {
    const DROP: &str = "DROP SCHEMA IF EXISTS pgrehearse CASCADE";
    for database in databases {
        execute(endpoint, &database.name, DROP, within).await.map_err(failed("drop", &database.name))?;
    }
    Ok(())
}

/// Records what stands in every database: `ReadBack`, then ranges and duplicates in the order of ids, then
/// `ReadBackEnded`. Every database is tried, in `within` each.
///
/// # Errors
/// The first failure; its database lacks its `ReadBackEnded`.
pub async fn read_back(
    endpoint: &Endpoint,
    databases: &[Database],
    recorder: &Recorder,
    within: Duration,
) -> Result<(), LedgerError> {
    let mut first = Ok(());
    for Database { name, .. } in databases {
        recorder.ledger(vec![LedgerEntry::ReadBack { database: name.clone() }]);
        let read = timeout(within, read_database(endpoint, name, recorder, within)).await;
        match read.unwrap_or(Err(ConnectError::TimedOut { within })) {
            Ok(()) => recorder.ledger(vec![LedgerEntry::ReadBackEnded { database: name.clone() }]),
            Err(error) => first = first.and(Err(failed("read back", name)(error))),
        }
    }
    first
}

async fn read_database(
    endpoint: &Endpoint,
    database: &str,
    recorder: &Recorder,
    within: Duration,
) -> Result<(), ConnectError> {
    let client = open(endpoint, database, within).await?;
    client.batch_execute(READ_BACK).await.map_err(|error| control::explain(&error))?;
    let mut ranges = Ranges::new(database);
    loop {
        let rows = client.query(FETCH, &[]).await.map_err(|error| control::explain(&error))?;
        for row in &rows {
            let (id, copies): (i64, i64) = (row.get(0), row.get(1));
            // An id below zero is nobody's: as a huge one it shows as unexpected.
            ranges.found(id as u64, copies as u64);
        }
        recorder.ledger(ranges.take());
        if rows.is_empty() {
            recorder.ledger(ranges.finish());
            client.close().await;
            return Ok(());
        }
    }
}

async fn execute(endpoint: &Endpoint, database: &str, sql: &str, within: Duration) -> Result<(), ConnectError> {
    let working = async {
        let client = open(endpoint, database, within).await?;
        client.batch_execute(sql).await.map_err(|error| control::explain(&error))?;
        client.close().await;
        Ok(())
    };
    timeout(within, working).await.unwrap_or(Err(ConnectError::TimedOut { within }))
}

async fn open(endpoint: &Endpoint, database: &str, within: Duration) -> Result<Control, ConnectError> {
    control::connect(&endpoint.current().target, &endpoint.control_login(database), within).await
}

fn failed(doing: &'static str, database: &str) -> impl FnOnce(ConnectError) -> LedgerError {
    let database = database.to_owned();
    move |source| LedgerError { doing, database, source }
}

/// Makes ranges of ids that follow one another.
#[derive(Debug)]
struct Ranges<'a> {
    database: &'a str,
    open: Option<(u64, u64)>,
    entries: Vec<LedgerEntry>,
}

impl<'a> Ranges<'a> {
    fn new(database: &'a str) -> Self {
        Self { database, open: None, entries: Vec::new() }
    }

    fn found(&mut self, id: u64, copies: u64) {
        if copies > 1 {
            self.end_range();
            self.entries.push(LedgerEntry::Duplicate { database: self.database.to_owned(), id, copies });
            return;
        }
        match &mut self.open {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => {
                self.end_range();
                self.open = Some((id, id));
            }
        }
    }

    fn end_range(&mut self) {
        if let Some((first, last)) = self.open.take() {
            self.entries.push(LedgerEntry::Found { database: self.database.to_owned(), first, last });
        }
    }

    fn take(&mut self) -> Vec<LedgerEntry> {
        std::mem::take(&mut self.entries)
    }

    fn finish(mut self) -> Vec<LedgerEntry> {
        self.end_range();
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_ranges_with_duplicates_between() {
        let mut ranges = Ranges::new("shop");
        for (id, copies) in [(1, 1), (2, 1), (4, 1), (5, 3), (6, 1), (u64::MAX, 1)] {
            ranges.found(id, copies);
        }
        let found = |first, last| LedgerEntry::Found { database: "shop".to_owned(), first, last };
        let entries = [
            found(1, 2),
            found(4, 4),
            LedgerEntry::Duplicate { database: "shop".to_owned(), id: 5, copies: 3 },
            found(6, 6),
            found(u64::MAX, u64::MAX),
        ];
        assert_eq!(ranges.finish(), entries);
    }
}
