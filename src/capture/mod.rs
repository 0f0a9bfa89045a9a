//! Floor 3: capture.
