//! Events on their way out: a session's place in the order, and what all sessions share.
//!
//! Takes a session's requests in the order of their source and gives events whose times never go back within it. Must not
//! know log entries or protocol messages.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::event::{CopyData, Event, Key, Opening, Request, Sent};
use super::logged::{LoggedRequest, StoredRequest};
use super::sort::{Sorted, Sorter};

/// A statement that ran when the log began is taken to have started this long before, at most: one that ran for hours
/// must not put hours of silence at the start of a replay.
const BEFORE_LOG_US_MAX: i64 = 60_000_000;

/// A request as far as its session knows it: the sequence and the tenant are still missing.
#[derive(Debug)]
pub struct Draft {
    pub start_us: i64,
    pub request: Request,
    /// When the client's cancel request reached it.
    pub cancelled_us: Option<i64>,
}

/// A session's place in the order of events.
pub struct Sequence {
    /// Given with the first event.
    session: Option<u32>,
    opening: Opening,
    opened_us: Option<i64>,
    /// The connection was logged: `opened_us` is no guess.
    is_connected: bool,
    /// Of the last event: none goes back behind it.
    last_us: i64,
    /// Of the last event: the opening's is 0.
    order: u64,
    requests: u64,
    /// Of its last request: mostly that of the next one too.
    tenant: Option<u32>,
}

/// A request's place in the order, which it may take before all of it is known.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    time_us: i64,
    /// The next number is the place of its cancel.
    order: u64,
    /// Counts from 0 within the session.
    pub sequence: u64,
}

/// Tenants with their requests.
pub type TenantCounts = Vec<(String, u64)>;

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
    /// Of the requests that succeeded and whose duration was logged.
    pub fastest_us: Option<u64>,
}

impl Counts {
    fn take(&mut self, request: &Request) {
        self.failed += u64::from(request.sqlstate().is_some());
        let succeeded = request.results.iter().filter(|result| result.sqlstate.is_none());
        if let Some(total_us) = succeeded.filter_map(|result| result.total_us).min() {
            self.fastest_us = Some(self.fastest_us.map_or(total_us, |fastest_us| fastest_us.min(total_us)));
        }
        match request.sent {
            Sent::Simple { .. } => self.simple += 1,
            Sent::Execute(_) | Sent::Messages(_) => self.extended += request.executions(),
        }
    }

    fn take_logged(&mut self, request: &LoggedRequest<'_>) {
        match (request.sqlstate, request.total_us) {
            (Some(_), _) => self.failed += 1,
            (None, Some(total_us)) => {
                self.fastest_us = Some(self.fastest_us.map_or(total_us, |fastest_us| fastest_us.min(total_us)));
            }
            (None, None) => {}
        }
        match request.execute {
            None => self.simple += 1,
            Some(_) => self.extended += 1,
        }
    }

    /// Executions: simple queries and executions by the extended protocol.
    pub fn requests(&self) -> u64 {
        self.simple + self.extended
    }
}

/// Where events go, and what all sessions share on the way.
pub struct Output {
    sorter: Sorter,
    tenants: TenantCounts,
    tenant_ids: HashMap<String, u32>,
    counts: Counts,
    /// The closings of sessions whose end was not logged.
    unclosed: Vec<Key>,
    next_session: u32,
    saw_disconnection: bool,
}

impl Sequence {
    /// Of a session that opened at this moment, as far as is known; none if it began before the capture. The log begins
    /// at `first_us`.
    pub fn new(opened_us: Option<i64>, first_us: i64) -> Self {
        let opening = Opening { began_before_capture: opened_us.is_none(), ..Opening::default() };
        let last_us = first_us.saturating_sub(BEFORE_LOG_US_MAX);
        Self { session: None, opening, opened_us, is_connected: false, last_us, order: 0, requests: 0, tenant: None }
    }

    /// Whether the session had no request yet.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// Whether it is known when the session opened.
    pub fn is_open(&self) -> bool {
        self.opened_us.is_some()
    }

    /// The session's connection was logged, so it began within the capture. The first of its lines counts.
    pub fn connected(&mut self, time_us: i64) {
        if !self.is_connected && self.order == 0 {
            self.is_connected = true;
            self.opening.began_before_capture = false;
            (self.opened_us, self.last_us) = (Some(time_us), time_us);
        }
    }

    /// Names the session as it was when its first request came, or its end.
    pub fn name(&mut self, database: &str, user: &str, application_name: &str) {
        if !self.opening.database.is_empty() {
            return;
        }
        (self.opening.database, self.opening.user) = (database.to_owned(), user.to_owned());
        if !application_name.is_empty() {
            self.opening.parameters.insert("application_name".to_owned(), application_name.to_owned());
        }
    }

    /// The place of the session's next request.
    pub fn place(&mut self, start_us: i64) -> Place {
        let time_us = start_us.max(self.last_us);
        self.last_us = time_us;
        // Where no connection was seen, the session opened with its first request at the latest.
        self.opened_us = Some(self.opened_us.map_or(time_us, |opened_us| opened_us.min(time_us)));
        let place = Place { time_us, order: self.order + 1, sequence: self.requests };
        self.order += 2;
        self.requests += 1;
        place
    }

