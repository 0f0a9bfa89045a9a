//! Floor 3: one workload to another: parts, other tenants, other values.

mod error;
pub mod retag;
mod rewrite;

pub use error::ReshapeError;
pub use rewrite::{Edit, Origin, Rewriter, Unchanged, rewrite};
