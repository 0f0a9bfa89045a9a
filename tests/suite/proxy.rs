//! `capture proxy`: clients do not notice it, and everything that they say is in the workload.

mod bytes;
mod clients;
mod ends;
mod faults;
pub mod running;
mod tls;
