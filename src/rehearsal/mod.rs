//! Floor 6: the rehearsal.
