//! One session's entries to its requests.
//!
//! Takes a session's log entries in order and gives each request once, whichever of its lines were logged: `statement:`
//! when it began, `duration:` when it had ended, both, parse and bind before it, or nothing but the error that it failed
//! with. Must not know other sessions, tenants or the order of the workload.

use std::collections::HashSet;
use std::rc::Rc;

use memchr::memmem;

use super::super::event::{Execute, Outcome, PossibleCut, Request, Sent, Value};
use super::super::sequence::Draft;
use super::entry::{LogEntry, Position, Severity};
use super::evidence::Evidence;
use super::message::{Message, split_name};
use super::parameters::{self, ParameterList};
use super::tally::{Aside, Reason, Tally};
use crate::sql::{TokenKind, copies_from_client, split, tokens};
use crate::words::sqlstate::SqlState;

/// Names of prepared statements that hold a slash, remembered to tell them from `statement/portal`.
const SLASHED_NAMES_MAX: usize = 1_024;

/// What a session's entries say about its requests.
#[derive(Debug, Default)]
pub struct Requests {
    /// A statement logged at its start: its duration or its error may follow.
    pending: Option<Pending>,
    /// The last parse or bind line: an error may follow instead of an execution.
    prepared: Option<Prepared>,
    slashed_names: HashSet<Box<[u8]>>,
    /// Durations since the last statement that are of none which was logged, and the first of them.
    unclaimed: (u64, Position),
    /// Of all sessions of the same user and database.
    evidence: Option<Rc<Evidence>>,
}

/// An execution by the extended protocol, as far as a log tells it. The text stands beside it.
#[derive(Debug, Default)]
struct Extended {
    statement: Vec<u8>,
    portal: Vec<u8>,
    parameters: Vec<Value>,
    possible_cut: Option<PossibleCut>,
}

#[derive(Debug)]
struct Pending {
    sql: Vec<u8>,
    is_extended: bool,
    /// None where the statement is counted as skipped.
    draft: Option<Draft>,
}

#[derive(Debug)]
struct Prepared {
    sql: Vec<u8>,
    extended: Extended,
    /// The parameters are known: a bind line told them.
    is_bound: bool,
    ended_us: i64,
}

impl Requests {
    /// Shares the evidence with other sessions of the same user and database.
    pub fn share_evidence(&mut self, evidence: Rc<Evidence>) {
        self.evidence = Some(evidence);
    }

    /// Gives the durations that no statement claimed to the evidence, but for as many as are `claimed` now.
    fn settle_durations(&mut self, claimed: u64, tally: &mut Tally) {
        let (count, first) = std::mem::take(&mut self.unclaimed);
        let claimed = claimed.min(count);
        tally.set_many_aside(Aside::ParseAndBind, claimed);
        if let Some(evidence) = self.evidence.as_ref().filter(|_| count > claimed) {
            evidence.note_unclaimed(count - claimed, first);
        }
    }

    /// Takes the session's next entry; `message` is what the entry's message means.
    pub fn push(&mut self, entry: &LogEntry<'_>, message: Message<'_>, tally: &mut Tally, mut give: impl FnMut(Draft)) {
        match (entry.severity, message) {
            (Severity::Error { session_ends }, _) => self.failed(entry, session_ends, tally, &mut give),
            (Severity::Other, _) => tally.set_aside(Aside::Notice),
            (Severity::Log, Message::Duration { duration_us }) => self.ended(entry, duration_us, tally, &mut give),
            (Severity::Log, Message::Statement { duration_us, sql }) => {
                self.flush(&mut give);
                note_copy(sql, tally);
                self.began(entry, duration_us, sql, Ok(None), tally, &mut give);
            }
            (Severity::Log, Message::Execute { duration_us, fetch, name, sql }) => {
                self.flush(&mut give);
                note_copy(sql, tally);
                let sent = match fetch {
                    true => Err(Reason::PortalFetch),
                    false => self.extended(name, sql, entry).map(Some),
                };
                self.began(entry, duration_us, sql, sent, tally, &mut give);
            }
            (Severity::Log, Message::FastPath) => {
                self.flush(&mut give);
                self.began(entry, None, b"", Err(Reason::FastPath), tally, &mut give);
            }
            (Severity::Log, Message::Parse { name, sql }) => {
                self.flush(&mut give);
                self.parsed(name);
                self.prepare(entry, name, sql, None);
                tally.set_aside(Aside::ParseAndBind);
            }
            (Severity::Log, Message::Bind { name, sql }) => {
                self.flush(&mut give);
                let bound = self.extended(name, sql, entry).ok();
                self.prepare(entry, name, sql, bound);
                tally.set_aside(Aside::ParseAndBind);
            }
            (Severity::Log, Message::Plan) => tally.set_aside(Aside::Plan),
            (Severity::Log, Message::Audit) => tally.set_aside(Aside::Audit),
            (Severity::Log, _) => tally.set_aside(Aside::SessionMessage),
        }
    }

