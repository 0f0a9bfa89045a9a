//! Floor 5: probes: a read and a write per fate group at every interval, and a fresh login a second, so that a quiet
//! tenant has an answer, too; and the ledger that proves whether an acknowledged write was lost.
//!
//! ```text
//! settings   how often, how long, and how the streams are staggered
//! lanes      how many connections a stream may have, and when it may open another (pure)
//! attempt    what became of one probe: outcome and ledger entry (pure)
//! emitter    samples and ledger entries on their way to the recorder
//! stream     one stream of probes over its warm connections
//! logins     the stream of fresh logins
//! run        the thread that all streams run on
//! ledger     the table, and reading it back
//! ```
//!
//! Probes know the endpoint and the recorder, and nothing of the replay or of the steps.

mod attempt;
mod emitter;
mod lanes;
mod ledger;
mod logins;
mod run;
mod settings;
mod stream;

pub use ledger::{LedgerError, drop_schema, read_back, set_up};
pub use logins::FRESH_LOGIN_SESSION;
pub use run::{Answers, ProbeError, Probes, start};
pub use settings::{Database, Settings, connections_max, effective_interval};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
