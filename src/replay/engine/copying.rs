//! A request that brings COPY data: what stands behind a COPY waits, the data is streamed when the server asks for it.
//!
//! Takes the messages as written, where they are to wait, and the data from the spool; gives the reply. While data goes
//! out the socket is read, so that an early error is seen and neither side can wait for the other. Must not know deadlines.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::head::PARTS_AT_ONCE_MAX;
use crate::pgwire::frontend;
use crate::replay::spool::{CopyPart, SessionRequests};
use crate::server::{ConnectError, Connection, ReplySummary, Turn};
use crate::workload::record::CopyEnd;

/// What a COPY is ended with that its client ended so, or whose data is not there.
const FAILED_IN_CAPTURE: &str = "the COPY failed in the capture, or its data is missing";

/// Bytes of a message's tag and length.
const HEADER_BYTES: usize = 5;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Copying<'a> {
    data: &'a mut SessionRequests,
    /// What follows each COPY.
    held: VecDeque<BytesMut>,
    /// Messages given to the connection that ReadyForQuery answers.
    syncs: u32,
    /// The server takes data.
    is_streaming: bool,
    /// It failed: what is left of the COPY's data is passed over.
    is_failed: bool,
}

impl<'a> Copying<'a> {
    /// Holds back what stands in `out` behind each of `holds`.
    pub fn new(data: &'a mut SessionRequests, holds: &[usize], out: &mut BytesMut) -> Self {
        let mut held = VecDeque::with_capacity(holds.len());
        holds.iter().rev().for_each(|hold| held.push_front(out.split_off(*hold)));
        Self { data, held, syncs: count_syncs(out), is_streaming: false, is_failed: false }
    }

    /// Sees the request to the end of its reply. Cancel-safe.
    pub async fn read_reply(&mut self, connection: &mut Connection) -> Result<ReplySummary, ConnectError> {
        loop {
            while self.is_failed && !self.pass_over(connection) {
                tokio::task::yield_now().await;
            }
            if self.is_streaming && connection.out().is_empty() {
                // A COPY of many gigabytes must not keep the other sessions of its thread waiting.
                tokio::task::yield_now().await;
                self.give_next_part(connection);
            }
            match connection.next_turn(self.is_streaming).await? {
                Turn::Written => {}
                Turn::CopyIn => self.is_streaming = true,
                Turn::Failed => self.is_failed = true,
                Turn::Reply(reply) => return Ok(reply),
            }
        }
    }

    fn give_next_part(&mut self, connection: &mut Connection) {
        let out = connection.out();
        let given = match self.data.next_copy_part() {
            Ok(Some(CopyPart::Data(bytes))) => {
                if frontend::copy_data(out, bytes).is_ok() {
                    return;
                }
                frontend::copy_fail(out, FAILED_IN_CAPTURE)
            }
            Ok(Some(CopyPart::Ended(CopyEnd::Done))) => {
                frontend::copy_done(out);
                Ok(())
            }
            // A damaged spool shows when the session goes to its next request.
            Ok(Some(CopyPart::Ended(CopyEnd::Failed)) | None) | Err(_) => frontend::copy_fail(out, FAILED_IN_CAPTURE),
        };
        debug_assert!(given.is_ok(), "the reason is a text without a zero byte");
        self.is_streaming = false;
        self.release(connection);
    }

    /// The server passes over everything up to the next Sync, so it is given one, and the rest of the COPY's data is not.
    /// False while there is more of that.
    fn pass_over(&mut self, connection: &mut Connection) -> bool {
        if self.is_streaming {
            let mut passes_data = || matches!(self.data.next_copy_part(), Ok(Some(CopyPart::Data(_))));
            if (0..PARTS_AT_ONCE_MAX).all(|_| passes_data()) {
                return false;
            }
        }
        (self.is_streaming, self.is_failed) = (false, false);
        while self.syncs <= connection.readies() && !self.held.is_empty() {
            self.release(connection);
        }
        true
    }

    fn release(&mut self, connection: &mut Connection) {
        if let Some(messages) = self.held.pop_front() {
            self.syncs += count_syncs(&messages);
            connection.out().extend_from_slice(&messages);
        }
    }
}

/// The messages among these whole ones that ReadyForQuery answers.
fn count_syncs(mut messages: &[u8]) -> u32 {
    let mut syncs = 0;
    while let Some((header, _)) = messages.split_first_chunk::<HEADER_BYTES>() {
        syncs += u32::from(matches!(header[0], b'S' | b'Q' | b'F'));
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        messages = messages.get(1 + length..).unwrap_or_default();
    }
    syncs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_readyforquery_answers_is_counted() {
        let mut out = BytesMut::new();
        frontend::query(&mut out, b"SELECT 'S'").unwrap();
        frontend::execute(&mut out, b"S", 0).unwrap();
        frontend::sync(&mut out);
        assert_eq!(count_syncs(&out), 2);
        assert_eq!(count_syncs(b""), 0);
    }
}
