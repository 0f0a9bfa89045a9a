//! `workload peak`.
//!
//! Takes what was typed; prints when the busiest window was and how busy. Must not know how it is found.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::progress::Reading;
use super::super::{Ended, show};
use super::slice;
use crate::reshape::moment::Moment;
use crate::reshape::peak::{Measure, Peak, find_peak};
use crate::reshape::slice::{Selection, slice};
use crate::words::exit::ExitCode;
use crate::words::time::{format_duration, parse_duration};

/// Find the busiest window of a given length, second by second, and cut it out with -o as `workload slice` does.
#[derive(Debug, Args)]
pub struct PeakArgs {
    /// The workload
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Length of the window in whole seconds, such as 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    length: Duration,
    /// Write the window as a workload; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// What makes a window busy
    #[arg(long, value_enum, default_value_t = By::Executions)]
    by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// How much was executed
    Executions,
    /// How long it took when it was captured
    Time,
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    match length.as_secs() > 0 && length.subsec_nanos() == 0 {
        true => Ok(length),
        false => Err("the length is one or more whole seconds, such as 30s or 5m".to_owned()),
    }
}

/// Carries out `workload peak`.
pub(super) fn carry_out(typed: &PeakArgs) -> Ended {
    let measure = match typed.by {
        By::Executions => Measure::Executions,
        By::Time => Measure::Time,
    };
    let reading = Reading::of(&[&typed.file], if typed.output.is_some() { 2 } else { 1 });
    let input = reading.input(&typed.file);
    let peak = find_peak(input, typed.length.as_secs(), measure)?;
    let mut shown = text(&peak, measure);
    if let Some(output) = &typed.output {
        let (from, to) = (Some(Moment::Offset(peak.from_us)), Some(Moment::Offset(peak.to_us)));
        let report = slice(input, output, &Selection { from, to, ..Selection::default() })?;
        shown.push_str(&slice::text(&report));
    }
    drop(reading);
    show::result(&shown);
    Ok(ExitCode::Passed)
}

fn text(peak: &Peak, measure: Measure) -> String {
    let offset = |us: u64| format_duration(Duration::from_micros(us));
    let times = peak.rate_per_second() / peak.mean_per_second().max(f64::MIN_POSITIVE);
    let busy = match measure {
        Measure::Executions => format!(
            "{} executions, {:.1} a second; the mean is {:.1}",
            peak.amount,
            peak.rate_per_second(),
            peak.mean_per_second()
        ),
        // As many requests at a time as there are seconds of work in a second.
        Measure::Time => format!(
            "{:.3} s of work, {:.3} at a time; the mean is {:.3}",
            peak.amount as f64 / 1e6,
            peak.rate_per_second() / 1e6,
            peak.mean_per_second() / 1e6
        ),
    };
    format!(
        "from {} to {} of the capture that began at {}\n",
        offset(peak.from_us),
        offset(peak.to_us),
        peak.started_at
    ) + &format!("{busy} ({times:.2} times)\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_told_against_the_mean() {
        let peak = Peak {
            started_at: "2026-01-05T09:00:00Z".to_owned(),
            from_us: 60_000_000,
            to_us: 90_000_000,
            amount: 600,
            total: 1_200,
            span_us: 120_000_000,
        };
        insta::assert_snapshot!(text(&peak, Measure::Executions), @r"
        from 1m to 90s of the capture that began at 2026-01-05T09:00:00Z
        600 executions, 20.0 a second; the mean is 10.0 (2.00 times)
        ");
    }
}
