//! The one pass over a workload that makes a spool's chains and index.
//!
//! Takes the workload's lines one by one and appends to a block file. Holds less than a block and one request for each
//! session that is open, the live texts and the index; the length of the workload does not matter. Must not know files or
//! the cache.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use super::chain::{BlockFile, ChainWriter};
use super::entries::{Entry, Mark};
use super::held::{DataFlow, Held};
use super::index::{Index, STATEMENTS_MAX, Session, Tenant};
use super::known_ids::{self, IdsOfRequest, KnownIds};
use super::order::Seen;
use super::request::{RequestFacts, put_ids};
use super::rows::rows_of;
use super::sending::{self, Names};
use super::texts::{Statement, Texts, from_base64};
use super::times::{Moment, TimesWriter};
use super::transaction::{Deed, Transactions};
use super::waits::WaitsWriter;
use super::writing::WritingNames;
use crate::facts::StatementFact;
use crate::replay::copies::Owner;
use crate::scenario::resolved::Order;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;
use crate::workload::record as workload;
use crate::workload::record::{Cancel, Close, CopyData, CopyEnd, Header, Open, Record, Request};

/// Characters of a folded text that are kept for people.
const FOLDED_CHARS_MAX: usize = 4_000;

/// SQLSTATEs kept for a statement: an application that sees more kinds of error is not told by them.
const CAPTURED_ERRORS_MAX: usize = 32;

/// Why a request is not replayed; the keys of `Totals::not_replayed`.
mod reason {
    pub const COPY_FROM_CLIENT: &str = "COPY FROM STDIN: its data is not in the capture";
    pub const UNREADABLE: &str = "unreadable text, parameter or message";
    pub const NO_SESSION: &str = "no open line for its session";
}

/// A session whose chain is being written.
#[derive(Debug, Default)]
struct LiveSession {
    session: Session,
    chain: ChainWriter,
    transactions: Transactions,
    /// What it had prepared when the capture began, until it is known to be executed by SQL.
    prepared: BTreeMap<String, Arc<Statement>>,
    names: Names,
    held: Option<Held>,
    flow: Option<DataFlow>,
    /// Its last request ended without a Sync, so that the next one belongs to the same pipeline.
    is_parted: bool,
    /// Whose its last request was.
    owner: Option<Owner>,
    writing: WritingNames,
}

impl LiveSession {
    /// Statements that `statement` executes by their names have to be there on the session's connection.
    fn keep_prepared(&mut self, statement: &Statement) {
        for name in statement.executes_prepared() {
            if let Some(prepared) = self.prepared.remove(&name) {
                self.session.prepared.insert(name, prepared.text().into_owned());
            }
        }
    }

    /// What is known of the session's next request apart from its texts.
    fn facts_of(&mut self, held: &Held) -> RequestFacts {
        let (Held { request, event, tenant, sending, .. }, captured) = (held, held.captured());
        if !self.prepared.is_empty() {
            sending.executed.iter().for_each(|statement| self.keep_prepared(statement));
        }
        let failed = captured.sqlstate.is_some();
        let deeds: Vec<Deed> = match sending.only_prepares {
            true => Vec::new(),
            false => sending.executed.iter().flat_map(|statement| statement.does.deeds.iter().cloned()).collect(),
        };
        let (class, mut part) = self.transactions.follow(&deeds, failed);
        if let Some(state) = request.transaction {
            self.transactions.settle(state, &mut part);
        }
        // What belongs to one pipeline stands and falls together, as a transaction does.
        part.inside |= self.is_parted;
        part.stays_open |= sending.is_parted;
        self.is_parted = sending.is_parted;
        let changes_session = sending.executed.iter().any(|statement| statement.does.changes_session);
        let own = if changes_session && !part.stays_open { Owner::Session } else { Owner::Tenant(*tenant) };
        let owner = self.owner.filter(|_| part.inside).unwrap_or(own);
        self.owner = Some(owner);
        let told_by = sending.told_by(failed).and_then(|at| sending.executed.get(at));
        RequestFacts {
            t_us: request.t_us,
            event: *event,
            tenant: *tenant,
            class,
            part,
            owner,
            changes_session,
            writes: self.writing.request_writes(sending),
            has_ids: !held.ids.is_empty(),
            fingerprint: told_by.map(|statement| statement.fingerprint).unwrap_or_default(),
            at: request.at,
            captured,
        }
    }
}

