//! Floor 2: streams to servers.
