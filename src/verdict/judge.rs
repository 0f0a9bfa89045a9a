//! One objective held against the findings.
//!
//! Takes findings and an objective, gives the outcome with value, limit and the tenants that break it. Must not know what
//! follows from it for the run.

use super::bounds::{Bounds, over};
use super::measure::{Measured, measure};
use crate::analysis::findings::Findings;
use crate::objective::{Bound, Metric, Objective};

/// How an objective was judged: met if the upper bound of its value meets the limit, missed if the lower bound breaks it,
/// else inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectiveOutcome {
    Met,
    Missed,
    Inconclusive,
}

impl ObjectiveOutcome {
    /// The written name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The unit of a value and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    Count,
    /// Between 0 and 1.
    Share,
    /// So many times the phase `before`.
    Ratio,
}

impl Unit {
    /// The written name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Count => "count",
            Self::Share => "share",
            Self::Ratio => "ratio",
        }
    }

    /// The value as a sentence says it.
    pub fn shown(self, value: f64) -> String {
        let time = |ms: f64| match ms.abs() {
            long if long >= 60_000.0 => format!("{:.1} min", ms / 60_000.0),
            long if long >= 1000.0 => format!("{:.2} s", ms / 1000.0),
            _ => format!("{ms:.1} ms"),
        };
        match self {
            Self::Milliseconds => time(value),
            Self::Microseconds => time(value / 1000.0),
            Self::Count => format!("{value:.0}"),
            Self::Share => format!("{:.2}%", value * 100.0),
            Self::Ratio => format!("{value:.2}x before"),
        }
    }
}

/// A judged objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Canonical.
    pub text: String,
    pub outcome: ObjectiveOutcome,
    /// In `unit`; none where nothing was measured.
    pub value: Option<f64>,
    /// What the value lies between; none where there is no bound.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub limit: f64,
    pub unit: Unit,
    /// Tenants whose own value breaks the limit, the worst first; empty if it is met.
    pub tenants: Vec<String>,
    /// Why it is inconclusive, or what else is to be known.
    pub note: Option<String>,
}

impl Judged {
    /// By how much the limit is missed, or held: `31.20 s, over 30.00 s by 1.20 s`.
    pub fn margin(&self) -> Option<String> {
        let value = self.value?;
        let (shown, limit) = (self.unit.shown(value), self.unit.shown(self.limit));
        let distance = self.unit.shown((value - self.limit).abs());
        Some(match value.total_cmp(&self.limit) {
            std::cmp::Ordering::Less => format!("{shown}, under {limit} by {distance}"),
            std::cmp::Ordering::Equal => format!("{shown}, just the limit"),
            std::cmp::Ordering::Greater => format!("{shown}, over {limit} by {distance}"),
        })
    }
}

/// Judges one objective.
pub fn judge(findings: &Findings, objective: &Objective) -> Judged {
    let (unit, factor, limit) = units(objective);
    let (bounds, each, mut note) = match measure(findings, objective) {
        Measured::Total(bounds) => (Some(bounds), Vec::new(), None),
        Measured::Tenants { each, left_out } => {
            let all: Vec<Bounds> = each.iter().map(|(_, bounds)| *bounds).collect();
            let note = (left_out > 0).then(|| left_out_note(left_out, objective));
            (over(objective.stat, &all), each, note)
        }
        Measured::Nothing(why) => (None, Vec::new(), Some(why)),
    };
    let bounds = bounds.map(|bounds| bounds.scaled(factor));
    let outcome = bounds.map_or(ObjectiveOutcome::Inconclusive, |bounds| bounds.against(objective.op, limit));
    if outcome == ObjectiveOutcome::Inconclusive
        && let Some(bounds) = bounds
    {
        let reason = between_note(&bounds, unit);
        note = Some(note.map_or(reason.clone(), |note| format!("{reason}; {note}")));
    }
    let tenants = if outcome == ObjectiveOutcome::Met { Vec::new() } else { breaking(each, objective, factor, limit) };
    Judged {
        text: objective.to_string(),
        outcome,
        value: bounds.and_then(|bounds| bounds.value),
        low: bounds.map(|bounds| bounds.low),
        high: bounds.and_then(|bounds| bounds.high),
        limit,
        unit,
        tenants,
        note,
    }
}

/// The unit, what measured values are to be multiplied by, and the limit in that unit.
fn units(objective: &Objective) -> (Unit, f64, f64) {
    match (objective.bound, &objective.metric) {
        (Bound::TimesBefore(times), _) => (Unit::Ratio, 1.0, times),
        (Bound::Percent(percent), _) => (Unit::Share, 1.0, percent / 100.0),
        (Bound::Count(count), _) => (Unit::Count, 1.0, count as f64),
        (Bound::Time(time), Metric::Latency(_) | Metric::Service(_)) => {
            (Unit::Microseconds, 1.0, time.as_micros() as f64)
        }
        (Bound::Time(time), _) => (Unit::Milliseconds, 1e-3, time.as_micros() as f64 / 1e3),
    }
}

fn left_out_note(left_out: usize, objective: &Objective) -> String {
    let why = match objective.bound {
        Bound::TimesBefore(_) => "too few requests to be compared",
        _ => "no such figure",
    };
    match left_out {
        1 => format!("one tenant has {why} and is left out"),
        many => format!("{many} tenants have {why} and are left out"),
    }
}

fn between_note(bounds: &Bounds, unit: Unit) -> String {
    match bounds.high {
        Some(high) => format!("it lies between {} and {}", unit.shown(bounds.low), unit.shown(high)),
        None => format!("it is at least {}, and its end was not seen", unit.shown(bounds.low)),
    }
}

/// The tenants whose own value breaks the limit, the worst first.
fn breaking(each: Vec<(String, Bounds)>, objective: &Objective, factor: f64, limit: f64) -> Vec<String> {
    let value = |bounds: &Bounds| bounds.value.unwrap_or(bounds.low) * factor;
    let mut worst: Vec<(f64, String)> = each
        .into_iter()
        .filter(|(_, bounds)| !objective.op.holds(value(bounds), limit))
        .map(|(tenant, bounds)| ((value(&bounds) - limit).abs(), tenant))
        .collect();
    worst.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    worst.into_iter().map(|(_, tenant)| tenant).collect()
}
