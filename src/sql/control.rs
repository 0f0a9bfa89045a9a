//! The statements that begin, end or mark transactions.
//!
//! Takes one statement and says which of them it is. Must not know the state of the session.

use super::lex::{Token, tokens};

/// What a statement does to its session's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionControl {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`; with `chain`, another transaction begins at once.
    Commit { chain: bool },
    /// `ROLLBACK`, `ABORT`; with `chain`, another transaction begins at once.
    Rollback { chain: bool },
    /// `SAVEPOINT name`.
    Savepoint { name: String },
    /// `ROLLBACK TO name`.
    RollbackTo { name: String },
    /// `RELEASE name`.
    Release { name: String },
    /// `PREPARE TRANSACTION`: the session is outside any transaction afterwards.
    PrepareTransaction,
    /// `COMMIT PREPARED`.
    CommitPrepared,
    /// `ROLLBACK PREPARED`.
    RollbackPrepared,
}

/// What `statement` does to its transaction; none for every other statement. Of several statements, the first counts.
pub fn transaction_control(statement: &str) -> Option<TransactionControl> {
    let mut words = tokens(statement).without_comments();
    let first = words.next()?;
    match first.text.to_ascii_lowercase().as_str() {
        "begin" => Some(TransactionControl::Begin),
        "start" => words.next()?.is_word("transaction").then_some(TransactionControl::Begin),
        "commit" | "end" => {
            Some(ending(words, TransactionControl::CommitPrepared, |chain| TransactionControl::Commit { chain }))
        }
        "rollback" | "abort" => Some(rollback(words)),
        "savepoint" => words.next()?.identifier().map(|name| TransactionControl::Savepoint { name }),
        "release" => name_after_savepoint(words).map(|name| TransactionControl::Release { name }),
        "prepare" => words.next()?.is_word("transaction").then_some(TransactionControl::PrepareTransaction),
        _ => None,
    }
}

fn rollback<'a>(words: impl Iterator<Item = Token<'a>> + Clone) -> TransactionControl {
    let mut ahead = words.clone().skip_while(|token| token.is_any_word(&["work", "transaction"]));
    if ahead.next().is_some_and(|token| token.is_word("to"))
        && let Some(name) = name_after_savepoint(ahead)
    {
        return TransactionControl::RollbackTo { name };
    }
    ending(words, TransactionControl::RollbackPrepared, |chain| TransactionControl::Rollback { chain })
}

/// `[WORK | TRANSACTION] [AND [NO] CHAIN]`, or `PREPARED 'id'`.
fn ending<'a>(
    mut words: impl Iterator<Item = Token<'a>>,
    prepared: TransactionControl,
    plain: impl FnOnce(bool) -> TransactionControl,
) -> TransactionControl {
    let Some(mut token) = words.next() else { return plain(false) };
    if token.is_word("prepared") {
        return prepared;
    }
    if token.is_any_word(&["work", "transaction"]) {
        match words.next() {
            Some(next) => token = next,
            None => return plain(false),
        }
    }
    plain(token.is_word("and") && words.next().is_some_and(|next| next.is_word("chain")))
}

fn name_after_savepoint<'a>(mut words: impl Iterator<Item = Token<'a>>) -> Option<String> {
    let first = words.next()?;
    if !first.is_word("savepoint") {
        return first.identifier();
    }
    // A savepoint may itself be called "savepoint".
    words.next().and_then(|next| next.identifier()).or_else(|| first.identifier())
}

#[cfg(test)]
mod tests {
    use super::TransactionControl::*;
    use super::*;

    #[test]
    fn every_way_to_begin_and_to_end() {
        for begin in ["BEGIN", "begin work", "/* x */ Start Transaction isolation level serializable", "BEGIN;"] {
            assert_eq!(transaction_control(begin), Some(Begin), "{begin}");
        }
        for (statement, expected) in [
            ("COMMIT", Commit { chain: false }),
            ("END TRANSACTION", Commit { chain: false }),
            ("COMMIT AND CHAIN", Commit { chain: true }),
            ("COMMIT WORK AND NO CHAIN", Commit { chain: false }),
            ("COMMIT PREPARED 'a'", CommitPrepared),
            ("ROLLBACK", Rollback { chain: false }),
            ("ABORT WORK AND CHAIN", Rollback { chain: true }),
            ("ROLLBACK PREPARED 'a'", RollbackPrepared),
            ("PREPARE TRANSACTION 'a'", PrepareTransaction),
        ] {
            assert_eq!(transaction_control(statement), Some(expected), "{statement}");
        }
    }

    #[test]
    fn savepoints_have_names() {
        let name = || "sp1".to_owned();
        assert_eq!(transaction_control("SAVEPOINT sp1"), Some(Savepoint { name: name() }));
        assert_eq!(transaction_control("ROLLBACK TO SAVEPOINT \"sp1\""), Some(RollbackTo { name: name() }));
        assert_eq!(transaction_control("rollback work to SP1"), Some(RollbackTo { name: name() }));
        assert_eq!(transaction_control("RELEASE SAVEPOINT sp1"), Some(Release { name: name() }));
        assert_eq!(transaction_control("release sp1"), Some(Release { name: name() }));
    }

    #[test]
    fn nothing_else_controls_a_transaction() {
        for statement in ["", "SELECT 1", "PREPARE p AS SELECT 1", "START", "SET TRANSACTION READ ONLY", "-- BEGIN"] {
            assert_eq!(transaction_control(statement), None, "{statement}");
        }
    }
}
