//! A log's entries to the events of a workload.
//!
//! Takes entries of any log format, in the order of the log, and gives every session's opening, requests, cancels and
//! closing to a sorter, each request with its tenant. Must not know files, log formats or the workload's form.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;

use super::super::event::{Event, Key, Opening};
use super::super::sort::{Sorted, Sorter};
use super::entry::{LogEntry, Position, SessionKey, Severity};
use super::message::Message;
use super::session::{Draft, Requests};
use super::tally::{Aside, Reason, Tally};
use crate::tenant::{Attribution, Rules, Statement};

/// Turns entries into events.
pub struct Assembler {
    rules: Rules,
    sessions: HashMap<SessionKey, Session>,
    /// The session that a process serves: when its id comes again, that session is over.
    processes: HashMap<u32, SessionKey>,
    /// The evidence about parameter values by user and database.
    whole_value_bytes: HashMap<UserAndDatabase, Rc<Cell<usize>>>,
    first_us: Option<i64>,
    tally: Tally,
    out: Output,
}

/// For whom `log_parameter_max_length` is set.
type UserAndDatabase = (Vec<u8>, Vec<u8>);

/// What an assembler found.
pub struct Assembled {
    pub events: Sorted,
    /// By index; each with its requests.
    pub tenants: Vec<(String, u64)>,
    pub counts: Counts,
    pub tally: Tally,
    /// As the server said it when it started within the log.
    pub server_version: Option<String>,
}

/// How much an assembler found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub entries: u64,
    pub sessions: u64,
    pub began_before_capture: u64,
    pub simple: u64,
    pub extended: u64,
    pub failed: u64,
    /// Requests that no rule gives a tenant.
    pub without_tenant: u64,
}

impl Counts {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.simple + self.extended
    }
}

