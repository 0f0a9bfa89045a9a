//! Axes: from values to places on the page, and the ticks that a reader finds round.
//!
//! Pure arithmetic, and the shared time axis with its phases. Must not know what stands along the axes.

use super::canvas::{Anchor, Canvas};
use crate::report::figures;
use crate::report::model::Report;

/// The width of every chart, and its margins: names on the left, figures on the right.
pub const WIDTH: f64 = 1120.0;
pub const LEFT: f64 = 170.0;
pub const RIGHT: f64 = 80.0;

/// Ticks along the time axis, at most.
const TIME_TICKS_MAX: f64 = 12.0;

/// A value axis that begins at 0.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    pub max: f64,
    pub bottom: f64,
    pub top: f64,
}

impl Linear {
    /// Where a value stands.
    pub fn at(&self, value: f64) -> f64 {
        self.bottom - (value / self.max).clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

/// A logarithmic axis over whole decades.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    pub min: f64,
    pub max: f64,
    pub bottom: f64,
    pub top: f64,
}

impl Log {
    /// The decades around `low` and `high`, at least one; both above 0.
    pub fn around(low: f64, high: f64, bottom: f64, top: f64) -> Self {
        let min = low.log10().floor();
        let max = high.log10().ceil().max(min + 1.0);
        Self { min: 10f64.powf(min), max: 10f64.powf(max), bottom, top }
    }

    /// Where a value stands.
    pub fn at(&self, value: f64) -> f64 {
        let share = (value.max(self.min) / self.min).log10() / (self.max / self.min).log10();
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    /// The powers of ten, from the lowest.
    pub fn decades(&self) -> Vec<f64> {
        let (low, high) = (self.min.log10().round() as i32, self.max.log10().round() as i32);
        (low..=high).map(|power| 10f64.powi(power)).collect()
    }
}

/// A step of 1, 2 or 5 times a power of ten with which `max` takes at most `ticks_max` of them.
pub fn round_step(max: f64, ticks_max: f64) -> f64 {
    let raw = (max / ticks_max).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw).unwrap_or(10.0 * power)
}

/// A step of seconds with which a run takes at most so many ticks: round as clocks are.
fn time_step_ms(span_ms: f64) -> f64 {
    const SECONDS: [f64; 14] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
    let wanted = span_ms / TIME_TICKS_MAX / 1e3;
    SECONDS.into_iter().find(|step| *step >= wanted).unwrap_or_else(|| (wanted / 3_600.0).ceil() * 3_600.0) * 1e3
}

/// The time axis that all charts share: the whole run from left to right.
#[derive(Clone, Copy, Debug)]
pub struct TimeAxis {
    span_ms: f64,
}

impl TimeAxis {
    /// The axis of a run.
    pub fn of(report: &Report) -> Self {
        Self { span_ms: report.run.duration_ms.max(1.0) }
    }

    /// The right end.
    pub fn span_ms(&self) -> f64 {
        self.span_ms
    }

    /// Where a moment stands.
    pub fn at(&self, ms: f64) -> f64 {
        LEFT + (ms / self.span_ms).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Where a stretch begins and how wide it is; visible however short. Without an end it goes on to the right.
    pub fn stretch(&self, started_ms: f64, ended_ms: Option<f64>) -> (f64, f64) {
        let from = self.at(started_ms);
        (from, (self.at(ended_ms.unwrap_or(self.span_ms)) - from).max(1.5))
    }

    /// Shades the upgrade, marks where phases begin and, if `named`, writes their names above.
    pub fn draw_phases(&self, canvas: &mut Canvas, report: &Report, top: f64, bottom: f64, named: bool) {
        for phase in &report.phases {
            let (x, width) = self.stretch(phase.started_ms, phase.ended_ms);
            if phase.name == "upgrade" {
                canvas.rect("upgrade", x, top, width, bottom - top, "");
            }
            canvas.line("edge", (x, top), (x, bottom));
            // A name needs about seven units a character; the phases' table holds the names that do not fit.
            if named && width > 7.0 * phase.name.len() as f64 {
                canvas.text("phase", Anchor::Middle, x + width / 2.0, top - 6.0, &phase.name);
            }
        }
    }

    /// Draws ticks at `y` with their labels below.
    pub fn draw_ticks(&self, canvas: &mut Canvas, y: f64) {
        let step_ms = time_step_ms(self.span_ms);
        canvas.line("axis", (LEFT, y), (WIDTH - RIGHT, y));
        for index in 0..=(self.span_ms / step_ms) as u32 {
            let at_ms = f64::from(index) * step_ms;
            let x = self.at(at_ms);
            canvas.line("axis", (x, y), (x, y + 4.0));
            canvas.text("tick", Anchor::Middle, x, y + 16.0, &moment(at_ms));
        }
        canvas.text("tick", Anchor::Start, WIDTH - RIGHT + 8.0, y + 16.0, "run time");
    }
}

/// A moment of the run: `0 s`, `15 s`, `2:30`, `1:02:30`.
fn moment(at_ms: f64) -> String {
    let seconds = (at_ms / 1e3) as u64;
    match at_ms / 1e3 {
        s if s < 120.0 && s.fract() != 0.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 3_600.0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
    }
}

/// Draws the lines and labels of a value axis: one for each tick, and what the axis is above its names.
pub fn draw_values(canvas: &mut Canvas, ticks: &[(f64, String)], name: &str, top: f64) {
    for (y, label) in ticks {
        canvas.line("grid", (LEFT, *y), (WIDTH - RIGHT, *y));
        canvas.text("tick", Anchor::End, LEFT - 6.0, y + 4.0, label);
    }
    canvas.text("axis-name", Anchor::Start, 0.0, top + 4.0, name);
}

/// The ticks of a count axis.
pub fn count_ticks(axis: &Linear, ticks_max: f64) -> Vec<(f64, String)> {
    let step = round_step(axis.max, ticks_max).max(1.0);
    (0..=(axis.max / step) as u32)
        .map(|index| f64::from(index) * step)
        .map(|value| (axis.at(value), figures::count(value as u64)))
        .collect()
}

/// The ticks of an axis of milliseconds.
pub fn time_decades(axis: &Log) -> Vec<(f64, String)> {
    let label = |ms: f64| match ms {
        ms if ms < 1.0 => format!("{} us", (ms * 1e3).round()),
        ms if ms < 1e3 => format!("{} ms", ms.round()),
        ms => format!("{} s", (ms / 1e3).round()),
    };
    axis.decades().into_iter().map(|ms| (axis.at(ms), label(ms))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_one_two_or_five_times_a_power_of_ten() {
        assert_eq!([10.0, 37.0, 450.0].map(|max| round_step(max, 5.0)), [2.0, 10.0, 100.0]);
    }

    #[test]
    fn a_logarithmic_axis_holds_whole_decades() {
        let axis = Log::around(0.8, 450.0, 100.0, 0.0);
        assert_eq!(axis.decades().len(), 5);
        assert!((axis.at(0.1) - 100.0).abs() < 1e-9 && axis.at(1e3).abs() < 1e-9);
        assert!((axis.at(10.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn moments_read_like_a_clock_once_they_are_long() {
        assert_eq!([500.0, 15e3, 150e3, 3_750e3].map(moment), ["0.5 s", "15 s", "2:30", "1:02:30"]);
    }

    #[test]
    fn clock_steps_give_a_dozen_ticks_at_most() {
        for span_ms in [100.0, 98_204.0, 1_800e3, 200_000e3] {
            assert!(span_ms / time_step_ms(span_ms) <= 12.0 || span_ms < 1_200.0, "{span_ms}");
        }
    }
}
