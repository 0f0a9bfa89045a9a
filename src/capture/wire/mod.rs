//! One connection's two byte streams to the requests of a session, without I/O.
//!
//! The way of the data: `conversation` (who speaks, framing, login, encryption) -> `exchange` (messages, read with what is
//! `prepared` in the session's `memory`, to `batch`es and their answers; `rows` and COPY data pass by) -> [`Found`]. pcap and proxy both feed it.

mod batch;
mod conversation;
mod copying;
mod exchange;
mod found;
mod memory;
mod prepared;
mod rows;

pub use conversation::Conversation;
pub use found::{Found, Reason, Side};

/// Takes what a conversation gives.
pub type Sink<'a> = dyn FnMut(Found) -> std::io::Result<()> + 'a;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