/// One session of the log.
struct Session {
    events: Events,
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

/// A session's place in the order of events.
struct Events {
    /// Given with the first event.
    number: Option<u32>,
    opening: Opening,
    opened_us: Option<i64>,
    last_us: i64,
    order: u64,
    sequence: u64,
}

/// Where events go, and what all sessions share on the way.
struct Output {
    sorter: Sorter,
    tenants: Vec<(String, u64)>,
    tenant_ids: HashMap<String, u32>,
    counts: Counts,
    /// Session, time and order of the closing that would come next.
    ended_without_line: Vec<(u32, i64, u64)>,
    next_session: u32,
    saw_disconnection: bool,
    server_version: Option<String>,
}

impl Assembler {
    /// Tenants by these rules, events to this sorter.
    pub fn new(rules: Rules, sorter: Sorter) -> Self {
        Self {
            rules,
            sessions: HashMap::new(),
            processes: HashMap::new(),
            whole_value_bytes: HashMap::new(),
            first_us: None,
            tally: Tally::default(),
            out: Output {
                sorter,
                tenants: Vec::new(),
                tenant_ids: HashMap::new(),
                counts: Counts::default(),
                ended_without_line: Vec::new(),
                next_session: 0,
                saw_disconnection: false,
                server_version: None,
            },
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.out.counts
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
        self.out.counts.entries += 1;
        let first_us = *self.first_us.get_or_insert(entry.time_us);
        let message = match entry.severity {
            Severity::Log => Message::parse(&entry.message),
            _ => Message::Other,
        };
        if entry.background {
            self.push_background(entry, message);
            return Ok(());
        }
        if !self.sessions.contains_key(&entry.session) {
            self.begin(entry, first_us)?;
        }
        let Some(session) = self.sessions.get_mut(&entry.session) else { return Ok(()) };
        if session.user.is_empty() && !entry.user.is_empty() {
            let key = (entry.user.to_vec(), entry.database.to_vec());
            session.requests.share_evidence(Rc::clone(self.whole_value_bytes.entry(key).or_default()));
        }
        session.push(entry, message, &self.rules, &mut self.tally, &mut self.out)?;
        if matches!(message, Message::Disconnection) {
            self.out.saw_disconnection = true;
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
        // Where no session's end was logged, connections must not pile up in a replay: each ends with its last request.
        // Where ends are logged, a session without one lived on behind the log's end.
        if !self.out.saw_disconnection {
            for (session, time_us, order) in std::mem::take(&mut self.out.ended_without_line) {
                self.out.sorter.push(Key { time_us, session, order }, &Event::Close)?;
            }
        }
        let Output { sorter, tenants, counts, server_version, .. } = self.out;
        Ok(Assembled { events: sorter.finish()?, tenants, counts, tally: self.tally, server_version })
    }

    fn push_background(&mut self, entry: &LogEntry<'_>, message: Message<'_>) {
        match message {
            Message::Statement { .. } | Message::Execute { .. } => self.tally.skip(Reason::Replication, entry.at),
            Message::ServerStart { version } => {
                let version = String::from_utf8_lossy(version).into_owned();
                self.out.server_version.get_or_insert(version);
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
        self.sessions.insert(entry.session, Session::new(entry, first_us));
        Ok(())
    }

    fn end(&mut self, key: SessionKey, closed_us: Option<i64>) -> io::Result<()> {
        let Some(session) = self.sessions.remove(&key) else { return Ok(()) };
        // A session whose process id came again is over, whether its end was logged or not.
        let over_us = closed_us.or(Some(session.events.last_us));
        session.finish(over_us, &self.rules, &mut self.tally, &mut self.out)
    }
}

impl Session {
    fn new(entry: &LogEntry<'_>, first_us: i64) -> Self {
        // Without a connection line, the time at which the process started says on which side of the log's start the
        // session began; it is cut to seconds.
        let started_us = entry.session.started_s.saturating_mul(1_000_000);
        let began_before_capture = started_us.saturating_add(999_999) < first_us;
        let opened_us = (!began_before_capture).then(|| started_us.clamp(first_us, entry.time_us.max(first_us)));
        Self {
            events: Events {
                number: None,
                opening: Opening { began_before_capture, ..Opening::default() },
                opened_us,
                last_us: i64::MIN,
                order: 0,
                sequence: 0,
            },
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

    fn push(
        &mut self,
        entry: &LogEntry<'_>,
        message: Message<'_>,
        rules: &Rules,
        tally: &mut Tally,
        out: &mut Output,
    ) -> io::Result<()> {
        if let Severity::Error { session_ends: true } = entry.severity {
            self.refused |= self.events.sequence == 0;
        }
        // The entry that completes a statement says what the statement made of the session's name (`SET
        // application_name`); one that begins another statement must not.
        let completes = matches!(message, Message::Duration { .. }) || matches!(entry.severity, Severity::Error { .. });
        if completes {
            self.identify(entry);
        }
        let mut drafts = Vec::new();
        match message {
            Message::ConnectionReceived => self.connect(entry, tally),
            Message::ConnectionAuthorized { application_name } => {
                self.connect(entry, tally);
                if let Some(name) = application_name.filter(|name| !name.is_empty()) {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.events.opening.parameters.insert("application_name".to_owned(), name);
                }
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

    /// The session's connection was logged, so it began within the capture.
    fn connect(&mut self, entry: &LogEntry<'_>, tally: &mut Tally) {
        tally.set_aside(Aside::Connection);
        if self.events.opening.began_before_capture || self.events.order == 0 {
            self.events.opening.began_before_capture = false;
            let earlier = self.events.opened_us.filter(|_| self.events.last_us > i64::MIN);
            self.events.opened_us = earlier.or(Some(entry.time_us));
            self.events.last_us = self.events.last_us.max(entry.time_us);
        }
    }

    /// Takes over what the entry says about who the session is.
    fn identify(&mut self, entry: &LogEntry<'_>) {
        update(&mut self.database, &entry.database);
        update(&mut self.user, &entry.user);
        update(&mut self.application_name, &entry.application_name);
    }

    fn attribute(&mut self, drafts: Vec<Draft>, rules: &Rules, out: &mut Output) -> io::Result<()> {
        for draft in drafts {
            self.events.name(&self.database, &self.user, &self.application_name);
            let sql = String::from_utf8_lossy(&draft.request.sql).into_owned();
            let statement = Statement {
                database: &self.database,
                user: &self.user,
                application_name: &self.application_name,
                sql: &sql,
            };
            let mut result = Ok(());
            let events = &mut self.events;
            self.attribution.push(rules, &statement, draft, |draft, tenant| {
                if result.is_ok() {
                    result = events.give(draft, tenant, out);
                }
            });
            result?;
        }
        Ok(())
    }

    /// The session is over, or the log is.
    fn finish(mut self, over_us: Option<i64>, rules: &Rules, tally: &mut Tally, out: &mut Output) -> io::Result<()> {
        let mut drafts = Vec::new();
        self.requests.flush(|draft| drafts.push(draft));
        self.attribute(drafts, rules, out)?;
        let mut result = Ok(());
        let events = &mut self.events;
        self.attribution.finish(|draft, tenant| {
            if result.is_ok() {
                result = events.give(draft, tenant, out);
            }
        });
        result?;
        self.events.name(&self.database, &self.user, &self.application_name);
        if self.events.sequence > 0 {
            return self.events.finish(over_us, out);
        }
        if self.is_replication {
            return Ok(());
        }
        if self.refused || self.events.opening.database.is_empty() {
            tally.skip(Reason::FailedLogin, self.first_at);
            return Ok(());
        }
        // Of a session that began before and did nothing, nothing needs to be replayed.
        match self.events.opened_us {
            Some(_) => self.events.finish(over_us, out),
            None => Ok(()),
        }
    }
}

impl Events {
    /// Names the session as it was when its first request came, or its end.
    fn name(&mut self, database: &str, user: &str, application_name: &str) {
        if !self.opening.database.is_empty() {
            return;
        }
        (self.opening.database, self.opening.user) = (database.to_owned(), user.to_owned());
        if !application_name.is_empty() {
            let parameters: &mut BTreeMap<_, _> = &mut self.opening.parameters;
            parameters.entry("application_name".to_owned()).or_insert_with(|| application_name.to_owned());
        }
    }

    /// Gives a request, and the client's wish to cancel it.
    fn give(&mut self, draft: Draft, tenant: Option<&str>, out: &mut Output) -> io::Result<()> {
        let mut request = draft.request;
        request.sequence = self.sequence;
        request.tenant = tenant.map(|tenant| out.tenant(tenant));
        out.counts.without_tenant += u64::from(tenant.is_none());
        out.counts.failed += u64::from(request.sqlstate.is_some());
        match request.extended {
            Some(_) => out.counts.extended += 1,
            None => out.counts.simple += 1,
        }
        self.sequence += 1;
        self.push(draft.start_us, &Event::Request(Box::new(request)), out)?;
        match draft.cancelled_us {
            Some(time_us) => self.push(time_us, &Event::Cancel, out),
            None => Ok(()),
        }
    }

    fn push(&mut self, time_us: i64, event: &Event, out: &mut Output) -> io::Result<()> {
        let time_us = time_us.max(self.last_us).max(self.opened_us.unwrap_or(i64::MIN));
        self.last_us = time_us;
        // What the log does not tell began with its first request.
        self.opened_us.get_or_insert(time_us);
        self.order += 1;
        let session = self.number(out);
        out.sorter.push(Key { time_us, session, order: self.order }, event)
    }

    fn finish(mut self, over_us: Option<i64>, out: &mut Output) -> io::Result<()> {
        let session = self.number(out);
        out.counts.sessions += 1;
        out.counts.began_before_capture += u64::from(self.opening.began_before_capture);
        let time_us = self.opened_us.unwrap_or(self.last_us);
        let opening = Event::Open(std::mem::take(&mut self.opening));
        out.sorter.push(Key { time_us, session, order: 0 }, &opening)?;
        let (close_us, order) = (over_us.unwrap_or(i64::MIN).max(self.last_us).max(time_us), self.order + 1);
        match over_us {
            Some(_) => out.sorter.push(Key { time_us: close_us, session, order }, &Event::Close),
            None => {
                out.ended_without_line.push((session, close_us, order));
                Ok(())
            }
        }
    }

    fn number(&mut self, out: &mut Output) -> u32 {
        *self.number.get_or_insert_with(|| {
            out.next_session += 1;
            out.next_session - 1
        })
    }
}

impl Output {
    /// The index of a tenant, counted.
    fn tenant(&mut self, name: &str) -> u32 {
        let id = match self.tenant_ids.get(name) {
            Some(id) => *id,
            None => {
                let id = self.tenants.len() as u32;
                self.tenants.push((name.to_owned(), 0));
                self.tenant_ids.insert(name.to_owned(), id);
                id
            }
        };
        self.tenants[id as usize].1 += 1;
        id
    }
}

/// Keeps the text where nothing changed, which is nearly always.
fn update(text: &mut String, bytes: &[u8]) {
    if !bytes.is_empty() && text.as_bytes() != bytes {
        *text = String::from_utf8_lossy(bytes).into_owned();
    }
}
