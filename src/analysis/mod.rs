//! Floor 4, judging wing: from a run directory to findings. No server, no tokio, no clock.

mod attempts;
mod downtime;
pub mod findings;
mod spans;
