//! The bound on what all connections of a capture keep in memory for what comes next.
//!
//! pcap and proxy share it. Takes what connections hold, and has the one that holds most give it up where all of them hold
//! too much. Must not know what is held, nor what it is for.

use std::collections::HashMap;
use std::io;

use super::session::Shared;

/// Bytes that all connections keep together.
const HELD_BYTES_MAX: usize = 256 << 20;

/// A connection that keeps bytes for what comes next.
pub(super) trait Holding {
    /// How many.
    fn held_bytes(&self) -> usize;

    /// Gives up what is kept for later: there is no room for it. What that costs is counted in `shared`.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    fn forget(&mut self, shared: &mut Shared) -> io::Result<()>;
}

/// What connections hold together, and may hold.
#[derive(Debug)]
pub(super) struct Held {
    pub bytes: usize,
    pub bytes_max: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self { bytes: 0, bytes_max: HELD_BYTES_MAX }
    }
}

impl Held {
    /// A connection held `before_bytes` and holds `after_bytes`.
    pub fn change(&mut self, before_bytes: usize, after_bytes: usize) {
        self.bytes = self.bytes + after_bytes - before_bytes;
    }

    /// Has those that hold most give it up, until the rest is within the bound or nothing more can be given up.
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn keep_bound<K, H: Holding>(&mut self, all: &mut HashMap<K, H>, shared: &mut Shared) -> io::Result<()> {
        while self.bytes > self.bytes_max {
            let Some(largest) = all.values_mut().max_by_key(|connection| connection.held_bytes()) else { break };
            let before_bytes = largest.held_bytes();
            largest.forget(shared)?;
            let after_bytes = largest.held_bytes();
            self.change(before_bytes, after_bytes);
            if after_bytes >= before_bytes {
                break;
            }
        }
        Ok(())
    }
}
