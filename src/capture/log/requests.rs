//! One session's entries to its requests.
//!
//! Takes a session's log entries in order and gives each request once, whichever of its lines were logged: `statement:`
//! when it began, `duration:` when it had ended, both, parse and bind before it, or nothing but the error that it failed
//! with. Must not know other sessions, tenants or the order of the workload.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;

use memchr::memmem;

use super::super::event::{Outcome, PossibleCut};
use super::super::logged::{LoggedExecute, LoggedRequest, Sql, Values};
use super::super::sequence::Draft;
use super::super::texts::{TextFacts, Texts};
use super::entry::{LogEntry, Position, Severity};
use super::evidence::Evidence;
use super::message::{Message, split_name};
use super::parameters::{self, LastList, ListFacts};
use super::tally::{Aside, Reason, Tally};
use crate::words::sqlstate::SqlState;

/// Names of prepared statements that hold a slash, remembered to tell them from `statement/portal`.
const SLASHED_NAMES_MAX: usize = 1_024;

/// What a session's entries say about its requests.
#[derive(Debug, Default)]
pub struct Requests {
    /// A statement logged at its start: its duration or its error may follow.
    pending: Option<Pending>,
    /// The last parse or bind line: an error may follow instead of an execution.
    prepared: Prepared,
    /// The parameters of the last bind or execute line.
    list: LastList,
    slashed_names: HashSet<Box<[u8]>>,
    /// Durations since the last statement that are of none which was logged, and the first of them.
    unclaimed: (u64, Position),
    /// Of all sessions of the same user and database.
    evidence: Option<Rc<Evidence>>,
}

/// A request that an entry completes.
#[allow(clippy::large_enum_variant)]
pub enum Given<'a> {
    /// An earlier entry told of it.
    Earlier(Draft),
    /// This entry tells of it, and of how it failed.
    Failed(Draft),
    /// This entry tells all of it, and no other will.
    Whole { start_us: i64, request: &'a LoggedRequest<'a> },
}

#[derive(Debug)]
struct Pending {
    sql: Vec<u8>,
    is_extended: bool,
    /// None where the statement is counted as skipped.
    draft: Option<Draft>,
}

/// What a parse or bind line told, in buffers that are used again.
#[derive(Debug, Default)]
struct Prepared {
    /// Nothing that followed has used it.
    is_there: bool,
    sql: Vec<u8>,
    name: Vec<u8>,
    /// The parameters are known, those of the last list: a bind line told them.
    is_bound: bool,
    possible_cut: Option<PossibleCut>,
    ended_us: i64,
    /// What is known of the text.
    facts: TextFacts,
}

