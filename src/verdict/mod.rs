//! Floor 5, judging wing: objectives held against findings, and the verdict with its exit code.
//!
//! ```text
//! Findings + Objective -> measure -> Bounds (value, low, high) -> judge -> met | missed | inconclusive
//! all of them + what the run went through -> decide -> passed | failed | inconclusive, with reasons and exit code
//! ```

mod bounds;
mod decide;
mod judge;
mod measure;
mod spread;

pub use decide::{Outcome, Reason, Verdict, decide};
pub use judge::{Judged, ObjectiveOutcome, Unit, judge};
