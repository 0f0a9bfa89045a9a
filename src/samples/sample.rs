//! A sample: what happened to one request, probe or connection try, with its times and outcome.
//!
//! Gives the plain value and the written names of its parts (format version 1). Must not know how it is stored.

use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;

/// What the sample is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleKind {
    /// A request of the workload.
    Request,
    /// A probe of a fate group.
    Probe,
    /// A try to connect up to ReadyForQuery, by the replay (with a tenant) or by the probes (without).
    Connect,
    /// A try of a request that its client sent again, since it failed or its transaction block did; the last try is the
    /// request's own sample.
    Retried,
}

/// How it ended. Each offered request has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered in time without an error.
    Ok,
    /// Answered with an error that the capture did not have, lost, refused or given up.
    Failed,
    /// Answered, but later than the deadline after it was sent.
    Late,
    /// Never sent: its deadline passed while it waited for its session or for a connection.
    Expired,
    /// A write or a COMMIT whose acknowledgement was lost.
    Indeterminate,
    /// Failed in time with the SQLSTATE that it had in the capture.
    ExpectedError,
    /// Never sent: the rest of a broken transaction. Or cut short by the end of the run, sent or not: neither an answer nor a
    /// missed deadline, so that it says nothing about the server; no more does a try to connect for which this machine had no
    /// descriptor, port or memory left.
    Skipped,
}

/// Whether the answer was the captured one, where the capture knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResultCheck {
    Same,
    /// With what differs first; none where a file does not say it.
    Differs(Option<Difference>),
    Unknown,
}

/// What an answer has otherwise than the captured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// The SQLSTATE, that there is one or that there is none; a COMMIT that rolled back is one of these.
    Sqlstate,
    /// The number of rows.
    Rows,
    /// As many rows of other contents.
    Digest,
}

/// One row of `samples/*.parquet`. All times are microseconds since the run started.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub kind: SampleKind,
    pub class: SampleClass,
    pub outcome: Outcome,
    pub result: ResultCheck,
    /// Request: its number in the workload. Probe: the ledger id of a write, else a running number.
    pub event: u64,
    /// The captured session; for probes the number of the probe's connection.
    pub session: u32,
    pub copy: u16,
    /// Index into the run's tenants; none for probes and for requests without a tenant.
    pub tenant: Option<u32>,
    /// Index into the run's databases.
    pub database: u16,
    /// Index into the run's endpoints; 0 is `primary`.
    pub endpoint: u8,
    pub fingerprint: Fingerprint,
    /// When it should have been sent, from the capture; never moved by a slow reply.
    pub due_us: u64,
    /// When its session was free and its connection usable; none if that never came.
    pub ready_us: Option<u64>,
    /// When its first byte was handed to the socket (a connection try: when it began); none if it never was.
    pub sent_us: Option<u64>,
    /// When the first byte of the answer was read.
    pub first_us: Option<u64>,
    /// When the outcome was known: the last byte read, the error seen, or the moment it was given up.
    pub done_us: u64,
    /// The deadline that applied, counted from `sent_us` (or from `due_us` while unsent).
    pub deadline_us: u64,
    /// The part of sent - max(due, ready) that `order = "commit"` asked for.
    pub order_wait_us: u64,
    /// The part of ready - due that was spent behind a statement of another tenant in the same captured session.
    pub other_tenant_wait_us: u64,
    pub sqlstate: Option<SqlState>,
    /// The server's primary message or the system's error text, at most `MESSAGE_CHARS_MAX` characters; never
    /// parameter values.
    pub message: Option<Box<str>>,
    pub rows: u64,
    pub bytes: u64,
    /// 1 for the first try.
    pub attempt: u16,
}

impl Sample {
    /// done - due: what the user waited, in microseconds. Objectives use it.
    pub fn response_us(&self) -> u64 {
        self.done_us.saturating_sub(self.due_us)
    }

    /// done - sent: what the server took, in microseconds.
    pub fn service_us(&self) -> Option<u64> {
        self.sent_us.map(|sent_us| self.done_us.saturating_sub(sent_us))
    }

    /// sent - max(due, ready) less the ordered wait: how late the tool itself was, in microseconds.
    pub fn schedule_lag_us(&self) -> Option<u64> {
        let ready_us = self.ready_us.unwrap_or(self.due_us);
        self.sent_us.map(|sent_us| sent_us.saturating_sub(self.due_us.max(ready_us)).saturating_sub(self.order_wait_us))
    }
}

macro_rules! named {
    ($type:ty, $($variant:ident => $name:literal),+) => {
        impl $type {
            /// Every value, in the order of their stored indices.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The written name, as in the samples.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value with this written name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named!(SampleKind, Request => "request", Probe => "probe", Connect => "connect", Retried => "retried");
named!(Outcome, Ok => "ok", Failed => "failed", Late => "late", Expired => "expired",
    Indeterminate => "indeterminate", ExpectedError => "expected_error", Skipped => "skipped");
named!(Difference, Sqlstate => "sqlstate", Rows => "rows", Digest => "digest");

impl ResultCheck {
    /// The written name, as in the samples; [`Self::difference`] stands apart.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs(_) => "differs",
            Self::Unknown => "unknown",
        }
    }

    /// What differs, where that is known.
    pub fn difference(self) -> Option<Difference> {
        if let Self::Differs(difference) = self { difference } else { None }
    }

    /// Whether there was something to compare the answer with.
    pub fn is_known(self) -> bool {
        self != Self::Unknown
    }

    /// Whether the answer was another one.
    pub fn differs(self) -> bool {
        matches!(self, Self::Differs(_))
    }

    /// The value with this written name.
    pub fn from_name(name: &str, difference: Option<Difference>) -> Option<Self> {
        match name {
            "same" => Some(Self::Same),
            "differs" => Some(Self::Differs(difference)),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// The names behind the indices of a run's samples. Stored with them, so that the files say names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub tenants: Vec<String>,
    pub databases: Vec<String>,
    pub endpoints: Vec<String>,
}
