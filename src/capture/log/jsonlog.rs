//! Logs of JSON objects as entries: jsonlog, and the envelopes of clouds.
//!
//! Takes a file's bytes. An object that holds the server's own fields is an entry; one that holds a server's line gives it
//! to the weaver. Must not know files.

use std::borrow::Cow;

use super::super::error::CaptureError;
use super::carrier::rfc3339_us;
use super::decoder::{Decoder, Found, Give, Learned, Taken};
use super::entry::{LogEntry, Position, SessionKey, Severity};
use super::json::{self, Row, Text};
use super::line_prefix::LinePrefix;
use super::lines::push_lines;
use super::message::Message;
use super::objects::{Cut, Objects};
use super::tally::Reason;
use super::timestamp::LogTime;
use super::weaver::{Otherwise, Piece, Weaver};
use crate::words::sqlstate::SqlState;

/// Decodes a log of JSON objects, which mostly are one a line.
#[derive(Default)]
pub struct JsonLines {
    objects: Objects,
    /// Of the lines in envelopes.
    prefix: Option<LinePrefix>,
    weaver: Weaver,
}

impl JsonLines {
    /// A log whose envelopes, if it has any, hold lines with this prefix.
    pub fn new(prefix: Option<LinePrefix>) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// The first line, if it is there and may be an object by itself.
    fn whole_line<'b>(&self, bytes: &'b [u8]) -> Option<(&'b [u8], Taken)> {
        if !self.objects.is_at_top() || bytes.first() != Some(&b'{') {
            return None;
        }
        let end = memchr::memchr(b'\n', bytes)?;
        let line = bytes[..end].trim_ascii_end();
        let line = line.strip_suffix(b",").unwrap_or(line);
        line.ends_with(b"}").then_some((line, Taken { bytes: end + 1, lines: 1 }))
    }

    fn push(
        &mut self,
        row: Row<'_>,
        at: Position,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<(), CaptureError> {
        let Some(prefix) = self.prefix.as_ref().filter(|_| is_envelope(&row)) else {
            return match entry(row, at, learned) {
                Some((entry, zone_unknown)) => give(Found::Entry { entry: &entry, zone_unknown }),
                None => give(Found::Skipped(Reason::ForeignLine, at)),
            };
        };
        let time_us = rfc3339_us(&row.timestamp.0).or_else(|| rfc3339_us(&row.time.0));
        let piece = Piece {
            at,
            text: b"",
            time: time_us.map(|time_us| (time_us, false)).or_else(|| local_time(&row.timestamp, learned)),
            process: (row.pid.0 != 0).then_some(row.pid.0),
            number: None,
            otherwise: Otherwise::Foreign,
        };
        push_lines(&mut self.weaver, piece, &row.message.0, prefix, learned, give)
    }
}

/// Whether a row holds a line of a server instead of an entry's fields.
fn is_envelope(row: &Row<'_>) -> bool {
    row.error_severity.is_empty() || (row.session_id.is_empty() && row.prefix.is_empty() && row.ps.is_empty())
}

/// The line of a server in an envelope, if the row is one.
pub fn line_in<'r>(row: &'r Row<'_>) -> Option<&'r [u8]> {
    is_envelope(row).then(|| row.message.0.split(|byte| *byte == b'\n').next().unwrap_or_default())
}

/// When a row was written, by any of its times.
pub fn time_of(row: &Row<'_>, learned: &mut Learned) -> Option<i64> {
    rfc3339_us(&row.timestamp.0)
        .or_else(|| local_time(&row.timestamp, learned).map(|(time_us, _)| time_us))
        .or_else(|| rfc3339_us(&row.time.0))
}

fn local_time(text: &Text<'_>, learned: &mut Learned) -> Option<(i64, bool)> {
    Some(learned.zones.epoch_us(LogTime::parse(&text.0)?))
}

/// The entry of a row, and whether its time zone is unknown; none where a field that every server fills is not there.
fn entry<'a>(row: Row<'a>, at: Position, learned: &mut Learned) -> Option<(LogEntry<'a>, bool)> {
    let severity = Severity::parse(&row.error_severity.0)?;
    let session = SessionKey::parse(&row.session_id.0).or_else(|| session_in(&row.prefix.0));
    if let (Some(started), Some(session)) = (LogTime::parse(&row.session_start.0), session) {
        learned.zones.learn(started, session.started_s);
    }
    let (time_us, zone_unknown) =
        local_time(&row.timestamp, learned).or_else(|| Some((rfc3339_us(&row.timestamp.0)?, false)))?;
    let message = Message::parse(&row.message.0);
    let process = session.map_or(row.pid.0, |session| session.process);
    if process == 0 {
        return None;
    }
    let owner = (row.user.0.as_ref(), row.dbname.0.as_ref());
    let (derived, _) = learned.processes.session_of(process, None, time_us, owner, message);
    let is_client = match row.backend_type.0.as_ref() {
        b"" | b"client backend" | b"not initialized" => {
            row.leader_pid.0 == 0
                && !(row.remote_host.is_empty() && row.user.is_empty() && matches!(message, Message::Other))
        }
        _ => false,
    };
    let command_tag = match row.ps.0 {
        Cow::Borrowed(tag) => tag,
        // Titles that a server shows need no escapes; one that needs some is none of those that matter.
        Cow::Owned(_) => b"",
    };
    let entry = LogEntry {
        at,
        time_us,
        session: session.unwrap_or(derived),
        background: !is_client,
        user: row.user.0,
        database: row.dbname.0,
        application_name: row.application_name.0,
        command_tag,
        severity,
        sqlstate: SqlState::new(&row.state_code.0),
        message: row.message.0,
        detail: row.detail.0,
        values_whole: false,
        context: row.context.0,
        query: row.statement.0,
    };
    Some((entry, zone_unknown))
}

/// The session id in a prefix such as `2026-11-22 15:09:15 UTC-6009c305.5ce-`.
fn session_in(prefix: &[u8]) -> Option<SessionKey> {
    prefix.split(|byte| !(byte.is_ascii_hexdigit() || *byte == b'.')).rev().find_map(|word| {
        let is_id = word.len() >= 10 && word.get(8) == Some(&b'.');
        is_id.then(|| SessionKey::parse(word))?
    })
}

impl Decoder for JsonLines {
    fn decode(
        &mut self,
        bytes: &[u8],
        at_end: bool,
        at: Position,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<Taken, CaptureError> {
        if let Some((line, taken)) = self.whole_line(bytes)
            && let Some(row) = json::read(line)
        {
            self.push(row, at, learned, give)?;
            return Ok(taken);
        }
        let length = match self.objects.cut(bytes, at_end) {
            Cut::NeedMore => return Ok(Taken::NOTHING),
            Cut::Between { bytes } => bytes,
            Cut::Object { bytes: length } => {
                match json::read(&bytes[..length]) {
                    Some(row) => self.push(row, at, learned, give)?,
                    None => give(Found::Skipped(Reason::ForeignLine, at))?,
                }
                length
            }
            Cut::Foreign { bytes } => {
                give(Found::Skipped(Reason::ForeignLine, at))?;
                bytes
            }
            Cut::Truncated { bytes } => {
                give(Found::Skipped(Reason::TruncatedRecord, at))?;
                bytes
            }
        };
        let lines = memchr::memchr_iter(b'\n', &bytes[..length]).count() as u64;
        Ok(Taken { bytes: length, lines })
    }

    fn finish(&mut self, give: &mut Give<'_>) -> Result<(), CaptureError> {
        self.weaver.finish(give)
    }
}
