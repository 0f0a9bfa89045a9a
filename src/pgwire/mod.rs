//! Floor 1: PostgreSQL's wire protocol, version 3: bytes to messages and back, without I/O.
//!
//! [`frontend`] writes what a client sends, [`frames`] cuts what a server sends into messages, [`backend`] reads their
//! parts. [`pieces`] and [`client`] read what both sides say to each other, for a capture, [`plausible`] tells whether they do;
//! [`digest`] tells results apart.
//! [`serve`] is the server's half, for stand-ins of a server.

pub mod backend;
pub mod client;
pub mod digest;
pub mod frames;
pub mod frontend;
pub mod pieces;
pub mod plausible;
pub mod serve;

/// The newest protocol that a client asks for: 3.2, which has cancel keys of any length.
pub const PROTOCOL_3_2: u32 = 3 << 16 | 2;

/// The protocol that every server since 7.4 speaks.
pub const PROTOCOL_3_0: u32 = 3 << 16;
