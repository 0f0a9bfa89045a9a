//! Follows a session's transaction blocks through the capture, and says what part each request plays.
//!
//! Takes what the statements of a request do and whether the capture saw them fail; gives the request's class and where
//! it stands to the transaction blocks. Must not know texts or times.

use super::request::TransactionPart;
use crate::sql::TransactionControl;
use crate::words::class::SampleClass;
use crate::workload::record::TransactionState;

/// What one statement does, as far as transactions and classes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Control(TransactionControl),
    /// Writes rows or changes the schema; COPY FROM is one.
    Write,
    Read,
    Session,
    Other,
}

/// The block that a session is in, as the capture left it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Transactions {
    open: bool,
    /// An error came; until the end (or a savepoint) every statement fails and COMMIT rolls back.
    aborted: bool,
    holds_write: bool,
}

/// What a request was seen to hold.
#[derive(Debug, Default)]
struct Seen {
    /// A write that is durable once the request is answered.
    durable_write: bool,
    /// A write outside of any block: durable at the end of the request, unless a block takes it in.
    implicit_write: bool,
    /// A write inside a block.
    block_write: bool,
    commits: bool,
    read: bool,
    session: bool,
    control: bool,
}

impl Transactions {
    /// Takes the statements of the session's next request and whether the capture saw one of them fail.
    pub fn follow(&mut self, deeds: &[Deed], failed: bool) -> (SampleClass, TransactionPart) {
        let before = *self;
        let mut seen = Seen::default();
        for deed in deeds {
            self.follow_deed(deed, &mut seen);
        }
        // The class is what the request set out to do; only the state depends on how it ended.
        let class = class_of(&seen, self.open, before.open);
        if failed {
            *self = before.after_failure(deeds);
        }
        let part = TransactionPart { inside: before.open, stays_open: self.open, commits: seen.commits && !failed };
        (class, part)
    }

    /// Takes what the capture saw of the state after the last request, which goes before what its texts say.
    pub fn settle(&mut self, seen: TransactionState, part: &mut TransactionPart) {
        let open = seen != TransactionState::Idle;
        *self = Self { open, aborted: seen == TransactionState::Failed, holds_write: open && self.holds_write };
        part.stays_open = open;
    }

    fn follow_deed(&mut self, deed: &Deed, seen: &mut Seen) {
        match deed {
            Deed::Control(control) => self.follow_control(control, seen),
            Deed::Write if self.open => {
                self.holds_write = true;
                seen.block_write = true;
            }
            Deed::Write => seen.implicit_write = true,
            Deed::Read => seen.read = true,
            Deed::Session => seen.session = true,
            Deed::Other => {}
        }
    }

    fn follow_control(&mut self, control: &TransactionControl, seen: &mut Seen) {
        seen.control = true;
        match *control {
            TransactionControl::Begin if !self.open => {
                // What stands before BEGIN in the same text becomes part of the block.
                let holds_write = std::mem::take(&mut seen.implicit_write);
                *self = Self { open: true, aborted: false, holds_write };
            }
            TransactionControl::Commit { chain } => {
                if self.open && !self.aborted {
                    seen.commits = true;
                    seen.durable_write |= self.holds_write;
                }
                *self = Self { open: self.open && chain, ..Self::default() };
            }
            TransactionControl::Rollback { chain } => {
                seen.implicit_write = false;
                *self = Self { open: self.open && chain, ..Self::default() };
            }
            TransactionControl::PrepareTransaction => *self = Self::default(),
            TransactionControl::RollbackTo { .. } => self.aborted = false,
            TransactionControl::CommitPrepared => seen.implicit_write = true,
            TransactionControl::Begin
            | TransactionControl::Savepoint { .. }
            | TransactionControl::Release { .. }
            | TransactionControl::RollbackPrepared => {}
        }
    }

    /// The state after a request that failed, from the state before it. Which statement failed is not known; a block
    /// that was open, or that the text opened, stands aborted, except after COMMIT alone, which ends it either way.
    fn after_failure(self, deeds: &[Deed]) -> Self {
        let ends = |deed: &Deed| {
            use TransactionControl::{Commit, PrepareTransaction, Rollback};
            matches!(deed, Deed::Control(Commit { .. } | Rollback { .. } | PrepareTransaction))
        };
        match deeds {
            [only] if ends(only) => Self::default(),
            _ if self.open || deeds.contains(&Deed::Control(TransactionControl::Begin)) => {
                Self { open: true, aborted: true, ..self }
            }
            _ => self,
        }
    }
}

