//! The edit of a workload that gives it other values.
//!
//! Takes events as they come and gives them with their values mapped; remembers of each open session what it has
//! prepared and which COPY it is in. Must not know files.

use std::collections::{HashMap, HashSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::copy_options::{CopyFormat, CopyOptions};
use super::copy_rows::CopyRows;
use super::kept;
use super::parameters::{Parameters, Unknown};
use super::plan::{Plans, Prepared};
use super::settings;
use super::statement::Statements;
use super::tally::{Site, Tally};
use super::text_bytes::{bytes, readable};
use super::value::Mapping;
use crate::reshape::error::ReshapeError;
use crate::reshape::rewrite::Edit;
use crate::workload::record::{CopyData, Message, Open, Outcome, Record, Request, Sent, Tenant, WireMessage};
use crate::workload::{Reader, Statement};

/// What is known of an open session.
#[derive(Debug, Default)]
struct Session {
    prepared: Prepared,
    /// The COPYs of its last request that have not begun.
    copies: VecDeque<CopyOptions>,
    copying: Option<CopyRows>,
}

/// The edit. Memory is bounded by live statements, open sessions, tenants, and a row of COPY data a session.
pub(super) struct Anonymizer<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) names: bool,
    pub(super) unknown: Unknown,
    /// Line of the record at hand, for errors.
    pub(super) line: u64,
    pub(super) tally: Tally,
    plans: Plans,
    sessions: HashMap<u32, Session>,
    tenants: HashSet<String>,
}

impl<'a> Anonymizer<'a> {
    pub(super) fn new(mapping: &'a Mapping, names: bool, unknown: Unknown) -> Self {
        Self {
            mapping,
            names,
            unknown,
            line: 0,
            tally: Tally::default(),
            plans: Plans::default(),
            sessions: HashMap::new(),
            tenants: HashSet::new(),
        }
    }

    /// The id has another text from here on.
    pub(super) fn redefine(&mut self, id: u32) {
        self.plans.redefine(id);
    }