    /// Gives a request, and the client's wish to cancel it.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn give(&mut self, draft: Draft, place: Place, tenant: Option<&str>, out: &mut Output) -> io::Result<()> {
        let mut request = draft.request;
        request.sequence = place.sequence;
        request.tenant = self.tenant(tenant, request.executions(), out);
        out.counts.without_tenant += if tenant.is_none() { request.executions() } else { 0 };
        out.counts.take(&request);
        let session = self.session(out);
        let Place { time_us, order, .. } = place;
        out.sorter.push(Key { time_us, session, order }, &Event::Request(Box::new(request)))?;
        let Some(cancelled_us) = draft.cancelled_us else { return Ok(()) };
        let time_us = cancelled_us.max(time_us);
        self.last_us = self.last_us.max(time_us);
        out.sorter.push(Key { time_us, session, order: order + 1 }, &Event::Cancel)
    }

    /// Gives a request from its log.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn give_logged(
        &mut self,
        request: &LoggedRequest<'_>,
        place: Place,
        tenant: Option<&str>,
        out: &mut Output,
    ) -> io::Result<()> {
        let tenant = self.tenant(tenant, 1, out);
        out.counts.without_tenant += u64::from(tenant.is_none());
        out.counts.take_logged(request);
        let key = Key { time_us: place.time_us, session: self.session(out), order: place.order };
        let stored = StoredRequest { sequence: place.sequence, tenant, marks: None, request: *request };
        out.sorter.push_with(key, |bytes| stored.encode(bytes))
    }

    /// Gives COPY data of the request that took its place last.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn copy(&mut self, time_us: i64, data: CopyData, out: &mut Output) -> io::Result<()> {
        self.last_us = time_us.max(self.last_us);
        self.order += 1;
        let key = Key { time_us: self.last_us, session: self.session(out), order: self.order };
        out.sorter.push(key, &Event::Copy(Box::new(data)))
    }

    /// The parameters that the client opened the session with.
    pub fn opened_with(&mut self, parameters: BTreeMap<String, String>) {
        self.opening.parameters = parameters;
    }

    /// Gives the opening, which is known only now, and the closing: not before the last event if the session is over,
    /// and none where it may have lived on behind the log's end.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn finish(mut self, over_us: Option<i64>, out: &mut Output) -> io::Result<()> {
        let session = self.session(out);
        out.counts.sessions += 1;
        out.counts.began_before_capture += u64::from(self.opening.began_before_capture);
        let opened_us = self.opened_us.unwrap_or(self.last_us);
        out.sorter.push(Key { time_us: opened_us, session, order: 0 }, &Event::Open(self.opening))?;
        let time_us = over_us.unwrap_or(i64::MIN).max(self.last_us).max(opened_us);
        let closing = Key { time_us, session, order: self.order + 1 };
        match over_us {
            Some(_) => out.sorter.push(closing, &Event::Close),
            None => {
                out.unclosed.push(closing);
                Ok(())
            }
        }
    }

    /// The index of a request's tenant, counted.
    fn tenant(&mut self, name: Option<&str>, executions: u64, out: &mut Output) -> Option<u32> {
        let name = name?;
        let last = self.tenant.filter(|last| out.tenants[*last as usize].0 == name);
        let index = last.unwrap_or_else(|| out.tenant(name));
        out.tenants[index as usize].1 += executions;
        self.tenant = Some(index);
        self.tenant
    }

    fn session(&mut self, out: &mut Output) -> u32 {
        *self.session.get_or_insert_with(|| {
            out.next_session += 1;
            out.next_session - 1
        })
    }
}

impl Output {
    /// Events go to this sorter.
    pub fn new(sorter: Sorter) -> Self {
        Self {
            sorter,
            tenants: Vec::new(),
            tenant_ids: HashMap::new(),
            counts: Counts::default(),
            unclosed: Vec::new(),
            next_session: 0,
            saw_disconnection: false,
        }
    }

    /// Counts an entry of the log.
    pub fn count_entry(&mut self) {
        self.counts.entries += 1;
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A disconnection was seen, so the server logs them.
    pub fn disconnections_are_logged(&mut self) {
        self.saw_disconnection = true;
    }

    /// The counts, the tenants in the order in which events number them, and the events.
    ///
    /// # Errors
    /// A temporary file cannot be written or read.
    pub fn finish(mut self) -> io::Result<(Counts, TenantCounts, Sorted)> {
        // Where no session's end was logged, connections must not pile up in a replay: each ends with its last request.
        // Where ends are logged, a session without one lived on behind the log's end.
        if !self.saw_disconnection {
            for closing in self.unclosed {
                self.sorter.push(closing, &Event::Close)?;
            }
        }
        Ok((self.counts, self.tenants, self.sorter.finish()?))
    }

    /// The index of a tenant.
    fn tenant(&mut self, name: &str) -> u32 {
        match self.tenant_ids.get(name) {
            Some(id) => *id,
            None => {
                let id = self.tenants.len() as u32;
                self.tenants.push((name.to_owned(), 0));
                self.tenant_ids.insert(name.to_owned(), id);
                id
            }
        }
    }
}
