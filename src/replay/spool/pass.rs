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
use super::request::{Body, Captured, ExecutionLists, RequestFacts, SpoolRequest};
use super::texts::{Statement, Texts, from_base64};
use super::transaction::Transactions;
use crate::facts::StatementFact;
use crate::pgwire::frontend;
use crate::words::ids::Fingerprint;
use crate::workload::record as workload;
use crate::workload::record::{Close, Execute, Header, Open, Parameter, ParameterBytes, Record, Request, Sent};

/// Characters of a folded text that are kept for people.
const FOLDED_CHARS_MAX: usize = 4_000;

/// SQLSTATEs kept for a statement: an application that sees more kinds of error is not told by them.
const CAPTURED_ERRORS_MAX: usize = 32;

/// Why a request is not replayed; the keys of `Totals::not_replayed`.
mod reason {
    pub const COPY_FROM_CLIENT: &str = "COPY FROM STDIN: its data is not replayed";
    pub const MESSAGES: &str = "exact message sequence: not replayed yet";
    pub const UNREADABLE: &str = "unreadable text or parameter";
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
        let prepared = prepared.collect();
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
        match self.live.insert(open.session, LiveSession { session, prepared, ..LiveSession::default() }) {
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
        let (reference, execute) = match &request.sent {
            Sent::Simple { sql } => (sql, None),
            Sent::Execute(execute) => (&execute.sql, Some(execute)),
            Sent::Messages(_) => return self.not_replayed(reason::MESSAGES),
        };
        let Some(statement) = self.texts.get(reference) else { return self.not_replayed(reason::UNREADABLE) };
        if statement.does.copies_from_client {
            return self.not_replayed(reason::COPY_FROM_CLIENT);
        }
        let Some(lists) = execute.map_or(Some(ExecutionLists::default()), |execute| lists_of(&statement, execute))
        else {
            return self.not_replayed(reason::UNREADABLE);
        };
        if execute.is_none() && !live.prepared.is_empty() {
            live.keep_prepared(&statement);
        }
        let captured = captured_of(request);
        let (class, part) = live.transactions.follow(&statement.does.deeds, captured.sqlstate.is_some());
        let body = match execute {
            None => Body::Simple { sql: &statement.sql },
            Some(execute) => {
                Body::Execute(lists.execution(execute.statement.as_bytes(), &statement.sql, execute.row_limit))
            }
        };
        self.record.clear();
        let facts = RequestFacts {
            t_us: request.t_us,
            event,
            tenant,
            class,
            part,
            changes_session: statement.does.changes_session,
            fingerprint: statement.fingerprint,
            captured,
        };
        SpoolRequest { facts, body }.encode(&mut self.record);
        live.chain.push(&self.record, &mut self.blocks)?;
        live.session.requests += 1;
        live.session.tenant = live.session.tenant.or(tenant);
        count_tenant(&mut self.index, tenant.map(|tenant| (tenant, live.session.database.as_str())));
        self.note_statement(&statement, captured);
        self.note_time(request.t_us)
    }

    fn note_time(&mut self, t_us: u64) -> io::Result<()> {
        self.index.totals.replayed += 1;
        self.record.clear();
        put_signed(&mut self.record, t_us.wrapping_sub(self.last_t_us) as i64);
        self.last_t_us = t_us;
        self.times.push(&self.record, &mut self.blocks)
    }

    fn note_statement(&mut self, statement: &Statement, captured: Captured) {
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
        if let Some(code) = captured.sqlstate {
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

/// None for a parameter whose base64 is none.
fn lists_of(statement: &Statement, execute: &Execute) -> Option<ExecutionLists> {
    let mut lists = ExecutionLists::default();
    statement.parameter_types.iter().for_each(|oid| lists.push_parameter_type(*oid));
    for parameter in &execute.parameters {
        match parameter {
            Parameter::Null => lists.push_parameter(frontend::Parameter::Null),
            Parameter::Text(text) => lists.push_parameter(frontend::Parameter::Text(text.as_bytes())),
            Parameter::Bytes(ParameterBytes::TextBase64(encoded)) => {
                lists.push_parameter(frontend::Parameter::Text(&from_base64(encoded)?));
            }
            Parameter::Bytes(ParameterBytes::BinaryBase64(encoded)) => {
                lists.push_parameter(frontend::Parameter::Binary(&from_base64(encoded)?));
            }
        }
    }
    execute.result_formats.iter().for_each(|code| lists.push_result_format(*code));
    Some(lists)
}
