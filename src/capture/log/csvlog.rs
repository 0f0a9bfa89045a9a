//! A csvlog's columns as a log entry.
//!
//! Takes the fields of one record (the manual's section "Using CSV-Format Log Output", PostgreSQL 10 to 18) and gives
//! the entry, or says that the record is none of a server's. Must not know how records are cut out of a file.

use super::super::error::CaptureError;
use super::csv::{Cut, Fields, cut};
use super::decoder::{Decoder, Found, Give, Learned, Taken};
use super::entry::{LogEntry, Position, SessionKey, Severity};
use super::tally::Reason;
use super::timestamp::{Clock, LogTime, Zones};
use crate::words::sqlstate::SqlState;

const LOG_TIME: usize = 0;
const USER_NAME: usize = 1;
const DATABASE_NAME: usize = 2;
const CONNECTION_FROM: usize = 4;
const SESSION_ID: usize = 5;
const COMMAND_TAG: usize = 7;
const SESSION_START: usize = 8;
const SEVERITY: usize = 11;
const SQLSTATE: usize = 12;
const MESSAGE: usize = 13;
const DETAIL: usize = 14;
const CONTEXT: usize = 18;
const QUERY: usize = 19;
const APPLICATION_NAME: usize = 22;
const BACKEND_TYPE: usize = 23;
const LEADER: usize = 24;

/// An entry, and whether its time zone is one that nothing tells the offset of.
pub struct Decoded<'a> {
    pub entry: LogEntry<'a>,
    pub zone_unknown: bool,
}

/// Decodes a csvlog.
#[derive(Default)]
pub struct CsvLog {
    fields: Fields,
    /// What this file's records had so far.
    columns: Option<usize>,
    clock: Clock,
}

impl Decoder for CsvLog {
    fn decode(
        &mut self,
        bytes: &[u8],
        at_end: bool,
        at: Position,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<Taken, CaptureError> {
        let found = cut(bytes, at_end, self.columns, &mut self.fields);
        match found {
            Cut::NeedMore => Ok(Taken::NOTHING),
            Cut::Record { length, lines } => {
                self.columns = Some(self.fields.count());
                match decode(&bytes[..length], &self.fields, at, &mut self.clock, &mut learned.zones) {
                    Some(Decoded { entry, zone_unknown }) => give(Found::Entry { entry: &entry, zone_unknown })?,
                    None => give(Found::Skipped(Reason::ForeignLine, at))?,
                }
                Ok(Taken { bytes: length, lines })
            }
            Cut::Foreign { length } => {
                give(Found::Skipped(Reason::ForeignLine, at))?;
                Ok(Taken { bytes: length, lines: 1 })
            }
            Cut::Truncated { length, lines } => {
                give(Found::Skipped(Reason::TruncatedRecord, at))?;
                Ok(Taken { bytes: length, lines })
            }
        }
    }
}

/// Reads a record; none where a column that every server fills does not hold what it should.
pub fn decode<'a>(
    record: &'a [u8],
    fields: &Fields,
    at: Position,
    clock: &mut Clock,
    zones: &mut Zones,
) -> Option<Decoded<'a>> {
    let session = SessionKey::parse(fields.raw(record, SESSION_ID))?;
    let started = fields.raw(record, SESSION_START);
    // What stands behind the second is the zone, of which nothing more can be learned once the log has told its offset.
    let is_learned = started.get(20..).is_some_and(|zone| zones.is_learned(zone));
    if let Some(started) = (!is_learned).then(|| LogTime::parse(started)).flatten() {
        zones.learn(started, session.started_s);
    }
    let time = clock.read(fields.raw(record, LOG_TIME))?;
    let (time_us, zone_unknown) = zones.epoch_us(time);
    let severity = Severity::parse(fields.raw(record, SEVERITY))?;
    let user = fields.get(record, USER_NAME);
    let entry = LogEntry {
        at,
        time_us,
        session,
        background: is_background(record, fields, &user),
        user,
        database: fields.get(record, DATABASE_NAME),
        application_name: fields.get(record, APPLICATION_NAME),
        command_tag: fields.raw(record, COMMAND_TAG),
        severity,
        sqlstate: SqlState::new(fields.raw(record, SQLSTATE)),
        message: fields.get(record, MESSAGE),
        detail: fields.get(record, DETAIL),
        values_whole: fields.count() <= APPLICATION_NAME + 1,
        context: fields.get(record, CONTEXT),
        query: fields.get(record, QUERY),
    };
    Some(Decoded { entry, zone_unknown })
}

/// Majors 12 and before do not name the kind of process, but only a client has an address. A parallel worker of theirs
/// has none either; its failure is logged by the leader too.
fn is_background(record: &[u8], fields: &Fields, user: &[u8]) -> bool {
    match fields.raw(record, BACKEND_TYPE) {
        b"" | b"client backend" | b"not initialized" => {
            !fields.raw(record, LEADER).is_empty()
                || (fields.raw(record, CONNECTION_FROM).is_empty() && user.is_empty())
        }
        _ => true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Two records of servers, shortened, and one of a background process.
    const V12: &str = "2021-01-22 10:03:22.785 CET,\"al\"\"ice\",\"shop\",1486,\"127.0.0.1:52306\",6009c305.5ce,32878,\
        \"SELECT\",2021-01-21 19:08:05 CET,14/10903,0,LOG,00000,\"duration: 26.120 ms  execute S_65: select $1\",\
        \"parameters: $1 = NULL\",,,,,,,,\"PostgreSQL JDBC Driver\"\n";
    const V18: &str = "2026-11-22 15:40:24.605 UTC,\"postgres\",\"postgres\",19094,\"[local]\",6b030ce8.4a96,18,\
        \"INSERT\",2026-11-22 15:40:24 UTC,10/9,771,ERROR,23505,\"duplicate key\",\"Key exists.\",,,,,\
        \"insert into t values ($1, $2) \",,,\"psql\",\"client backend\",,0\n";
    const CHECKPOINT: &str = "2026-11-22 15:40:24.605 UTC,,,55,,6b030ce8.37,1,,2026-11-22 15:40:24 UTC,,0,LOG,00000,\
        \"checkpoint starting: time\",,,,,,,,,\"\",\"checkpointer\",,0\n";

    fn entry(record: &str, check: impl FnOnce(LogEntry<'_>)) {
        let mut fields = Fields::default();
        assert!(matches!(cut(record.as_bytes(), true, None, &mut fields), Cut::Record { .. }));
        check(decode(record.as_bytes(), &fields, (0, 1), &mut Clock::default(), &mut Zones::default()).unwrap().entry);
    }

    #[test]
    fn columns_mean_the_same_in_every_major() {
        entry(V12, |entry| {
            assert_eq!((entry.user.as_ref(), entry.database.as_ref()), (b"al\"ice".as_slice(), b"shop".as_slice()));
            assert_eq!(entry.time_us, 1_611_306_202_785_000);
            assert_eq!(entry.application_name.as_ref(), b"PostgreSQL JDBC Driver");
            assert!(!entry.background);
        });
        entry(V18, |entry| {
            assert_eq!(entry.severity, Severity::Error { session_ends: false });
            assert_eq!(entry.sqlstate, Some("23505".parse().unwrap()));
            assert_eq!(entry.query.as_ref(), b"insert into t values ($1, $2) ");
            assert_eq!(entry.session, SessionKey { started_s: 0x6b03_0ce8, process: 0x4a96 });
        });
        entry(CHECKPOINT, |entry| assert!(entry.background));
    }
}
