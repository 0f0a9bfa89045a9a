//! `workload slice`: the part of a workload that lies in a window of time, or belongs to some tenants, databases or
//! sessions, made so that it replays.
//!
//! A transaction belongs to the window that its BEGIN lies in: its rest is kept behind the window's end, and what is left of
//! an older one is left out at its start. Disjoint windows so share no request and lose none. A session that was there
//! before the window opens at its start with what it carried in. Must not know what was typed.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;

use super::carried::{Carried, PreparedTexts, session_part};
use super::error::ReshapeError;
use super::moment::{Moment, rfc3339, started_us};
use super::rewrite::{Origin, Rewriter, Unchanged};
use crate::objective::Pattern;
use crate::workload::record::{End, Header, Open, Record, Request};
use crate::workload::{Input, Reader};

/// Requests of a session whose fate is remembered for the COPY data that follows them.
const FATES_MAX: usize = 16;

/// Which part. Everything where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub from: Option<Moment>,
    /// The first moment that is outside.
    pub to: Option<Moment>,
    pub tenants: Vec<Pattern>,
    pub databases: Vec<Pattern>,
    pub sessions: Vec<u32>,
    /// The share of sessions to keep, 0 to 1, and what makes the choice another one.
    pub sample: Option<(f64, u64)>,
}

/// What was cut.
#[derive(Clone, Debug, Default)]
pub struct SliceReport {
    pub end: End,
    /// Sessions that were there before the window.
    pub sessions_carried_in: u64,
    /// Requests left out at the window's start, since their transaction began before it.
    pub requests_of_older_transactions: u64,
    /// Requests kept behind the window's end, since their transaction began in it.
    pub requests_behind_end: u64,
    /// Requests that are left out but for what they change of a session that stays: settings, prepared statements.
    pub session_changes_kept: u64,
}

/// Writes the part of `input` that the selection names.
///
/// # Errors
/// The workload is damaged, nothing of it is selected, or the output cannot be written.
pub fn slice<'a>(
    input: impl Into<Input<'a>>,
    output: &Path,
    selection: &Selection,
) -> Result<SliceReport, ReshapeError> {
    let input = input.into();
    let mut reader = Reader::open(input)?;
    let started_us = started_us(reader.header())?;
    let from_us = selection.from.map_or(0, |from| from.offset_us(started_us));
    let to_us = selection.to.map_or(u64::MAX, |to| to.offset_us(started_us));
    if from_us >= to_us {
        return Err(asked("the window ends before it begins", "give --from an earlier moment than --to"));
    }
    let chosen = match selection.tenants.is_empty() {
        true => None,
        false => Some(sessions_of_tenants(input, selection, from_us, to_us)?),
    };
    let shifted = started_us.saturating_add_unsigned(from_us);
    let header = Header { started_at: rfc3339(shifted), ..reader.header().clone() };
    let rewriter = Rewriter::create(output, &[input.path()], &header)?;
    let mut slicing = Slicing {
        selection,
        window: Window { from_us, to_us, is_open: from_us == 0 },
        chosen,
        opened: 0,
        sessions: BTreeMap::new(),
        texts: PreparedTexts::default(),
        output: Output { rewriter, origin: Origin::alone() },
        tenants: HashMap::new(),
        report: SliceReport::default(),
    };
    while let Some((_, record)) = reader.next_record()? {
        slicing.take(record, &reader)?;
    }
    slicing.finish(&reader)
}

struct Window {
    from_us: u64,
    to_us: u64,
    /// Whether the sessions that were there before it have been opened.
    is_open: bool,
}

struct Slicing<'a> {
    selection: &'a Selection,
    window: Window,
    /// With tenants given: the sessions that hold a request of theirs, by the number of their `open` line.
    chosen: Option<HashSet<u64>>,
    opened: u64,
    /// The sessions that are selected and open in the input.
    sessions: BTreeMap<u32, Session>,
    texts: PreparedTexts,
    output: Output,
    /// Whether a tenant is selected, by its id.
    tenants: HashMap<u32, bool>,
    report: SliceReport,
}

