//! What became of acknowledged writes.
//!
//! Takes ledger entries in order, gives the counts. A write that is only indeterminate may be there or not; one that
//! was acknowledged must be. Where a database was not read back to its end nothing can be said about what is missing
//! there. Must not know who wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Writes;
use crate::facts::{LedgerEntry, WriteOutcome};

/// The ledger so far, by database.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    databases: BTreeMap<String, Database>,
}

#[derive(Clone, Debug, Default)]
struct Database {
    acknowledged: Vec<u64>,
    indeterminate: Vec<u64>,
    found: Found,
    read_back: bool,
}

#[derive(Clone, Debug, Default)]
struct Found {
    /// Inclusive ranges of ids.
    ranges: Vec<(u64, u64)>,
    duplicated: BTreeSet<u64>,
    /// Copies beyond the first.
    duplicates: u64,
}

impl Ledger {
    /// Takes the next entry.
    pub fn push(&mut self, entry: &LedgerEntry) {
        match entry {
            LedgerEntry::Written { database, id, outcome } => {
                let database = self.database(database);
                match outcome {
                    WriteOutcome::Acknowledged => database.acknowledged.push(*id),
                    WriteOutcome::Indeterminate => database.indeterminate.push(*id),
                    WriteOutcome::Failed => (),
                }
            }
            // Reading back may be tried again: the last time counts.
            LedgerEntry::ReadBack { database } => {
                let database = self.database(database);
                database.found = Found::default();
                database.read_back = false;
            }
            LedgerEntry::Found { database, first, last } => {
                self.database(database).found.ranges.push((*first, *last));
            }
            LedgerEntry::Duplicate { database, id, copies } => {
                let found = &mut self.database(database).found;
                found.duplicates += copies.saturating_sub(1);
                found.duplicated.insert(*id);
            }
            LedgerEntry::ReadBackEnded { database } => self.database(database).read_back = true,
        }
    }

    fn database(&mut self, name: &str) -> &mut Database {
        if !self.databases.contains_key(name) {
            self.databases.insert(name.to_owned(), Database::default());
        }
        self.databases.get_mut(name).expect("it was just put there")
    }

    /// The counts over all databases. A loss or surplus that was seen is a fact even when not all was read back.
    pub fn findings(&self, replay_acknowledged: u64) -> Writes {
        if self.databases.is_empty() {
            return Writes { replay_acknowledged, ..Writes::default() };
        }
        let read_back = self.databases.values().all(|database| database.read_back);
        let counts: Vec<Counts> =
            self.databases.values().filter(|database| database.read_back).map(Database::counts).collect();
        let sum = |count: fn(&Counts) -> u64| {
            let sum = counts.iter().map(count).sum();
            (read_back || sum > 0).then_some(sum)
        };
        let written = |ids: fn(&Database) -> &Vec<u64>| self.databases.values().map(|d| ids(d).len() as u64).sum();
        Writes {
            read_back,
            acknowledged: Some(written(|database| &database.acknowledged)),
            lost: sum(|counts| counts.lost),
            recovered: sum(|counts| counts.recovered),
            unexpected: sum(|counts| counts.unexpected),
            duplicates: sum(|counts| counts.duplicates),
            indeterminate: Some(written(|database| &database.indeterminate)),
            replay_acknowledged,
        }
    }
}

struct Counts {
    lost: u64,
    recovered: u64,
    unexpected: u64,
    duplicates: u64,
}

impl Database {
    fn counts(&self) -> Counts {
        let found = self.found.union();
        let is_found = |id: &u64| {
            let at = found.partition_point(|&(first, _)| first <= *id);
            at > 0 && *id <= found[at - 1].1
        };
        let distinct = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
        let acknowledged = distinct(&self.acknowledged);
        let indeterminate = &distinct(&self.indeterminate) - &acknowledged;
        let held = acknowledged.iter().filter(|id| is_found(id)).count() as u64;
        let recovered = indeterminate.iter().filter(|id| is_found(id)).count() as u64;
        let found_ids: u64 = found.iter().map(|(first, last)| last - first + 1).sum();
        Counts {
            lost: acknowledged.len() as u64 - held,
            recovered,
            unexpected: found_ids - held - recovered,
            duplicates: self.found.duplicates,
        }
    }
}

impl Found {
    /// Every id that was found, as ranges in order that do not overlap.
    fn union(&self) -> Vec<(u64, u64)> {
        let mut ranges = self.ranges.clone();
        ranges.extend(self.duplicated.iter().map(|&id| (id, id)));
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut union: Vec<(u64, u64)> = Vec::new();
        for (first, last) in ranges {
            match union.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => union.push((first, last)),
            }
        }
        union
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: u64, outcome: WriteOutcome) -> LedgerEntry {
        LedgerEntry::Written { database: "app".into(), id, outcome }
    }

    fn found(first: u64, last: u64) -> LedgerEntry {
        LedgerEntry::Found { database: "app".into(), first, last }
    }

    fn read_back(entries: Vec<LedgerEntry>, ended: bool) -> Writes {
        let mut ledger = Ledger::default();
        for id in 1..=10 {
            ledger.push(&written(id, WriteOutcome::Acknowledged));
        }
        ledger.push(&written(11, WriteOutcome::Indeterminate));
        ledger.push(&written(12, WriteOutcome::Indeterminate));
        ledger.push(&written(13, WriteOutcome::Failed));
        ledger.push(&LedgerEntry::ReadBack { database: "app".into() });
        entries.iter().for_each(|entry| ledger.push(entry));
        if ended {
            ledger.push(&LedgerEntry::ReadBackEnded { database: "app".into() });
        }
        ledger.findings(0)
    }

    #[test]
    fn every_acknowledged_write_must_be_found() {
        let writes = read_back(vec![found(1, 11)], true);
        assert_eq!((writes.acknowledged, writes.lost, writes.recovered), (Some(10), Some(0), Some(1)));
        assert_eq!((writes.unexpected, writes.duplicates, writes.indeterminate), (Some(0), Some(0), Some(2)));
    }

    #[test]
    fn a_write_that_is_missing_is_lost_and_one_that_failed_should_not_be_there() {
        let duplicate = LedgerEntry::Duplicate { database: "app".into(), id: 4, copies: 3 };
        let writes = read_back(vec![found(1, 3), duplicate, found(6, 10), found(13, 13)], true);
        assert_eq!((writes.lost, writes.unexpected, writes.duplicates), (Some(1), Some(1), Some(2)));
    }

    #[test]
    fn what_was_never_read_back_is_unknown() {
        let writes = read_back(vec![found(1, 5)], false);
        assert_eq!((writes.read_back, writes.acknowledged), (false, Some(10)));
        assert_eq!((writes.lost, writes.recovered, writes.duplicates), (None, None, None));
    }

    #[test]
    fn a_second_reading_takes_the_place_of_the_first() {
        let again = LedgerEntry::ReadBack { database: "app".into() };
        assert_eq!(read_back(vec![found(1, 5), again, found(1, 10)], true).lost, Some(0));
    }

    #[test]
    fn without_a_ledger_there_are_no_counts() {
        assert_eq!(Ledger::default().findings(7).acknowledged, None);
    }
}
