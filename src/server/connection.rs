//! A session in use: requests go out, replies come back, measured at the socket.
//!
//! The hot path is: write one request into [`Connection::out`], [`Connection::send`], [`Connection::read_reply`]. What
//! has been read so far stays in the connection, so every wait may be given up and taken up again: all functions here
//! are cancel-safe. Must not know what is asked or what an answer means.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use super::connect::ConnectError;
use super::inbox::Inbox;
use super::kept_rows::KeptRows;
use super::reply::{Expected, PartOfReply, ReplySummary};
use crate::net::Stream;
use crate::pgwire::backend::{Authentication, CancelKey, CommandTag, ServerError, TransactionStatus, parameter_status};
use crate::pgwire::digest::{KnownDigest, RowsDigest};
use crate::pgwire::frames::{Frames, Step};
use crate::pgwire::frontend;
use crate::words::time::now;

/// What the server answers to COPY FROM STDIN: the data is not in a capture of logs.
const COPY_REFUSAL: &str = "COPY data was not captured";

/// A session that is logged in. Dropping it closes the socket; [`Connection::close`] says goodbye first.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    outbox: BytesMut,
    /// More was written than there is to be space for when it has left.
    is_outbox_large: bool,
    /// Bytes that were handed to the TLS layer or the socket and perhaps not flushed.
    unflushed: bool,
    inbox: Inbox,
    frames: Frames,
    reply: PartOfReply,
    /// The rows of the reply, where they are compared.
    rows: Option<Box<RowsDigest>>,
    /// The rows of the reply, where they are kept.
    kept: Option<Box<KeptRows>>,
    status: TransactionStatus,
    /// No Sync has followed the messages that were answered last.
    is_unsynced: bool,
    key: Option<CancelKey>,
    server_version: Option<Box<str>>,
}

/// What a request that brings COPY data comes to next.
#[derive(Debug)]
pub enum Turn {
    /// All that was written left.
    Written,
    /// The server asks for COPY data.
    CopyIn,
    /// An error came; the reply goes on.
    Failed,
    /// The reply is whole.
    Reply(ReplySummary),
}

/// How far a login has come.
pub(super) enum Greeting {
    GoOn,
    Ready,
}

/// A session does not keep the space of a longer request than this.
const OUTBOX_BYTES_KEPT: usize = 128 << 10;

