//! Histograms of waiting times.
//!
//! Takes microseconds, gives percentiles; histograms can only be merged, never averaged. Must not know whose times they
//! are, nor which samples enter.

use hdrhistogram::Histogram;

use super::findings::Latency;
use crate::samples::sample::{Outcome, Sample};

/// The longest time that is told apart; what takes longer counts as this long.
const LONGEST_US: u64 = 24 * 3_600 * 1_000_000;

/// A histogram that grows with its largest value. Two significant digits and 32-bit counts are enough for one of a
/// thousand tenants; totals and statements take three.
#[derive(Clone, Debug)]
pub(super) struct Times {
    histogram: Option<Histogram<u32>>,
    digits: u8,
    max_us: u64,
}

impl Times {
    /// Two significant digits.
    pub fn coarse() -> Self {
        Self { histogram: None, digits: 2, max_us: 0 }
    }

    /// Three significant digits.
    pub fn fine() -> Self {
        Self { histogram: None, digits: 3, max_us: 0 }
    }

    /// Records one time.
    pub fn add(&mut self, us: u64) {
        self.max_us = self.max_us.max(us);
        let digits = self.digits;
        let histogram = self.histogram.get_or_insert_with(|| {
            let mut histogram = Histogram::new(digits).expect("two or three significant digits are valid");
            histogram.auto(true);
            histogram
        });
        // Cannot fail: the histogram grows, and the value is bounded.
        let _ = histogram.record(us.min(LONGEST_US));
    }

    /// Adds all times of another.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = &other.histogram else { return };
        self.max_us = self.max_us.max(other.max_us);
        match &mut self.histogram {
            // Cannot fail: the histogram grows.
            Some(histogram) => drop(histogram.add(theirs)),
            None => self.histogram = Some(theirs.clone()),
        }
    }

    /// How many times were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// A percentile, 0 to 100; `None` without times.
    pub fn percentile_us(&self, percentile: f64) -> Option<u64> {
        let histogram = self.histogram.as_ref()?;
        // A hair less, since 99.9 % of 1,000 comes out above 999 in floating point. The top of the histogram's cell may
        // lie above the largest time that was recorded.
        Some(histogram.value_at_percentile(percentile - 1e-9).min(self.max_us))
    }

    /// Count, percentiles and maximum.
    pub fn findings(&self) -> Latency {
        Latency {
            count: self.count(),
            p50_us: self.percentile_us(50.0),
            p75_us: self.percentile_us(75.0),
            p90_us: self.percentile_us(90.0),
            p95_us: self.percentile_us(95.0),
            p99_us: self.percentile_us(99.0),
            p999_us: self.percentile_us(99.9),
            max_us: self.histogram.as_ref().map(|_| self.max_us),
        }
    }
}

/// Whether a request's times enter the latency figures: it was answered, or it waited past its deadline in vain. A
/// request that failed at once must not make the figures look better.
pub(super) fn enters(sample: &Sample) -> bool {
    match sample.outcome {
        Outcome::Ok | Outcome::Late | Outcome::ExpectedError | Outcome::Expired => true,
        Outcome::Failed | Outcome::Indeterminate => {
            sample.service_us().is_some_and(|service_us| service_us >= sample.deadline_us)
        }
        Outcome::Skipped => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempts::tests::request;
    use super::*;
    use crate::words::class::SampleClass;

    #[test]
    fn percentiles_come_from_what_was_recorded() {
        let mut times = Times::fine();
        (1..=1_000).for_each(|ms| times.add(ms * 1_000));
        let found = times.findings();
        assert_eq!((found.count, found.max_us), (1_000, Some(1_000_000)));
        let near = |found: Option<u64>, us: u64| found.is_some_and(|found| found.abs_diff(us) <= us / 1_000);
        assert!(
            near(found.p50_us, 500_000) && near(found.p99_us, 990_000) && near(found.p999_us, 999_000),
            "{found:?}"
        );
    }

    #[test]
    fn merging_is_as_good_as_recording_in_one() {
        let (mut one, mut left, mut right) = (Times::coarse(), Times::coarse(), Times::coarse());
        for us in [3, 70_000, 12, 9_000_000, 450] {
            one.add(us);
            if us > 100 { left.add(us) } else { right.add(us) }
        }
        right.merge(&left);
        assert_eq!(right.findings(), one.findings());
    }

    #[test]
    fn nothing_recorded_is_unknown_and_not_zero() {
        assert_eq!(Times::coarse().findings(), Latency::default());
        assert_eq!(Latency::default().p99_us, None);
    }

    #[test]
    fn what_failed_at_once_stays_out_and_what_was_given_up_enters() {
        assert!(!enters(&request(SampleClass::Read, Outcome::Failed, 0, 5)));
        assert!(enters(&request(SampleClass::Read, Outcome::Failed, 0, 1_000)));
        assert!(enters(&request(SampleClass::Read, Outcome::Expired, 0, 1_000)));
        assert!(!enters(&request(SampleClass::Read, Outcome::Skipped, 0, 5_000)));
    }
}
