//! Floor 5: the verdict.
