//! Network captures to a workload.
//!
//! The way of the data: `capture` (files and packets) -> `packet` (a TCP segment) -> `connection` with a
//! `reassembly` for
//! each direction -> `capture::wire` -> sorted events -> workload.

mod capture;
mod connection;
pub mod packet;
pub mod reassembly;

pub use capture::{PcapOptions, capture};