struct Session {
    open: Open,
    carried: Carried,
    is_written: bool,
    /// Whether the transaction that is open is kept.
    keeps_transaction: bool,
    next_sequence: u64,
    /// What became of the last requests: their sequence, and the one that they got.
    fates: VecDeque<(u64, Option<u64>)>,
}

struct Output {
    rewriter: Rewriter,
    origin: Origin,
}

impl Output {
    /// Writes an event at its moment in the slice.
    fn write(&mut self, mut event: Record, from_us: u64, reader: &Reader) -> Result<(), ReshapeError> {
        if let Some((t_us, _)) = event.place_mut() {
            *t_us = t_us.saturating_sub(from_us);
        }
        self.rewriter.copy(event, reader, &mut self.origin, &mut Unchanged).map(drop)
    }
}

impl Slicing<'_> {
    fn take(&mut self, record: Record, reader: &Reader) -> Result<(), ReshapeError> {
        if let Some((t_us, _)) = record.place() {
            self.open_window(t_us, reader)?;
        }
        match record {
            Record::Sql(sql) => {
                self.texts.redefine(sql.id);
                self.output.write(Record::Sql(sql), 0, reader)
            }
            Record::Open(open) => self.open(open, reader),
            Record::Request(request) => self.request(request, reader),
            Record::Copy(mut copy) => {
                let Some(session) = self.sessions.get(&copy.session) else { return Ok(()) };
                let fate = session.fates.iter().rev().find(|(captured, _)| *captured == copy.sequence);
                let Some((_, Some(sequence))) = fate else { return Ok(()) };
                copy.sequence = *sequence;
                self.output.write(Record::Copy(copy), self.window.from_us, reader)
            }
            Record::Cancel(cancel) => match self.sessions.get(&cancel.session) {
                Some(session) if session.fates.back().is_some_and(|(_, kept)| kept.is_some()) => {
                    self.output.write(Record::Cancel(cancel), self.window.from_us, reader)
                }
                _ => Ok(()),
            },
            Record::Close(close) => match self.sessions.remove(&close.session) {
                // Behind the window, a session stays open: its end belongs to another window.
                Some(session) if session.is_written && close.t_us < self.window.to_us => {
                    self.output.write(Record::Close(close), self.window.from_us, reader)
                }
                _ => Ok(()),
            },
            other => self.output.write(other, 0, reader),
        }
    }

    /// Opens the sessions that are there when the window begins, as soon as something lies behind that moment.
    fn open_window(&mut self, t_us: u64, reader: &Reader) -> Result<(), ReshapeError> {
        if self.window.is_open || t_us < self.window.from_us {
            return Ok(());
        }
        self.window.is_open = true;
        for session in self.sessions.values_mut() {
            let open = Open {
                t_us: self.window.from_us,
                began_before_capture: true,
                state: session.carried.state(),
                ..session.open.clone()
            };
            session.is_written = true;
            session.fates.clear();
            self.report.sessions_carried_in += 1;
            self.output.write(Record::Open(open), self.window.from_us, reader)?;
        }
        Ok(())
    }

    fn open(&mut self, open: Open, reader: &Reader) -> Result<(), ReshapeError> {
        let number = self.opened;
        self.opened += 1;
        let is_chosen = self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&number));
        if !is_chosen || !selects_session(self.selection, &open) || open.t_us >= self.window.to_us {
            return Ok(());
        }
        let is_written = open.t_us >= self.window.from_us;
        if is_written {
            self.output.write(Record::Open(open.clone()), self.window.from_us, reader)?;
        }
        let carried = Carried::new(&open, &mut self.texts, reader);
        let session =
            Session { open, carried, is_written, keeps_transaction: false, next_sequence: 0, fates: VecDeque::new() };
        self.sessions.insert(session.open.session, session);
        Ok(())
    }

    fn request(&mut self, mut request: Request, reader: &Reader) -> Result<(), ReshapeError> {
        let is_tenants = self.is_of_tenants(&request, reader);
        let Some(session) = self.sessions.get_mut(&request.session) else { return Ok(()) };
        let is_inside = (self.window.from_us..self.window.to_us).contains(&request.t_us);
        let continues = session.carried.is_in_transaction();
        session.carried.take(&request, &mut self.texts, reader);
        if !continues {
            session.keeps_transaction = is_inside;
        }
        let captured = request.sequence;
        let kept = if session.keeps_transaction && is_tenants {
            self.report.requests_behind_end += u64::from(!is_inside);
            Some(request)
        } else if session.keeps_transaction || (is_inside && continues) {
            self.report.requests_of_older_transactions += u64::from(!session.keeps_transaction);
            let part = session_part(request, reader);
            self.report.session_changes_kept += u64::from(part.is_some());
            part
        } else {
            None
        };
        let sequence = kept.as_ref().map(|_| session.next_sequence);
        session.next_sequence += u64::from(kept.is_some());
        if session.fates.len() == FATES_MAX {
            session.fates.pop_front();
        }
        session.fates.push_back((captured, sequence));
        match (kept, sequence) {
            (Some(kept), Some(sequence)) => {
                request = Request { sequence, ..kept };
                self.output.write(Record::Request(request), self.window.from_us, reader)
            }
            _ => Ok(()),
        }
    }

    fn is_of_tenants(&mut self, request: &Request, reader: &Reader) -> bool {
        is_of_tenants(self.selection, &mut self.tenants, request, reader)
    }

    fn finish(mut self, reader: &Reader) -> Result<SliceReport, ReshapeError> {
        self.open_window(self.window.from_us, reader)?;
        self.report.end = self.output.rewriter.finish_unless_empty()?;
        Ok(self.report)
    }
}