fn class_of(seen: &Seen, open_after: bool, open_before: bool) -> SampleClass {
    if seen.durable_write && open_before {
        SampleClass::Commit
    } else if seen.durable_write || (seen.implicit_write && !open_after) {
        SampleClass::Write
    } else if seen.block_write || seen.implicit_write {
        SampleClass::WriteInTransaction
    } else if seen.read {
        SampleClass::Read
    } else if seen.session {
        SampleClass::Session
    } else if seen.control {
        SampleClass::Transaction
    } else {
        SampleClass::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Deed::{Control, Read, Session, Write};
    use SampleClass as Class;
    use TransactionControl as Tx;

    const BEGIN: Deed = Control(Tx::Begin);
    const COMMIT: Deed = Control(Tx::Commit { chain: false });
    const ROLLBACK: Deed = Control(Tx::Rollback { chain: false });

    /// The classes of successful requests of one statement each.
    fn classes(deeds: &[Deed]) -> Vec<Class> {
        let mut transactions = Transactions::default();
        deeds.iter().map(|deed| transactions.follow(std::slice::from_ref(deed), false).0).collect()
    }

    #[test]
    fn outside_of_a_block_each_statement_stands_for_itself() {
        assert_eq!(
            classes(&[Write, Read, Session, Deed::Other]),
            [Class::Write, Class::Read, Class::Session, Class::Other]
        );
    }

    #[test]
    fn the_commit_of_a_block_that_wrote_is_the_write() {
        assert_eq!(
            classes(&[BEGIN, Read, Write, COMMIT, COMMIT]),
            [Class::Transaction, Class::Read, Class::WriteInTransaction, Class::Commit, Class::Transaction]
        );
    }

    #[test]
    fn a_block_that_only_read_or_rolled_back_ends_in_neither_class() {
        assert_eq!(classes(&[BEGIN, Read, COMMIT])[2], Class::Transaction);
        assert_eq!(classes(&[BEGIN, Write, ROLLBACK])[2], Class::Transaction);
        assert_eq!(classes(&[BEGIN, Write, ROLLBACK, BEGIN, COMMIT])[4], Class::Transaction);
    }

    #[test]
    fn commit_and_chain_stays_inside() {
        let mut transactions = Transactions::default();
        transactions.follow(&[BEGIN], false);
        transactions.follow(&[Write], false);
        let (class, part) = transactions.follow(&[Control(Tx::Commit { chain: true })], false);
        assert_eq!((class, part.stays_open, part.commits), (Class::Commit, true, true));
        assert_eq!(transactions.follow(&[Write], false).0, Class::WriteInTransaction);
    }

    #[test]
    fn a_text_with_its_own_block_is_autocommitted() {
        let mut transactions = Transactions::default();
        let (class, part) = transactions.follow(&[BEGIN, Write, COMMIT], false);
        assert_eq!(class, Class::Write);
        assert_eq!(part, TransactionPart { inside: false, stays_open: false, commits: true });
        assert_eq!(transactions.follow(&[Read, Write], false).0, Class::Write);
    }

    #[test]
    fn a_text_may_leave_its_block_open_or_end_one() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.follow(&[Write, BEGIN, Read], false).0, Class::Read);
        assert_eq!(
            transactions.follow(&[Read, COMMIT], false).0,
            Class::Commit,
            "the write before BEGIN is part of it"
        );
        assert_eq!(transactions.follow(&[BEGIN, Write], false).0, Class::WriteInTransaction);
    }

    #[test]
    fn a_block_that_failed_in_the_capture_does_not_commit() {
        let mut transactions = Transactions::default();
        transactions.follow(&[BEGIN], false);
        transactions.follow(&[Write], true);
        let (class, part) = transactions.follow(&[COMMIT], false);
        assert_eq!((class, part.commits, part.stays_open), (Class::Transaction, false, false));
    }

    #[test]
    fn going_back_to_a_savepoint_makes_a_block_whole_again() {
        let mut transactions = Transactions::default();
        transactions.follow(&[BEGIN], false);
        transactions.follow(&[Write], false);
        transactions.follow(&[Control(Tx::Savepoint { name: "s".into() })], false);
        transactions.follow(&[Write], true);
        transactions.follow(&[Control(Tx::RollbackTo { name: "s".into() })], false);
        assert_eq!(transactions.follow(&[COMMIT], false).0, Class::Commit);
    }

    #[test]
    fn a_commit_that_fails_ends_its_block() {
        let mut transactions = Transactions::default();
        transactions.follow(&[BEGIN], false);
        transactions.follow(&[Write], false);
        let (class, part) = transactions.follow(&[COMMIT], true);
        assert_eq!((class, part.commits, part.stays_open), (Class::Commit, false, false));
        assert_eq!(transactions.follow(&[Write], false).0, Class::Write);
    }

    #[test]
    fn a_text_that_fails_after_its_begin_leaves_an_aborted_block() {
        let mut transactions = Transactions::default();
        assert!(transactions.follow(&[BEGIN, Write, COMMIT], true).1.stays_open);
        assert!(!transactions.follow(&[ROLLBACK], false).1.stays_open);
    }

    #[test]
    fn what_the_wire_says_of_a_block_goes_before_the_texts() {
        let mut transactions = Transactions::default();
        let (_, mut part) = transactions.follow(&[BEGIN, Write, ROLLBACK], true);
        assert!(part.stays_open);
        transactions.settle(TransactionState::Idle, &mut part);
        assert!(!part.stays_open);
        assert_eq!(transactions.follow(&[Write], false).0, Class::Write);
        transactions.settle(TransactionState::Failed, &mut part);
        assert!(part.stays_open);
        assert!(!transactions.follow(&[COMMIT], false).1.commits);
    }
}
