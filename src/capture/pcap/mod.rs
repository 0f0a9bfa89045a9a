//! Network captures to a workload.
//!
//! The way of the data: `files` (in order) -> `blocks` (a packet) -> `packet` and `fragments` (a TCP segment) ->
//! `connections`, each a `connection` with its `reassembly` of two `direction`s and an `opening` that tells PostgreSQL from
//! others -> `capture::session` -> sorted events -> workload.

pub mod blocks;
mod capture;
mod connection;
mod connections;
mod direction;
mod files;
mod fragments;
mod opening;
pub mod packet;
pub mod reassembly;

pub use capture::{PcapOptions, capture};
