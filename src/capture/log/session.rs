//! One session of a log: who it is, its requests, and whose they are.
//!
//! Takes the session's entries in order and gives its events. Must not know other sessions.

use std::io;
use std::rc::Rc;

use super::entry::{LogEntry, Position, Severity};
use super::evidence::Evidence;
use super::message::Message;
use super::requests::{Draft, Requests};
use super::sequence::{Output, Sequence};
use super::tally::{Aside, Reason, Tally};
use crate::tenant::{Attribution, Rules, Statement};

/// One session of the log.
pub struct Session {
    sequence: Sequence,
    requests: Requests,
    attribution: Attribution<Draft>,
    database: String,
    user: String,
    application_name: String,
    is_replication: bool,
    /// The server refused something before the session had a request.
    refused: bool,
    first_at: Position,
}

impl Session {
    /// A session whose first entry this is, in a log that begins at `first_us`.
    pub fn new(entry: &LogEntry<'_>, first_us: i64) -> Self {
        // Without a connection line, the time at which the process started says on which side of the log's start the
        // session began; it is cut to seconds.
        let started_us = entry.session.started_s.saturating_mul(1_000_000);
        let began_before_capture = started_us.saturating_add(999_999) < first_us;
        let opened_us = (!began_before_capture).then(|| started_us.clamp(first_us, entry.time_us.max(first_us)));
        Self {
            sequence: Sequence::new(opened_us, first_us.min(entry.time_us)),
            requests: Requests::default(),
            attribution: Attribution::new(None),
            database: String::new(),
            user: String::new(),
            application_name: String::new(),
            is_replication: false,
            refused: false,
            first_at: entry.at,
        }
    }

    /// Whether no entry said yet whose session it is.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_empty()
    }

    /// Shares the evidence about parameter values with other sessions of the same user and database.
    pub fn share_evidence(&mut self, evidence: Rc<Evidence>) {
        self.requests.share_evidence(evidence);
    }

    /// Takes the session's next entry; `message` is what the entry's message means.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push(
        &mut self,
        entry: &LogEntry<'_>,
        message: Message<'_>,
        rules: &Rules,
        tally: &mut Tally,
        out: &mut Output,
    ) -> io::Result<()> {
        if let Severity::Error { session_ends: true } = entry.severity {
            self.refused |= self.sequence.is_empty();
        }
        // The entry that completes a statement says what the statement made of the session's name (`SET
        // application_name`); one that begins another statement must not.
        let completes = matches!(message, Message::Duration { .. }) || matches!(entry.severity, Severity::Error { .. });
        if completes {
            self.identify(entry);
        }
        let mut drafts = Vec::new();
        match message {
            Message::ConnectionReceived => {
                tally.set_aside(Aside::Connection);
                self.sequence.connected(entry.time_us);
            }
            Message::ConnectionAuthorized { application_name } => {
                tally.set_aside(Aside::Connection);
                self.sequence.connected(entry.time_us);
                update(&mut self.application_name, application_name.unwrap_or_default());
            }
            Message::ReplicationAuthorized => self.is_replication = true,
            Message::Disconnection => {
                tally.set_aside(Aside::Connection);
                self.requests.flush(|draft| drafts.push(draft));
            }
            Message::Statement { .. } | Message::Execute { .. } if self.is_replication => {
                tally.skip(Reason::Replication, entry.at);
            }
            _ => self.requests.push(entry, message, tally, |draft| drafts.push(draft)),
        }
        let (own, earlier): (Vec<_>, Vec<_>) = drafts.into_iter().partition(|draft| draft.request.at == entry.at);
        self.attribute(earlier, rules, out)?;
        self.identify(entry);
        self.attribute(own, rules, out)
    }

    /// Takes over what the entry says about who the session is.
    fn identify(&mut self, entry: &LogEntry<'_>) {
        update(&mut self.database, &entry.database);
        update(&mut self.user, &entry.user);
        update(&mut self.application_name, &entry.application_name);
    }

    fn attribute(&mut self, drafts: Vec<Draft>, rules: &Rules, out: &mut Output) -> io::Result<()> {
        for draft in drafts {
            self.sequence.name(&self.database, &self.user, &self.application_name);
            let sql = match rules.read_text() {
                true => String::from_utf8_lossy(&draft.request.sql).into_owned(),
                false => String::new(),
            };
            let statement = Statement {
                database: &self.database,
                user: &self.user,
                application_name: &self.application_name,
                sql: &sql,
            };
            let mut result = Ok(());
            let sequence = &mut self.sequence;
            self.attribution.push(rules, &statement, draft, |draft, tenant| {
                if result.is_ok() {
                    result = sequence.give(draft, tenant, out);
                }
            });
            result?;
        }
        Ok(())
    }

    /// The session was over at `over_us`, or the log ends here.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(
        mut self,
        over_us: Option<i64>,
        rules: &Rules,
        tally: &mut Tally,
        out: &mut Output,
    ) -> io::Result<()> {
        let mut drafts = Vec::new();
        self.requests.flush(|draft| drafts.push(draft));
        self.attribute(drafts, rules, out)?;
        let mut result = Ok(());
        let sequence = &mut self.sequence;
        self.attribution.finish(|draft, tenant| {
            if result.is_ok() {
                result = sequence.give(draft, tenant, out);
            }
        });
        result?;
        self.sequence.name(&self.database, &self.user, &self.application_name);
        if self.sequence.is_empty() {
            if self.is_replication {
                return Ok(());
            }
            if self.refused || self.database.is_empty() {
                tally.skip(Reason::FailedLogin, self.first_at);
                return Ok(());
            }
            // Of a session that began before and did nothing, nothing needs to be replayed.
            if !self.sequence.is_open() {
                return Ok(());
            }
        }
        self.sequence.finish(over_us, out)
    }
}

/// Keeps the text where nothing changed, which is nearly always.
fn update(text: &mut String, bytes: &[u8]) {
    if !bytes.is_empty() && text.as_bytes() != bytes {
        *text = String::from_utf8_lossy(bytes).into_owned();
    }
}
