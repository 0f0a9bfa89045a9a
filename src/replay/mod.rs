//! Floor 5: the replay: the captured sessions, each on a connection of its own, at their captured times.
//!
//! [`Spool`] is the workload made ready on disk; [`pace`] says when a request is due, [`Engine`] sends
//! it.

mod copies;
pub mod descriptors;
mod engine;
pub mod pace;
mod rounds;
mod spool;
mod unique;

pub use copies::{Copies, Owner};
pub use engine::{Engine, EngineError, EngineReport, Settings};
pub use rounds::Rounds;
pub use spool::{
    Body, Captured, CopyPart, DatabaseNames, Execution, Message, MessageSequence, RequestFacts, Session,
    SessionRequests,
};
pub use spool::{STATEMENTS_MAX, Spool, SpoolError, SpoolRequest, Totals, TransactionPart};
pub use unique::UniqueColumns;
