//! Lines to entries: a log of lines tells one entry over several of them.
//!
//! Takes lines without what carried them, and gives entries in the order of their first lines. An entry waits until some
//! others stand behind it, since processes write between each other's lines and DETAIL or STATEMENT may come late. Texts
//! are collected in buffers that are used again. Must not know files or what carries the lines.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use super::super::error::CaptureError;
use super::decoder::{Found, Give, Learned};
use super::entry::{LogEntry, Position, SessionKey, Severity};
use super::line_prefix::{Header, Label, Line, LinePrefix};
use super::message::Message;
use super::sqlstates;
use super::tally::Reason;
use super::timestamp::Clock;
use crate::words::sqlstate::SqlState;

/// Entries that wait for more of their lines.
const WAITING: usize = 32;

/// Bytes of texts that wait, unless one entry alone is longer.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A line, and what its carrier tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub at: Position,
    pub text: &'a [u8],
    /// Microseconds since the epoch, and whether their zone is unknown.
    pub time: Option<(i64, bool)>,
    pub process: Option<u32>,
    /// Which piece of a message it is, where the carrier counts them, from 1.
    pub number: Option<u32>,
    pub otherwise: Otherwise,
}

/// What a line is that starts with neither a tab nor a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    Foreign,
    /// The rest of a line that its carrier cut.
    RestOfLine,
    /// A further line of a message that came as one.
    FurtherLine,
}

/// An entry whose lines are still coming.
#[derive(Debug, Default)]
struct Waiting {
    at: Position,
    time_us: i64,
    zone_unknown: bool,
    session: Option<SessionKey>,
    process: u32,
    severity: Option<Severity>,
    sqlstate: Option<SqlState>,
    /// Whether a client is at the other end; none where the line does not tell.
    is_client: Option<bool>,
    /// A piece of it is missing.
    is_broken: bool,
    pieces: u32,
    buffer: Vec<u8>,
    user: Range<usize>,
    database: Range<usize>,
    application_name: Range<usize>,
    command_tag: Range<usize>,
    message: Range<usize>,
    detail: Range<usize>,
    context: Range<usize>,
    query: Range<usize>,
    /// Where the next line without a label goes.
    open: Section,
    /// Empty lines that may stand within the text, or behind it.
    blank_lines: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Message,
    Detail,
    Context,
    Query,
    Remark,
}

/// Collects lines.
#[derive(Debug, Default)]
pub struct Weaver {
    /// In boxes, since they move from one to the other and are large.
    waiting: VecDeque<Box<Waiting>>,
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Waiting>>,
    clock: Clock,
    waiting_bytes: usize,
    /// The process of the last line.
    last_process: Option<u32>,
}