    /// The session or its log has ended: gives what is still pending.
    pub fn finish(&mut self, tally: &mut Tally, give: impl FnMut(Draft)) {
        self.flush(give);
        self.settle_durations(0, tally);
    }

    /// Gives what is still pending: the session or its log has ended, or its next statement began.
    pub fn flush(&mut self, mut give: impl FnMut(Draft)) {
        if let Some(draft) = self.pending.take().and_then(|pending| pending.draft) {
            give(draft);
        }
    }

    /// A statement was logged: when it began, or with its duration when it had ended. `sent` is none for a simple query,
    /// or says why the statement cannot be replayed.
    fn began(
        &mut self,
        entry: &LogEntry<'_>,
        duration_us: Option<u64>,
        sql: &[u8],
        sent: Result<Option<Extended>, Reason>,
        tally: &mut Tally,
        give: &mut impl FnMut(Draft),
    ) {
        self.prepared = None;
        let is_extended = !matches!(sent, Ok(None));
        // Before an execution that is logged when it begins come the durations of its Parse and its Bind.
        self.settle_durations(if is_extended && duration_us.is_none() { 2 } else { 0 }, tally);
        if let Some(evidence) = self.evidence.as_ref().filter(|_| duration_us.is_none()) {
            evidence.note_beginning(sql);
        }
        let draft = match sent {
            Err(reason) => {
                tally.skip(reason, entry.at);
                None
            }
            Ok(extended) => Some(Draft {
                start_us: entry.time_us.saturating_sub_unsigned(duration_us.unwrap_or(0)),
                request: request(sql, extended, duration_us, None, entry.at),
                cancelled_us: None,
            }),
        };
        match duration_us {
            Some(_) => draft.into_iter().for_each(give),
            None => self.pending = Some(Pending { sql: sql.to_vec(), is_extended, draft }),
        }
    }

    /// A duration alone: of the pending statement, if there is one.
    fn ended(&mut self, entry: &LogEntry<'_>, duration_us: u64, tally: &mut Tally, give: &mut impl FnMut(Draft)) {
        match self.pending.take() {
            Some(Pending { draft, .. }) => {
                tally.set_aside(Aside::Duration);
                if let Some(mut draft) = draft {
                    draft.request.results = results(Some(duration_us), None);
                    give(draft);
                }
            }
            None if is_parse_or_bind(entry) => tally.set_aside(Aside::ParseAndBind),
            None => {
                let (count, first) = self.unclaimed;
                self.unclaimed = (count + 1, if count == 0 { entry.at } else { first });
            }
        }
    }

    /// A request failed: one that was logged when it began, or one that nothing else tells of.
    fn failed(&mut self, entry: &LogEntry<'_>, session_ends: bool, tally: &mut Tally, give: &mut impl FnMut(Draft)) {
        if self.pending.as_ref().is_some_and(|pending| pending.is_of(entry, session_ends)) {
            tally.set_aside(Aside::Error);
            if let Some(mut draft) = self.pending.take().and_then(|pending| pending.draft) {
                let total_us = u64::try_from(entry.time_us - draft.start_us).ok();
                draft.request.results = results(total_us, entry.sqlstate);
                draft.cancelled_us = cancelled_us(entry);
                give(draft);
            }
            return;
        }
        self.flush(&mut *give);
        let prepared = self.prepared.take_if(|prepared| prepared.sql == *entry.query);
        if entry.query.is_empty() {
            // A session that the server ends while it is idle has no statement.
            match session_ends {
                true => tally.set_aside(Aside::SessionMessage),
                false => tally.skip(Reason::ErrorWithoutStatement, entry.at),
            }
        } else {
            note_copy(&entry.query, tally);
            give(failed_draft(entry, prepared, tally));
        }
    }

