//! `workload peak`: the busiest window of a given length.
//!
//! Takes a workload and a length, slides a window over its seconds, and gives the one that holds most. Memory is bounded by
//! the seconds of the window. Must not know how a window is cut out.

use std::collections::VecDeque;

use super::error::ReshapeError;
use crate::workload::record::Record;
use crate::workload::{Input, Reader};

/// What makes a window busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Executions that were sent in it.
    Executions,
    /// The captured time of the requests that were sent in it.
    Time,
}

/// The busiest window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peak {
    /// RFC 3339, the moment of the workload's start.
    pub started_at: String,
    pub from_us: u64,
    /// The first moment behind it.
    pub to_us: u64,
    /// Executions, or microseconds, in it.
    pub amount: u64,
    /// The same of the whole workload.
    pub total: u64,
    pub span_us: u64,
}

impl Peak {
    /// Executions, or microseconds, a second within the window.
    pub fn rate_per_second(&self) -> f64 {
        rate(self.amount, self.to_us - self.from_us)
    }

    /// The same over the whole workload.
    pub fn mean_per_second(&self) -> f64 {
        rate(self.total, self.span_us)
    }
}

/// Finds the busiest window of `seconds` whole seconds; the first of several that are equally busy.
///
/// # Errors
/// The workload is damaged or holds nothing to measure.
pub fn find_peak<'a>(input: impl Into<Input<'a>>, seconds: u64, measure: Measure) -> Result<Peak, ReshapeError> {
    let mut reader = Reader::open(input)?;
    let mut sliding = Sliding::new(seconds);
    let mut span_us = 0;
    while let Some((_, record)) = reader.next_record()? {
        match record {
            Record::Request(request) => {
                let amount = match measure {
                    Measure::Executions => request.executed().len() as u64,
                    Measure::Time => request.results.iter().filter_map(|result| result.total_us).sum(),
                };
                sliding.add(request.t_us / 1_000_000, amount);
            }
            Record::End(end) => span_us = end.span_us,
            _ => {}
        }
    }
    let (first_second, amount) = sliding.best;
    if amount == 0 {
        return Err(ReshapeError::Asked {
            primary: match measure {
                Measure::Executions => "the workload holds no executions".to_owned(),
                Measure::Time => "the workload holds no durations".to_owned(),
            },
            hint: match measure {
                Measure::Executions => "capture again, or choose another workload".to_owned(),
                Measure::Time => "measure by executions: --by executions".to_owned(),
            },
        });
    }
    let from_us = first_second * 1_000_000;
    Ok(Peak {
        started_at: reader.header().started_at.clone(),
        from_us,
        to_us: from_us + seconds * 1_000_000,
        amount,
        total: sliding.total,
        span_us,
    })
}

/// The seconds of a window that ends with the newest one. Seconds in which nothing happened take no place.
struct Sliding {
    seconds: u64,
    held: VecDeque<(u64, u64)>,
    sum: u64,
    total: u64,
    /// The first second of the best window, and what it holds.
    best: (u64, u64),
}

impl Sliding {
    fn new(seconds: u64) -> Self {
        Self { seconds, held: VecDeque::new(), sum: 0, total: 0, best: (0, 0) }
    }

    fn add(&mut self, second: u64, amount: u64) {
        while let Some((old, held)) = self.held.front().copied().filter(|(old, _)| old + self.seconds <= second) {
            debug_assert!(old < second);
            self.sum -= held;
            self.held.pop_front();
        }
        match self.held.back_mut() {
            Some((newest, held)) if *newest == second => *held += amount,
            _ => self.held.push_back((second, amount)),
        }
        self.sum += amount;
        self.total += amount;
        if self.sum > self.best.1 {
            self.best = ((second + 1).saturating_sub(self.seconds), self.sum);
        }
    }
}

fn rate(amount: u64, span_us: u64) -> f64 {
    amount as f64 * 1e6 / span_us.max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Sliding;

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_best(
            mut events in prop::collection::vec((0_u64..40, 1_u64..9), 1..60),
            seconds in 1_u64..12,
        ) {
            events.sort_unstable();
            let mut sliding = Sliding::new(seconds);
            events.iter().for_each(|(second, amount)| sliding.add(*second, *amount));
            let held = |first: u64| -> u64 {
                let window = events.iter().filter(|(second, _)| (first..first + seconds).contains(second));
                window.map(|(_, amount)| amount).sum()
            };
            let (first, amount) = sliding.best;
            prop_assert_eq!(held(first), amount);
            prop_assert_eq!(amount, (0..40).map(held).max().unwrap_or(0));
        }
    }
}
