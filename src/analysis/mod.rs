//! Floor 4: analysis.
