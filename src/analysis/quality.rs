//! How well one tenant was served while it was served: brownout and recovery.
//!
//! Takes its requests from `upgrade` on, each measured against its own statement's p99 in `before`. Requests are counted
//! in tenths of a second once that p99 stands, so that memory follows time and not traffic. Must not know about windows
//! other than as time to leave out.

use std::collections::{BTreeMap, HashMap};

use super::spans::{Span, Spans};
use crate::words::ids::Fingerprint;

/// The grain of time.
const TENTH_US: u64 = 100_000;

/// Tenths of a second in the sliding window of a brownout.
const SLIDING_TENTHS: u64 = 10;

/// Requests that a sliding window must hold; it is stretched until it does.
const SLIDING_REQUESTS: u64 = 20;

/// Brownouts that are no further apart than this are one.
const MERGE_WITHIN_US: u64 = 2_000_000;

/// How long error rate and p99 must be back before a tenant counts as recovered.
const STEADY_US: u64 = 30_000_000;

/// The p99 in `before`, by statement.
pub(super) type Baseline = HashMap<Fingerprint, u64>;

/// One tenant's requests from `upgrade` on.
#[derive(Clone, Debug, Default)]
pub(super) struct Quality {
    /// Requests that came before the baseline stood.
    waiting: Vec<Request>,
    tenths: BTreeMap<u64, Tenth>,
}

/// A request as it is needed here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub due_us: u64,
    pub fingerprint: Fingerprint,
    /// `None` when it was bad.
    pub response_us: Option<u64>,
}

/// Requests due in a tenth of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Tenth {
    requests: u64,
    bad: u64,
    /// Slower than 3 times the p99 before.
    slow: u64,
    /// Slower than 1.25 times the p99 before.
    unsteady: u64,
}

impl Quality {
    /// Adds a request; the baseline is given once nothing changes it any more.
    pub fn push(&mut self, request: Request, baseline: Option<&Baseline>) {
        match baseline {
            Some(baseline) => self.count(&request, baseline),
            None => self.waiting.push(request),
        }
    }

    /// Counts all that waited for the baseline.
    pub fn settle(&mut self, baseline: &Baseline) {
        for request in std::mem::take(&mut self.waiting) {
            self.count(&request, baseline);
        }
    }

    fn count(&mut self, request: &Request, baseline: &Baseline) {
        let p99_us = baseline.get(&request.fingerprint).copied();
        let tenth = self.tenths.entry(request.due_us / TENTH_US).or_default();
        tenth.requests += 1;
        match (request.response_us, p99_us) {
            (None, _) => tenth.bad += 1,
            (Some(response_us), Some(p99_us)) => {
                tenth.slow += u64::from(response_us > 3 * p99_us);
                tenth.unsteady += u64::from(response_us > p99_us + p99_us / 4);
            }
            (Some(_), None) => (),
        }
    }

    /// The tenths of a second with their numbers, those within `down` left out.
    fn outside(&self, down: &Spans) -> Vec<(u64, Tenth)> {
        let is_down = |at: u64| down.len_within_us(Span::new(at * TENTH_US, (at + 1) * TENTH_US)) > 0;
        self.tenths.iter().filter(|&(&at, _)| !is_down(at)).map(|(&at, &tenth)| (at, tenth)).collect()
    }

    /// The time outside `down` in which more than one request in twenty was bad or slow.
    pub fn brownouts(&self, down: &Spans) -> Spans {
        let tenths = self.outside(down);
        let mut brown = Spans::default();
        for first in 0..tenths.len() {
            let Some(window) = sliding(&tenths[first..]) else { break };
            let requests: u64 = window.iter().map(|(_, tenth)| tenth.requests).sum();
            let troubled = |(_, tenth): &&(u64, Tenth)| tenth.bad + tenth.slow > 0;
            let trouble: u64 = window.iter().map(|(_, tenth)| tenth.bad + tenth.slow).sum();
            if trouble * 20 > requests {
                let from = window.iter().find(troubled).map_or(0, |(at, _)| *at);
                let to = window.iter().rev().find(troubled).map_or(0, |(at, _)| at + 1);
                brown.add(Span::new(from * TENTH_US, to * TENTH_US));
            }
        }
        joined(&brown)
    }

    /// How long it took from `from_us` until error rate and p99 were back for thirty seconds; `None` when the run ended
    /// before, or nothing was asked. `error_rate` is that of `before`. p99 by statement is back when no more than one
    /// request in a hundred (rounded up, so that one slow request of a quiet tenant proves nothing) is slower than
    /// 1.25 times its own statement's p99.
    pub fn recovery_us(&self, from_us: u64, ended_us: u64, error_rate: f64) -> Option<u64> {
        let from = from_us.div_ceil(TENTH_US);
        let tenths: Vec<(u64, Tenth)> = self.tenths.range(from..).map(|(&at, &tenth)| (at, tenth)).collect();
        tenths.first()?;
        let sums = Sums::new(&tenths);
        let steady = |at_us: u64| {
            let within = |us: u64| tenths.partition_point(|&(at, _)| at * TENTH_US < us);
            let sum = sums.between(within(at_us), within(at_us + STEADY_US));
            sum.bad as f64 <= 1.25 * error_rate * sum.requests as f64 && sum.unsteady <= sum.requests.div_ceil(100)
        };
        let troubled = tenths.iter().filter(|(_, tenth)| tenth.bad + tenth.unsteady > 0);
        std::iter::once(from_us)
            .chain(troubled.map(|(at, _)| (at + 1) * TENTH_US))
            .take_while(|at_us| at_us + STEADY_US <= ended_us)
            .find(|&at_us| steady(at_us))
            .map(|at_us| at_us - from_us)
    }
}

