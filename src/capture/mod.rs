//! Floor 3: turning server logs and network captures into a workload.

mod compact;
mod conclusion;
mod destination;
mod error;
mod event;
mod held;
pub mod log;
mod logged;
mod output;
pub mod pcap;
pub mod proxy;
mod report;
mod run;
mod sequence;
mod session;
mod sort;
mod storage;
mod stream;
mod texts;
pub mod wire;

pub use error::CaptureError;
pub use report::CaptureReport;
