//! A log's entries to the events of a workload.
//!
//! Takes entries of any log format, in the order of the log, and gives every session's opening, requests, cancels and
//! closing to a sorter, each request with its tenant. Must not know files, log formats or the workload's form.

use std::io;

use rustc_hash::FxHashMap;

use super::super::sequence::{Counts, Output, TenantCounts};
use super::super::sort::{Sorted, Sorter};
use super::super::texts::Texts;
use super::entry::{LogEntry, SessionKey, Severity};
use super::evidence::{AllEvidence, Longest};
use super::message::Message;
use super::session::Session;
use super::tally::{Aside, Reason, Tally};
use crate::tenant::Rules;

/// Turns entries into events.
pub struct Assembler {
    rules: Rules,
    sessions: FxHashMap<SessionKey, Session>,
    /// The session that a process serves: when its id comes again, that session is over.
    processes: FxHashMap<u32, SessionKey>,
    evidence: AllEvidence,
    texts: Texts,
    first_us: Option<i64>,
    server_version: Option<String>,
    tally: Tally,
    out: Output,
}

/// What an assembler found.
pub struct Assembled {
    pub events: Sorted,
    /// By index; each with its requests.
    pub tenants: TenantCounts,
    pub counts: Counts,
    pub tally: Tally,
    /// Decides about every `PossibleCut`.
    pub longest: Longest,
    /// As the server said it when it started within the log.
    pub server_version: Option<String>,
}

impl Assembler {
    /// Tenants by these rules, events to this sorter.
    pub fn new(rules: Rules, sorter: Sorter) -> Self {
        Self {
            rules,
            sessions: FxHashMap::default(),
            processes: FxHashMap::default(),
            evidence: AllEvidence::default(),
            texts: Texts::default(),
            first_us: None,
            server_version: None,
            tally: Tally::default(),
            out: Output::new(sorter),
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.out.counts()
    }

    /// For what the reader of the log has to count.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Takes the log's next entry.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push(&mut self, entry: &LogEntry<'_>) -> io::Result<()> {
        self.out.count_entry();
        let first_us = *self.first_us.get_or_insert(entry.time_us);
        let message = match entry.severity {
            Severity::Log => Message::parse(&entry.message),
            _ => Message::Other,
        };
        if entry.background {
            self.push_background(entry, message);
            return Ok(());
        }
        let session = match self.sessions.get_mut(&entry.session) {
            Some(session) => session,
            None => {
                self.begin(entry, first_us)?;
                let Some(session) = self.sessions.get_mut(&entry.session) else { return Ok(()) };
                session
            }
        };
        if session.is_anonymous() && !entry.user.is_empty() {
            session.share_evidence(self.evidence.of(&entry.user, &entry.database));
        }
        session.push(entry, message, &self.rules, &mut self.texts, &mut self.tally, &mut self.out)?;
        if matches!(message, Message::Disconnection) {
            self.out.disconnections_are_logged();
            self.processes.remove(&entry.session.process);
            self.end(entry.session, Some(entry.time_us))?;
        }
        Ok(())
    }

    /// Ends every session and gives what was found.
    ///
    /// # Errors
    /// A temporary file cannot be written or read.
    pub fn finish(mut self) -> io::Result<Assembled> {
        // In the order of the log's sessions, so that the same log gives the same workload.
        let mut open: Vec<_> = self.sessions.drain().collect();
        open.sort_unstable_by_key(|(key, _)| *key);
        for (_, session) in open {
            session.finish(None, &self.rules, &mut self.tally, &mut self.out)?;
        }
        let Self { mut tally, server_version, out, evidence, texts, .. } = self;
        let (counts, tenants, mut events) = out.finish()?;
        events.name_texts(texts);
        let longest = evidence.finish(&mut tally);
        Ok(Assembled { events, tenants, counts, tally, longest, server_version })
    }

    fn push_background(&mut self, entry: &LogEntry<'_>, message: Message<'_>) {
        match message {
            Message::Statement { .. } | Message::Execute { .. } => self.tally.skip(Reason::Replication, entry.at),
            Message::ServerStart { version } => {
                let version = String::from_utf8_lossy(version).into_owned();
                self.server_version.get_or_insert(version);
                self.tally.set_aside(Aside::Server);
            }
            _ => self.tally.set_aside(Aside::Server),
        }
    }

    /// A session's first entry.
    fn begin(&mut self, entry: &LogEntry<'_>, first_us: i64) -> io::Result<()> {
        if let Some(over) = self.processes.insert(entry.session.process, entry.session) {
            self.end(over, None)?;
        }
        let mut session = Session::new(entry, first_us);
        // Until an entry names the owner, if any does.
        session.share_evidence(self.evidence.of(b"", b""));
        self.sessions.insert(entry.session, session);
        Ok(())
    }

    fn end(&mut self, key: SessionKey, closed_us: Option<i64>) -> io::Result<()> {
        let Some(session) = self.sessions.remove(&key) else { return Ok(()) };
        // A session whose process id came again is over, whether its end was logged or not.
        let over_us = closed_us.unwrap_or(i64::MIN);
        session.finish(Some(over_us), &self.rules, &mut self.tally, &mut self.out)
    }
}
