//! Events of a workload as people read them, or as programs do: one after another, in bounded memory.
//!
//! Takes records in the order of the file and gives the lines of those that are asked for. Values (parameters, rows that
//! RETURNING gave, COPY data) are shown only where they are asked for; a statement's text is always shown, with the literals
//! that stand in it. Must not know where the lines go.

mod filter;
mod json;
mod one_line;
mod text;

use std::collections::HashMap;

use jiff::Timestamp;

pub use filter::Filter;

use super::reader::Reader;
use super::record::Record;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One line for each event, and one for each message where the exact messages are known.
    Text,
    /// One JSON object for each event, with references resolved.
    Json,
}

/// Writes events. Memory is bounded by the open sessions.
pub struct Listing {
    form: Form,
    shows_values: bool,
    filter: Filter,
    /// The moment of `t_us` 0, microseconds since 1970.
    started_us: i64,
    sessions: HashMap<u32, Session>,
}

/// What is shown of a session beside each of its events.
struct Session {
    database: String,
    user: String,
    is_selected: bool,
    /// The request whose COPY data is selected.
    selected_sequence: Option<u64>,
}

/// What every event is shown with.
struct Scene<'a> {
    time: String,
    t_us: u64,
    session: u32,
    database: &'a str,
    user: &'a str,
    shows_values: bool,
    reader: &'a Reader,
}

impl Listing {
    /// A listing of a workload that began at `started_us`.
    pub fn new(form: Form, shows_values: bool, filter: Filter, started_us: i64) -> Self {
        Self { form, shows_values, filter, started_us, sessions: HashMap::new() }
    }

    /// The lines of the record that `reader` gave last, each ended by a line break; none where it is not asked for.
    pub fn take(&mut self, record: &Record, reader: &Reader) -> Option<String> {
        let (t_us, number) = record.place()?;
        if let Record::Open(open) = record {
            let is_selected = self.filter.selects_session(open);
            let (database, user) = (open.database.clone(), open.user.clone());
            self.sessions.insert(number, Session { database, user, is_selected, selected_sequence: None });
        }
        let session = self.sessions.get_mut(&number)?;
        let is_selected = session.is_selected && self.filter.selects_moment(t_us);
        let is_shown = is_selected
            && match record {
                Record::Request(request) => {
                    let is_shown = self.filter.selects_request(request, reader);
                    session.selected_sequence = is_shown.then_some(request.sequence);
                    is_shown
                }
                Record::Copy(copy) => session.selected_sequence == Some(copy.sequence),
                _ => self.filter.selects_session_events(),
            };
        let lines = is_shown.then(|| {
            let at = self.started_us.saturating_add_unsigned(t_us);
            let scene = Scene {
                time: format!("{:.6}", Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)),
                t_us,
                session: number,
                database: &session.database,
                user: &session.user,
                shows_values: self.shows_values,
                reader,
            };
            match self.form {
                Form::Text => text::lines(record, &scene),
                Form::Json => json::line(record, &scene),
            }
        });
        if matches!(record, Record::Close(_)) {
            self.sessions.remove(&number);
        }
        lines.filter(|lines| !lines.is_empty())
    }

    /// Whether nothing more can follow, so that the rest need not be read.
    pub fn is_past(&self, record: &Record) -> bool {
        record.place().is_some_and(|(t_us, _)| self.filter.is_past(t_us))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
