//! From a journal to a workload.
//!
//! Feeds what was relayed to one session of the capture for each connection, in the order in which it was said. A journal
//! whose proxy was killed gives everything up to its last whole batch. Must not know sockets.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::conclusion::{self, Conclusion};
use super::super::destination;
use super::super::error::CaptureError;
use super::super::held::{Held, Holding};
use super::super::report::CaptureReport;
use super::super::session::{Session, Shared};
use super::super::wire::{Reason, Side};
use super::journal::{self, Entry, JournalReader, What};
use crate::tenant::{Mapping, Rules};
use crate::workload::record::{Loss, Skipped, Source};

/// The end of the year 9999, the last that a workload can name. What a journal says of a moment may be any number.
const TIME_US_MAX: i64 = 253_402_300_799_999_999;

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
    destination::check(&options.output, std::slice::from_ref(&options.journal))?;
    let mut reading = Reading {
        shared: Shared::new(options.tenant_rules.clone(), destination::directory_of(&options.output)),
        connections: HashMap::new(),
        held: Held::default(),
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
        reading.skip("bytes relayed at the end that could not be written", (given_up_bytes, Loss::Some));
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

struct Reading {
    shared: Shared,
    connections: HashMap<u32, Connection>,
    held: Held,
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
    /// Number of the last entry that tells of it.
    last_entry: u64,
}

impl Holding for Connection {
    fn held_bytes(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.held_bytes())
    }

    fn forget(&mut self, shared: &mut Shared) -> io::Result<()> {
        match &mut self.session {
            Some(session) => session.forget(self.last_us, (0, self.last_entry), shared),
            None => Ok(()),
        }
    }
}

impl Reading {
    fn take(&mut self, entry: Entry<&mut [u8]>) -> io::Result<()> {
        let Entry { connection: id, time_us, what } = entry;
        let time_us = time_us.clamp(0, TIME_US_MAX);
        self.entries += 1;
        let at = (0, self.entries);
        match what {
            What::Opened => {
                self.count += 1;
                self.shared.first_us = self.shared.first_us.min(time_us);
                let connection =
                    Connection { opened_us: time_us, session: None, last_us: time_us, last_entry: self.entries };
                self.connections.insert(id, connection);
            }
            What::Said(side, bytes) => {
                self.hear(id, time_us, true, |session, shared| session.said(side, bytes, time_us, at, shared))?;
                if side == Side::Client {
                    self.cancel();
                }
            }
            What::Lost(side, count) => {
                self.hear(id, time_us, false, |session, shared| session.lost(side, count, time_us, at, shared))?;
            }
            What::Closed => {
                if let Some(connection) = self.connections.remove(&id) {
                    self.held.change(connection.held_bytes(), 0);
                    if let Some(session) = connection.session {
                        session.finish(Some(time_us), time_us, at, &mut self.shared)?;
                    }
                }
            }
            What::Unrecorded(connections) => self.skip("connection that was not recorded", (connections, Loss::Each)),
        }
        Ok(())
    }

    /// Tells something to a connection's session, which begins with the first that it is told: in its middle, if that is
    /// a loss.
    fn hear(
        &mut self,
        id: u32,
        time_us: i64,
        is_whole: bool,
        tell: impl FnOnce(&mut Session, &mut Shared) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        (connection.last_us, connection.last_entry) = (time_us, self.entries);
        let opened_us = is_whole.then_some(connection.opened_us);
        let (before_bytes, first_us) = (connection.held_bytes(), self.shared.first_us);
        let session = connection.session.get_or_insert_with(|| Box::new(Session::new(opened_us, first_us)));
        tell(session, &mut self.shared)?;
        self.held.change(before_bytes, connection.held_bytes());
        self.held.keep_bound(&mut self.connections, &mut self.shared)
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

    fn skip(&mut self, reason: &str, counted: (u64, Loss)) {
        conclusion::skip(&mut self.skipped, reason, counted, (0, self.entries));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::pgwire::frontend;

    #[test]
    fn all_connections_share_a_bound_and_what_is_forgotten_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut reading = Reading {
            shared: Shared::new(Rules::default(), directory.path()),
            connections: HashMap::new(),
            held: Held { bytes: 0, bytes_max: 250_000 },
            count: 0,
            entries: 0,
            skipped: BTreeMap::new(),
        };
        for connection in 0..9 {
            let mut said = BytesMut::new();
            frontend::startup(&mut said, 3 << 16, [("user", "app")]).unwrap();
            frontend::parse(&mut said, b"s", &vec![b'x'; 40_000], &[]).unwrap();
            reading.take(Entry { connection, time_us: 0, what: What::Opened }).unwrap();
            reading.take(Entry { connection, time_us: 1, what: What::Said(Side::Client, &mut said[..]) }).unwrap();
            let held_bytes = reading.connections.values().map(Connection::held_bytes).sum::<usize>();
            assert_eq!(reading.held.bytes, held_bytes);
            assert!(held_bytes <= reading.held.bytes_max, "{held_bytes}");
        }
        let forgotten = reading.shared.skipped[&Reason::Forgotten].count;
        assert!((1..9).contains(&forgotten), "{forgotten}");
        reading.take(Entry { connection: 8, time_us: 2, what: What::Closed }).unwrap();
        assert!(reading.held.bytes <= reading.connections.values().map(Connection::held_bytes).sum());
        reading.finish().unwrap();
    }
}
