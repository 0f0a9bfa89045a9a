//! Ids that the server generated in the capture, and where clients sent them afterwards.
//!
//! Takes the requests of all sessions in the order of their sending, with what the capture knows of their rows; says of each
//! which ids it returns and which it sends. A value is an id that was returned before if a column of its name can have it; where
//! that is not sure it is only counted. Bounded: the last ids are remembered. Must not know files.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::held::total_us_of;
use super::id_marks::{FILLS_MAX, Fill, IdMarks, PATCHES_MAX, Patch};
use super::id_names::{is_id_like, refers_to};
use super::id_value::IdValue;
use super::order::Wait;
use super::returned_ids::{Origin, Returning};
use super::sent_values::{SentValue, each_sent_value};
use super::texts::Texts;
use crate::sql::NamedValue;
use crate::workload::record::Request;

/// Ids that are remembered.
pub const RETURNED_MAX: usize = 65_536;

/// Of one value the ids that have it: those of several tables, and of those that return one again.
const SAME_VALUE_MAX: usize = 8;

/// Tables that are known to have returned ids.
const TABLES_MAX: usize = 4_096;

/// Columns of which it is remembered whether they refer to one of those.
const COLUMNS_MAX: usize = 4_096;

/// A request of a session, as it was captured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captured<'a> {
    pub request: &'a Request,
    /// The session's number among all of the workload.
    pub number: u32,
    pub event: u64,
    pub database: Database,
}

/// A database by the hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Database(u64);

impl Database {
    pub fn named(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// What a request has to do with ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IdsOfRequest {
    pub marks: IdMarks,
    /// Requests of other sessions that return the ids that this one sends.
    pub waits: Vec<Wait>,
}

/// The ids that were returned last.
#[derive(Debug, Default)]
pub(super) struct KnownIds {
    next_slot: u64,
    known: FxHashMap<Key, Vec<Known>>,
    /// The keys by their age.
    ring: VecDeque<Key>,
    tables: HashSet<Arc<str>>,
    /// Columns of which it was asked whether they refer to one of the tables.
    columns: RefCell<FxHashMap<Box<str>, bool>>,
}

/// A value in a database.
type Key = (Database, IdValue);

#[derive(Clone, Debug)]
struct Known {
    slot: u64,
    number: u32,
    event: u64,
    /// The workload's number of whose it is.
    tenant: Option<u32>,
    done_us: u64,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Found {
    Nothing,
    Unsure,
    Id(Known),
}

impl KnownIds {
    /// Takes the next request of the workload. Before the first id was returned nothing is looked at.
    pub fn take(&mut self, captured: Captured<'_>, texts: &Texts) -> IdsOfRequest {
        let mut ids = IdsOfRequest::default();
        let returns = captured.request.results.iter().any(|result| !result.returned.is_empty());
        if self.known.is_empty() && !returns {
            return ids;
        }
        let mut supplied = HashSet::new();
        each_sent_value(&captured.request.sent, texts, &mut |sent| {
            if returns {
                supplied.insert(sent.value);
            }
            self.send(captured, &sent, &mut ids);
        });
        if returns {
            let returning = Returning::of(captured.request, texts);
            returning.each(&mut |statement, row, column, parameter, origin| {
                let Some((value, is_binary)) = parameter else { return };
                // What its client gave it is no news.
                if !supplied.contains(&value) && ids.marks.fills.len() < FILLS_MAX {
                    let slot = self.learn(captured, value, origin);
                    ids.marks.fills.push(Fill { statement, row, column, is_binary, slot });
                }
            });
        }
        ids
    }

    /// A client sends a value.
    fn send(&mut self, captured: Captured<'_>, sent: &SentValue<'_>, ids: &mut IdsOfRequest) {
        let key = (captured.database, sent.value);
        let Some(same) = self.known.get(&key) else { return };
        let named = sent.named();
        match self.find(same, captured, sent.value, named) {
            Found::Nothing => {}
            Found::Id(known) if ids.marks.patches.len() < PATCHES_MAX => {
                let Known { slot, number, event, .. } = known;
                ids.marks.patches.push(Patch { message: sent.message, target: sent.target, slot });
                if number != captured.number {
                    ids.waits.push(Wait { number, event });
                }
                self.learn_column(&key, slot, named);
            }
            Found::Unsure | Found::Id(_) => ids.marks.unsure += 1,
        }
    }

