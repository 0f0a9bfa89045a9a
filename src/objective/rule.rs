//! An objective as a typed rule, and its canonical text.
//!
//! Gives plain values. Must not know how the metrics are measured, nor how the text is read.

use std::fmt;
use std::time::Duration;

use super::pattern::Pattern;
use crate::words::phase::Phase;
use crate::words::time::format_duration;

/// A limit that must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub metric: Metric,
    /// All of them must match; each key at most once.
    pub filters: Vec<Filter>,
    /// Over the tenants; only where [`Metric::is_per_tenant`], and [`Stat::Max`] elsewhere.
    pub stat: Stat,
    pub op: Op,
    pub bound: Bound,
}

impl Objective {
    /// The filter with this key.
    pub fn filter(&self, key: FilterKey) -> Option<&Pattern> {
        self.filters.iter().find(|filter| filter.key == key).map(|filter| &filter.value)
    }

    /// The phases that count: those that the filter names, all but the warm-up without one.
    pub fn phases(&self) -> Vec<Phase> {
        let measured = [Phase::Before, Phase::Upgrade, Phase::After];
        let named = self.filter(FilterKey::Phase);
        measured.into_iter().filter(|phase| named.is_none_or(|pattern| pattern.matches(phase.name()))).collect()
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The union of both classes, or the sum of the windows of one.
    Downtime(Option<StatementSide>),
    Held,
    Brownout,
    Recovery,
    /// Response time: done - due.
    Latency(Percentile),
    /// Service time: done - sent.
    Service(Percentile),
    /// Errors that neither the capture nor the phase `before` had.
    ErrorsNew,
    /// Acknowledged writes of the ledger that were not found.
    LostWrites,
    /// Results that differ from the captured ones.
    Divergence,
    StepDuration(String),
}

/// Reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementSide {
    Read,
    Write,
}

/// What a metric's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Time,
    Count,
}

impl Metric {
    /// What its values are; a count can also be bounded as a share of the requests.
    pub fn dimension(&self) -> Dimension {
        match self {
            Self::ErrorsNew | Self::LostWrites | Self::Divergence => Dimension::Count,
            _ => Dimension::Time,
        }
    }

    /// Whether each tenant has a value of its own, so that a statistic over the tenants makes sense.
    pub fn is_per_tenant(&self) -> bool {
        !matches!(self, Self::ErrorsNew | Self::LostWrites | Self::Divergence | Self::StepDuration(_))
    }

    /// Whether it rests on due times, which a closed loop does not have.
    pub fn needs_due_times(&self) -> bool {
        matches!(self, Self::Downtime(_) | Self::Held | Self::Brownout | Self::Recovery | Self::Latency(_))
    }

    /// The filters that it takes.
    pub fn filter_keys(&self) -> &'static [FilterKey] {
        use FilterKey::{Database, Phase, Region, Tenant, Tier};
        match self {
            Self::Latency(_) | Self::Service(_) => &[Phase, Tenant, Database, Tier, Region],
            Self::Downtime(_) | Self::Held | Self::Brownout | Self::Recovery => &[Tenant, Database, Tier, Region],
            Self::ErrorsNew => &[Phase],
            Self::LostWrites | Self::Divergence | Self::StepDuration(_) => &[],
        }
    }
}

/// Which part of the values lies at or below: `p99`, `p999` for 99.9 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile {
    /// Thousandths of a percent, 1 to 99,999.
    millipercent: u32,
}

impl Percentile {
    /// The percentile of so many thousandths of a percent, if it lies between 0 and 100.
    pub fn from_millipercent(millipercent: u32) -> Option<Self> {
        (1..100_000).contains(&millipercent).then_some(Self { millipercent })
    }

    /// Whether latencies are kept with this percentile: 50, 75, 90, 95, 99 and 99.9.
    pub fn is_kept(self) -> bool {
        matches!(self.millipercent, 50_000 | 75_000 | 90_000 | 95_000 | 99_000 | 99_900)
    }

    /// The share as a number between 0 and 1.
    pub fn quantile(self) -> f64 {
        f64::from(self.millipercent) / 100_000.0
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.millipercent / 1000, self.millipercent % 1000);
        let digits = format!("{part:03}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "p{whole}"),
            digits if whole >= 90 => write!(f, "p{whole}{digits}"),
            digits => write!(f, "p{whole}.{digits}"),
        }
    }
}

