//! The bounds that more than one module keeps, each with its reason.
//!
//! Gives constants only. Must not know who keeps them.

/// Live texts of a workload's `sql` definitions: a reader holds them all, so their number is bounded.
pub const WORKLOAD_LIVE_SQL_MAX: usize = 65_536;

/// Uncompressed size of one zstd frame of a workload, so that a damaged frame loses little.
pub const WORKLOAD_FRAME_BYTES: usize = 4 << 20;

/// Probes in all, a second: beyond it the interval stretches, and the resolution says so.
pub const PROBES_PER_SECOND_MAX: u32 = 2_000;

/// Samples in one part file before it is closed and renamed.
pub const SAMPLES_PER_PART_MAX: usize = 1_000_000;

/// Seconds after which a part file is closed and renamed, so that a killed run loses no more than this.
pub const SAMPLES_PART_SECONDS: u64 = 2;

/// Characters of a server's message that are kept with a sample.
pub const MESSAGE_CHARS_MAX: usize = 200;

/// Bytes of the live texts of a workload in all, for the same reason: texts beyond it stand inline.
pub const WORKLOAD_LIVE_SQL_BYTES_MAX: usize = 64 << 20;

/// One line of a workload: a reader holds one at a time, so its length is bounded.
pub const WORKLOAD_LINE_BYTES_MAX: usize = 64 << 20;
