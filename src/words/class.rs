//! What a statement is, and what part a request plays when reads and writes are judged.
//!
//! Gives the closed lists of classes with their written names. Must not know how a text is classified.

use serde::{Deserialize, Serialize};

/// The class of one statement text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatementClass {
    /// Reads rows and takes no row lock: SELECT, VALUES, TABLE, SHOW, EXPLAIN without ANALYZE of a write, FETCH.
    Read,
    /// Writes rows or locks them, which a read-only server refuses: INSERT, UPDATE, DELETE, MERGE, SELECT FOR UPDATE, a
    /// CTE, COPY or cursor whose query writes, LOCK; CALL and DO, which may.
    Write,
    /// CREATE, ALTER, DROP, TRUNCATE, GRANT, VACUUM, ANALYZE, REINDEX, ...
    Ddl,
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT, PREPARE TRANSACTION, ...
    Transaction,
    /// SET, RESET, DISCARD, PREPARE, DEALLOCATE, LISTEN, NOTIFY, DECLARE, CLOSE, ...
    Session,
    /// COPY in either direction, but for one whose query writes.
    Copy,
    /// What is none of these, an empty text included.
    Other,
}

impl StatementClass {
    /// Every class, in the order in which people are shown them.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Write, Self::Ddl, Self::Transaction, Self::Session, Self::Copy, Self::Other];

    /// The written name, as in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Ddl => "ddl",
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Copy => "copy",
            Self::Other => "other",
        }
    }
}

/// The part that a sample plays when reads and writes are judged; the sample column `class`.
///
/// A write succeeds when it is durable: an autocommitted write, or the COMMIT of a transaction that holds a write. A
/// write inside a transaction can only show a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleClass {
    /// A reading statement, inside a transaction or outside.
    Read,
    /// An autocommitted write (DDL and COPY FROM included).
    Write,
    /// A writing statement inside a transaction: moves an edge only when it fails.
    WriteInTransaction,
    /// The COMMIT of a transaction that holds a write; good only with the command tag COMMIT.
    Commit,
    /// BEGIN, ROLLBACK, SAVEPOINT and the COMMIT of a transaction that only read: in neither class.
    Transaction,
    /// SET and its like: in neither class.
    Session,
    /// In neither class.
    Other,
    /// A try to connect up to ReadyForQuery: its failure is a bad attempt of both classes.
    Connect,
}

impl SampleClass {
    /// Every class; the index is stable within format version 1 of the samples.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::WriteInTransaction,
        Self::Commit,
        Self::Transaction,
        Self::Session,
        Self::Other,
        Self::Connect,
    ];

    /// The written name, as in the samples.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::WriteInTransaction => "write_in_transaction",
            Self::Commit => "commit",
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Other => "other",
            Self::Connect => "connect",
        }
    }

    /// The class with this written name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}