/// A condition on what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub key: FilterKey,
    pub value: Pattern,
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKey {
    Phase,
    Tenant,
    Database,
    Tier,
    Region,
}

impl FilterKey {
    pub const ALL: [Self; 5] = [Self::Phase, Self::Tenant, Self::Database, Self::Tier, Self::Region];

    /// The written name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Tenant => "tenant",
            Self::Database => "database",
            Self::Tier => "tier",
            Self::Region => "region",
        }
    }
}

/// A statistic over the tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    Max,
    Mean,
    /// Nearest rank.
    Percentile(Percentile),
}

/// How the value stands to the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Op {
    pub const ALL: [Self; 5] = [Self::Less, Self::LessOrEqual, Self::Equal, Self::GreaterOrEqual, Self::Greater];

    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "==",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        }
    }

    /// Whether `value` stands so to `limit`.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Equal => value == limit,
            Self::GreaterOrEqual => value >= limit,
            Self::Greater => value > limit,
        }
    }
}

/// What the value is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    Time(Duration),
    Count(u64),
    /// Percent of the requests.
    Percent(f64),
    /// So many times the same figure in the phase `before`.
    TimesBefore(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // 3.4s reads better than 3400ms.
            Self::Time(time) if time.as_secs() > 0 && time.subsec_micros() > 0 => write!(f, "{}s", time.as_secs_f64()),
            Self::Time(time) => f.write_str(&format_duration(*time)),
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::TimesBefore(times) => write!(f, "{times}x before"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Downtime(None) => f.write_str("downtime"),
            Self::Downtime(Some(StatementSide::Read)) => f.write_str("downtime.read"),
            Self::Downtime(Some(StatementSide::Write)) => f.write_str("downtime.write"),
            Self::Held => f.write_str("held"),
            Self::Brownout => f.write_str("brownout"),
            Self::Recovery => f.write_str("recovery"),
            Self::Latency(percentile) => write!(f, "latency.{percentile}"),
            Self::Service(percentile) => write!(f, "service.{percentile}"),
            Self::ErrorsNew => f.write_str("errors.new"),
            Self::LostWrites => f.write_str("lost_writes"),
            Self::Divergence => f.write_str("divergence"),
            Self::StepDuration(name) => write!(f, "step({}).duration", quoted(name, ")")),
        }
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Mean => f.write_str("mean"),
            Self::Percentile(percentile) => percentile.fmt(f),
        }
    }
}

/// The canonical text; reading it gives the same objective.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metric.fmt(f)?;
        for (index, filter) in self.filters.iter().enumerate() {
            let before = if index == 0 { "{" } else { ", " };
            write!(f, "{before}{}={}", filter.key.name(), quoted(filter.value.as_str(), ",}"))?;
        }
        if !self.filters.is_empty() {
            f.write_str("}")?;
        }
        if self.metric.is_per_tenant() {
            write!(f, " {}", self.stat)?;
        }
        write!(f, " {} {}", self.op.name(), self.bound)
    }
}

/// The text, in quotes where it holds a character that would end it.
fn quoted(text: &str, ends: &str) -> String {
    let plain =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\' || ends.contains(c));
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")) }
}

/// The objectives with those that always hold unless they are replaced: `lost_writes == 0` and
/// `errors.new{phase=after} == 0`. An objective on the same metric (and phase) replaces one.
pub fn with_defaults(mut objectives: Vec<Objective>) -> Vec<Objective> {
    let always = |metric: Metric, filters: Vec<Filter>| Objective {
        metric,
        filters,
        stat: Stat::Max,
        op: Op::Equal,
        bound: Bound::Count(0),
    };
    if !objectives.iter().any(|objective| objective.metric == Metric::LostWrites) {
        objectives.push(always(Metric::LostWrites, Vec::new()));
    }
    let judges_after =
        |objective: &Objective| objective.metric == Metric::ErrorsNew && objective.phases().contains(&Phase::After);
    if !objectives.iter().any(judges_after) {
        let after = Filter { key: FilterKey::Phase, value: Pattern::new("after") };
        objectives.push(always(Metric::ErrorsNew, vec![after]));
    }
    objectives
}
