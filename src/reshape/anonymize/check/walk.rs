//! Two workloads, request by request and place by place.
//!
//! Takes the old and the new workload and tells of each place with both values. Must not judge them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::copy_options::CopyOptions;
use super::super::copy_rows::CopyRows;
use super::super::kept::{self, Class};
use super::super::plan::{Plans, Prepared};
use super::super::settings::place_of;
use super::super::syntax::SetPlace;
use super::super::tally::Site;
use super::super::text_bytes::readable;
use super::statement::{Known, pairs as statement_pairs};
use super::{Rules, compare, listed, values};
use crate::reshape::error::ReshapeError;
use crate::sql::fingerprint;
use crate::workload::Reader;
use crate::workload::record::{CopyData, Message, Open, Record, Request, Sent, SqlRef, WireMessage};

/// A place with both of its values.
pub(super) struct Place<'a> {
    pub(super) site: Site,
    /// Why it may have the same value, where that follows from the place.
    pub(super) stays: Option<Class>,
    pub(super) left: &'a str,
    pub(super) right: &'a str,
    /// Of the new workload.
    pub(super) line: u64,
}

/// Who is told of each place.
pub(super) type Told<'a> = dyn FnMut(&Place<'_>) + 'a;

/// Tells of every place of two workloads, in order. A statement's text counts once.
///
/// # Errors
/// A workload cannot be read, or the two differ in more than values.
pub(super) fn walk(left: &Path, right: &Path, rules: &Rules<'_>, told: &mut Told<'_>) -> Result<(), ReshapeError> {
    let mut right = Reader::open(right)?;
    let head = next_event(&mut right)?;
    let mut walker = Walker {
        rules,
        right,
        head,
        line: 1,
        plans: Plans::default(),
        sessions: HashMap::new(),
        compared: HashMap::new(),
        tenants: HashSet::new(),
    };
    let mut left = Reader::open(left)?;
    while let Some((_, record)) = left.next_record()? {
        walker.take(&record, &left, told)?;
    }
    walker.drain_copies()?;
    if walker.head.is_none() { Ok(()) } else { Err(walker.differs()) }
}