/// The state of the pass.
#[derive(Debug)]
pub(super) struct Pass {
    blocks: BlockFile,
    index: Index,
    texts: Texts,
    /// The workload's number of a tenant to its index.
    tenant_of: HashMap<u32, u32>,
    live: HashMap<u32, LiveSession>,
    statement_of: HashMap<Fingerprint, usize>,
    times: TimesWriter,
    /// None where the order does not matter.
    waits: Option<WaitsWriter>,
    known_ids: KnownIds,
    opened: u32,
    /// Reused for every record.
    record: Vec<u8>,
    /// Reused for the body of every request: a session that sends the next has let the one before go.
    body: Vec<u8>,
}

impl Pass {
    pub fn new(header: Header, blocks: BlockFile, order: Order) -> Self {
        let mut index = Index::default();
        index.totals.started_at = header.started_at;
        index.totals.server_version = header.server_version;
        index.sources = header.sources.into_iter().map(|source| source.file).collect();
        Self {
            blocks,
            index,
            tenant_of: HashMap::new(),
            texts: Texts::default(),
            live: HashMap::new(),
            statement_of: HashMap::new(),
            times: TimesWriter::default(),
            waits: (order == Order::Commit).then(WaitsWriter::default),
            known_ids: KnownIds::default(),
            opened: 0,
            record: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Takes the workload's next line.
    ///
    /// # Errors
    /// The block file cannot be written.
    pub fn take(&mut self, record: Record) -> io::Result<()> {
        match record {
            Record::Tenant(tenant) => {
                let workload::Tenant { id, name, tier, region } = tenant;
                self.tenant_of.insert(id, self.index.tenants.len() as u32);
                self.index.tenants.push(Tenant { name, tier, region, ..Tenant::default() });
            }
            Record::Sql(line) => self.texts.define(&line),
            Record::Open(open) => self.open(open)?,
            Record::Request(request) => self.request(request)?,
            Record::Copy(copy) => self.copy(&copy)?,
            Record::Cancel(Cancel { t_us, session }) => {
                if let Some(held) = self.live.get_mut(&session).and_then(|live| live.held.as_mut()) {
                    held.cancelled(t_us);
                }
            }
            Record::Close(Close { t_us, session }) => {
                self.let_go(session)?;
                if let Some(mut live) = self.live.remove(&session) {
                    live.session.closed_us = Some(t_us);
                    self.end_session(live)?;
                }
            }
            Record::End(end) => {
                self.index.totals.span_us = end.span_us;
                self.index.totals.lost =
                    end.skipped.values().fold(0, |lost, skipped| lost.saturating_add(skipped.lost));
            }
            // It was taken before.
            Record::Header(_) => {}
        }
        Ok(())
    }

    /// Ends the chains that are still open and gives the index.
    pub fn finish(mut self) -> io::Result<(BlockFile, Index)> {
        let mut open: Vec<u32> = self.live.keys().copied().collect();
        open.sort_unstable();
        open.into_iter().try_for_each(|session| self.let_go(session))?;
        for (_, live) in std::mem::take(&mut self.live) {
            self.end_session(live)?;
        }
        self.index.sessions.sort_by_key(|session| (session.opened_us, session.session));
        self.index.times = self.times.finish(&mut self.blocks)?;
        Ok((self.blocks, self.index))
    }

    fn open(&mut self, open: Open) -> io::Result<()> {
        self.let_go(open.session)?;
        let state = open.state.unwrap_or_default();
        let prepared = state.prepared.iter().filter_map(|(name, sql)| Some((name.clone(), self.texts.get(sql)?)));
        let prepared: BTreeMap<_, _> = prepared.collect();
        let mut names = Names::default();
        prepared.iter().for_each(|(name, statement)| names.set(name, statement));
        let mut writing = WritingNames::default();
        prepared.iter().for_each(|(name, statement)| writing.carried_in(name, statement));
        let session = Session {
            session: open.session,
            database: open.database,
            user: open.user,
            parameters: open.parameters,
            settings: state.settings,
            opened_us: open.t_us,
            began_before_capture: open.began_before_capture,
            number: self.opened,
            ..Session::default()
        };
        self.opened += 1;
        match self
            .live
            .insert(open.session, LiveSession { session, prepared, names, writing, ..LiveSession::default() })
        {
            Some(earlier) => self.end_session(earlier),
            None => Ok(()),
        }
    }

    fn end_session(&mut self, live: LiveSession) -> io::Result<()> {
        let chain = live.chain.finish(&mut self.blocks)?;
        let waits = match &mut self.waits {
            Some(waits) => waits.finish(live.session.number, &mut self.blocks)?,
            None => 0,
        };
        self.index.sessions.push(Session { chain, waits, ..live.session });
        Ok(())
    }

    fn request(&mut self, request: Request) -> io::Result<()> {
        self.let_go(request.session)?;
        let event = self.index.totals.requests;
        let tenant = request.tenant.and_then(|id| self.tenant_of.get(&id).copied());
        self.index.totals.requests += 1;
        let Some(live) = self.live.get_mut(&request.session) else { return self.not_replayed(reason::NO_SESSION) };
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let Some(sending) = sending::append(&request, &self.texts, &mut live.names, &mut body) else {
            return self.not_replayed(reason::UNREADABLE);
        };
        let orders = self.waits.is_some();
        let rows = if orders { rows_of(&request, &live.session.database, &self.texts) } else { Vec::new() };
        let (database, number) = (known_ids::Database::named(&live.session.database), live.session.number);
        let IdsOfRequest { marks, waits: id_waits } =
            self.known_ids.take(known_ids::Captured { request: &request, number, event, database }, &self.texts);
        self.index.totals.ids_of_others += u64::from(!id_waits.is_empty());
        let (ids, maps_ids) = (marks.encoded(), marks.maps());
        let held = Held::new(request, event, tenant, body, sending);
        let mut held = Held { rows, ids, maps_ids, id_waits, ..held };
        // Whether a COPY from the client is replayed is not known before its data comes.
        if held.sending.copies == 0 {
            held.facts = Some(take_in(live, &held, self.waits.as_mut(), &mut self.blocks)?);
        }
        live.held = Some(held);
        Ok(())
    }

    /// Data of a COPY: what its client sent goes behind its request, which it makes one that can be sent again.
    fn copy(&mut self, copy: &CopyData) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&copy.session).filter(|_| copy.from_client) else { return Ok(()) };
        if let Some(held) = live.held.take_if(|held| held.awaits_data(copy.sequence)) {
            live.flow = Some(DataFlow { sequence: copy.sequence, is_open: false });
            let mark = Mark { brings_data: true, ..held.mark };
            self.write_request(Held { mark, ..held })?;
        }
        let Some(live) = self.live.get_mut(&copy.session) else { return Ok(()) };
        let Some(flow) = live.flow.as_mut().filter(|flow| flow.sequence == copy.sequence) else { return Ok(()) };
        let bytes = from_base64(&copy.base64);
        // A COPY whose data is damaged fails instead of writing something else.
        let ended = if bytes.is_none() { Some(CopyEnd::Failed) } else { copy.ended };
        flow.is_open = ended.is_none();
        let data = bytes.filter(|bytes| !bytes.is_empty());
        let entries = data.iter().map(|bytes| Entry::CopyData(bytes)).chain(ended.map(Entry::CopyEnded));
        entries.into_iter().try_for_each(|entry| push_entry(entry, &mut live.chain, &mut self.record, &mut self.blocks))
    }

