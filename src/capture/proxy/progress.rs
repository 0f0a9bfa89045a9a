//! What a proxy says of itself while it works, and the stages it goes through.
//!
//! Gives plain values and counters that any thread may read. Must not know who looks at them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the relays are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// No new connections; those that are at rest end.
    Draining,
    /// All end.
    Stopping,
}

/// What all relays count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub open: AtomicU64,
    pub opened: AtomicU64,
    pub relayed_bytes: AtomicU64,
    /// Connections that were turned away since there were too many.
    pub turned_away: AtomicU64,
    /// Connections whose client did not come to its first message.
    pub ungreeted: AtomicU64,
    /// Connections for which the upstream could not be reached.
    pub unreached: AtomicU64,
}

/// How far a proxy is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Connections now, and in all.
    pub open: u64,
    pub opened: u64,
    pub relayed_bytes: u64,
    /// Relayed and not recorded.
    pub lost_bytes: u64,
}

impl Counters {
    /// The counters at this moment.
    pub fn progress(&self, lost_bytes: u64) -> Progress {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            open: value(&self.open),
            opened: value(&self.opened),
            relayed_bytes: value(&self.relayed_bytes),
            lost_bytes,
        }
    }
}

/// What a proxy has to say while it works.
#[derive(Debug)]
pub enum News {
    /// It accepts connections at this address.
    Listening {
        address: String,
        upstream: String,
    },
    /// The upstream does not answer yet.
    UpstreamSilent {
        upstream: String,
        reason: String,
    },
    /// Fewer connections at a time than asked for: the system allows no more open files.
    FewerConnections {
        wanted: usize,
        allowed: usize,
    },
    /// The journal cannot be written; traffic goes on.
    RecordingFailed {
        journal: PathBuf,
        error: io::Error,
    },
    /// The journal can be written again.
    RecordingMended,
    Progress(Progress),
    /// A signal came; so many connections are open.
    Draining {
        signal: &'static str,
        open: u64,
    },
    /// The traffic is over; the workload is made of the journal.
    Decoding,
}
