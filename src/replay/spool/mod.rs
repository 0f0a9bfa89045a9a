//! The workload as the replay reads it: one file on disk in which every session has a chain of blocks of its own.
//!
//! One streaming pass makes it; then each session reads its own chain with a block in memory, so that a session that
//! stands still delays no other, and neither a long workload nor a long outage costs memory. It depends on the workload
//! alone: pace and staging's names are applied when it is read.

mod bytes;
mod cache;
mod chain;
mod deeds;
mod distinct;
mod due;
mod entries;
mod held;
mod id_marks;
mod id_names;
mod id_value;
mod index;
mod known_ids;
mod lists;
mod messages;
mod order;
mod pass;
mod patching;
mod request;
mod returned_ids;
mod rows;
mod sending;
mod sent_values;
mod session_requests;
mod store;
mod texts;
mod times;
mod transaction;
mod waits;
mod writing;

pub use id_marks::{Fill, IdMarks};
pub use id_value::IdValue;
pub use index::{STATEMENTS_MAX, Session, Totals};
pub use known_ids::RETURNED_MAX as IDS_MAX;
pub use messages::{Message, MessageSequence};
pub use order::Wait;
pub use patching::patched;
pub use request::{Body, Captured, Execution, RequestFacts, SpoolRequest, TransactionPart};
pub use session_requests::{CopyPart, RequestPlace, SessionRequests};
pub use store::{DatabaseNames, Spool, SpoolError};
pub use waits::SessionWaits;
pub use writing::READ_ONLY_SETTINGS;
