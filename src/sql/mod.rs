//! Floor 1: SQL texts.