impl Weaver {
    /// Takes the next line.
    ///
    /// # Errors
    /// Whatever `give` answers.
    pub fn push(
        &mut self,
        piece: Piece<'_>,
        prefix: &LinePrefix,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<(), CaptureError> {
        let is_continued = piece.text.first().is_none_or(|byte| *byte == b'\t');
        let line = if is_continued { None } else { prefix.read_with(&mut self.clock, piece.text) };
        let Some(line) = line else { return self.go_on(piece, is_continued, give) };
        match line.label {
            Label::Entry(severity) => self.begin(piece, &line, severity, learned, give),
            label => {
                let process = line.header.process.or(line.header.session.map(|key| key.process)).or(piece.process);
                self.extend(piece, process, label, line.text, give)
            }
        }
    }

    /// The last line was cut: its entry is not whole.
    pub fn break_last(&mut self) {
        if let Some(entry) = find(&mut self.waiting, self.last_process) {
            entry.is_broken = true;
        }
    }

    /// Gives every entry that waits.
    ///
    /// # Errors
    /// Whatever `give` answers.
    pub fn finish(&mut self, give: &mut Give<'_>) -> Result<(), CaptureError> {
        while !self.waiting.is_empty() {
            self.give_first(give)?;
        }
        Ok(())
    }

    /// A line that is the first of an entry.
    fn begin(
        &mut self,
        piece: Piece<'_>,
        line: &Line<'_>,
        severity: Severity,
        learned: &mut Learned,
        give: &mut Give<'_>,
    ) -> Result<(), CaptureError> {
        let Line { header, text, .. } = line;
        let message = if severity == Severity::Log { Message::parse(text) } else { Message::Other };
        if let (Some(time), Some(key), Message::ConnectionReceived) = (header.time, header.session, message) {
            learned.zones.learn(time, key.started_s);
        }
        let Some((time_us, zone_unknown)) = time_of(header, learned).or(piece.time) else {
            return give(Found::Skipped(Reason::WithoutTime, piece.at));
        };
        let Some(process) = header.process.or(header.session.map(|key| key.process)).or(piece.process) else {
            return give(Found::Skipped(Reason::ForeignLine, piece.at));
        };
        let started_s = header.started.map(|started| learned.zones.epoch_us(started).0.div_euclid(1_000_000));
        let owner = (header.user, header.database);
        let (derived, is_known_client) = learned.processes.session_of(process, started_s, time_us, owner, message);
        while self.waiting.len() >= WAITING || self.waiting_bytes > WAITING_BYTES_MAX {
            self.give_first(give)?;
        }
        let mut entry = self.spare.pop().unwrap_or_default();
        entry.restart();
        let (sqlstate, text) = verbose_code(text);
        entry.at = piece.at;
        (entry.time_us, entry.zone_unknown) = (time_us, zone_unknown);
        entry.session = Some(header.session.unwrap_or(derived));
        entry.process = process;
        entry.severity = Some(severity);
        entry.sqlstate = header.sqlstate.or(sqlstate);
        entry.is_client = is_client(header, is_known_client);
        entry.pieces = piece.number.unwrap_or(1);
        entry.user = entry.keep(header.user);
        entry.database = entry.keep(header.database);
        entry.application_name = entry.keep(header.application_name);
        entry.command_tag = entry.keep(header.command_tag);
        entry.message = entry.keep(text);
        self.waiting_bytes += entry.buffer.len();
        self.last_process = Some(process);
        self.waiting.push_back(entry);
        Ok(())
    }

    /// A labelled line that tells more about an entry.
    fn extend(
        &mut self,
        piece: Piece<'_>,
        process: Option<u32>,
        label: Label,
        text: &[u8],
        give: &mut Give<'_>,
    ) -> Result<(), CaptureError> {
        let Some(entry) = find(&mut self.waiting, process) else {
            return give(Found::Skipped(Reason::WithoutEntry, piece.at));
        };
        entry.note_piece(piece.number);
        entry.blank_lines = 0;
        let section = match label {
            Label::Detail => Section::Detail,
            Label::Context => Section::Context,
            Label::Statement => Section::Query,
            Label::Remark | Label::Entry(_) => Section::Remark,
        };
        entry.open = section;
        let range = entry.keep(if section == Section::Remark { b"" } else { text });
        self.waiting_bytes += range.len();
        if let Some(open) = entry.section(section) {
            *open = range;
        }
        self.last_process = Some(entry.process);
        Ok(())
    }

    /// A line without a prefix: it goes on with the text before it, or belongs to no entry.
    fn go_on(&mut self, piece: Piece<'_>, is_continued: bool, give: &mut Give<'_>) -> Result<(), CaptureError> {
        let goes_on = is_continued || (piece.otherwise != Otherwise::Foreign && piece.number != Some(1));
        let process = piece.process.or(self.last_process);
        let entry = if goes_on && process.is_some() { find(&mut self.waiting, process) } else { None };
        let Some(entry) = entry else {
            let reason = match is_memory_context(piece.text) {
                true => Reason::MemoryContext,
                false if is_continued => Reason::WithoutEntry,
                false => Reason::ForeignLine,
            };
            return give(Found::Skipped(reason, piece.at));
        };
        entry.note_piece(piece.number);
        if piece.text.is_empty() && piece.otherwise == Otherwise::Foreign {
            entry.blank_lines += 1;
            return Ok(());
        }
        let before = entry.buffer.len();
        if entry.open != Section::Remark {
            // The server puts a tab before every line but the first; a carrier that cuts lines puts none.
            let text = piece.text.strip_prefix(b"\t");
            if text.is_some() || piece.otherwise == Otherwise::FurtherLine {
                let breaks = 1 + entry.blank_lines as usize;
                entry.buffer.extend(std::iter::repeat_n(b'\n', breaks));
            }
            entry.buffer.extend_from_slice(text.unwrap_or(piece.text));
            let end = entry.buffer.len();
            let open = entry.open;
            if let Some(section) = entry.section(open) {
                section.end = end;
            }
        }
        entry.blank_lines = 0;
        self.waiting_bytes += entry.buffer.len() - before;
        Ok(())
    }

    fn give_first(&mut self, give: &mut Give<'_>) -> Result<(), CaptureError> {
        let Some(entry) = self.waiting.pop_front() else { return Ok(()) };
        self.waiting_bytes -= entry.buffer.len();
        let given = entry.give(give);
        if entry.buffer.capacity() <= WAITING_BYTES_MAX / WAITING {
            self.spare.push(entry);
        }
        given
    }
}

/// The newest entry of this process.
fn find(waiting: &mut VecDeque<Box<Waiting>>, process: Option<u32>) -> Option<&mut Waiting> {
    waiting.iter_mut().rev().map(Box::as_mut).find(|entry| process.is_none_or(|process| entry.process == process))
}

impl Waiting {
    fn restart(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        *self = Self { buffer, ..Self::default() };
    }

