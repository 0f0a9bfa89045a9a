//! Floor 6: the rehearsal: staging made ready, phases conducted, everything put away.

mod answers;
pub mod begin;
mod conduct;
mod facts;
mod follow;
mod generator;
mod heartbeat;
mod host;
mod load;
mod measure;
pub mod part;
mod plans;
pub mod run;
mod sequences;
pub mod signals;
mod staging;
mod start;
