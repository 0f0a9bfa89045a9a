//! Floor 5: the replay engine.
