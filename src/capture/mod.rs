//! Floor 3: turning server logs into a workload.

mod error;
mod event;
pub mod log;
mod output;
mod report;
mod sort;

pub use error::CaptureError;
pub use report::CaptureReport;
