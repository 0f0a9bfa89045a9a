//! What a reply amounts to: its times, rows, tag and first error.
//!
//! Takes the messages of a reply one by one and gives their sum. Must not know about sockets or what was asked.

use std::time::Instant;

use crate::pgwire::backend::{CommandTag, ServerError, TransactionStatus};
use crate::pgwire::digest::KnownDigest;

/// The reply to one request: everything up to its last ReadyForQuery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplySummary {
    /// When the first byte of it was read.
    pub first_at: Instant,
    /// When its end was read.
    pub done_at: Instant,
    /// Rows that were sent, of all statements.
    pub rows: u64,
    /// Bytes of rows and of COPY data, framing included.
    pub bytes: u64,
    /// Statements that came to their end without an error.
    pub statements: u32,
    /// The tag of the last statement that came to its end.
    pub tag: CommandTag,
    /// The first error.
    pub error: Option<ServerError>,
    /// Whether the rows are those that they were compared with; none where they were not.
    pub same_rows: Option<bool>,
    /// The transaction that the session is in now.
    pub status: TransactionStatus,
}

/// What makes a reply whole: ReadyForQuery so many times, then the ends of so many messages that no Sync follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub readies: u32,
    pub ends: u32,
}

impl Default for Expected {
    fn default() -> Self {
        Self { readies: 1, ends: 0 }
    }
}

/// What is known of a reply that has not come to its end.
#[derive(Debug, Default)]
pub(super) struct PartOfReply {
    pub(super) expected: Expected,
    /// The digest that the rows are compared with.
    pub(super) known_rows: Option<KnownDigest>,
    pub(super) readies: u32,
    /// Ends of messages since the last ReadyForQuery.
    ends: u32,
    /// The server passes over everything up to the next Sync.
    pub(super) passes_over: bool,
    pub(super) first_at: Option<Instant>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) statements: u32,
    pub(super) tag: Option<CommandTag>,
    pub(super) error: Option<ServerError>,
    /// BindComplete was seen: a failed COPY then needs another Sync, since the server swallows those sent before.
    pub(super) extended: bool,
}

impl PartOfReply {
    pub(super) fn pass_over(&mut self, tag: u8, frame_bytes: u64) {
        match tag {
            b'D' => {
                self.rows += 1;
                self.bytes += frame_bytes;
            }
            b'd' => self.bytes += frame_bytes,
            b'2' => {
                self.extended = true;
                self.ends += 1;
            }
            // Parse, Close and Describe come to their ends by these.
            b'1' | b'3' | b'T' | b'n' => self.ends += 1,
            // An empty query and a suspended portal end a statement without a tag.
            b'I' | b's' => {
                self.statements += 1;
                self.ends += 1;
                self.tag = None;
            }
            _ => {}
        }
    }

    pub(super) fn complete(&mut self, tag: CommandTag) {
        self.statements += 1;
        self.ends += 1;
        self.tag = Some(tag);
    }

    pub(super) fn failed(&mut self, error: ServerError) {
        self.error.get_or_insert(error);
        self.passes_over = true;
    }

    pub(super) fn ready(&mut self) {
        self.readies += 1;
        self.ends = 0;
        self.passes_over = false;
    }

    /// Whether nothing more will come.
    pub(super) fn is_whole(&self) -> bool {
        let Expected { readies, ends } = self.expected;
        self.readies >= readies && (self.ends >= ends || self.passes_over)
    }

    pub(super) fn finish(self, done_at: Instant, same_rows: Option<bool>, status: TransactionStatus) -> ReplySummary {
        ReplySummary {
            first_at: self.first_at.unwrap_or(done_at),
            done_at,
            rows: self.rows,
            bytes: self.bytes,
            statements: self.statements,
            tag: self.tag.unwrap_or(CommandTag::NONE),
            error: self.error,
            same_rows,
            status,
        }
    }
}
