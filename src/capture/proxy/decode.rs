//! From a journal to a workload.
//!
//! Feeds what was relayed to one session of the capture for each connection, in the order in which it was said. A journal
//! whose proxy was killed gives everything up to its last whole batch. Must not know sockets.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::conclusion::Conclusion;
use super::super::error::CaptureError;
use super::super::report::CaptureReport;
use super::super::session::{Session, Shared};
use super::super::wire::{Reason, Side};
use super::journal::{self, Entry, JournalReader, What};
use crate::tenant::{Mapping, Rules};
use crate::workload::record::{Skipped, Source};

/// What to make of a journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    pub journal: PathBuf,
    pub output: PathBuf,
    pub tenant_rules: Rules,
    /// What tenants are called, where a file says so.
    pub tenants: Option<Mapping>,
}

/// What was in a journal.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub report: CaptureReport,
    /// Bytes at the end of the journal that are no whole batch and were left out.
    pub torn_bytes: u64,
    /// Whether sessions were encrypted between client and server.
    pub is_encrypted: bool,
}

/// Whether the file is a proxy's journal.
///
/// # Errors
/// It is a journal of a newer version, or cannot be read.
pub fn is_journal(path: &Path) -> Result<bool, CaptureError> {
    let file = path.display().to_string();
    match JournalReader::open(path) {
        Ok(reader) => Ok(reader.is_some()),
        Err(source) => Err(CaptureError::Open { file, source }),
    }
}

/// Writes the workload of a journal, which stays as it is. `given_up_bytes` of the end never got into the journal.
///
/// # Errors
/// The journal cannot be read or holds no statement; the workload cannot be written; `stop` was set.
pub fn decode(options: &JournalOptions, given_up_bytes: u64, stop: &AtomicBool) -> Result<Decoded, CaptureError> {
    let file = options.journal.display().to_string();
    let failed = |source| CaptureError::Read { file: file.clone(), source };
    let mut reader = JournalReader::open(&options.journal)
        .map_err(failed)?
        .ok_or_else(|| CaptureError::NotJournal { file: file.clone() })?;
    if is_same_file(&options.journal, &options.output) {
        return Err(CaptureError::OutputIsInput { file });
    }
    let directory = options.output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut reading = Reading {
        shared: Shared::new(options.tenant_rules.clone(), directory),
        connections: HashMap::new(),
        count: 0,
        entries: 0,
        skipped: BTreeMap::new(),
    };
    let temporary = |source| CaptureError::Temporary { source };
    while let Some(mut batch) = reader.next_batch().map_err(failed)? {
        if stop.load(Ordering::Relaxed) {
            return Err(CaptureError::Stopped);
        }
        let mut rest = &mut batch[..];
        while let Some(entry) = journal::take(&mut rest) {
            reading.take(entry).map_err(temporary)?;
        }
    }
    if given_up_bytes > 0 {
        reading.skip("bytes relayed at the end that could not be written", given_up_bytes);
    }
    let source = Source { file: reader.upstream.clone(), sha256: reader.sha256(), kind: "proxy".to_owned() };
    let connections = reading.count;
    let (shared, skipped) = reading.finish().map_err(temporary)?;
    let is_encrypted = shared.skipped.contains_key(&Reason::EncryptedBytes);
    let conclusion = Conclusion { sources: vec![source], read: (connections, "connections"), skipped };
    let nothing = |seen| CaptureError::NothingRelayed {
        connections,
        seen,
        hint: match is_encrypted {
            true => {
                "give the proxy --tls-cert and --tls-key, or have it answer that it has no TLS with --sslmode disable"
            }
            false => "point clients at the address that the proxy listens on",
        },
    };
    let report = conclusion.write(shared, options.tenants.as_ref(), &options.output, nothing)?;
    Ok(Decoded { report, torn_bytes: reader.torn_bytes, is_encrypted })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

struct Reading {
    shared: Shared,
    connections: HashMap<u32, Connection>,
    count: u64,
    /// Number of the entry at hand.
    entries: u64,
    skipped: BTreeMap<String, Skipped>,
}

struct Connection {
    opened_us: i64,
    /// None until something was said, or was lost.
    session: Option<Box<Session>>,
    last_us: i64,
}

impl Reading {
    fn take(&mut self, entry: Entry<&mut [u8]>) -> io::Result<()> {
        let Entry { connection: id, time_us, what } = entry;
        self.entries += 1;
        let at = (0, self.entries);
        match what {
            What::Opened => {
                self.count += 1;
                self.shared.first_us = self.shared.first_us.min(time_us);
                self.connections.insert(id, Connection { opened_us: time_us, session: None, last_us: time_us });
            }
            What::Said(side, bytes) => {
                if let Some(session) = session_of(&mut self.connections, id, time_us, true, self.shared.first_us) {
                    session.said(side, bytes, time_us, at, &mut self.shared)?;
                }
                if side == Side::Client {
                    self.cancel();
                }
            }
            What::Lost(side, count) => {
                if let Some(session) = session_of(&mut self.connections, id, time_us, false, self.shared.first_us) {
                    session.lost(side, count, time_us, at, &mut self.shared)?;
                }
            }
            What::Closed => {
                if let Some(Connection { session: Some(session), .. }) = self.connections.remove(&id) {
                    session.finish(Some(time_us), time_us, at, &mut self.shared)?;
                }
            }
            What::Unrecorded(connections) => self.skip("connection that was not recorded", connections),
        }
        Ok(())
    }

    /// Says to the sessions that are meant what clients want to cancel.
    fn cancel(&mut self) {
        for (key, time_us, at) in std::mem::take(&mut self.shared.cancels) {
            let mut sessions = self.connections.values_mut().filter_map(|connection| connection.session.as_mut());
            if sessions.find_map(|session| session.cancelled(&key, time_us)) != Some(true) {
                self.shared.skip(Reason::CancelWithoutRequest, 1, at);
            }
        }
    }

    fn skip(&mut self, reason: &str, count: u64) {
        let first = Skipped { count: 0, first: (0, self.entries) };
        let skipped = self.skipped.entry(reason.to_owned()).or_insert(first);
        skipped.count = skipped.count.saturating_add(count);
    }

    fn finish(mut self) -> io::Result<(Shared, BTreeMap<String, Skipped>)> {
        let mut left: Vec<_> = self.connections.drain().collect();
        left.sort_by_key(|(id, _)| *id);
        for (_, connection) in left {
            if let Some(session) = connection.session {
                session.finish(None, connection.last_us, (0, self.entries), &mut self.shared)?;
            }
        }
        Ok((self.shared, self.skipped))
    }
}

/// A connection's session, which begins with the first that is told of it: in its middle, if that is a loss.
fn session_of(
    connections: &mut HashMap<u32, Connection>,
    id: u32,
    time_us: i64,
    is_whole: bool,
    first_us: i64,
) -> Option<&mut Session> {
    let connection = connections.get_mut(&id)?;
    connection.last_us = time_us;
    let opened_us = is_whole.then_some(connection.opened_us);
    Some(connection.session.get_or_insert_with(|| Box::new(Session::new(opened_us, first_us))))
}