/// The kinds of messages whose bodies are looked at; rows, descriptions and notices are passed over.
fn is_kept(tag: u8) -> bool {
    matches!(tag, b'C' | b'E' | b'G' | b'K' | b'R' | b'S' | b'W' | b'Z')
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            outbox: BytesMut::new(),
            is_outbox_large: false,
            unflushed: false,
            inbox: Inbox::default(),
            frames: Frames::new(is_kept),
            reply: PartOfReply::default(),
            rows: None,
            kept: None,
            status: TransactionStatus::Idle,
            is_unsynced: false,
            key: None,
            server_version: None,
        }
    }

    /// Where requests are written, with `pgwire::frontend`; nothing leaves before [`Self::send`] or [`Self::flush`].
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.outbox
    }

    /// What a cancel request for this session needs, if the server gave it out.
    pub fn cancel_key(&self) -> Option<&CancelKey> {
        self.key.as_ref()
    }

    /// `server_version` as the server reported it at the login or since.
    pub fn server_version(&self) -> Option<&str> {
        self.server_version.as_deref()
    }

    /// The transaction that the session was in at the end of the last reply.
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether the last reply ended without ReadyForQuery: the server waits for a Sync, and after an error for nothing else.
    pub fn is_unsynced(&self) -> bool {
        self.is_unsynced
    }

    /// Says what the reply to what was written will be, where it is not one ReadyForQuery.
    pub fn expect(&mut self, expected: Expected) {
        self.reply.expected = expected;
    }

    /// Compares the rows of the reply to what was written with those of a digest.
    pub fn compare_rows(&mut self, known: KnownDigest) {
        **self.rows.get_or_insert_default() = RowsDigest::default();
        self.reply.known_rows = Some(known);
    }

    /// Keeps the rows of the reply to what was written, the first ones of very many.
    pub fn keep_rows(&mut self) {
        self.kept = Some(Box::default());
    }

    /// The rows of the last reply, where they were kept.
    pub fn take_kept_rows(&mut self) -> Option<Box<KeptRows>> {
        self.kept.take()
    }

    /// Hands the first bytes of what was written to the socket and gives the moment at which it took them. The rest
    /// leaves while the reply is awaited, so that a server that answers early cannot make both sides wait.
    pub async fn send(&mut self) -> Result<Instant, ConnectError> {
        match poll_fn(|cx| self.poll_send(cx)).await {
            Ok(at) => Ok(at),
            Err(error) => Err(self.lost(&error).await),
        }
    }

    /// Hands over everything that was written: for COPY data, which is not answered before its end.
    pub async fn flush(&mut self) -> Result<(), ConnectError> {
        match poll_fn(|cx| self.poll_flush(cx)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error).await),
        }
    }

    /// Waits for the end of the reply that is due next. A COPY from the client that it leads to is refused, one to the
    /// client is read and dropped.
    ///
    /// # Errors
    /// `Lost` or `Protocol`; the connection is of no use after that.
    pub async fn read_reply(&mut self) -> Result<ReplySummary, ConnectError> {
        loop {
            if let Some(Turn::Reply(summary)) = self.take_reply(false)? {
                return Ok(summary);
            }
            self.fill().await?;
        }
    }

    /// Waits for what a request comes to next whose COPY data is at hand; with `until_written` also for the moment at
    /// which all that was written has left.
    ///
    /// # Errors
    /// `Lost` or `Protocol`; the connection is of no use after that.
    pub async fn next_turn(&mut self, until_written: bool) -> Result<Turn, ConnectError> {
        loop {
            if let Some(turn) = self.take_reply(true)? {
                return Ok(turn);
            }
            let has_read = poll_fn(|cx| {
                let written = self.poll_flush(cx);
                match self.inbox.poll_read(&mut self.stream, cx) {
                    Poll::Pending if until_written && matches!(written, Poll::Ready(Ok(()))) => Poll::Ready(Ok(false)),
                    read => read.map_ok(|()| true),
                }
            });
            match has_read.await {
                Ok(true) => {}
                Ok(false) => return Ok(Turn::Written),
                Err(error) => return Err(self.lost(&error).await),
            }
        }
    }

    /// How often the reply that is being awaited said ReadyForQuery.
    pub fn readies(&self) -> u32 {
        self.reply.readies
    }

    /// Waits until an idle session ends, which is also how a server's shutdown shows; never returns before.
    pub async fn wait_lost(&mut self) -> ConnectError {
        loop {
            if let Err(error) = self.take_asynchronous() {
                return error;
            }
            if let Err(error) = self.fill().await {
                return error;
            }
        }
    }

    /// Whether an idle session has ended, as far as can be told without waiting.
    pub async fn lost_already(&mut self) -> Option<ConnectError> {
        let mut lost = std::pin::pin!(self.wait_lost());
        // What has arrived shows only once the runtime has looked at its sockets again, and an end behind the server's last
        // words once more. Not by a timeout of nothing, for which the runtime's timer takes a millisecond.
        for _ in 0..2 {
            tokio::task::yield_now().await;
            let seen = poll_fn(|context| Poll::Ready(lost.as_mut().poll(context))).await;
            if let Poll::Ready(error) = seen {
                return Some(error);
            }
        }
        None
    }

    /// Has the runtime that calls it look after an idle session from now on.
    ///
    /// # Errors
    /// `Lost`; the connection is of no use after that.
    pub fn settle_here(&mut self) -> Result<(), ConnectError> {
        self.stream.settle_here().map_err(|error| ConnectError::lost(&error))
    }

    /// Says goodbye and waits until the server has ended the session, so that its place there is free.
    pub async fn close_and_wait(mut self) {
        frontend::terminate(&mut self.outbox);
        let _ = self.wait_lost().await;
    }

    /// When the first byte of the reply that is being awaited was read.
    pub fn first_at(&self) -> Option<Instant> {
        self.reply.first_at
    }

    /// Says goodbye, if the socket takes it at once, and closes.
    pub async fn close(mut self) {
        frontend::terminate(&mut self.outbox);
        poll_fn(|cx| {
            let _ = self.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// What carries the session.
    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// One step of the login: reads a message and lets `answer` write what the server asks for.
    pub(super) async fn greeting(
        &mut self,
        mut answer: impl FnMut(Authentication<'_>, &mut BytesMut) -> Result<(), ConnectError>,
    ) -> Result<Greeting, ConnectError> {
        loop {
            let mut input = self.inbox.unread();
            let before = input.len();
            let step = self.frames.next(&mut input).map_err(ConnectError::protocol)?;
            let taken = before - input.len();
            let mut outcome = None;
            match step {
                Step::NeedMore => {
                    self.inbox.take(taken);
                    self.fill().await?;
                    continue;
                }
                Step::PassedOver { .. } => {}
                Step::Message { tag: b'R', body, .. } => {
                    let request = Authentication::parse(body).ok_or_else(|| bad_body(b'R'))?;
                    answer(request, &mut self.outbox)?;
                }
                Step::Message { tag: b'E', body, .. } => {
                    let error = ServerError::parse(body).ok_or_else(|| bad_body(b'E'))?;
                    return Err(ConnectError::Rejected(error));
                }
                Step::Message { tag: b'K', body, .. } => {
                    self.key = Some(CancelKey::parse(body).ok_or_else(|| bad_body(b'K'))?);
                }
                Step::Message { tag: b'S', body, .. } => note_parameter(&mut self.server_version, body),
                Step::Message { tag: b'Z', body, .. } => {
                    self.status = TransactionStatus::parse(body).ok_or_else(|| bad_body(b'Z'))?;
                    outcome = Some(Greeting::Ready);
                }
                Step::Message { tag, .. } => return Err(unexpected(tag)),
            }
            self.inbox.take(taken);
            if let Some(outcome) = outcome {
                self.reply = PartOfReply::default();
                return Ok(outcome);
            }
            if !self.outbox.is_empty() {
                return Ok(Greeting::GoOn);
            }
        }
    }

    /// Takes messages from what was read until the reply is whole; `None` when more must be read. With `by_turns` also
    /// until an error or a COPY from the client, which is refused otherwise.
    fn take_reply(&mut self, by_turns: bool) -> Result<Option<Turn>, ConnectError> {
        let mut turn = None;
        let mut input = self.inbox.unread();
        let before = input.len();
        if before > 0 {
            self.reply.first_at.get_or_insert(self.inbox.read_at);
        }
        while turn.is_none() && !self.reply.is_whole() {
            let mut compared = self.rows.as_mut().filter(|_| self.reply.known_rows.is_some());
            let mut kept = self.kept.as_mut();
            let mut see = |tag, part: &[u8]| {
                if tag == b'D' {
                    compared.iter_mut().for_each(|rows| rows.update(part));
                    kept.iter_mut().for_each(|rows| rows.update(part));
                }
            };
            match self.frames.next_seeing(&mut input, &mut see).map_err(ConnectError::protocol)? {
                Step::NeedMore => break,
                Step::PassedOver { tag, frame_bytes } => {
                    if tag == b'D' {
                        compared.iter_mut().for_each(|rows| rows.end_row());
                        kept.iter_mut().for_each(|rows| rows.end_row(self.reply.statements));
                    }
                    self.reply.pass_over(tag, frame_bytes);
                }
                Step::Message { tag: b'Z', body, .. } => {
                    self.status = TransactionStatus::parse(body).ok_or_else(|| bad_body(b'Z'))?;
                    self.reply.ready();
                }
                Step::Message { tag: b'C', body, .. } => {
                    let tag = CommandTag::parse(body).ok_or_else(|| bad_body(b'C'))?;
                    self.reply.complete(tag);
                }
                Step::Message { tag: b'E', body, .. } => {
                    let error = ServerError::parse(body).ok_or_else(|| bad_body(b'E'))?;
                    self.reply.failed(error);
                    turn = by_turns.then_some(Turn::Failed);
                }
                Step::Message { tag: b'G', .. } if by_turns => turn = Some(Turn::CopyIn),
                Step::Message { tag: b'G', .. } => {
                    frontend::copy_fail(&mut self.outbox, COPY_REFUSAL).map_err(ConnectError::protocol)?;
                    if self.reply.extended {
                        frontend::sync(&mut self.outbox);
                    }
                }
                Step::Message { tag: b'S', body, .. } => note_parameter(&mut self.server_version, body),
                Step::Message { tag, .. } => return Err(unexpected(tag)),
            }
        }
        let taken = before - input.len();
        self.inbox.take(taken);
        Ok(turn.or_else(|| self.reply.is_whole().then(|| Turn::Reply(self.finish_reply()))))
    }

    fn finish_reply(&mut self) -> ReplySummary {
        let reply = std::mem::take(&mut self.reply);
        self.is_unsynced = reply.expected.ends > 0 || reply.expected.readies == 0;
        self.reply.passes_over = reply.passes_over;
        let same_rows = reply.known_rows.and_then(|known| Some(self.rows.as_ref()?.is(known)));
        reply.finish(self.inbox.read_at, same_rows, self.status)
    }

    /// Takes what a server may say to an idle session; anything else is out of place.
    fn take_asynchronous(&mut self) -> Result<(), ConnectError> {
        let mut input = self.inbox.unread();
        let before = input.len();
        loop {
            match self.frames.next(&mut input).map_err(ConnectError::protocol)? {
                Step::NeedMore => break,
                Step::PassedOver { tag: b'A' | b'N', .. } => {}
                Step::PassedOver { tag, .. } => return Err(unexpected(tag)),
                Step::Message { tag: b'S', body, .. } => note_parameter(&mut self.server_version, body),
                Step::Message { tag: b'E', body, .. } => {
                    let error = ServerError::parse(body).ok_or_else(|| bad_body(b'E'))?;
                    self.reply.error.get_or_insert(error);
                }
                Step::Message { tag, .. } => return Err(unexpected(tag)),
            }
        }
        let taken = before - input.len();
        self.inbox.take(taken);
        Ok(())
    }

    /// Waits until something was read, and writes meanwhile what is still to be written.
    async fn fill(&mut self) -> Result<(), ConnectError> {
        match poll_fn(|cx| self.poll_fill(cx)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error).await),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A write that fails must not hide what the server said last: the read comes to the same end by itself.
        let _ = self.poll_flush(cx);
        self.inbox.poll_read(&mut self.stream, cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Instant>> {
        let at = now();
        if !self.outbox.is_empty() {
            self.is_outbox_large |= self.outbox.len() > OUTBOX_BYTES_KEPT;
            ready!(self.poll_write(cx))?;
            // What is left leaves while the reply is awaited; an error shows there, too.
            let _ = self.poll_flush(cx);
        }
        Poll::Ready(Ok(at))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outbox))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.outbox.advance(written);
        if self.is_outbox_large && self.outbox.is_empty() {
            (self.outbox, self.is_outbox_large) = (BytesMut::new(), false);
        }
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// The connection ended. What the server said last is often still there to be read, also when writing failed.
    async fn lost(&mut self, error: &io::Error) -> ConnectError {
        tokio::task::yield_now().await;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while self.reply.error.is_none()
            && matches!(self.inbox.poll_read(&mut self.stream, &mut cx), Poll::Ready(Ok(())))
        {
            if self.take_asynchronous().is_err() {
                break;
            }
        }
        match ConnectError::lost(error) {
            ConnectError::Lost { reason, .. } => ConnectError::Lost { reason, server: self.reply.error.take() },
            other => other,
        }
    }
}

fn note_parameter(server_version: &mut Option<Box<str>>, body: &[u8]) {
    // A value that is not UTF-8 cannot be the version's.
    if let Some(("server_version", version)) = parameter_status(body) {
        *server_version = Some(version.into());
    }
}

fn bad_body(tag: u8) -> ConnectError {
    ConnectError::protocol(format!("a message of type \"{}\" is malformed", char::from(tag)))
}

fn unexpected(tag: u8) -> ConnectError {
    ConnectError::protocol(format!("a message of type \"{}\" is out of place", char::from(tag)))
}
