//! Floor 5: probes.
