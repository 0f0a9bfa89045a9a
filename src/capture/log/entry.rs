//! A log entry: what every log format gives and the assembler takes.
//!
//! Plain borrowed values. Must not know which format they were read from.

use std::borrow::Cow;

use crate::words::sqlstate::SqlState;

/// Where an entry stands: index of the source, line (1-based).
pub type Position = (u16, u64);

/// The identity of a session within a log: `log_line_prefix`'s `%c`. Process ids alone come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Seconds since the epoch at which the session's process started.
    pub started_s: i64,
    pub process: u32,
}

impl SessionKey {
    /// Reads `6009c305.5ce`: both halves are hexadecimal.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dot = text.iter().position(|byte| *byte == b'.')?;
        Some(Self {
            started_s: i64::try_from(hexadecimal(&text[..dot])?).ok()?,
            process: u32::try_from(hexadecimal(&text[dot + 1..])?).ok()?,
        })
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let (number, seen) = digits.iter().fold((0, 0), |(number, seen), digit| {
        let value = DIGIT_VALUES[usize::from(*digit)];
        (number << 4 | u64::from(value), seen | value)
    });
    (seen < 16).then_some(number)
}

/// Of each byte, what it means as a hexadecimal digit; 16 of one that is none. Every entry's session id is read by it.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// How grave an entry is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What the server says about its work: statements, durations, connections.
    Log,
    /// ERROR, FATAL and PANIC: a request failed, or the session.
    Error { session_ends: bool },
    /// DEBUG, INFO, NOTICE, WARNING.
    Other,
}

impl Severity {
    /// Reads the severity; none for a word that is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"LOG" => Self::Log,
            b"ERROR" => Self::Error { session_ends: false },
            b"FATAL" | b"PANIC" => Self::Error { session_ends: true },
            b"WARNING" | b"NOTICE" | b"INFO" | b"DEBUG1" | b"DEBUG2" | b"DEBUG3" | b"DEBUG4" | b"DEBUG5" | b"DEBUG" => {
                Self::Other
            }
            _ => return None,
        })
    }
}

/// One entry of a server's log. Texts are bytes: a server with databases in several encodings logs them as they are.
#[derive(Clone, Debug)]
pub struct LogEntry<'a> {
    pub at: Position,
    /// Microseconds since the epoch.
    pub time_us: i64,
    pub session: SessionKey,
    /// Written by a process that serves no client of its own: checkpointer, autovacuum, parallel worker, postmaster.
    pub background: bool,
    /// Empty before the client has said who it is.
    pub user: Cow<'a, [u8]>,
    pub database: Cow<'a, [u8]>,
    pub application_name: Cow<'a, [u8]>,
    /// What the process was doing, as in its title: `SELECT`, `PARSE`, `BIND`, `idle`.
    pub command_tag: &'a [u8],
    pub severity: Severity,
    pub sqlstate: Option<SqlState>,
    pub message: Cow<'a, [u8]>,
    pub detail: Cow<'a, [u8]>,
    /// No parameter value in the entry was cut: majors 12 and before cannot.
    pub values_whole: bool,
    pub context: Cow<'a, [u8]>,
    /// The statement that caused the entry, where the server added it.
    pub query: Cow<'a, [u8]>,
}
