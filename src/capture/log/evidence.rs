//! What the sessions of one user in one database tell only together, and for sure only when the whole log is read.
//!
//! Whether a parameter value that ends in `...` was cut: `log_parameter_max_length` cuts every longer value to one length, less up to three bytes so that no character is
//! parted, and puts `...` behind it; applications write such values too. It is set for a server, a database or a user: so
//! where one value of a user in a database is longer, a shorter one was not cut. And what a duration without a statement is
//! of: where `log_statement = all` logs every statement when it begins, it can only be of a Parse or a Bind. Must not know
//! entries.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::super::event::PossibleCut;
use super::entry::Position;
use super::tally::{Aside, Reason, Tally};
use crate::sql::{classify, tokens};
use crate::words::class::StatementClass;

/// Bytes that the server may take away to keep the last character whole.
const CLIPPED_BYTES_MAX: u64 = 3;

/// Longer texts tell nothing of `log_statement`: short ones come soon.
const TOLD_BYTES_MAX: usize = 4 << 10;

/// What is known of one user in one database.
#[derive(Debug)]
pub struct Evidence {
    index: u32,
    /// The longest value: what stands before `...`, or all of it.
    longest_bytes: Cell<u64>,
    /// A statement was logged when it began that only `log_statement = all` logs.
    logs_all: Cell<bool>,
    /// Durations that no statement claimed, and the first of them.
    unclaimed: Cell<(u64, Position)>,
}

impl Evidence {
    /// Takes note of a value's length.
    pub fn note(&self, bytes: usize) {
        self.longest_bytes.set(self.longest_bytes.get().max(bytes as u64));
    }

    /// Takes note of a text that was logged when it began.
    pub fn note_beginning(&self, sql: &[u8]) {
        if !self.logs_all.get() && is_logged_by_all_alone(sql) {
            self.logs_all.set(true);
        }
    }

    /// Takes note of durations that no statement claimed, the first of them here.
    pub fn note_unclaimed(&self, count: u64, first: Position) {
        let (before, earlier) = self.unclaimed.get();
        self.unclaimed.set((before + count, if before == 0 { first } else { earlier.min(first) }));
    }

    /// A value that ends in `...` behind this many bytes; none if it is known already that it was not cut.
    pub fn possible_cut(&self, kept_bytes: usize) -> Option<PossibleCut> {
        let cut = PossibleCut { evidence: self.index, kept_bytes: kept_bytes as u64 };
        may_be_cut(cut, self.longest_bytes.get()).then_some(cut)
    }
}

/// The evidence of all users and databases.
#[derive(Debug, Default)]
pub struct AllEvidence {
    by_owner: HashMap<(Vec<u8>, Vec<u8>), Rc<Evidence>>,
}

impl AllEvidence {
    /// The evidence of a user in a database.
    pub fn of(&mut self, user: &[u8], database: &[u8]) -> Rc<Evidence> {
        let index = self.by_owner.len() as u32;
        let new = || {
            let unclaimed = Cell::new((0, (0, 0)));
            Rc::new(Evidence { index, longest_bytes: Cell::new(0), logs_all: Cell::new(false), unclaimed })
        };
        Rc::clone(self.by_owner.entry((user.to_vec(), database.to_vec())).or_insert_with(new))
    }

    /// The longest lengths by index, when the whole log is read; counts what durations without statements were of.
    pub fn finish(self, tally: &mut Tally) -> Longest {
        let mut by_index = vec![0; self.by_owner.len()];
        for evidence in self.by_owner.into_values() {
            by_index[evidence.index as usize] = evidence.longest_bytes.get();
            let (unclaimed, first) = evidence.unclaimed.get();
            match evidence.logs_all.get() {
                true => tally.set_many_aside(Aside::ParseAndBind, unclaimed),
                false => tally.skip_many(Reason::DurationWithoutStatement, unclaimed, first),
            }
        }
        Longest { by_index }
    }
}

/// The longest values of the whole log.
#[derive(Debug, Default)]
pub struct Longest {
    by_index: Vec<u64>,
}

impl Longest {
    /// Whether the value may be longer than the log shows.
    pub fn may_be_cut(&self, cut: PossibleCut) -> bool {
        self.by_index.get(cut.evidence as usize).is_none_or(|longest_bytes| may_be_cut(cut, *longest_bytes))
    }
}

/// Whether `log_statement = ddl` and `mod` log no such text.
fn is_logged_by_all_alone(sql: &[u8]) -> bool {
    let Some(Ok(text)) = (sql.len() <= TOLD_BYTES_MAX).then(|| str::from_utf8(sql)) else { return false };
    // What these are logged for is the statement in them.
    let holds_another =
        |word: &str| ["prepare", "execute", "explain"].iter().any(|verb| word.eq_ignore_ascii_case(verb));
    matches!(classify(text), StatementClass::Read | StatementClass::Transaction)
        && tokens(text).without_comments().next().is_some_and(|first| !holds_another(first.text))
}

fn may_be_cut(cut: PossibleCut, longest_bytes: u64) -> bool {
    longest_bytes <= cut.kept_bytes + CLIPPED_BYTES_MAX
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_value_of_the_same_owner_proves_a_shorter_one_whole() {
        let mut all = AllEvidence::default();
        let (ours, theirs) = (all.of(b"app", b"shop"), all.of(b"app", b"bank"));
        ours.note(8);
        let cut = ours.possible_cut(8).unwrap();
        theirs.note(100);
        assert_eq!(all.of(b"app", b"shop").possible_cut(8), Some(cut));
        ours.note(12);
        assert_eq!(ours.possible_cut(8), None);
        // Eight bytes of what may have been a limit of eleven, with a character of four bytes at the end.
        let near = theirs.possible_cut(97).unwrap();
        drop((ours, theirs));
        let longest = all.finish(&mut Tally::default());
        assert!(!longest.may_be_cut(cut));
        assert!(longest.may_be_cut(near));
    }

    #[test]
    fn only_log_statement_all_logs_reads_and_the_ends_of_transactions() {
        for text in ["select 1", "BEGIN", "/* x */ commit;", "show all", "select f($1)"] {
            assert!(is_logged_by_all_alone(text.as_bytes()), "{text}");
        }
        for text in ["insert into t values (1)", "begin; delete from t", "create table t ()", "copy t from stdin", ""]
            .into_iter()
            .chain(["prepare p as select 1", "execute p", "explain select 1", "with d as (delete from t) select 1"])
        {
            assert!(!is_logged_by_all_alone(text.as_bytes()), "{text}");
        }
    }
}
