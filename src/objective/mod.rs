//! Floor 1: objectives: a text such as `downtime max < 30s` and the typed rule that it stands for.
//!
//! ```text
//! METRIC[{FILTER, ...}] [STAT] OP BOUND
//!
//! METRIC  downtime | downtime.read | downtime.write | held | brownout | recovery | latency.pNN | service.pNN
//!         | errors.new | lost_writes | divergence | step(NAME).duration
//! FILTER  phase=, tenant=, database=, tier=, region=  with * in the value; "..." around one with , } or a space
//! STAT    max (the default) | mean | pNN              over the tenants
//! OP      < | <= | == | >= | >
//! BOUND   a number with us, ms, s, m, h or %, a plain number for counts, or Nx before
//! ```

mod parse;
mod pattern;
mod rule;

pub use parse::{ObjectiveError, parse};
pub use pattern::Pattern;
pub use rule::{
    Bound, Dimension, Filter, FilterKey, Metric, Objective, Op, Percentile, Stat, StatementSide, with_defaults,
};