/// The sliding window at the first of `tenths`; `None` when the requests do not suffice.
fn sliding(tenths: &[(u64, Tenth)]) -> Option<&[(u64, Tenth)]> {
    let end = tenths.first()?.0 + SLIDING_TENTHS;
    let mut requests = 0;
    for (len, (at, tenth)) in tenths.iter().enumerate() {
        if *at >= end && requests >= SLIDING_REQUESTS {
            return Some(&tenths[..len]);
        }
        requests += tenth.requests;
    }
    (requests >= SLIDING_REQUESTS).then_some(tenths)
}

/// Spans of which neighbours become one.
fn joined(spans: &Spans) -> Spans {
    let mut joined = Spans::default();
    let mut before: Option<Span> = None;
    for span in spans.iter() {
        let near = before.filter(|before| span.start_us - before.end_us <= MERGE_WITHIN_US);
        joined.add(Span::new(near.map_or(span.start_us, |before| before.end_us), span.end_us));
        before = Some(span);
    }
    joined
}

/// Sums over the first so many tenths of a second.
struct Sums(Vec<Tenth>);

impl Sums {
    fn new(tenths: &[(u64, Tenth)]) -> Self {
        let mut sum = Tenth::default();
        let mut sums = vec![sum];
        for (_, tenth) in tenths {
            sum.requests += tenth.requests;
            sum.bad += tenth.bad;
            sum.unsteady += tenth.unsteady;
            sums.push(sum);
        }
        Self(sums)
    }

    fn between(&self, from: usize, to: usize) -> Tenth {
        let (from, to) = (self.0[from], self.0[to]);
        Tenth {
            requests: to.requests - from.requests,
            bad: to.bad - from.bad,
            slow: 0,
            unsteady: to.unsteady - from.unsteady,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENT: Fingerprint = Fingerprint(1);

    /// Ten requests a second for `seconds`; `response_ms` says how long each takes, `None` that it fails. The p99
    /// before is 10 ms.
    fn quality(seconds: u64, response_ms: impl Fn(u64) -> Option<u64>) -> Quality {
        let mut quality = Quality::default();
        for at in 0..seconds * 10 {
            let due_us = at * 100_000;
            let response_us = response_ms(due_us / 1_000).map(|ms| ms * 1_000);
            quality.push(Request { due_us, fingerprint: STATEMENT, response_us }, None);
        }
        quality.settle(&Baseline::from([(STATEMENT, 10_000)]));
        quality
    }

    #[test]
    fn slow_requests_after_reopening_are_a_brownout() {
        let slow = quality(60, |ms| Some(if (10_000..15_000).contains(&ms) { 40 } else { 8 }));
        assert_eq!(slow.brownouts(&Spans::default()).len_us(), 5_000_000);
        assert_eq!(quality(60, |_| Some(29)).brownouts(&Spans::default()).len_us(), 0, "less than 3 times the p99");
    }

    #[test]
    fn one_bad_request_in_forty_is_no_brownout() {
        let rare = quality(60, |ms| (ms % 4_000 != 0).then_some(8));
        assert_eq!(rare.brownouts(&Spans::default()).len_us(), 0);
    }

    #[test]
    fn downtime_is_left_out_of_a_brownout() {
        let failing = quality(60, |ms| (!(10_000..15_000).contains(&ms)).then_some(8));
        let down = Spans::from_iter([Span::new(10_000_000, 15_000_000)]);
        assert_eq!(failing.brownouts(&down).len_us(), 0);
    }

    #[test]
    fn brownouts_that_are_near_one_another_are_one() {
        let twice = quality(60, |ms| Some(if matches!(ms, 10_000..12_000 | 13_500..15_000) { 40 } else { 8 }));
        assert_eq!(twice.brownouts(&Spans::default()).len_us(), 5_000_000);
    }

    #[test]
    fn recovery_takes_until_thirty_steady_seconds_begin() {
        let slow = quality(120, |ms| Some(if ms < 20_000 { 13 } else { 8 }));
        // All that is slower than 12.5 ms is over after 20 s, but for what one request in a hundred may be.
        let recovered_us = slow.recovery_us(0, 120_000_000, 0.0);
        assert!(recovered_us.is_some_and(|us| us.abs_diff(20_000_000) <= 300_000), "{recovered_us:?}");
    }

    #[test]
    fn recovery_is_unknown_when_the_run_ended_before() {
        let slow = quality(120, |ms| Some(if ms < 95_000 { 13 } else { 8 }));
        assert_eq!(slow.recovery_us(0, 120_000_000, 0.0), None);
        assert_eq!(Quality::default().recovery_us(0, 120_000_000, 0.0), None);
    }

    #[test]
    fn errors_must_be_back_to_their_rate_before() {
        let failing = |ms: u64| (!ms.is_multiple_of(1_000)).then_some(8);
        assert_eq!(quality(60, failing).recovery_us(0, 60_000_000, 0.1), Some(0));
        assert_eq!(quality(60, failing).recovery_us(0, 60_000_000, 0.05), None);
    }
}
