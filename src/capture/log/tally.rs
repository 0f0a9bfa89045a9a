//! What a capture could not use, and what it understood and set aside: counted by reason, with the place of the first.
//!
//! Must not know how any of it was found.

use std::collections::BTreeMap;

use super::entry::Position;
use crate::workload::record::{Loss, Skipped};

/// Why something that a client did, or a part of the input, is not in the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A line that is no log entry and no part of one.
    ForeignLine,
    /// A line of a dump of memory contexts.
    MemoryContext,
    /// A DETAIL, a STATEMENT or a further line whose entry is not there.
    WithoutEntry,
    /// An entry that nothing tells the time of.
    WithoutTime,
    /// The input ends within a record, or a piece of it is missing.
    TruncatedRecord,
    /// Compressed data that is damaged, or ends too early.
    DamagedCompression,
    /// A further Execute of an open portal: the first one took all of its rows.
    PortalFetch,
    /// `log_parameter_max_length` cut a value, or may have: it ends in `...`.
    ParameterCut,
    /// Somebody took digits out of a bytea value.
    ParameterElided,
    /// The text holds parameters and the entry none: `log_parameter_max_length` is 0.
    ParametersMissing,
    /// The DETAIL is not a list of parameters.
    ParametersUnreadable,
    /// A fast-path function call: its arguments are in no log.
    FastPath,
    /// A statement of a replication connection.
    Replication,
    /// A duration whose statement was logged nowhere: `log_duration` is on and `log_statement` is not.
    DurationWithoutStatement,
    /// An error whose statement was not logged: `log_min_error_statement` is above `error`.
    ErrorWithoutStatement,
    /// A connection that was never authorized, or that the server refused.
    FailedLogin,
}

impl Reason {
    /// The written name, in reports and in the workload.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForeignLine => "line that is no log entry",
            Self::MemoryContext => "line of a dump of memory contexts",
            Self::WithoutEntry => "further line whose entry is not there",
            Self::WithoutTime => "entry without a time",
            Self::TruncatedRecord => "record cut short",
            Self::DamagedCompression => "compressed data that is damaged or cut short",
            Self::PortalFetch => "fetch from a portal whose first execution took all rows",
            Self::ParameterCut => "parameter that may be cut short (log_parameter_max_length)",
            Self::ParameterElided => "parameter with digits taken out",
            Self::ParametersMissing => "parameters not logged (log_parameter_max_length = 0)",
            Self::ParametersUnreadable => "parameters that cannot be read",
            Self::FastPath => "fast-path function call, whose arguments are in no log",
            Self::Replication => "statement of a replication connection",
            Self::DurationWithoutStatement => {
                "duration whose statement was not logged (log_duration without log_statement)"
            }
            Self::ErrorWithoutStatement => "error whose statement was not logged (log_min_error_statement)",
            Self::FailedLogin => "login that failed",
        }
    }

    /// Whether requests are missing for it.
    fn loss(self) -> Loss {
        match self {
            Self::TruncatedRecord
            | Self::ParameterCut
            | Self::ParameterElided
            | Self::ParametersMissing
            | Self::ParametersUnreadable
            | Self::FastPath
            | Self::DurationWithoutStatement
            | Self::ErrorWithoutStatement => Loss::Each,
            Self::DamagedCompression => Loss::Some,
            // No client asked for it, the replay does not want it, or another entry tells of it.
            Self::ForeignLine
            | Self::MemoryContext
            | Self::WithoutEntry
            | Self::WithoutTime
            | Self::PortalFetch
            | Self::Replication
            | Self::FailedLogin => Loss::None,
        }
    }
}

/// What was understood and is worth telling, but is no request of its own that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aside {
    /// Connections received, authorized and ended.
    Connection,
    /// Parse and bind lines, and their durations: part of the execution that follows.
    ParseAndBind,
    /// A duration that completed the statement before it.
    Duration,
    /// An error of a statement that is in the workload already.
    Error,
    /// WARNING, NOTICE and below.
    Notice,
    /// COPY FROM STDIN: an execution that stands in the workload, but is never replayed.
    CopyFromStdin,
    /// Plans by auto_explain.
    Plan,
    /// Lines by pgaudit, which repeat what the server logs.
    Audit,
    /// Other messages of client sessions: temporary files, lock waits.
    SessionMessage,
    /// Entries of the server's own processes.
    Server,
}

impl Aside {
    /// The written name, in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connections and disconnections",
            Self::ParseAndBind => "parse and bind",
            Self::Duration => "durations of statements logged at their start",
            Self::Error => "errors of statements counted already",
            Self::Notice => "warnings and notices",
            Self::CopyFromStdin => "COPY FROM STDIN kept as executions, not replayed: the data is in no log",
            Self::Plan => "plans (auto_explain)",
            Self::Audit => "audit (pgaudit)",
            Self::SessionMessage => "other messages of sessions",
            Self::Server => "the server's own processes",
        }
    }
}

/// The counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    skipped: BTreeMap<Reason, Skipped>,
    aside: BTreeMap<Aside, u64>,
    /// Failed statements whose parameters no entry holds: kept as a simple query, which fails too and writes nothing.
    pub without_parameters: u64,
    /// Errors of clients whose SQLSTATE was told by their words.
    pub inferred_sqlstates: u64,
    /// Errors of clients whose SQLSTATE nothing told.
    pub unknown_sqlstates: u64,
    /// Entries in a time zone that nothing tells the offset of.
    pub unknown_zone: u64,
}

impl Tally {
    /// Counts something that is not in the workload.
    pub fn skip(&mut self, reason: Reason, at: Position) {
        self.skipped.entry(reason).or_insert(Skipped::none(at)).add(1, reason.loss());
    }

    /// Counts several at once, the first of them here.
    pub fn skip_many(&mut self, reason: Reason, count: u64, first: Position) {
        if count > 0 {
            let skipped = self.skipped.entry(reason).or_insert(Skipped::none(first));
            skipped.add(count, reason.loss());
            skipped.first = skipped.first.min(first);
        }
    }

    /// Counts several entries that are understood and no requests.
    pub fn set_many_aside(&mut self, aside: Aside, count: u64) {
        if count > 0 {
            *self.aside.entry(aside).or_default() += count;
        }
    }

    /// Counts an entry that is understood and no request.
    pub fn set_aside(&mut self, aside: Aside) {
        *self.aside.entry(aside).or_default() += 1;
    }

    /// How often this reason was counted.
    pub fn skipped(&self, reason: Reason) -> u64 {
        self.skipped.get(&reason).map_or(0, |skipped| skipped.count)
    }

    /// Every reason by its written name.
    pub fn skipped_by_name(&self) -> BTreeMap<String, Skipped> {
        self.skipped.iter().map(|(reason, skipped)| (reason.name().to_owned(), *skipped)).collect()
    }

    /// What was set aside by its written name.
    pub fn aside_by_name(&self) -> Vec<(&'static str, u64)> {
        self.aside.iter().map(|(aside, count)| (aside.name(), *count)).collect()
    }
}
