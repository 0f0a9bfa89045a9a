//! Floor 6: reports.
