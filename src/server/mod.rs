//! Floor 4: servers.