    fn parameters(&mut self) -> Parameters<'_> {
        Parameters { mapping: self.mapping, unknown: self.unknown, line: self.line, tally: &mut self.tally }
    }

    /// The image of a name, where names are mapped.
    fn name(&mut self, name: &str) -> String {
        if !self.names {
            self.tally.keep(kept::NAME);
            return name.to_owned();
        }
        self.tally.site = Site::Name;
        self.mapping.text(name, &mut self.tally)
    }

    fn open(&mut self, mut open: Open, reader: &Reader) -> Open {
        let mut session = Session::default();
        open.database = self.name(&open.database);
        open.user = self.name(&open.user);
        let (mapping, names) = (self.mapping, self.names);
        self.tally.site = Site::StartupParameter;
        settings::map(&mut open.parameters, mapping, names, &mut self.tally);
        if let Some(state) = &mut open.state {
            self.tally.site = Site::SetValue;
            settings::map(&mut state.settings, mapping, names, &mut self.tally);
            for (name, sql) in &state.prepared {
                session.prepared.prepare(name, self.plans.get(sql, reader));
            }
        }
        self.sessions.insert(open.session, session);
        open
    }

    fn request(&mut self, mut request: Request, reader: &Reader) -> Result<Request, ReshapeError> {
        if let Some(tenant) = request.tenant.and_then(|id| reader.tenant(id)) {
            // A tag in the statement may name the tenant; the statement is asked for after this.
            if !self.tenants.contains(&tenant.name) {
                self.tenants.insert(tenant.name.clone());
            }
        }
        let mut session = self.sessions.remove(&request.session).unwrap_or_default();
        (session.copies, session.copying) = (VecDeque::new(), None);
        let mapped = self.sent(&mut request.sent, &mut session, reader);
        self.sessions.insert(request.session, session);
        mapped?;
        for outcome in &mut request.results {
            self.outcome(outcome)?;
        }
        Ok(request)
    }

    fn sent(&mut self, sent: &mut Sent, session: &mut Session, reader: &Reader) -> Result<(), ReshapeError> {
        match sent {
            Sent::Simple { sql } => {
                let plan = self.plans.get(sql, reader);
                session.copies.extend(plan.copies.iter().cloned());
            }
            Sent::Execute(execute) => {
                let plan = self.plans.get(&execute.sql, reader);
                self.parameters().map(&mut execute.parameters, &plan)?;
                session.copies.extend(plan.copies.iter().cloned());
                session.prepared.prepare(&execute.statement, plan);
            }
            Sent::Messages(messages) => {
                for message in messages {
                    self.message(message, session, reader)?;
                }
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        message: &mut WireMessage,
        session: &mut Session,
        reader: &Reader,
    ) -> Result<(), ReshapeError> {
        match message {
            WireMessage::Named(Message::Parse { statement, sql }) => {
                session.prepared.prepare(statement, self.plans.get(sql, reader));
            }
            WireMessage::Named(Message::Bind { statement, parameters, .. }) => {
                let plan = session.prepared.get(statement);
                self.parameters().map(parameters, &plan)?;
            }
            WireMessage::Named(Message::Query { sql } | Message::Execute { sql: Some(sql), .. }) => {
                session.copies.extend(self.plans.get(sql, reader).copies.iter().cloned());
            }
            WireMessage::Named(Message::CloseStatement { name }) => session.prepared.close(name),
            WireMessage::Named(_) => {}
            WireMessage::Raw { tag, body } => {
                if !body.is_empty() && !matches!(tag, 'S' | 'H') {
                    *body = self.parameters().raw(*tag, body)?;
                }
            }
        }
        Ok(())
    }

    fn outcome(&mut self, outcome: &mut Outcome) -> Result<(), ReshapeError> {
        self.tally.digests_dropped += u64::from(outcome.digest.take().is_some());
        if !self.parameters().returned(&mut outcome.returned) {
            self.tally.returned_dropped += outcome.returned.len() as u64;
            (outcome.returned, outcome.returned_columns) = (Vec::new(), Vec::new());
        }
        Ok(())
    }

    /// The data with its whole rows mapped; the rest waits for what follows.
    pub(super) fn copy(&mut self, mut copy: CopyData) -> Result<CopyData, ReshapeError> {
        let data = STANDARD.decode(&copy.base64).map_err(|_| self.refused("COPY data that is not base64"))?;
        let session = self.sessions.entry(copy.session).or_default();
        let mut rows = match session.copying.take() {
            Some(rows) => rows,
            None => match session.copies.pop_front() {
                Some(options) => CopyRows::new(options),
                None if self.unknown == Unknown::Null => {
                    self.tally.nulled += 1;
                    copy.base64.clear();
                    return Ok(copy);
                }
                None => return Err(self.refused("COPY data whose statement is not in the workload")),
            },
        };
        let is_binary = rows.options.format == CopyFormat::Binary;
        if is_binary && self.unknown == Unknown::Refuse {
            return Err(self.refused("COPY data in binary format, whose types are not known"));
        }
        self.tally.site = Site::CopyField;
        let (mapping, tally) = (self.mapping, &mut self.tally);
        let written = rows.take(&data, copy.ended.is_some(), &mut |value| {
            let Some(value) = value else {
                tally.keep("NULL");
                return None;
            };
            if is_binary {
                tally.nulled += 1;
                return None;
            }
            let (text, is_other) = readable(value);
            Some(bytes(mapping.text(&text, tally), is_other))
        });
        copy.base64 = STANDARD.encode(written.map_err(|_| self.refused("COPY data with a row that cannot be read"))?);
        if copy.ended.is_none() {
            self.sessions.entry(copy.session).or_default().copying = Some(rows);
        }
        Ok(copy)
    }

    fn refused(&self, what: &str) -> ReshapeError {
        super::parameters::refused(self.line, what)
    }
}

impl Edit for Anonymizer<'_> {
    fn text(&mut self, statement: Statement<'_>) -> Result<Option<Vec<u8>>, ReshapeError> {
        let statements = Statements { mapping: self.mapping, names: self.names, tenants: &self.tenants };
        let original = statement.text.bytes();
        let (text, is_other) = readable(&original);
        Ok(Some(bytes(statements.map(&text, &mut self.tally), is_other)))
    }

    fn tenant(&mut self, tenant: &Tenant) -> Result<Tenant, ReshapeError> {
        Ok(Tenant { name: self.name(&tenant.name), ..tenant.clone() })
    }

    fn event(&mut self, event: Record, reader: &Reader) -> Result<Option<Record>, ReshapeError> {
        Ok(Some(match event {
            Record::Open(open) => Record::Open(self.open(open, reader)),
            Record::Request(request) => Record::Request(self.request(request, reader)?),
            Record::Copy(copy) => Record::Copy(self.copy(copy)?),
            Record::Close(close) => {
                self.sessions.remove(&close.session);
                Record::Close(close)
            }
            other => other,
        }))
    }
}