    fn keep(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(text);
        start..self.buffer.len()
    }

    fn section(&mut self, section: Section) -> Option<&mut Range<usize>> {
        match section {
            Section::Message => Some(&mut self.message),
            Section::Detail => Some(&mut self.detail),
            Section::Context => Some(&mut self.context),
            Section::Query => Some(&mut self.query),
            Section::Remark => None,
        }
    }

    /// Pieces are counted: one that does not follow the one before shows that some were lost.
    fn note_piece(&mut self, number: Option<u32>) {
        if let Some(number) = number {
            self.is_broken |= number != self.pieces + 1;
            self.pieces = number;
        }
    }

    fn give(&self, give: &mut Give<'_>) -> Result<(), CaptureError> {
        let (Some(session), Some(severity)) = (self.session, self.severity) else { return Ok(()) };
        if self.is_broken {
            return give(Found::Skipped(Reason::TruncatedRecord, self.at));
        }
        let text = |range: &Range<usize>| Cow::Borrowed(&self.buffer[range.clone()]);
        let (message, context) = (text(&self.message), text(&self.context));
        let is_error = matches!(severity, Severity::Error { .. });
        let background = !self.is_client.unwrap_or(is_error && !self.query.is_empty());
        let mut sqlstate = self.sqlstate;
        if sqlstate.is_none() && is_error {
            let inferred = sqlstates::of(&message, &context);
            sqlstate = Some(inferred.unwrap_or(SqlState::INTERNAL_ERROR));
            if !background {
                give(Found::SqlStateInferred { is_known: inferred.is_some() })?;
            }
        }
        let entry = LogEntry {
            at: self.at,
            time_us: self.time_us,
            session,
            background,
            user: text(&self.user),
            database: text(&self.database),
            application_name: text(&self.application_name),
            command_tag: &self.buffer[self.command_tag.clone()],
            severity,
            sqlstate,
            message,
            detail: text(&self.detail),
            values_whole: false,
            context,
            query: text(&self.query),
        };
        give(Found::Entry { entry: &entry, zone_unknown: self.zone_unknown })
    }
}

fn time_of(header: &Header<'_>, learned: &mut Learned) -> Option<(i64, bool)> {
    if let (Some(epoch_us), Some(local)) = (header.epoch_us, header.time) {
        learned.zones.learn(local, epoch_us.div_euclid(1_000_000));
    }
    if let (Some(started), Some(key)) = (header.started, header.session) {
        learned.zones.learn(started, key.started_s);
    }
    header.epoch_us.map(|epoch_us| (epoch_us, false)).or_else(|| Some(learned.zones.epoch_us(header.time?)))
}

/// Whether a client is at the other end of the process; none where nothing tells.
fn is_client(header: &Header<'_>, is_known_client: bool) -> Option<bool> {
    if !header.backend_type.is_empty() {
        return Some(matches!(header.backend_type, b"client backend" | b"not initialized"));
    }
    if header.without_session {
        return Some(false);
    }
    let is_named = !(header.user.is_empty() && header.database.is_empty() && header.client.is_empty());
    (is_named || is_known_client).then_some(true)
}

/// The code that `log_error_verbosity = verbose` puts before a message.
fn verbose_code(text: &[u8]) -> (Option<SqlState>, &[u8]) {
    match text.split_at_checked(5) {
        Some((code, rest)) if rest.starts_with(b": ") && code[..2].iter().all(u8::is_ascii_alphanumeric) => {
            match SqlState::new(code) {
                Some(sqlstate) => (Some(sqlstate), &rest[2..]),
                None => (None, text),
            }
        }
        _ => (None, text),
    }
}

/// Whether a line is of a dump of memory contexts, which a server that ran out of memory writes.
fn is_memory_context(text: &[u8]) -> bool {
    let has = |words: &[u8]| memchr::memmem::find(text, words).is_some();
    (has(b" total in ") && has(b" block"))
        || has(b"more child contexts containing ")
        || text.starts_with(b"Grand total:")
}