    /// The session goes on, so that all is known of its last request that ever will be.
    fn let_go(&mut self, session: u32) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&session) else { return Ok(()) };
        if let Some(flow) = live.flow.take() {
            let cut = flow.is_open.then_some(Entry::CopyEnded(CopyEnd::Failed));
            for entry in cut.into_iter().chain([Entry::NoMoreData]) {
                push_entry(entry, &mut live.chain, &mut self.record, &mut self.blocks)?;
            }
        }
        match live.held.take() {
            Some(held) if held.sending.copies > 0 => self.not_replayed(reason::COPY_FROM_CLIENT),
            Some(held) => self.write_request(held),
            None => Ok(()),
        }
    }

    fn write_request(&mut self, held: Held) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&held.request.session) else { return Ok(()) };
        let facts = match held.facts {
            Some(facts) => facts,
            None => take_in(live, &held, self.waits.as_mut(), &mut self.blocks)?,
        };
        self.record.clear();
        held.mark.put(&mut self.record);
        facts.put(&mut self.record);
        put_ids(&mut self.record, &held.ids);
        self.record.extend_from_slice(&held.body);
        live.chain.push(&self.record, &mut self.blocks)?;
        live.session.requests += 1;
        let moment = Moment { t_us: facts.t_us, number: live.session.number, owner: facts.owner, writes: facts.writes };
        live.session.tenant = live.session.tenant.or(held.tenant);
        count_tenant(&mut self.index, held.tenant.map(|tenant| (tenant, live.session.database.as_str())));
        let sqlstate = facts.captured.sqlstate;
        let told_by = held.sending.told_by(sqlstate.is_some());
        for (at, statement) in held.sending.executed.iter().enumerate() {
            self.note_statement(statement, sqlstate.filter(|_| Some(at) == told_by));
        }
        self.body = held.body;
        self.index.totals.replayed += 1;
        self.times.push(moment, &mut self.blocks)
    }

    fn note_statement(&mut self, statement: &Statement, sqlstate: Option<SqlState>) {
        let statements = &mut self.index.statements;
        let at = match self.statement_of.get(&statement.fingerprint) {
            Some(at) => *at,
            None if statements.len() < STATEMENTS_MAX => {
                statements.push(StatementFact {
                    fingerprint: statement.fingerprint,
                    sql: statement.folded(FOLDED_CHARS_MAX),
                    class: statement.class,
                    captured_errors: Vec::new(),
                });
                self.statement_of.insert(statement.fingerprint, statements.len() - 1);
                statements.len() - 1
            }
            None => {
                self.index.totals.statements_beyond_limit += 1;
                return;
            }
        };
        if let Some(code) = sqlstate {
            let errors = &mut statements[at].captured_errors;
            if errors.len() < CAPTURED_ERRORS_MAX && !errors.iter().any(|known| known == code.as_str()) {
                errors.push(code.as_str().to_owned());
            }
        }
    }

    fn not_replayed(&mut self, reason: &str) -> io::Result<()> {
        *self.index.totals.not_replayed.entry(reason.to_owned()).or_default() += 1;
        Ok(())
    }
}

/// The facts of a request that is replayed, which takes its place in its session's transactions and in the order.
fn take_in(
    live: &mut LiveSession,
    held: &Held,
    waits: Option<&mut WaitsWriter>,
    blocks: &mut BlockFile,
) -> io::Result<RequestFacts> {
    let facts = live.facts_of(held);
    if let Some(waits) = waits {
        waits.take(&Seen::of(live.session.number, &facts, &held.rows, &held.id_waits), blocks)?;
    }
    Ok(facts)
}

fn count_tenant(index: &mut Index, tenant_and_database: Option<(u32, &str)>) {
    let Some((tenant, database)) = tenant_and_database else {
        index.totals.unmapped += 1;
        return;
    };
    if let Some(entry) = index.tenants.get_mut(tenant as usize) {
        entry.requests += 1;
        if !entry.databases.contains(database) {
            entry.databases.insert(database.to_owned());
        }
    }
}

fn push_entry(
    entry: Entry<'_>,
    chain: &mut ChainWriter,
    record: &mut Vec<u8>,
    blocks: &mut BlockFile,
) -> io::Result<()> {
    record.clear();
    entry.put(record);
    chain.push(record, blocks)
}
