//! One connection: bytes from each side to the other, untouched, with a copy for the tap.
//!
//! Each direction reads only when what it read before is written, so a slow reader slows its writer and nothing else, and
//! memory stays bounded. The end of one direction is passed on and the other goes on. Must not know what the bytes mean,
//! but for the one message that says that a session is at rest.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

use super::super::wire::Side;
use super::progress::{Counters, Stage};
use super::tap::ConnectionTap;
use crate::net::Stream;

/// What a direction holds of a quiet session, and of one that moves much.
const BUFFER_BYTES_MIN: usize = 8 << 10;
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// When one side has said its last, the other may be silent for so long.
const HALF_CLOSED_SILENCE_MAX: Duration = Duration::from_secs(300);

/// For the last bytes of TLS when a session at rest is ended.
const PARTING_DEADLINE: Duration = Duration::from_secs(1);

/// The end of ReadyForQuery outside of transactions: the session waits for its client.
const AT_REST: &[u8] = b"Z\0\0\0\x05I";

/// A connection between a client and the server.
pub(super) struct Relay<'a> {
    client: Stream,
    server: Stream,
    tap: ConnectionTap,
    counters: &'a Counters,
    requests: Direction,
    answers: Direction,
    /// The server has answered everything, as far as can be seen.
    is_at_rest: bool,
    is_draining: bool,
    moved_bytes: u64,
}

/// One way.
struct Direction {
    from: Side,
    buffer: Vec<u8>,
    /// What of the buffer is still to be written.
    start: usize,
    end: usize,
    is_unflushed: bool,
    course: Course,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Running,
    Ending,
    Ended,
}

/// Why polling came to an end.
#[derive(Debug, PartialEq, Eq)]
enum Pause {
    /// Both directions ended.
    Over,
    /// One direction ended just now.
    HalfClosed,
    /// The proxy wants to stop, and nothing is under way.
    AtRest,
}

impl<'a> Relay<'a> {
    /// Two connected streams.
    pub fn new(client: Stream, server: Stream, tap: ConnectionTap, counters: &'a Counters) -> Self {
        let (requests, answers) = (Direction::new(Side::Client), Direction::new(Side::Server));
        Self { client, server, tap, counters, requests, answers, is_at_rest: true, is_draining: false, moved_bytes: 0 }
    }

    /// Relays until both sides ended, one broke, or the proxy stops and the session is at rest.
    pub async fn run(mut self, stage: &mut watch::Receiver<Stage>) {
        let mut silence_max = None;
        loop {
            let before = (self.requests.course, self.answers.course);
            let (moved_bytes, is_draining) = (self.moved_bytes, self.is_draining);
            let relaying = poll_fn(|cx| self.poll(cx, before));
            tokio::select! {
                biased;
                paused = relaying => match paused {
                    // A broken connection is broken towards the other side too, by dropping it.
                    Err(_) | Ok(Pause::Over) => return,
                    Ok(Pause::AtRest) => return self.part().await,
                    Ok(Pause::HalfClosed) => silence_max = Some(HALF_CLOSED_SILENCE_MAX),
                },
                changed = stage.changed(), if !is_draining => {
                    self.is_draining = changed.is_err() || *stage.borrow() != Stage::Running;
                }
                () = silence(silence_max) => {
                    if self.moved_bytes == moved_bytes {
                        return;
                    }
                }
            }
        }
    }

    /// Ends both sides in good order: TLS wants to be told.
    async fn part(mut self) {
        let telling = async {
            let _ = self.client.shutdown().await;
            let _ = self.server.shutdown().await;
        };
        let _ = tokio::time::timeout(PARTING_DEADLINE, telling).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>, before: (Course, Course)) -> Poll<io::Result<Pause>> {
        let Self { client, server, tap, counters, requests, answers, is_at_rest, moved_bytes, .. } = self;
        let mut said = |side: Side, bytes: &[u8]| {
            tap.said(side, bytes);
            *moved_bytes += bytes.len() as u64;
            counters.relayed_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            *is_at_rest = side == Side::Server && bytes.ends_with(AT_REST);
        };
        let _ = requests.poll(cx, client, server, &mut said)?;
        let _ = answers.poll(cx, server, client, &mut said)?;
        match (self.requests.course, self.answers.course) {
            (Course::Ended, Course::Ended) => Poll::Ready(Ok(Pause::Over)),
            now if now != before && (now.0 == Course::Ended || now.1 == Course::Ended) => {
                Poll::Ready(Ok(Pause::HalfClosed))
            }
            _ if self.is_draining && self.is_at_rest && self.requests.is_idle() && self.answers.is_idle() => {
                Poll::Ready(Ok(Pause::AtRest))
            }
            _ => Poll::Pending,
        }
    }
}

/// Ends after so long; never where there is no limit.
async fn silence(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

impl Direction {
    fn new(from: Side) -> Self {
        let buffer = vec![0; BUFFER_BYTES_MIN];
        Self { from, buffer, start: 0, end: 0, is_unflushed: false, course: Course::Running }
    }

    /// Whether everything that was read has left.
    fn is_idle(&self) -> bool {
        self.start == self.end && !self.is_unflushed
    }

    /// Moves what can be moved.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Stream,
        writer: &mut Stream,
        said: &mut impl FnMut(Side, &[u8]),
    ) -> Poll<io::Result<()>> {
        loop {
            match self.course {
                Course::Ended => return Poll::Ready(Ok(())),
                Course::Ending => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.course = Course::Ended;
                }
                Course::Running if self.start < self.end => {
                    let left = &self.buffer[self.start..self.end];
                    let written = ready!(Pin::new(&mut *writer).poll_write(cx, left))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    self.start += written;
                    self.is_unflushed = true;
                }
                Course::Running => match self.poll_read(cx, reader) {
                    Poll::Ready(Ok(0)) => self.course = Course::Ending,
                    Poll::Ready(Ok(_)) => said(self.from, &self.buffer[..self.end]),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        if self.is_unflushed {
                            ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                            self.is_unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// Fills the buffer, which grows with what comes and shrinks again.
    fn poll_read(&mut self, cx: &mut Context<'_>, reader: &mut Stream) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match ready!(Pin::new(reader).poll_read(cx, &mut buffer)) {
            Ok(()) => {}
            // TLS that ends without saying so is an end like that of plain TCP.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        let read = buffer.filled().len();
        (self.start, self.end) = (0, read);
        let capacity_bytes = self.buffer.len();
        if read == capacity_bytes && capacity_bytes < BUFFER_BYTES_MAX {
            self.buffer.resize(BUFFER_BYTES_MAX, 0);
        } else if read < BUFFER_BYTES_MIN && capacity_bytes > BUFFER_BYTES_MIN {
            self.buffer.truncate(BUFFER_BYTES_MIN);
            self.buffer.shrink_to_fit();
        }
        Poll::Ready(Ok(read))
    }
}
