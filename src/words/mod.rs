//! Floor 0: the words that every other module uses. Pure values; no I/O, no clock but the one handed in.

pub mod chance;
pub mod class;
pub mod exit;
pub mod ids;
pub mod limits;
pub mod phase;
pub mod shard;
pub mod sqlstate;
pub mod suggest;
pub mod time;
