//! A value that is known within bounds, statistics over such values, and how they stand to a limit.
//!
//! Takes and gives plain numbers. Must not know what they measure.

use super::judge::ObjectiveOutcome;
use crate::objective::{Op, Percentile, Stat};

/// A value and what it lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// None where only the bounds are known.
    pub value: Option<f64>,
    pub low: f64,
    /// None: there is no telling how large it was.
    pub high: Option<f64>,
}

impl Bounds {
    /// A value that is known for sure.
    pub fn exact(value: f64) -> Self {
        Self { value: Some(value), low: value, high: Some(value) }
    }

    /// A value of which only the least is known.
    pub fn at_least(low: f64) -> Self {
        Self { value: None, low, high: None }
    }

    /// The same in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            value: self.value.map(|value| value * factor),
            low: self.low * factor,
            high: self.high.map(|high| high * factor),
        }
    }

    /// Whether the limit holds: met if it holds wherever the value lies, missed if it holds nowhere.
    pub fn against(&self, op: Op, limit: f64) -> ObjectiveOutcome {
        let (low_holds, high_holds) = (op.holds(self.low, limit), self.high.map(|high| op.holds(high, limit)));
        let (met, missed) = match op {
            Op::Less | Op::LessOrEqual => (high_holds == Some(true), !low_holds),
            Op::Greater | Op::GreaterOrEqual => (low_holds, high_holds == Some(false)),
            Op::Equal => {
                let outside = self.low > limit || self.high.is_some_and(|high| high < limit);
                (low_holds && high_holds == Some(true), outside)
            }
        };
        match (met, missed) {
            (true, _) => ObjectiveOutcome::Met,
            (false, true) => ObjectiveOutcome::Missed,
            (false, false) => ObjectiveOutcome::Inconclusive,
        }
    }
}

/// The statistic over some tenants, none of them left out: a bound that one of them does not have is one that the
/// statistic does not have where it matters. None over no tenants.
pub(super) fn over(stat: Stat, all: &[Bounds]) -> Option<Bounds> {
    let of = |values: Vec<f64>| -> Option<f64> {
        match stat {
            Stat::Max => values.into_iter().reduce(f64::max),
            Stat::Mean if values.is_empty() => None,
            Stat::Mean => Some(values.iter().sum::<f64>() / values.len() as f64),
            Stat::Percentile(percentile) => nearest_rank(values, percentile),
        }
    };
    // An unknown value counts with its lower bound: it is shown, and only bounds are judged.
    let value = of(all.iter().map(|bounds| bounds.value.unwrap_or(bounds.low)).collect())?;
    let low = of(all.iter().map(|bounds| bounds.low).collect())?;
    let high = of(all.iter().map(|bounds| bounds.high.unwrap_or(f64::INFINITY)).collect())?;
    let known = all.iter().any(|bounds| bounds.value.is_some());
    Some(Bounds { value: known.then_some(value), low, high: high.is_finite().then_some(high) })
}

/// The smallest value that at least the percentile's share of the values does not exceed.
fn nearest_rank(mut values: Vec<f64>, percentile: Percentile) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (percentile.quantile() * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ObjectiveOutcome::{Inconclusive, Met, Missed};

    fn between(low: f64, high: f64) -> Bounds {
        Bounds { value: Some((low + high) / 2.0), low, high: Some(high) }
    }

    #[test]
    fn a_limit_between_the_bounds_is_inconclusive() {
        assert_eq!(between(1.0, 2.0).against(Op::Less, 3.0), Met);
        assert_eq!(between(1.0, 2.0).against(Op::Less, 1.5), Inconclusive);
        assert_eq!(between(1.0, 2.0).against(Op::Less, 1.0), Missed);
        assert_eq!(between(1.0, 2.0).against(Op::LessOrEqual, 2.0), Met);
        assert_eq!(between(1.0, 2.0).against(Op::Greater, 0.5), Met);
        assert_eq!(between(1.0, 2.0).against(Op::GreaterOrEqual, 3.0), Missed);
        assert_eq!(between(0.0, 2.0).against(Op::Equal, 0.0), Inconclusive);
        assert_eq!(Bounds::exact(0.0).against(Op::Equal, 0.0), Met);
        assert_eq!(Bounds::exact(1.0).against(Op::Equal, 0.0), Missed);
    }

    #[test]
    fn what_has_no_upper_bound_can_only_be_missed_by_its_lower_one() {
        assert_eq!(Bounds::at_least(5.0).against(Op::Less, 3.0), Missed);
        assert_eq!(Bounds::at_least(1.0).against(Op::Less, 3.0), Inconclusive);
        assert_eq!(Bounds::at_least(5.0).against(Op::Greater, 3.0), Met);
    }

    #[test]
    fn statistics_keep_their_bounds() {
        let all = [between(1.0, 3.0), between(2.0, 2.5), Bounds::at_least(0.5)];
        let max = over(Stat::Max, &all).unwrap();
        assert_eq!((max.low, max.high), (2.0, None));
        let p50 = Percentile::from_millipercent(50_000).unwrap();
        let median = over(Stat::Percentile(p50), &all).unwrap();
        assert_eq!((median.low, median.high), (1.0, Some(3.0)));
        assert_eq!(over(Stat::Mean, &all[..2]).unwrap().value, Some(2.125));
        assert_eq!(over(Stat::Max, &[]), None);
    }
}
