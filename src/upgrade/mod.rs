//! Floor 5: upgrade steps.