    /// Remembers the name of a prepared statement if it could be mistaken for a statement and its portal.
    fn parsed(&mut self, name: &[u8]) {
        if name.contains(&b'/') && self.slashed_names.len() < SLASHED_NAMES_MAX {
            self.slashed_names.insert(name.into());
        }
    }

    /// Remembers what a parse line tells, or a bind line that has `bound` the parameters.
    fn prepare(&mut self, entry: &LogEntry<'_>, name: &[u8], sql: &[u8], bound: Option<Extended>) {
        let is_bound = bound.is_some();
        let extended = bound.unwrap_or_else(|| {
            let (statement, portal) = split_name(name, |name| self.slashed_names.contains(name));
            Extended { statement: statement.to_vec(), portal: portal.to_vec(), ..Extended::default() }
        });
        self.prepared = Some(Prepared { sql: sql.to_vec(), extended, is_bound, ended_us: entry.time_us });
    }

    /// The execution that an `execute` or `bind` line tells of, or why it cannot be replayed.
    fn extended(&self, name: &[u8], sql: &[u8], entry: &LogEntry<'_>) -> Result<Extended, Reason> {
        let list = match entry.detail.get(1..).and_then(|rest| rest.strip_prefix(b"arameters: ")) {
            Some(text) => parameters::parse(text).ok_or(Reason::ParametersUnreadable)?,
            None => ParameterList::default(),
        };
        if list.elided {
            return Err(Reason::ParameterElided);
        }
        if parameters_in(sql) > list.values.len() {
            return Err(Reason::ParametersMissing);
        }
        let possible_cut = match &self.evidence {
            Some(evidence) if !entry.values_whole => {
                evidence.note(list.whole_bytes.max(list.cut_at_bytes.unwrap_or(0)));
                list.cut_at_bytes.and_then(|bytes| evidence.possible_cut(bytes))
            }
            _ => None,
        };
        let (statement, portal) = split_name(name, |name| self.slashed_names.contains(name));
        let parameters = values(list.values);
        Ok(Extended { statement: statement.to_vec(), portal: portal.to_vec(), parameters, possible_cut })
    }
}

impl Pending {
    /// Whether an error is this statement's.
    fn is_of(&self, entry: &LogEntry<'_>, session_ends: bool) -> bool {
        if entry.query.is_empty() {
            return !session_ends && !entry.command_tag.starts_with(b"idle");
        }
        // The same text may have been parsed or bound again since, and failed at that.
        self.sql == *entry.query && !(self.is_extended && is_parse_or_bind(entry))
    }
}

/// A request that left no line but its error.
fn failed_draft(entry: &LogEntry<'_>, prepared: Option<Prepared>, tally: &mut Tally) -> Draft {
    let begins_us = prepared.as_ref().map(|prepared| prepared.ended_us);
    let of_context = parameters_of_context(&entry.context).map(values);
    let extended = match prepared {
        Some(Prepared { extended, is_bound: true, .. }) if !is_parse_or_bind(entry) => Some(extended),
        Some(Prepared { extended: Extended { statement, portal, .. }, .. }) => {
            Some(Extended { statement, portal, parameters: of_context.unwrap_or_default(), possible_cut: None })
        }
        None => of_context.map(|parameters| Extended { parameters, ..Extended::default() }),
    };
    let needed = parameters_in(&entry.query);
    let extended = extended.filter(|extended| extended.parameters.len() >= needed);
    if extended.is_none() && needed > 0 {
        // As a simple query a text with parameters fails before it does anything, as it failed then; it breaks its
        // transaction as it did then.
        tally.without_parameters += 1;
    }
    let total_us = begins_us.and_then(|begins_us| u64::try_from(entry.time_us - begins_us).ok());
    Draft {
        start_us: begins_us.unwrap_or(entry.time_us),
        request: request(&entry.query, extended, total_us, entry.sqlstate, entry.at),
        cancelled_us: cancelled_us(entry),
    }
}

