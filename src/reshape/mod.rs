//! Floor 3: one workload to another: parts, other tenants, other values.

pub mod retag;
