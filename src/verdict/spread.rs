//! How well a percentile is known, and so how well a ratio of two.
//!
//! Takes the percentiles of merged histograms, gives bounds. Must not know which requests were timed.
//!
//! The rank of a percentile `q` among `n` requests has the standard error `sqrt(n q (1 - q))` (the binomial bounds of an
//! order statistic). The values at the outer ranks are read off between the percentiles that are kept, straight in
//! `-ln(1 - q)` and the logarithm of the value: exact for tails that are powers of an exponential.

use super::bounds::Bounds;
use crate::analysis::findings::Latency;
use crate::objective::Percentile;

/// Standard errors on each side. The errors of two independent figures add up as squares, so that 1.4 on each is 2 for
/// their ratio: about 95 percent.
const STANDARD_ERRORS: f64 = 1.4;

/// The value at a percentile, microseconds, if it is one that is kept.
pub(super) fn value_at(latency: &Latency, percentile: Percentile) -> Option<f64> {
    let kept = known(latency);
    let at = kept.iter().find(|(quantile, _)| (quantile - percentile.quantile()).abs() < 1e-9)?;
    Some(at.1)
}

/// `after` by `before` at a percentile, with its bounds. None where either has too few requests for the percentile to be
/// more than the slowest one.
pub(super) fn ratio(after: &Latency, before: &Latency, percentile: Percentile) -> Option<Bounds> {
    let enough = |latency: &Latency| latency.count as f64 * (1.0 - percentile.quantile()) >= 1.0 - 1e-9;
    if !enough(after) || !enough(before) {
        return None;
    }
    let value = value_at(after, percentile)? / value_at(before, percentile)?.max(1.0);
    let (after_low, after_high) = spread(after, percentile)?;
    let (before_low, before_high) = spread(before, percentile)?;
    let (low, high) = (after_low / before_high.max(1.0), after_high / before_low.max(1.0));
    Some(Bounds { value: Some(value), low: low.min(value), high: Some(high.max(value)) })
}

/// The values between which the percentile lies.
fn spread(latency: &Latency, percentile: Percentile) -> Option<(f64, f64)> {
    let quantile = percentile.quantile();
    let error = STANDARD_ERRORS * (quantile * (1.0 - quantile) / latency.count as f64).sqrt();
    Some((interpolated(latency, quantile - error)?, interpolated(latency, quantile + error)?))
}

/// The percentiles that are kept, rising.
fn known(latency: &Latency) -> Vec<(f64, f64)> {
    let kept = [
        (0.5, latency.p50_us),
        (0.75, latency.p75_us),
        (0.9, latency.p90_us),
        (0.95, latency.p95_us),
        (0.99, latency.p99_us),
        (0.999, latency.p999_us),
    ];
    kept.into_iter().filter_map(|(quantile, value)| value.map(|value| (quantile, value as f64))).collect()
}

/// The value at any quantile. Below the lowest that is kept it is that one; the slowest request is the last rank.
fn interpolated(latency: &Latency, quantile: f64) -> Option<f64> {
    let max_us = latency.max_us? as f64;
    let last_rank = 1.0 - 1.0 / latency.count.max(1) as f64;
    let mut points: Vec<(f64, f64)> = known(latency).into_iter().filter(|(kept, _)| *kept < last_rank).collect();
    if quantile >= last_rank {
        return Some(max_us);
    }
    points.push((last_rank, max_us));
    let above = points.iter().position(|(kept, _)| *kept >= quantile)?;
    let Some(below) = above.checked_sub(1) else { return Some(points[above].1) };
    let ((left, left_us), (right, right_us)) = (points[below], points[above]);
    let place = |quantile: f64| -(1.0 - quantile).ln();
    let share = (place(quantile) - place(left)) / (place(right) - place(left));
    let (left_ln, right_ln) = (left_us.max(1.0).ln(), right_us.max(1.0).ln());
    Some((left_ln + share * (right_ln - left_ln)).exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn p99() -> Percentile {
        Percentile::from_millipercent(99_000).unwrap()
    }

    /// Times with an exponential tail of a given mean.
    fn latency(count: u64, mean_us: f64) -> Latency {
        let at = |quantile: f64| Some((-(1.0 - quantile).ln() * mean_us) as u64);
        Latency {
            count,
            p50_us: at(0.5),
            p75_us: at(0.75),
            p90_us: at(0.9),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: at(1.0 - 1.0 / count as f64),
        }
    }

    #[test]
    fn more_requests_know_a_ratio_better() {
        let width = |count| {
            let ratio = ratio(&latency(count, 2000.0), &latency(count, 1000.0), p99()).unwrap();
            assert!((ratio.value.unwrap() - 2.0).abs() < 0.01, "{ratio:?}");
            assert!(ratio.low < 2.0 && ratio.high.unwrap() > 2.0, "{ratio:?}");
            ratio.high.unwrap() - ratio.low
        };
        assert!(width(100_000) < width(10_000) && width(10_000) < width(1000));
        assert!(width(100_000) < 0.1, "{}", width(100_000));
    }

    #[test]
    fn too_few_requests_have_no_p99_to_compare() {
        assert!(ratio(&latency(99, 1000.0), &latency(100_000, 1000.0), p99()).is_none());
        assert!(ratio(&latency(100, 1000.0), &latency(100, 1000.0), p99()).is_some());
    }

    #[test]
    fn only_kept_percentiles_have_a_value() {
        assert_eq!(value_at(&latency(1000, 1000.0), p99()), Some(4605.0));
        assert_eq!(value_at(&latency(1000, 1000.0), Percentile::from_millipercent(98_000).unwrap()), None);
    }
}
