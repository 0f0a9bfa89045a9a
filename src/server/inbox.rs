//! What a session has read from its socket and not yet looked at.
//!
//! Takes bytes from a stream and gives the unread ones as one slice; it stays small whatever comes, since what is not
//! kept is taken as it arrives. Must not know what the bytes mean.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, ReadBuf};

use crate::net::Stream;
use crate::pgwire::frames::BODY_BYTES_MAX;
use crate::words::time::now;

/// What the first reads take at a time: enough for a login and for short answers, so that a session which never gets more
/// is small.
const INBOX_BYTES_FIRST: usize = 1 << 10;

/// What a read takes at a time once one filled the inbox; it grows further only while a longer message that is kept has not
/// come to its end.
const INBOX_BYTES: usize = 8 << 10;

/// An inbox of this size holds any message that is kept.
const INBOX_BYTES_MAX: usize = BODY_BYTES_MAX + INBOX_BYTES;

/// Bytes that were read and not yet taken.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// When the newest of them were read.
    pub(super) read_at: Instant,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, read_at: now() }
    }
}

impl Inbox {
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn take(&mut self, number: usize) {
        self.start += number;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads what is there; the end of the stream is an error.
    pub(super) fn poll_read(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.bytes.len() {
                self.bytes.resize((self.bytes.len() * 2).clamp(INBOX_BYTES_FIRST, INBOX_BYTES_MAX), 0);
            }
        }
        let mut buffer = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let number = buffer.filled().len();
        if number == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")));
        }
        self.read_at = now();
        self.end += number;
        if self.end == self.bytes.len() && self.end < INBOX_BYTES {
            self.bytes.resize(INBOX_BYTES, 0);
        }
        Poll::Ready(Ok(()))
    }
}
