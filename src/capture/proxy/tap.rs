//! Between relays and the recorder: a copy of what is relayed, in a buffer of bounded size.
//!
//! A relay never waits here. Where the buffer is full, because the disk is slower than the traffic or fails, pieces are
//! left out and counted, connection by connection and side by side, and the count takes their place in the order once
//! there is room again. Must not know files or sockets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::super::wire::Side;
use super::journal::{self, Entry, What};

/// Entries that wait for the recorder.
const BUFFER_BYTES_MAX: usize = 16 << 20;

/// The recorder is woken early when so much waits.
const WAKE_BYTES: usize = 1 << 20;

/// Where relays put their copies and the recorder takes them.
#[derive(Debug)]
pub(super) struct Tap {
    state: Mutex<State>,
    changed: Condvar,
    capacity_bytes: usize,
    next_connection: AtomicU32,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    /// Entries of the journal.
    pending: Vec<u8>,
    is_closed: bool,
    lost_bytes: u64,
    /// Connections that are over and of which nothing could be recorded.
    unrecorded: u64,
}

/// Wall time that no step of the system's clock moves.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
    started_us: i64,
}

/// One connection's way into the tap. Dropped when the connection is over.
#[derive(Debug)]
pub(super) struct ConnectionTap {
    tap: Arc<Tap>,
    connection: u32,
    opened_us: i64,
    is_recorded: bool,
    /// Of client and server: bytes that were left out since the last that were not.
    lost_bytes: [u64; 2],
}

impl Tap {
    /// An empty tap.
    pub fn new() -> Self {
        Self::with_capacity(BUFFER_BYTES_MAX)
    }

