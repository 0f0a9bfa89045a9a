//! What must be known of the lines so far to understand the next one.
//!
//! Takes records in the order of the file, refuses what breaks the format's rules, and resolves references. Must not
//! know files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::LineFault;
use super::record::{InlineSql, Record, Request, Sent, SqlRef, SqlText, Tenant, Text, WireMessage};
use crate::words::class::StatementClass;
use crate::words::ids::Fingerprint;
use crate::words::limits::WORKLOAD_LIVE_SQL_MAX;

/// A statement behind a reference.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    pub text: StatementText<'a>,
    pub fingerprint: Fingerprint,
    pub class: StatementClass,
    /// Type oids as declared in Parse; empty where the source does not know them.
    pub parameter_types: &'a [u32],
}

/// A statement's text as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub struct StatementText<'a>(&'a Text);

impl<'a> StatementText<'a> {
    /// The bytes as they were sent.
    pub fn bytes(self) -> Cow<'a, [u8]> {
        match self.0 {
            Text::Text(text) => Cow::Borrowed(text.as_bytes()),
            // The reader has refused what is not base64.
            Text::Base64(encoded) => Cow::Owned(STANDARD.decode(encoded).unwrap_or_default()),
        }
    }

    /// The text in the form of a line.
    pub fn to_text(self) -> Text {
        self.0.clone()
    }

    /// The text, with a replacement character for what is not UTF-8.
    pub fn text(self) -> Cow<'a, str> {
        match self.0 {
            Text::Text(text) => Cow::Borrowed(text),
            Text::Base64(_) => Cow::Owned(String::from_utf8_lossy(&self.bytes()).into_owned()),
        }
    }
}

/// The definitions and sessions that are live.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// None of a text that is not kept.
    texts: BTreeMap<u32, Option<Box<SqlText>>>,
    forgets_texts: bool,
    tenants: BTreeMap<u32, Tenant>,
    sessions: HashSet<u32>,
    previous_us: u64,
}

impl Live {
    /// From now on only the numbers of texts are kept.
    pub(super) fn forget_texts(&mut self) {
        self.forgets_texts = true;
    }

    pub(super) fn tenant(&self, id: u32) -> Option<&Tenant> {
        self.tenants.get(&id)
    }

    pub(super) fn statement<'a>(&'a self, reference: &'a SqlRef) -> Option<Statement<'a>> {
        match reference {
            SqlRef::Id(id) => self.texts.get(id).and_then(Option::as_deref).map(|sql| Statement {
                text: StatementText(&sql.text),
                fingerprint: sql.fingerprint,
                class: sql.class,
                parameter_types: &sql.parameter_types,
            }),
            SqlRef::Inline(inline) => {
                let InlineSql { text, fingerprint, class, parameter_types } = inline.as_ref();
                Some(Statement { text: StatementText(text), fingerprint: *fingerprint, class: *class, parameter_types })
            }
        }
    }

    /// Takes in the next record, or says which rule it breaks. The header is none of its business.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), LineFault> {
        match record {
            Record::Header(_) => Err(LineFault::SecondHeader),
            Record::Tenant(tenant) => match self.tenants.insert(tenant.id, tenant.clone()) {
                None => Ok(()),
                Some(_) => Err(LineFault::RepeatedTenant(tenant.id)),
            },
            Record::Sql(sql) => {
                decodes(&sql.text)?;
                self.texts.insert(sql.id, (!self.forgets_texts).then(|| Box::new(sql.clone())));
                let fits = self.texts.len() <= WORKLOAD_LIVE_SQL_MAX;
                if fits { Ok(()) } else { Err(LineFault::TooManyLiveTexts { limit: WORKLOAD_LIVE_SQL_MAX }) }
            }
            Record::Open(open) => {
                self.advance(open.t_us)?;
                for reference in open.state.iter().flat_map(|state| state.prepared.values()) {
                    self.check_sql(reference)?;
                }
                let is_new = self.sessions.insert(open.session);
                if is_new { Ok(()) } else { Err(LineFault::SessionOpen(open.session)) }
            }
            Record::Request(request) => self.take_request(request),
            Record::Copy(copy) => {
                self.advance(copy.t_us)?;
                self.check_session(copy.session)
            }
            Record::Cancel(cancel) => {
                self.advance(cancel.t_us)?;
                self.check_session(cancel.session)
            }
            Record::Close(close) => {
                self.advance(close.t_us)?;
                self.check_session(close.session)?;
                self.sessions.remove(&close.session);
                Ok(())
            }
            Record::End(_) => Ok(()),
        }
    }

    fn take_request(&mut self, request: &Request) -> Result<(), LineFault> {
        self.advance(request.t_us)?;
        self.check_session(request.session)?;
        if let Some(tenant) = request.tenant.filter(|tenant| !self.tenants.contains_key(tenant)) {
            return Err(LineFault::UndefinedTenant(tenant));
        }
        match &request.sent {
            Sent::Simple { sql } => self.check_sql(sql),
            Sent::Execute(execute) => self.check_sql(&execute.sql),
            Sent::Messages(messages) => {
                messages.iter().filter_map(WireMessage::sql).try_for_each(|reference| self.check_sql(reference))
            }
        }
    }

    fn advance(&mut self, t_us: u64) -> Result<(), LineFault> {
        if t_us < self.previous_us {
            return Err(LineFault::TimeGoesBack { previous_us: self.previous_us, t_us });
        }
        self.previous_us = t_us;
        Ok(())
    }

    fn check_session(&self, session: u32) -> Result<(), LineFault> {
        if self.sessions.contains(&session) { Ok(()) } else { Err(LineFault::SessionNotOpen(session)) }
    }

    fn check_sql(&self, reference: &SqlRef) -> Result<(), LineFault> {
        match reference {
            SqlRef::Id(id) if !self.texts.contains_key(id) => Err(LineFault::UndefinedSql(*id)),
            SqlRef::Id(_) => Ok(()),
            SqlRef::Inline(inline) => decodes(&inline.text),
        }
    }
}

fn decodes(text: &Text) -> Result<(), LineFault> {
    match text {
        Text::Base64(encoded) if STANDARD.decode(encoded).is_err() => {
            Err(LineFault::Corrupt("a text is not base64".to_owned()))
        }
        _ => Ok(()),
    }
}
