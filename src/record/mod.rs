//! Floor 2: the recorder: bounded senders, the one writer of a run directory, and the reading of it.
//!
//! Replay, upgrade steps and probes hold a [`Recorder`] each and never call one another; the writer thread puts what
//! they send into the run directory.

mod announcer;
mod phase_file;
mod reading;
mod rundir;
mod sender;
mod writer;

pub use phase_file::PhaseFile;
pub use reading::{Lines, ReadError, read_facts};
pub use rundir::{RunDir, RunDirError};
pub use sender::{Item, Recorder, channel};
pub use writer::{RecordError, Writer};
