//! Floor 1: objectives.
