//! The one pass over a workload that makes a spool's chains and index.
//!
//! Takes the workload's lines one by one and appends to a block file. Holds less than a block for each session that is
//! open, the live texts and the index; the length of the workload does not matter. Must not know files or the cache.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use super::bytes::put_signed;
use super::chain::{BlockFile, ChainWriter};
use super::index::{Index, STATEMENTS_MAX, Session, Tenant};
use super::request::{Captured, RequestFacts};
use super::sending::{self, Names, Sending};
use super::texts::{Statement, Texts};
use super::transaction::{Deed, Transactions};
use crate::facts::StatementFact;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;
use crate::workload::record as workload;
use crate::workload::record::{Close, Header, Open, Record, Request};

/// Characters of a folded text that are kept for people.
const FOLDED_CHARS_MAX: usize = 4_000;

/// SQLSTATEs kept for a statement: an application that sees more kinds of error is not told by them.
const CAPTURED_ERRORS_MAX: usize = 32;

/// Why a request is not replayed; the keys of `Totals::not_replayed`.
mod reason {
    pub const COPY_FROM_CLIENT: &str = "COPY FROM STDIN: its data is not replayed";
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
    /// Its last request ended without a Sync, so that the next one belongs to the same pipeline.
    is_parted: bool,
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
    fn facts_of(
        &mut self,
        request: &Request,
        sending: &Sending,
        event: u64,
        tenant: Option<u32>,
        captured: Captured,
    ) -> RequestFacts {
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
        let told_by = sending.told_by(failed).and_then(|at| sending.executed.get(at));
        RequestFacts {
            t_us: request.t_us,
            event,
            tenant,
            class,
            part,
            changes_session: sending.executed.iter().any(|statement| statement.does.changes_session),
            fingerprint: told_by.map(|statement| statement.fingerprint).unwrap_or_default(),
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
    times: ChainWriter,
    last_t_us: u64,
    /// Reused for every record.
    record: Vec<u8>,
    body: Vec<u8>,
}

impl Pass {
    pub fn new(header: Header, blocks: BlockFile) -> Self {
        let mut index = Index::default();
        index.totals.started_at = header.started_at;
        index.totals.server_version = header.server_version;
        Self {
            blocks,
            index,
            tenant_of: HashMap::new(),
            texts: Texts::default(),
            live: HashMap::new(),
            statement_of: HashMap::new(),
            times: ChainWriter::default(),
            last_t_us: 0,
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
            Record::Request(request) => self.request(&request)?,
            Record::Close(Close { t_us, session }) => {
                if let Some(mut live) = self.live.remove(&session) {
                    live.session.closed_us = Some(t_us);
                    self.end_session(live)?;
                }
            }
            Record::End(end) => self.index.totals.span_us = end.span_us,
            // The header was taken before; data belongs to requests that are not replayed, and captured cancel requests
            // are not sent again.
            Record::Header(_) | Record::Copy(_) | Record::Cancel(_) => {}
        }
        Ok(())
    }

    /// Ends the chains that are still open and gives the index.
    pub fn finish(mut self) -> io::Result<(BlockFile, Index)> {
        for (_, live) in std::mem::take(&mut self.live) {
            self.end_session(live)?;
        }
        self.index.sessions.sort_by_key(|session| (session.opened_us, session.session));
        self.index.times = self.times.finish(&mut self.blocks)?;
        Ok((self.blocks, self.index))
    }

    fn open(&mut self, open: Open) -> io::Result<()> {
        let state = open.state.unwrap_or_default();
        let prepared = state.prepared.iter().filter_map(|(name, sql)| Some((name.clone(), self.texts.get(sql)?)));
        let prepared: BTreeMap<_, _> = prepared.collect();
        let mut names = Names::default();
        prepared.iter().for_each(|(name, statement)| names.set(name, statement));
        let session = Session {
            session: open.session,
            database: open.database,
            user: open.user,
            parameters: open.parameters,
            settings: state.settings,
            opened_us: open.t_us,
            began_before_capture: open.began_before_capture,
            ..Session::default()
        };
        match self.live.insert(open.session, LiveSession { session, prepared, names, ..LiveSession::default() }) {
            Some(earlier) => self.end_session(earlier),
            None => Ok(()),
        }
    }

    fn end_session(&mut self, live: LiveSession) -> io::Result<()> {
        let chain = live.chain.finish(&mut self.blocks)?;
        self.index.sessions.push(Session { chain, ..live.session });
        Ok(())
    }

    fn request(&mut self, request: &Request) -> io::Result<()> {
        let event = self.index.totals.requests;
        let tenant = request.tenant.and_then(|id| self.tenant_of.get(&id).copied());
        self.index.totals.requests += 1;
        let Some(live) = self.live.get_mut(&request.session) else { return self.not_replayed(reason::NO_SESSION) };
        self.body.clear();
        let Some(sending) = sending::append(request, &self.texts, &mut live.names, &mut self.body) else {
            return self.not_replayed(reason::UNREADABLE);
        };
        if sending.copies > 0 {
            return self.not_replayed(reason::COPY_FROM_CLIENT);
        }
        let captured = captured_of(request);
        let facts = live.facts_of(request, &sending, event, tenant, captured);
        self.record.clear();
        facts.put(&mut self.record);
        self.record.extend_from_slice(&self.body);
        live.chain.push(&self.record, &mut self.blocks)?;
        live.session.requests += 1;
        live.session.tenant = live.session.tenant.or(tenant);
        count_tenant(&mut self.index, tenant.map(|tenant| (tenant, live.session.database.as_str())));
        let told_by = sending.told_by(captured.sqlstate.is_some());
        for (at, statement) in sending.executed.iter().enumerate() {
            self.note_statement(statement, captured.sqlstate.filter(|_| Some(at) == told_by));
        }
        self.note_time(request.t_us)
    }

    fn note_time(&mut self, t_us: u64) -> io::Result<()> {
        self.index.totals.replayed += 1;
        self.record.clear();
        put_signed(&mut self.record, t_us.wrapping_sub(self.last_t_us) as i64);
        self.last_t_us = t_us;
        self.times.push(&self.record, &mut self.blocks)
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

fn captured_of(request: &Request) -> Captured {
    let results = &request.results;
    Captured {
        total_us: results.iter().filter_map(|result| result.total_us).sum(),
        sqlstate: results.iter().find_map(|result| result.sqlstate),
        rows: if let [only] = &results[..] { only.rows } else { None },
    }
}
