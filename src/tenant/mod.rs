//! Floor 2: rules that say whose a statement is, how a session's statements share its answer, and what the tenants are
//! called.

mod attribution;
mod census;
mod mapping;
mod rule;
mod search_path;

pub use attribution::{Attribution, Statement};
pub use census::{Census, TenantTable};
pub use mapping::{MappedTenant, Mapping, MappingError};
pub use rule::{Rule, RuleError, Rules};