/// What an entry tells of a request's sending: a simple query where there is no name.
struct Told<'a> {
    sql: Sql<'a>,
    name: Option<&'a [u8]>,
    duration_us: Option<u64>,
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

    /// Takes the session's next entry; `message` is what the entry's message means. What an earlier entry told of is given
    /// before what this one tells.
    ///
    /// # Errors
    /// Whatever `give` answers.
    pub fn push(
        &mut self,
        entry: &LogEntry<'_>,
        message: Message<'_>,
        texts: &mut Texts,
        tally: &mut Tally,
        mut give: impl FnMut(Given<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        match (entry.severity, message) {
            (Severity::Error { session_ends }, _) => return self.failed(entry, session_ends, texts, tally, &mut give),
            (Severity::Other, _) => tally.set_aside(Aside::Notice),
            (Severity::Log, Message::Duration { duration_us }) => {
                return self.ended(entry, duration_us, tally, &mut give);
            }
            (Severity::Log, Message::Statement { duration_us, sql }) => {
                self.flush(|draft| give(Given::Earlier(draft)))?;
                let facts = texts.look_up(sql);
                note_copy(facts.copies_from_client, tally);
                let told = Told { sql: Sql { id: facts.id, bytes: sql }, name: None, duration_us };
                return self.began(entry, &told, Ok(None), tally, &mut give);
            }
            (Severity::Log, Message::Execute { duration_us, fetch, name, sql }) => {
                self.flush(|draft| give(Given::Earlier(draft)))?;
                let facts = self.prepared.facts_of(sql).unwrap_or_else(|| texts.look_up(sql));
                note_copy(facts.copies_from_client, tally);
                let told = Told { sql: Sql { id: facts.id, bytes: sql }, name: Some(name), duration_us };
                let bound = if fetch { Err(Reason::PortalFetch) } else { self.bound(facts.parameters, entry) };
                return self.began(entry, &told, bound, tally, &mut give);
            }
            (Severity::Log, Message::FastPath) => {
                self.flush(|draft| give(Given::Earlier(draft)))?;
                let told = Told { sql: Sql { id: None, bytes: b"" }, name: Some(b""), duration_us: None };
                return self.began(entry, &told, Err(Reason::FastPath), tally, &mut give);
            }
            (Severity::Log, Message::Parse { name, sql }) => {
                self.flush(|draft| give(Given::Earlier(draft)))?;
                self.parsed(name);
                self.prepared.fill(entry, name, (sql, TextFacts::default()), None);
                tally.set_aside(Aside::ParseAndBind);
            }
            (Severity::Log, Message::Bind { name, sql }) => {
                self.flush(|draft| give(Given::Earlier(draft)))?;
                let facts = texts.look_up(sql);
                let bound = self.bound(facts.parameters, entry).ok();
                self.prepared.fill(entry, name, (sql, facts), bound);
                tally.set_aside(Aside::ParseAndBind);
            }
            (Severity::Log, Message::Plan) => tally.set_aside(Aside::Plan),
            (Severity::Log, Message::Audit) => tally.set_aside(Aside::Audit),
            (Severity::Log, _) => tally.set_aside(Aside::SessionMessage),
        }
        Ok(())
    }

    /// The session or its log has ended: gives what is still pending.
    ///
    /// # Errors
    /// Whatever `give` answers.
    pub fn finish(&mut self, tally: &mut Tally, give: impl FnOnce(Draft) -> io::Result<()>) -> io::Result<()> {
        self.settle_durations(0, tally);
        self.flush(give)
    }

    /// Gives what is still pending: the session or its log has ended, or its next statement began.
    ///
    /// # Errors
    /// Whatever `give` answers.
    pub fn flush(&mut self, give: impl FnOnce(Draft) -> io::Result<()>) -> io::Result<()> {
        match self.pending.take() {
            Some(Pending { draft: Some(draft), .. }) => give(draft),
            _ => Ok(()),
        }
    }

    /// A statement was logged: when it began, or with its duration when it had ended. `bound` holds the possible cut of its
    /// parameters, or says why the statement cannot be replayed.
    fn began(
        &mut self,
        entry: &LogEntry<'_>,
        told: &Told<'_>,
        bound: Result<Option<PossibleCut>, Reason>,
        tally: &mut Tally,
        give: &mut impl FnMut(Given<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.prepared.is_there = false;
        let Told { sql, name, duration_us } = *told;
        // Before an execution that is logged when it begins come the durations of its Parse and its Bind.
        self.settle_durations(if name.is_some() && duration_us.is_none() { 2 } else { 0 }, tally);
        if let Some(evidence) = self.evidence.as_ref().filter(|_| duration_us.is_none()) {
            evidence.note_beginning(sql.bytes);
        }
        let possible_cut = match bound {
            Ok(possible_cut) => possible_cut,
            Err(reason) => {
                tally.skip(reason, entry.at);
                if duration_us.is_none() {
                    self.pending = Some(Pending { sql: sql.bytes.to_vec(), is_extended: true, draft: None });
                }
                return Ok(());
            }
        };
        let execute = name.map(|name| {
            let (statement, portal) = split_name(name, |name| self.slashed_names.contains(name));
            LoggedExecute { statement, portal, parameters: self.list.values() }
        });
        let (total_us, sqlstate) = (duration_us, None);
        let request = LoggedRequest { sql, execute, total_us, sqlstate, possible_cut, at: entry.at };
        let start_us = entry.time_us.saturating_sub_unsigned(duration_us.unwrap_or(0));
        if duration_us.is_some() {
            return give(Given::Whole { start_us, request: &request });
        }
        let draft = Some(Draft { start_us, request: request.to_request(), cancelled_us: None });
        self.pending = Some(Pending { sql: sql.bytes.to_vec(), is_extended: name.is_some(), draft });
        Ok(())
    }

    /// A duration alone: of the pending statement, if there is one.
    fn ended(
        &mut self,
        entry: &LogEntry<'_>,
        duration_us: u64,
        tally: &mut Tally,
        give: &mut impl FnMut(Given<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.pending.take() {
            Some(Pending { draft, .. }) => {
                tally.set_aside(Aside::Duration);
                if let Some(mut draft) = draft {
                    draft.request.results = results(Some(duration_us), None);
                    return give(Given::Earlier(draft));
                }
            }
            None if is_parse_or_bind(entry) => tally.set_aside(Aside::ParseAndBind),
            None => {
                let (count, first) = self.unclaimed;
                self.unclaimed = (count + 1, if count == 0 { entry.at } else { first });
            }
        }
        Ok(())
    }

    /// A request failed: one that was logged when it began, or one that nothing else tells of.
    fn failed(
        &mut self,
        entry: &LogEntry<'_>,
        session_ends: bool,
        texts: &mut Texts,
        tally: &mut Tally,
        give: &mut impl FnMut(Given<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.pending.as_ref().is_some_and(|pending| pending.is_of(entry, session_ends)) {
            tally.set_aside(Aside::Error);
            if let Some(mut draft) = self.pending.take().and_then(|pending| pending.draft) {
                let total_us = u64::try_from(entry.time_us - draft.start_us).ok();
                draft.request.results = results(total_us, entry.sqlstate);
                draft.cancelled_us = cancelled_us(entry);
                return give(Given::Earlier(draft));
            }
            return Ok(());
        }
        self.flush(|draft| give(Given::Earlier(draft)))?;
        let is_prepared = self.prepared.is_there && self.prepared.sql == *entry.query;
        if is_prepared {
            self.prepared.is_there = false;
        }
        if entry.query.is_empty() {
            // A session that the server ends while it is idle has no statement.
            match session_ends {
                true => tally.set_aside(Aside::SessionMessage),
                false => tally.skip(Reason::ErrorWithoutStatement, entry.at),
            }
            return Ok(());
        }
        let facts = texts.look_up(&entry.query);
        note_copy(facts.copies_from_client, tally);
        give(Given::Failed(self.failed_draft(entry, is_prepared, facts.parameters, tally)))
    }

    /// A request that left no line but its error; it was prepared or bound by the last such line, or by none.
    fn failed_draft(&self, entry: &LogEntry<'_>, is_prepared: bool, needed: usize, tally: &mut Tally) -> Draft {
        let prepared = is_prepared.then_some(&self.prepared);
        let begins_us = prepared.map(|prepared| prepared.ended_us);
        let mut of_context = Values::default();
        let has_context = parameters_of_context(&entry.context, &mut of_context);
        let mut possible_cut = None;
        let execute = match prepared {
            Some(prepared) => {
                let (statement, portal) = split_name(&prepared.name, |name| self.slashed_names.contains(name));
                let is_bound = prepared.is_bound && !is_parse_or_bind(entry);
                possible_cut = prepared.possible_cut.filter(|_| is_bound);
                let parameters = if is_bound { self.list.values() } else { of_context.list() };
                Some(LoggedExecute { statement, portal, parameters })
            }
            None if has_context => Some(LoggedExecute { statement: b"", portal: b"", parameters: of_context.list() }),
            None => None,
        };
        let execute = execute.filter(|execute| execute.parameters.len() >= needed);
        if execute.is_none() && needed > 0 {
            // As a simple query a text with parameters fails before it does anything, as it failed then; it breaks its
            // transaction as it did then.
            tally.without_parameters += 1;
        }
        let request = LoggedRequest {
            sql: Sql { id: None, bytes: &entry.query },
            execute,
            total_us: begins_us.and_then(|begins_us| u64::try_from(entry.time_us - begins_us).ok()),
            sqlstate: entry.sqlstate,
            possible_cut: possible_cut.filter(|_| execute.is_some()),
            at: entry.at,
        };
        Draft {
            start_us: begins_us.unwrap_or(entry.time_us),
            request: request.to_request(),
            cancelled_us: cancelled_us(entry),
        }
    }

    /// Remembers the name of a prepared statement if it could be mistaken for a statement and its portal.
    fn parsed(&mut self, name: &[u8]) {
        if name.contains(&b'/') && self.slashed_names.len() < SLASHED_NAMES_MAX {
            self.slashed_names.insert(name.into());
        }
    }

    /// Reads the parameters of a bind or execute line, whose text needs this many: the possible cut among them, or why it
    /// cannot be replayed.
    fn bound(&mut self, needed: usize, entry: &LogEntry<'_>) -> Result<Option<PossibleCut>, Reason> {
        let text = entry.detail.get(1..).and_then(|rest| rest.strip_prefix(b"arameters: ")).unwrap_or_default();
        let ListFacts { values, cut_at_bytes, whole_bytes, elided } =
            self.list.read(text).ok_or(Reason::ParametersUnreadable)?;
        if elided {
            return Err(Reason::ParameterElided);
        }
        if needed > values {
            return Err(Reason::ParametersMissing);
        }
        match &self.evidence {
            Some(evidence) if !entry.values_whole => {
                evidence.note(whole_bytes.max(cut_at_bytes.unwrap_or(0)));
                Ok(cut_at_bytes.and_then(|bytes| evidence.possible_cut(bytes)))
            }
            _ => Ok(None),
        }
    }
}

impl Prepared {
    /// Remembers what a parse line tells, or a bind line whose parameters are `bound`.
    fn fill(
        &mut self,
        entry: &LogEntry<'_>,
        name: &[u8],
        (sql, facts): (&[u8], TextFacts),
        bound: Option<Option<PossibleCut>>,
    ) {
        self.is_there = true;
        for (buffer, text) in [(&mut self.sql, sql), (&mut self.name, name)] {
            buffer.clear();
            buffer.extend_from_slice(text);
        }
        self.is_bound = bound.is_some();
        self.possible_cut = bound.flatten();
        self.ended_us = entry.time_us;
        self.facts = facts;
    }

    /// What is known of a text, if it is the one that was bound last and has a number.
    fn facts_of(&self, sql: &[u8]) -> Option<TextFacts> {
        (self.is_there && self.facts.id.is_some() && self.sql == sql).then_some(self.facts)
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

/// What a log knows of the answer.
fn results(total_us: Option<u64>, sqlstate: Option<SqlState>) -> Vec<Outcome> {
    match (total_us, sqlstate) {
        (None, None) => Vec::new(),
        _ => vec![Outcome { total_us, sqlstate, ..Outcome::default() }],
    }
}

/// Reads the parameters that an error's CONTEXT holds where `log_parameter_max_length_on_error` allows it; says whether all
/// are there and whole, else there are none.
fn parameters_of_context(context: &[u8], values: &mut Values) -> bool {
    const MARK: &[u8] = b" with parameters: ";
    let Some(at) = memmem::find(context, MARK) else { return false };
    let line = memchr::memrchr(b'\n', &context[..at]).map_or(0, |end| end + 1);
    // "unnamed portal", "portal "C_1"", and "extended query" in major 13.
    let starts = [b"unnamed portal".as_slice(), b"portal \"", b"extended query"];
    let is_of_portal = starts.iter().any(|start| context[line..].starts_with(start));
    let is_whole = |(list, rest): (ListFacts, &[u8])| {
        !list.elided && list.cut_at_bytes.is_none() && (rest.is_empty() || rest.starts_with(b"\n"))
    };
    let found = is_of_portal && parameters::read_prefix(&context[at + MARK.len()..], values).is_some_and(is_whole);
    if !found {
        values.clear();
    }
    found
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

/// Counts a COPY whose data the client sent: it is an execution, but what it copied is in no log.
fn note_copy(copies_from_client: bool, tally: &mut Tally) {
    if copies_from_client {
        tally.set_aside(Aside::CopyFromStdin);
    }
}
