//! Floor 2: rules that say whose a statement is, how a session's statements share its answer, and what the tenants are
//! called.

mod attribution;
mod census;
mod execution;
mod mapping;
mod pattern;
mod prepared;
mod rule;
mod setting;

pub use attribution::{Attribution, Observed, SessionStart};
pub use census::{Census, TenantTable};
pub use execution::{Execution, Statement, Value};
pub use mapping::{MappedTenant, Mapping, MappingError};
pub use pattern::{Pattern, PatternError};
pub use rule::{Rule, RuleError, Rules};
