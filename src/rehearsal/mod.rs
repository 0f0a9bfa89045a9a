//! Floor 6: the rehearsal: staging made ready, phases conducted, everything put away.

mod generator;
mod host;
mod load;
pub mod signals;
