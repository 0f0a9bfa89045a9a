//! Floor 2: rules that say whose a statement is, and how a session's statements share its answer.

mod attribution;
mod rule;
mod search_path;

pub use attribution::{Attribution, Statement};
pub use rule::{Rule, RuleError, Rules};
