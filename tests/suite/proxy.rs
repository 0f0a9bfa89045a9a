//! `capture proxy`: clients do not notice it, and everything that they say is in the workload.

mod bytes;
mod clients;
mod ends;
mod faults;
mod running;
mod tls;