fn request(
    sql: &[u8],
    extended: Option<Extended>,
    total_us: Option<u64>,
    sqlstate: Option<SqlState>,
    at: Position,
) -> Request {
    let possible_cut = extended.as_ref().and_then(|extended| extended.possible_cut);
    let sql = sql.to_vec();
    let sent = match extended {
        None => Sent::Simple { sql },
        Some(Extended { statement, portal, parameters, .. }) => {
            Sent::Execute(Execute { sql, statement, portal, parameters, ..Execute::default() })
        }
    };
    Request { sent, results: results(total_us, sqlstate), possible_cut, at, ..Request::default() }
}

/// What a log knows of the answer.
fn results(total_us: Option<u64>, sqlstate: Option<SqlState>) -> Vec<Outcome> {
    match (total_us, sqlstate) {
        (None, None) => Vec::new(),
        _ => vec![Outcome { total_us, sqlstate, ..Outcome::default() }],
    }
}

/// A log shows every parameter as text.
fn values(parameters: Vec<Option<Vec<u8>>>) -> Vec<Value> {
    parameters.into_iter().map(|value| value.map_or(Value::Null, Value::Text)).collect()
}

/// The parameters that an error's CONTEXT holds where `log_parameter_max_length_on_error` allows it, if all are whole.
fn parameters_of_context(context: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    const MARK: &[u8] = b" with parameters: ";
    let at = memmem::find(context, MARK)?;
    let line = memchr::memrchr(b'\n', &context[..at]).map_or(0, |end| end + 1);
    // "unnamed portal", "portal "C_1"", and "extended query" in major 13.
    if ![b"unnamed portal".as_slice(), b"portal \"", b"extended query"]
        .iter()
        .any(|start| context[line..].starts_with(start))
    {
        return None;
    }
    let (list, rest) = parameters::parse_prefix(&context[at + MARK.len()..])?;
    let whole = !list.elided && list.cut_at_bytes.is_none() && (rest.is_empty() || rest.starts_with(b"\n"));
    whole.then_some(list.values)
}

/// When the client asked to cancel the request that failed with this entry.
fn cancelled_us(entry: &LogEntry<'_>) -> Option<i64> {
    let by_user =
        entry.sqlstate == Some(SqlState::QUERY_CANCELED) && memmem::find(&entry.message, b"user request").is_some();
    by_user.then_some(entry.time_us)
}

/// Whether the session's process was parsing or binding when it wrote the entry.
fn is_parse_or_bind(entry: &LogEntry<'_>) -> bool {
    match entry.command_tag {
        b"PARSE" | b"BIND" => true,
        // A prefix without %i: some errors can only come before an execution.
        b"" => {
            memmem::find(&entry.context, b" portal parameter $").is_some()
                || entry.sqlstate.is_some_and(|sqlstate| sqlstate.class() == "42")
        }
        _ => false,
    }
}

/// The highest `$n` of a text.
fn parameters_in(sql: &[u8]) -> usize {
    if !memchr::memchr_iter(b'$', sql).any(|at| sql.get(at + 1).is_some_and(u8::is_ascii_digit)) {
        return 0;
    }
    tokens(&String::from_utf8_lossy(sql))
        .filter(|token| token.kind == TokenKind::Parameter)
        .filter_map(|token| token.text[1..].parse().ok())
        .max()
        .unwrap_or(0)
}

/// Counts a COPY whose data the client sent: it is an execution, but what it copied is in no log.
fn note_copy(sql: &[u8], tally: &mut Tally) {
    if copies_from_stdin(sql) {
        tally.set_aside(Aside::CopyFromStdin);
    }
}

/// Whether a text holds a COPY whose data the client sent.
fn copies_from_stdin(sql: &[u8]) -> bool {
    // Most texts hold no such word, and each is looked at.
    let is_there = |at: usize| {
        at.checked_sub(2)
            .and_then(|start| sql.get(start..at + 3))
            .is_some_and(|word| word.eq_ignore_ascii_case(b"stdin"))
    };
    memchr::memchr2_iter(b'd', b'D', sql).any(is_there)
        && split(&String::from_utf8_lossy(sql)).into_iter().any(copies_from_client)
}
