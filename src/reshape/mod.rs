//! Floor 3: one workload to another: parts, other tenants, other values.

pub mod anonymize;
mod carried;
mod error;
pub mod merge;
pub mod moment;
pub mod peak;
pub mod repair;
pub mod retag;
mod rewrite;
pub mod slice;

pub use error::ReshapeError;
pub use rewrite::{Edit, Origin, Rewriter, Unchanged, rewrite};
