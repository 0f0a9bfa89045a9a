//! One session of a log: who it is, its requests, and whose they are.
//!
//! Takes the session's entries in order and gives its events. Must not know other sessions.

use std::io;
use std::rc::Rc;

use super::super::sequence::{Output, Sequence};
use super::super::stream::Stream;
use super::super::texts::Texts;
use super::entry::{LogEntry, Position, Severity};
use super::evidence::Evidence;
use super::message::Message;
use super::requests::{Given, Requests};
use super::tally::{Aside, Reason, Tally};
use crate::tenant::Rules;

/// One session of the log.
pub struct Session {
    stream: Stream,
    requests: Requests,
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
            stream: Stream::new(Sequence::new(opened_us, first_us.min(entry.time_us))),
            requests: Requests::default(),
            is_replication: false,
            refused: false,
            first_at: entry.at,
        }
    }

    /// Whether no entry said yet whose session it is.
    pub fn is_anonymous(&self) -> bool {
        self.stream.is_anonymous()
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
        texts: &mut Texts,
        tally: &mut Tally,
        out: &mut Output,
    ) -> io::Result<()> {
        if let Severity::Error { session_ends: true } = entry.severity {
            // Who is idle when the server shuts down was let in before.
            let is_shutdown = entry.sqlstate.is_some_and(|sqlstate| sqlstate.as_str() == "57P01");
            self.refused |= self.stream.sequence().is_empty() && !is_shutdown;
        }
        // The entry that completes a statement says what the statement made of the session's name (`SET
        // application_name`); one that begins another statement must not.
        let completes = matches!(message, Message::Duration { .. }) || matches!(entry.severity, Severity::Error { .. });
        if completes {
            identify(&mut self.stream, entry);
        }
        let mut is_identified = completes;
        let Self { stream, requests, .. } = self;
        let mut give = |given: Given<'_>| match given {
            Given::Earlier(draft) => stream.push(draft, rules, out),
            Given::Failed(draft) => {
                identify(stream, entry);
                stream.push(draft, rules, out)
            }
            Given::Whole { start_us, request } => {
                identify(stream, entry);
                is_identified = true;
                stream.push_logged(start_us, request, rules, out)
            }
        };
        match message {
            Message::ConnectionReceived => {
                tally.set_aside(Aside::Connection);
                stream.connected(entry.time_us);
            }
            Message::ConnectionAuthorized { user, database, application_name } => {
                tally.set_aside(Aside::Connection);
                stream.connected(entry.time_us);
                stream.identify(database, user, application_name.unwrap_or_default());
            }
            Message::ReplicationAuthorized => self.is_replication = true,
            Message::Disconnection => {
                tally.set_aside(Aside::Connection);
                requests.flush(|draft| give(Given::Earlier(draft)))?;
            }
            Message::Statement { .. } | Message::Execute { .. } if self.is_replication => {
                tally.skip(Reason::Replication, entry.at);
            }
            _ => requests.push(entry, message, texts, tally, &mut give)?,
        }
        if !is_identified {
            identify(stream, entry);
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
        let stream = &mut self.stream;
        self.requests.finish(tally, |draft| stream.push(draft, rules, out))?;
        self.stream.flush(out)?;
        if self.stream.sequence().is_empty() {
            if self.is_replication {
                return Ok(());
            }
            if self.refused || self.stream.has_no_database() {
                tally.skip(Reason::FailedLogin, self.first_at);
                return Ok(());
            }
            // Of a session that began before and did nothing, nothing needs to be replayed.
            if !self.stream.sequence().is_open() {
                return Ok(());
            }
        }
        self.stream.finish(over_us, out)
    }
}

/// Takes over what the entry says about who the session is.
fn identify(stream: &mut Stream, entry: &LogEntry<'_>) {
    stream.identify(&entry.database, &entry.user, &entry.application_name);
}