    fn find(&self, same: &[Known], captured: Captured<'_>, value: IdValue, named: Option<&NamedValue>) -> Found {
        let Captured { request, number, .. } = captured;
        let may_know = |known: &&Known| known.number == number || known.done_us <= request.t_us;
        let mut known = same.iter().filter(may_know).peekable();
        if known.peek().is_none() {
            return Found::Nothing;
        }
        let newest = |known: &&Known| (known.number == number, known.slot);
        // Nobody makes up a uuid that is there already.
        if matches!(value, IdValue::Uuid(_)) {
            return known.max_by_key(newest).cloned().map_or(Found::Nothing, Found::Id);
        }
        let Some(named) = named else { return Found::Nothing };
        let Some(column) = &named.column else { return Found::Unsure };
        let mut ranked: Vec<_> = known.filter_map(|known| Some((rank(known, named, column, number)?, known))).collect();
        let has_named = !ranked.is_empty();
        // Tables of one name may stand in a schema for each tenant.
        let is_anothers =
            |tenant: Option<u32>| request.tenant.is_some() && tenant.is_some() && request.tenant != tenant;
        ranked.retain(|(_, known)| !is_anothers(known.tenant));
        let Some(best) = ranked.iter().map(|(rank, _)| *rank).min() else {
            return if !has_named && self.is_of_another(named, column) { Found::Nothing } else { Found::Unsure };
        };
        let ids = ranked.iter().filter(|(rank, _)| *rank == best).map(|(_, known)| *known);
        let first = ids.clone().next();
        // Of two tables nobody knows which.
        if ids.clone().any(|known| first.is_some_and(|first| first.origin != known.origin)) {
            return Found::Unsure;
        }
        ids.max_by_key(newest).cloned().map_or(Found::Nothing, Found::Id)
    }

    /// Whether the column is surely not that of an id which was returned: it is no id, or another table's.
    fn is_of_another(&self, named: &NamedValue, column: &str) -> bool {
        !is_id_like(column) || (column == "id" && !named.tables.is_empty()) || self.refers_to_any(column)
    }

    fn refers_to_any(&self, column: &str) -> bool {
        let mut columns = self.columns.borrow_mut();
        if let Some(refers) = columns.get(column) {
            return *refers;
        }
        if columns.len() == COLUMNS_MAX {
            columns.clear();
        }
        let refers = self.tables.iter().any(|table| refers_to(column, table, "id") == Some(1));
        columns.insert(column.into(), refers);
        refers
    }

    /// An id was returned; gives its slot.
    fn learn(&mut self, captured: Captured<'_>, value: IdValue, origin: &Origin) -> u64 {
        let Captured { request, number, event, database } = captured;
        let done_us = request.t_us.saturating_add(total_us_of(request));
        let key = (database, value);
        if self.ring.len() == RETURNED_MAX {
            self.forget_oldest();
        }
        if let Origin::Column { table: Some(table), .. } = origin
            && self.tables.len() < TABLES_MAX
            && self.tables.insert(Arc::clone(table))
        {
            self.columns.get_mut().clear();
        }
        let slot = self.next_slot;
        self.next_slot += 1;
        let same = self.known.entry(key).or_default();
        if same.len() < SAME_VALUE_MAX {
            self.ring.push_back(key);
        } else {
            same.remove(0);
        }
        let tenant = request.tenant;
        same.push(Known { slot, number, event, tenant, done_us, origin: origin.clone() });
        slot
    }

    fn forget_oldest(&mut self) {
        let Some(key) = self.ring.pop_front() else { return };
        if let Some(same) = self.known.get_mut(&key) {
            same.remove(0);
            if same.is_empty() {
                self.known.remove(&key);
            }
        }
    }

    /// An id of a sequence that serves any table was sent for a column: now it is known whose it is.
    fn learn_column(&mut self, key: &Key, slot: u64, named: Option<&NamedValue>) {
        let Some(NamedValue { column: Some(column), tables, .. }) = named else { return };
        let [table] = &tables[..] else { return };
        let known = self.known.get_mut(key).into_iter().flatten().find(|known| known.slot == slot);
        if let Some(known) = known.filter(|known| matches!(known.origin, Origin::Sequence(_))) {
            let (table, column) = (Some(table.as_str().into()), column.as_str().into());
            known.origin = Origin::Column { table, column };
        }
    }
}

/// How well an id fits a column: the less the better, none where it does not.
fn rank(known: &Known, named: &NamedValue, column: &str, number: u32) -> Option<u8> {
    match &known.origin {
        Origin::Column { table: Some(table), column: id } => {
            let is_itself = **id == *column && named.tables.iter().any(|named| **named == **table);
            if is_itself { Some(0) } else { refers_to(column, table, id) }
        }
        Origin::Column { table: None, column: id } => (known.number == number && **id == *column).then_some(3),
        Origin::Sequence(Some(name)) => {
            let is_own = named.tables.iter().any(|table| **name == format!("{table}_{column}"));
            let refers = || refers_to(column, name.strip_suffix("_id")?, "id");
            let serves_any = || (known.number == number && is_id_like(column)).then_some(4);
            if is_own { Some(0) } else { refers().or_else(serves_any) }
        }
        Origin::Sequence(None) => (known.number == number && is_id_like(column)).then_some(4),
    }
}

#[cfg(test)]
mod tests;