/// The next record that is an event, with its line.
fn next_event(reader: &mut Reader) -> Result<Option<(u64, Record)>, ReshapeError> {
    while let Some((line, record)) = reader.next_record()? {
        if record.place().is_some() {
            return Ok(Some((line, record)));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Session {
    prepared: Prepared,
    copies: VecDeque<CopyOptions>,
    copying: Option<Copying>,
}

/// One COPY's data on both sides, and the old fields that no new one has come for.
struct Copying {
    left: CopyRows,
    right: CopyRows,
    waiting: VecDeque<Option<Vec<u8>>>,
}

struct Walker<'a> {
    rules: &'a Rules<'a>,
    right: Reader,
    /// The next event of the right workload.
    head: Option<(u64, Record)>,
    line: u64,
    plans: Plans,
    sessions: HashMap<u32, Session>,
    /// Texts that have been compared: the old one's id and the new one's.
    compared: HashMap<u32, u32>,
    tenants: HashSet<String>,
}

impl Walker<'_> {
    fn differs(&self) -> ReshapeError {
        ReshapeError::Asked {
            primary: format!("the check failed: line {} differs from the old workload in more than values", self.line),
            hint: "nothing was written; please report this".to_owned(),
        }
    }

    fn advance(&mut self) -> Result<Option<Record>, ReshapeError> {
        let Some((line, record)) = self.head.take() else { return Ok(None) };
        self.head = next_event(&mut self.right)?;
        self.line = line;
        Ok(Some(record))
    }

    fn tell(&self, site: Site, stays: Option<Class>, left: &str, right: &str, told: &mut Told<'_>) {
        compare::pairs(left, right, &mut |left, right| {
            let is_kept_date = self.rules.keeps_dates && listed::is_date(left);
            let stays = stays.or(is_kept_date.then_some("dates, kept by --keep-dates"));
            told(&Place { site, stays, left, right, line: self.line });
        });
    }

    fn name(&self, left: &str, right: &str, told: &mut Told<'_>) {
        let stays = (!self.rules.names).then_some(kept::NAME);
        told(&Place { site: Site::Name, stays, left, right, line: self.line });
    }

    fn take(&mut self, left: &Record, reader: &Reader, told: &mut Told<'_>) -> Result<(), ReshapeError> {
        match left {
            Record::Sql(sql) => {
                self.plans.redefine(sql.id);
                self.compared.remove(&sql.id);
            }
            Record::Tenant(tenant) => {
                self.tenants.insert(tenant.name.clone());
            }
            Record::Header(_) | Record::End(_) => {}
            Record::Copy(copy) => self.copy(copy, told)?,
            left => {
                self.drain_copies()?;
                let right = self.advance()?;
                match (left, right) {
                    (Record::Open(left), Some(Record::Open(right))) => self.open(left, &right, reader, told)?,
                    (Record::Request(left), Some(Record::Request(right))) => {
                        self.request(left, &right, reader, told)?
                    }
                    (Record::Close(left), Some(Record::Close(right))) if left == &right => {
                        self.sessions.remove(&left.session);
                    }
                    (Record::Cancel(left), Some(Record::Cancel(right))) if left == &right => {}
                    _ => return Err(self.differs()),
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, left: &Open, right: &Open, reader: &Reader, told: &mut Told<'_>) -> Result<(), ReshapeError> {
        if (left.t_us, left.session) != (right.t_us, right.session) {
            return Err(self.differs());
        }
        self.name(&left.database, &right.database, told);
        self.name(&left.user, &right.user, told);
        let empty = Default::default();
        let settings = |open: &Open| open.state.as_ref().map(|state| state.settings.clone()).unwrap_or_default();
        let both = [
            (Site::StartupParameter, left.parameters.clone(), right.parameters.clone()),
            (Site::SetValue, settings(left), settings(right)),
        ];
        for (site, old, new) in both {
            if !old.keys().eq(new.keys()) {
                return Err(self.differs());
            }
            for ((name, old), new) in old.iter().zip(new.values()) {
                let stays = match place_of(name) {
                    SetPlace::Custom => None,
                    SetPlace::Name => (!self.rules.names).then_some(kept::NAME),
                    SetPlace::Own => Some(kept::SETTING),
                };
                self.tell(site, stays, old, new, told);
            }
        }
        let mut session = Session::default();
        let prepared = left.state.as_ref().map_or(&empty, |state| &state.prepared);
        let images = right.state.as_ref().map_or(&empty, |state| &state.prepared);
        for ((name, old), new) in prepared.iter().zip(images.values()) {
            session.prepared.prepare(name, self.plans.get(old, reader));
            self.statement(old, new, reader, told)?;
        }
        self.sessions.insert(left.session, session);
        if prepared.keys().eq(images.keys()) { Ok(()) } else { Err(self.differs()) }
    }

    fn request(
        &mut self,
        left: &Request,
        right: &Request,
        reader: &Reader,
        told: &mut Told<'_>,
    ) -> Result<(), ReshapeError> {
        let place = |request: &Request| (request.t_us, request.session, request.sequence, request.results.len());
        if place(left) != place(right) || left.tenant.is_some() != right.tenant.is_some() {
            return Err(self.differs());
        }
        let tenant =
            left.tenant.and_then(|id| reader.tenant(id)).zip(right.tenant.and_then(|id| self.right.tenant(id)));
        if let Some((left, right)) = tenant {
            self.name(&left.name, &right.name, told);
        }
        let (old, new) = (references(&left.sent), references(&right.sent));
        if old.len() != new.len() {
            return Err(self.differs());
        }
        for (old, new) in old.into_iter().zip(new) {
            self.statement(old, new, reader, told)?;
        }
        let mut session = self.sessions.remove(&left.session).unwrap_or_default();
        (session.copies, session.copying) = (VecDeque::new(), None);
        let sent = self.sent(&left.sent, &right.sent, &mut session, reader, told);
        self.sessions.insert(left.session, session);
        sent?;
        for (left, right) in left.results.iter().zip(&right.results) {
            if right.digest.is_some() {
                return Err(self.differs());
            }
            for pair in values::returned(&left.returned, &right.returned) {
                self.tell(Site::ReturnedValue, pair.stays, &pair.left, &pair.right, told);
            }
        }
        Ok(())
    }

    /// The values that are sent with statements; takes in what the session prepares.
    fn sent(
        &mut self,
        left: &Sent,
        right: &Sent,
        session: &mut Session,
        reader: &Reader,
        told: &mut Told<'_>,
    ) -> Result<(), ReshapeError> {
        match (left, right) {
            (Sent::Simple { sql }, Sent::Simple { .. }) => {
                session.copies.extend(self.plans.get(sql, reader).copies.iter().cloned());
            }
            (Sent::Execute(left), Sent::Execute(right)) => {
                let plan = self.plans.get(&left.sql, reader);
                let pairs =
                    values::parameters(&left.parameters, &right.parameters, &plan).ok_or_else(|| self.differs())?;
                pairs.iter().for_each(|pair| self.tell(pair.site, pair.stays, &pair.left, &pair.right, told));
                session.copies.extend(plan.copies.iter().cloned());
                session.prepared.prepare(&left.statement, plan);
            }
            (Sent::Messages(left), Sent::Messages(right)) if left.len() == right.len() => {
                for (left, right) in left.iter().zip(right) {
                    self.message(left, right, session, reader, told)?;
                }
            }
            _ => return Err(self.differs()),
        }
        Ok(())
    }

    fn message(
        &mut self,
        left: &WireMessage,
        right: &WireMessage,
        session: &mut Session,
        reader: &Reader,
        told: &mut Told<'_>,
    ) -> Result<(), ReshapeError> {
        match (left, right) {
            (WireMessage::Named(Message::Parse { statement, sql }), WireMessage::Named(Message::Parse { .. })) => {
                session.prepared.prepare(statement, self.plans.get(sql, reader));
            }
            (
                WireMessage::Named(Message::Bind { statement, parameters: left, .. }),
                WireMessage::Named(Message::Bind { parameters: right, .. }),
            ) => {
                let plan = session.prepared.get(statement);
                let pairs = values::parameters(left, right, &plan).ok_or_else(|| self.differs())?;
                pairs.iter().for_each(|pair| self.tell(pair.site, pair.stays, &pair.left, &pair.right, told));
            }
            (WireMessage::Named(Message::CloseStatement { name }), WireMessage::Named(_)) => {
                session.prepared.close(name)
            }
            (WireMessage::Named(_), WireMessage::Named(_)) => {
                if let Some(sql) = left.executes() {
                    session.copies.extend(self.plans.get(sql, reader).copies.iter().cloned());
                }
            }
            (WireMessage::Raw { tag, body }, WireMessage::Raw { tag: other, body: image }) if tag == other => {
                // Arguments become NULL: nothing of a call with arguments may be as it was.
                let stays = matches!(tag, 'S' | 'H').then_some(kept::OPTION);
                self.tell(Site::BinaryParameter, stays, body, image, told);
            }
            _ => return Err(self.differs()),
        }
        Ok(())
    }

    fn statement(
        &mut self,
        left: &SqlRef,
        right: &SqlRef,
        reader: &Reader,
        told: &mut Told<'_>,
    ) -> Result<(), ReshapeError> {
        if let (SqlRef::Id(left), SqlRef::Id(right)) = (left, right)
            && self.compared.insert(*left, *right) == Some(*right)
        {
            return Ok(());
        }
        let texts = reader.statement(left).zip(self.right.statement(right));
        let Some((old, new)) = texts else { return Err(self.differs()) };
        // The stored fingerprints may be those of different versions of this program.
        let is_same = fingerprint(&old.text.text()) == fingerprint(&new.text.text())
            && old.parameter_types == new.parameter_types;
        if !is_same {
            return Err(self.differs());
        }
        let (old, new) = (old.text.bytes(), new.text.bytes());
        let known = Known { names: self.rules.names, tenants: &self.tenants };
        let pairs = statement_pairs(&readable(&old).0, &readable(&new).0, &known).map_err(|_| self.differs())?;
        for pair in pairs {
            self.tell(pair.site, pair.stays, &pair.left, &pair.right, told);
        }
        Ok(())
    }

    /// The old data's fields wait for the new ones, which come in pieces of their own but never earlier.
    fn copy(&mut self, left: &CopyData, told: &mut Told<'_>) -> Result<(), ReshapeError> {
        let session = self.sessions.entry(left.session).or_default();
        if session.copying.is_none() {
            session.copying = session.copies.pop_front().map(|options| {
                let (left, right) = (CopyRows::new(options.clone()), CopyRows::new(options));
                Copying { left, right, waiting: VecDeque::new() }
            });
        }
        let data = STANDARD.decode(&left.base64).unwrap_or_default();
        // Data of a statement that is not in the workload is left out.
        let mut copying = session.copying.take();
        if let Some(copying) = &mut copying {
            let waiting = &mut copying.waiting;
            let read = copying.left.take(&data, left.ended.is_some(), &mut |value| {
                waiting.push_back(value.map(<[u8]>::to_vec));
                None
            });
            read.map_err(|_| self.differs())?;
        }
        let Some(Record::Copy(right)) = self.advance()? else { return Err(self.differs()) };
        let place = |copy: &CopyData| (copy.t_us, copy.session, copy.from_client, copy.ended);
        if place(left) != place(&right) || copying.is_none() && !right.base64.is_empty() {
            return Err(self.differs());
        }
        if let Some(mut copying) = copying {
            self.fields(&mut copying, &right, told)?;
            if left.ended.is_none() {
                self.sessions.entry(left.session).or_default().copying = Some(copying);
            }
        }
        Ok(())
    }

    fn fields(&mut self, copying: &mut Copying, right: &CopyData, told: &mut Told<'_>) -> Result<(), ReshapeError> {
        let data = STANDARD.decode(&right.base64).unwrap_or_default();
        let mut is_paired = true;
        let (waiting, new) = (&mut copying.waiting, &mut copying.right);
        let read = new.take(&data, right.ended.is_some(), &mut |value| {
            match (waiting.pop_front(), value) {
                (Some(Some(left)), Some(right)) => {
                    self.tell(Site::CopyField, None, &readable(&left).0, &readable(right).0, told);
                }
                (Some(_), None) => {}
                _ => is_paired = false,
            }
            None
        });
        if read.is_ok() && is_paired && waiting.is_empty() { Ok(()) } else { Err(self.differs()) }
    }

    fn drain_copies(&mut self) -> Result<(), ReshapeError> {
        match &self.head {
            Some((line, Record::Copy(_))) => {
                self.line = *line;
                Err(self.differs())
            }
            _ => Ok(()),
        }
    }
}

/// The references to all statements of a request, prepared ones too.
fn references(sent: &Sent) -> Vec<&SqlRef> {
    match sent {
        Sent::Simple { sql } => vec![sql],
        Sent::Execute(execute) => vec![&execute.sql],
        Sent::Messages(messages) => messages.iter().filter_map(WireMessage::sql).collect(),
    }
}
