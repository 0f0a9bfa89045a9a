//! Whether a parameter value that ends in `...` was cut.
//!
//! `log_parameter_max_length` cuts every longer value to one length, less up to three bytes so that no character is
//! parted, and puts `...` behind it; applications write such values too. It is set for a server, a database or a user: so
//! where one value of a user in a database is longer, a shorter one was not cut. That is known for sure only when the
//! whole log is read. Must not know entries.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::super::event::PossibleCut;

/// Bytes that the server may take away to keep the last character whole.
const CLIPPED_BYTES_MAX: u64 = 3;

/// The longest value of one user in one database: what stands before `...`, or all of it.
#[derive(Debug)]
pub struct Evidence {
    index: u32,
    longest_bytes: Cell<u64>,
}

impl Evidence {
    /// Takes note of a value's length.
    pub fn note(&self, bytes: usize) {
        self.longest_bytes.set(self.longest_bytes.get().max(bytes as u64));
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
        let new = || Rc::new(Evidence { index, longest_bytes: Cell::new(0) });
        Rc::clone(self.by_owner.entry((user.to_vec(), database.to_vec())).or_insert_with(new))
    }

    /// The longest lengths by index, when the whole log is read.
    pub fn finish(self) -> Longest {
        let mut by_index = vec![0; self.by_owner.len()];
        for evidence in self.by_owner.into_values() {
            by_index[evidence.index as usize] = evidence.longest_bytes.get();
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
        let longest = all.finish();
        assert!(!longest.may_be_cut(cut));
        assert!(longest.may_be_cut(near));
    }
}