    pub(super) fn with_capacity(capacity_bytes: usize) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            capacity_bytes,
            next_connection: AtomicU32::new(1),
            clock: Clock { started: Instant::now(), started_us: since_epoch.as_micros() as i64 },
        }
    }

    /// A connection that opened just now. It stands in the journal with the first byte that is said.
    pub fn connection(self: &Arc<Self>) -> ConnectionTap {
        ConnectionTap {
            tap: Arc::clone(self),
            connection: self.next_connection.fetch_add(1, Ordering::Relaxed),
            opened_us: self.clock.now_us(),
            is_recorded: false,
            lost_bytes: [0; 2],
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Bytes that were left out so far.
    pub fn lost_bytes(&self) -> u64 {
        self.state().lost_bytes
    }

    /// Everything that came, after `within` at the latest, perhaps nothing; none when nothing will come any more.
    /// `emptied` is a buffer to go on with.
    pub fn take(&self, mut emptied: Vec<u8>, within: Duration) -> Option<Vec<u8>> {
        emptied.clear();
        let waits = |state: &mut State| state.pending.len() < WAKE_BYTES && !state.is_closed;
        let waited = self.changed.wait_timeout_while(self.state(), within, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.pending.is_empty() && state.unrecorded == 0 && state.is_closed {
            return None;
        }
        let mut batch = std::mem::replace(&mut state.pending, emptied);
        let unrecorded = std::mem::take(&mut state.unrecorded);
        drop(state);
        if unrecorded > 0 {
            let what = What::Unrecorded(unrecorded);
            journal::push(&mut batch, &Entry { connection: 0, time_us: self.clock.now_us(), what });
        }
        Some(batch)
    }

    /// Waits before something is tried again: `for_` if nothing closes the tap meanwhile. Says whether it is closed.
    pub fn pause(&self, for_: Duration) -> bool {
        let was_closed = self.state().is_closed;
        let paused = self.changed.wait_timeout_while(self.state(), for_, |state| state.is_closed == was_closed);
        paused.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    fn now_us(&self) -> i64 {
        self.started_us.saturating_add(self.started.elapsed().as_micros() as i64)
    }
}

impl ConnectionTap {
    /// One side said this. Must be called before the other side gets it, so that an answer stands behind its question.
    pub fn said(&mut self, side: Side, bytes: &[u8]) {
        let time_us = self.tap.clock.now_us();
        let tap = Arc::clone(&self.tap);
        let mut state = tap.state();
        // Opening, both sides' losses, and the bytes.
        let wanted_bytes = 3 * journal::entry_bytes(0) + journal::entry_bytes(bytes.len());
        if state.pending.len() + wanted_bytes > tap.capacity_bytes || state.is_closed {
            self.lost_bytes[side as usize] += bytes.len() as u64;
            state.lost_bytes += bytes.len() as u64;
            return;
        }
        let before_bytes = state.pending.len();
        if !std::mem::replace(&mut self.is_recorded, true) {
            self.push(&mut state, self.opened_us, What::Opened);
        }
        self.push_losses(&mut state, time_us);
        self.push(&mut state, time_us, What::Said(side, bytes));
        if before_bytes < WAKE_BYTES && state.pending.len() >= WAKE_BYTES {
            tap.changed.notify_all();
        }
    }

    fn push_losses(&mut self, state: &mut State, time_us: i64) {
        for side in [Side::Client, Side::Server] {
            let lost_bytes = std::mem::take(&mut self.lost_bytes[side as usize]);
            if lost_bytes > 0 {
                self.push(state, time_us, What::Lost(side, lost_bytes));
            }
        }
    }

    fn push(&self, state: &mut State, time_us: i64, what: What<&[u8]>) {
        journal::push(&mut state.pending, &Entry { connection: self.connection, time_us, what });
    }
}

impl Drop for ConnectionTap {
    /// The end of a connection that was recorded is recorded whether there is room or not: there are never more of them
    /// than connections at a time.
    fn drop(&mut self) {
        let time_us = self.tap.clock.now_us();
        let tap = Arc::clone(&self.tap);
        let mut state = tap.state();
        if self.is_recorded {
            self.push_losses(&mut state, time_us);
            self.push(&mut state, time_us, What::Closed);
        } else if self.lost_bytes != [0; 2] {
            state.unrecorded += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What the recorder gets, in words.
    fn taken(tap: &Tap) -> Vec<String> {
        let mut batch = tap.take(Vec::new(), Duration::ZERO).unwrap();
        let (mut rest, mut seen) = (&mut batch[..], Vec::new());
        while let Some(entry) = journal::take(&mut rest) {
            seen.push(match entry.what {
                What::Opened => format!("{} opened", entry.connection),
                What::Said(side, bytes) => format!("{} {side:?} {}", entry.connection, bytes.len()),
                What::Lost(side, count) => format!("{} {side:?} lost {count}", entry.connection),
                What::Closed => format!("{} closed", entry.connection),
                What::Unrecorded(connections) => format!("{connections} unrecorded"),
            });
        }
        seen
    }

    #[test]
    fn what_does_not_fit_is_counted_in_its_place() {
        let tap = Arc::new(Tap::with_capacity(200));
        let mut connection = tap.connection();
        connection.said(Side::Client, &[0; 50]);
        connection.said(Side::Server, &[0; 100]);
        connection.said(Side::Client, &[0; 70]);
        connection.said(Side::Server, &[0; 80]);
        assert_eq!(tap.lost_bytes(), 250);
        assert_eq!(taken(&tap), ["1 opened", "1 Client 50"]);
        connection.said(Side::Client, &[0; 10]);
        drop(connection);
        assert_eq!(taken(&tap), ["1 Client lost 70", "1 Server lost 180", "1 Client 10", "1 closed"]);
    }

    #[test]
    fn a_connection_that_opens_while_there_is_no_room_begins_with_its_loss() {
        let tap = Arc::new(Tap::with_capacity(200));
        let mut first = tap.connection();
        first.said(Side::Client, &[0; 100]);
        let (mut late, mut never) = (tap.connection(), tap.connection());
        late.said(Side::Client, &[0; 60]);
        never.said(Side::Client, &[0; 60]);
        drop(never);
        drop(tap.connection());
        drop(first);
        assert_eq!(taken(&tap), ["1 opened", "1 Client 100", "1 closed", "1 unrecorded"]);
        late.said(Side::Server, &[0; 20]);
        assert_eq!(taken(&tap), ["2 opened", "2 Client lost 60", "2 Server 20"]);
    }

    #[test]
    fn a_closed_tap_gives_what_it_holds_and_ends() {
        let tap = Arc::new(Tap::new());
        let mut connection = tap.connection();
        connection.said(Side::Client, b"last");
        tap.close();
        connection.said(Side::Client, b"too late");
        assert_eq!(taken(&tap), ["1 opened", "1 Client 4"]);
        drop(connection);
        assert_eq!(taken(&tap), ["1 Client lost 8", "1 closed"]);
        assert!(tap.take(Vec::new(), Duration::from_secs(60)).is_none());
    }
}
