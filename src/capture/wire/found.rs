//! What a conversation between a client and a server gives.
//!
//! Gives plain values. Must not know how they were found.

use super::super::event::CopyData;
use super::super::sequence::Draft;
use crate::pgwire::backend::CancelKey;
use crate::workload::record::Loss;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// Something found in a conversation, in order.
#[derive(Debug)]
pub enum Found {
    /// The client's startup message, `user` and `database` among its parameters.
    Startup(Vec<(String, String)>),
    /// The server let the client in.
    Authenticated,
    /// ParameterStatus.
    Parameter { name: String, value: String },
    /// The key with which the session can be cancelled.
    CancelKey(CancelKey),
    /// This connection asked to cancel what another session is doing; see [`super::Conversation::cancelled`].
    CancelRequest(CancelKey),
    /// A request brings COPY data: it takes its place in the order here and follows as the next `Request`, or as
    /// `PlaceUnused`.
    CopyBegan { start_us: i64 },
    /// COPY data of the request that took its place; its sequence is still to be filled in.
    Copy { time_us: i64, data: CopyData },
    /// A request, complete with its answer.
    Request(Box<Draft>),
    /// The request that took its place is left out after all.
    PlaceUnused,
    /// Something that is not in the workload: `count` requests, or bytes where the reason says so.
    Skipped { reason: Reason, count: u64, at: (u16, u64) },
}

/// Why something that was on the wire is not in the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    StatementUnknown,
    PortalUnknown,
    MessageTooLong,
    MessageUnreadable,
    Unanswered,
    CopyWithoutRequest,
    FailedLogin,
    Forgotten,
    OldProtocol,
    FramingLost,
    LostBytes,
    ReplicationBytes,
    EncryptedBytes,
    CancelWithoutRequest,
}

impl Reason {
    /// The written name, in reports and in the workload.
    pub fn name(self) -> &'static str {
        match self {
            Self::StatementUnknown => "execution of a statement that was prepared before the capture, or too long ago",
            Self::PortalUnknown => "execution of a portal that was opened before the capture, or too long ago",
            Self::MessageTooLong => "request with a message longer than 16 MiB",
            Self::MessageUnreadable => "request with a message that cannot be read",
            Self::Unanswered => "request that was not sent in full",
            Self::CopyWithoutRequest => "message of COPY data whose request was not captured",
            Self::FailedLogin => "login that failed or was given up",
            Self::Forgotten => "prepared statement or portal forgotten, since there were too many of all connections",
            Self::OldProtocol => "connection of a protocol before 3.0",
            Self::FramingLost => "place where one side is not PostgreSQL's protocol",
            Self::LostBytes => "bytes that the capture lost",
            Self::ReplicationBytes => "bytes of replication",
            Self::EncryptedBytes => "bytes that are encrypted",
            Self::CancelWithoutRequest => "cancel request that reached no request",
        }
    }

    /// Whether requests are missing for it.
    pub fn loss(self) -> Loss {
        match self {
            Self::StatementUnknown | Self::PortalUnknown | Self::MessageTooLong | Self::MessageUnreadable => Loss::Each,
            // Bytes, messages, or connections with any number of requests.
            Self::CopyWithoutRequest
            | Self::OldProtocol
            | Self::FramingLost
            | Self::LostBytes
            | Self::EncryptedBytes => Loss::Some,
            // What is forgotten is missed when it is executed.
            Self::Unanswered
            | Self::FailedLogin
            | Self::Forgotten
            | Self::ReplicationBytes
            | Self::CancelWithoutRequest => Loss::None,
        }
    }
}