/// The first reading where tenants are given: the sessions that hold a request of theirs, by the number of their `open`.
fn sessions_of_tenants(
    input: Input<'_>,
    selection: &Selection,
    from_us: u64,
    to_us: u64,
) -> Result<HashSet<u64>, ReshapeError> {
    let mut reader = Reader::open(input)?;
    let (mut open, mut opened, mut chosen) = (HashMap::new(), 0_u64, HashSet::new());
    let mut tenants = HashMap::new();
    while let Some((_, record)) = reader.next_record()? {
        match record {
            Record::Open(record) => {
                open.insert(record.session, opened);
                opened += 1;
            }
            Record::Request(request)
                if (from_us..to_us).contains(&request.t_us)
                    && is_of_tenants(selection, &mut tenants, &request, &reader) =>
            {
                chosen.extend(open.get(&request.session));
            }
            _ => {}
        }
    }
    Ok(chosen)
}

fn is_of_tenants(selection: &Selection, tenants: &mut HashMap<u32, bool>, request: &Request, reader: &Reader) -> bool {
    let Some(id) = request.tenant else { return selection.tenants.is_empty() };
    *tenants.entry(id).or_insert_with(|| {
        let name = reader.tenant(id).map_or("", |tenant| tenant.name.as_str());
        selection.tenants.is_empty() || selection.tenants.iter().any(|pattern| pattern.matches(name))
    })
}

fn selects_session(selection: &Selection, open: &Open) -> bool {
    let is_database = |pattern: &Pattern| pattern.matches(&open.database);
    (selection.databases.is_empty() || selection.databases.iter().any(is_database))
        && (selection.sessions.is_empty() || selection.sessions.contains(&open.session))
        && selection.sample.is_none_or(|(share, seed)| is_sampled(open.session, share, seed))
}

/// The same choice for the same session and seed, on every machine; a larger share keeps all sessions of a smaller one.
fn is_sampled(session: u32, share: f64, seed: u64) -> bool {
    // The finalizer of splitmix64.
    let mut mixed =
        u64::from(session).wrapping_add(seed.wrapping_mul(0xd134_2543_de82_ef95)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> 11) as f64) < share * (1_u64 << 53) as f64
}

fn asked(primary: &str, hint: &str) -> ReshapeError {
    ReshapeError::Asked { primary: primary.to_owned(), hint: hint.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
