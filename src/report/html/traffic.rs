//! The chart of the run: steps, requests a second, response times, on one time axis.
//!
//! Takes the report's series and steps and gives SVG. Must not know the page around it.

use super::axis::{LEFT, Linear, Log, RIGHT, TimeAxis, WIDTH, count_ticks, draw_values, time_decades};
use super::canvas::{Anchor, Canvas};
use crate::report::figures::{count, maybe_ms, maybe_us, ms, shortened};
use crate::report::model::{Point, Report, Step};

/// Columns of the chart at most; a longer run is drawn with several intervals to a column.
const COLUMNS_MAX: usize = 430;
/// Steps that get a row of their own.
const STEPS_MAX: usize = 24;
const STEP_HEIGHT: f64 = 18.0;
const REQUESTS_HEIGHT: f64 = 150.0;
const LATENCY_HEIGHT: f64 = 170.0;
const GAP: f64 = 22.0;
/// Above the first panel: the names of the phases.
const TOP: f64 = 20.0;

/// The chart as SVG.
pub fn draw(report: &Report) -> String {
    let axis = TimeAxis::of(report);
    let mut canvas = Canvas::default();
    let shown = &report.steps[..report.steps.len().min(STEPS_MAX)];
    let requests_top = TOP + STEP_HEIGHT * shown.len() as f64 + if shown.is_empty() { 0.0 } else { GAP };
    let latency_top = requests_top + REQUESTS_HEIGHT + GAP;
    let bottom = latency_top + LATENCY_HEIGHT;
    axis.draw_phases(&mut canvas, report, TOP, bottom, true);
    for (index, step) in shown.iter().enumerate() {
        draw_step(&mut canvas, &axis, step, TOP + STEP_HEIGHT * index as f64);
    }
    let columns = columns(&report.series.points, report.series.interval_ms);
    draw_requests(&mut canvas, &axis, &columns, requests_top);
    draw_latency(&mut canvas, &axis, &columns, latency_top);
    axis.draw_ticks(&mut canvas, bottom);
    canvas.finish(WIDTH, bottom + 24.0, "Upgrade steps, requests per second and response times over the run")
}

/// One or more intervals of the series as one column of the chart.
struct Column {
    at_ms: f64,
    span_ms: f64,
    ok: u64,
    failed: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
}

/// Joins intervals so that the chart has at most `COLUMNS_MAX` columns. Counts add up; of percentiles, which cannot be
/// averaged, the worst interval stands for its column.
fn columns(points: &[Point], interval_ms: f64) -> Vec<Column> {
    let joined = points.len().div_ceil(COLUMNS_MAX).max(1);
    let column = |points: &[Point]| Column {
        at_ms: points.first().map_or(0.0, |point| point.at_ms),
        span_ms: interval_ms * points.len() as f64,
        ok: points.iter().map(|point| point.ok).sum(),
        failed: points.iter().map(|point| point.failed).sum(),
        p50_us: points.iter().filter_map(|point| point.p50_us).max(),
        p99_us: points.iter().filter_map(|point| point.p99_us).max(),
    };
    points.chunks(joined).map(column).collect()
}

/// A step with its name in the margin; its parts are drawn within it.
fn draw_step(canvas: &mut Canvas, axis: &TimeAxis, step: &Step, y: f64) {
    canvas.text("name", Anchor::End, LEFT - 6.0, y + 12.5, &shortened(&step.name, 24));
    let (x, width) = axis.stretch(step.started_ms, step.ended_ms);
    let class = if step.went_wrong() { "step wrong" } else { "step" };
    canvas.rect(class, x, y + 3.0, width, STEP_HEIGHT - 6.0, &tip(step));
    for (index, part) in step.steps.iter().enumerate() {
        let (x, width) = axis.stretch(part.started_ms, part.ended_ms);
        let class = match (part.went_wrong(), index % 2) {
            (true, _) => "step wrong",
            (false, 0) => "part",
            (false, _) => "part other",
        };
        canvas.rect(class, x, y + 3.0, width.min(axis.at(axis.span_ms()) - x), STEP_HEIGHT - 6.0, &tip(part));
    }
    let label = match (step.duration_ms(), step.outcome.as_deref()) {
        (Some(duration_ms), Some("ok") | None) => ms(duration_ms),
        (Some(duration_ms), Some(outcome)) => format!("{}, {outcome}", ms(duration_ms)),
        (None, _) => "not ended".to_owned(),
    };
    // Behind the bar where there is room, else before it.
    match x + width + 90.0 < WIDTH {
        true => canvas.text("figure", Anchor::Start, x + width + 5.0, y + 12.5, &label),
        false => canvas.text("figure", Anchor::End, x - 5.0, y + 12.5, &label),
    }
}

fn tip(step: &Step) -> String {
    let outcome = step.outcome.as_deref().unwrap_or("not ended");
    format!("{}: {outcome}, began at {}, took {}", step.name, ms(step.started_ms), maybe_ms(step.duration_ms()))
}

/// Requests a second, failed ones on top of those that went well.
fn draw_requests(canvas: &mut Canvas, axis: &TimeAxis, columns: &[Column], top: f64) {
    let per_second = |count: u64, column: &Column| count as f64 / (column.span_ms / 1e3).max(1e-3);
    let max = columns.iter().map(|column| per_second(column.ok + column.failed, column)).fold(1.0, f64::max);
    let values = Linear { max: max * 1.05, bottom: top + REQUESTS_HEIGHT, top };
    draw_values(canvas, &count_ticks(&values, 5.0), "requests/s", top);
    for column in columns.iter().filter(|column| column.ok + column.failed > 0) {
        let (x, width) = axis.stretch(column.at_ms, Some(column.at_ms + column.span_ms));
        let ok = values.at(per_second(column.ok, column));
        let all = values.at(per_second(column.ok + column.failed, column));
        let tip = format!("at {}: ok {}, failed {}", ms(column.at_ms), count(column.ok), count(column.failed));
        let gap = if width > 4.0 { 0.8 } else { 0.0 };
        canvas.rect("ok", x, ok, width - gap, values.bottom - ok, &tip);
        if column.failed > 0 {
            canvas.rect("failed", x, all, width - gap, ok - all, &tip);
        }
    }
    legend(canvas, top, &[("ok", "ok"), ("failed", "failed")]);
}

/// Response times as lines; they are broken where nothing was measured.
fn draw_latency(canvas: &mut Canvas, axis: &TimeAxis, columns: &[Column], top: f64) {
    let bottom = top + LATENCY_HEIGHT;
    let in_ms = |us: u64| us.max(1) as f64 / 1e3;
    let low = columns.iter().filter_map(|column| column.p50_us).map(in_ms).fold(f64::INFINITY, f64::min);
    let high = columns.iter().filter_map(|column| column.p99_us).map(in_ms).fold(0.0, f64::max);
    if high <= 0.0 || !low.is_finite() {
        canvas.text("tick", Anchor::Middle, (WIDTH + LEFT - RIGHT) / 2.0, top + 60.0, "no response times");
        return;
    }
    let values = Log::around(low, high, bottom, top);
    draw_values(canvas, &time_decades(&values), "response time", top);
    canvas.text("axis-name", Anchor::Start, 0.0, top + 18.0, "(log scale)");
    type Figure = fn(&Column) -> Option<u64>;
    let lines: [(&str, Figure); 2] = [("p99", |column| column.p99_us), ("p50", |column| column.p50_us)];
    for (class, figure) in lines {
        for run in columns.chunk_by(|a, b| figure(a).is_some() == figure(b).is_some()) {
            let place = |column: &Column| {
                let middle_ms = column.at_ms + column.span_ms / 2.0;
                figure(column).map(|us| (axis.at(middle_ms), values.at(in_ms(us))))
            };
            canvas.polyline(class, &run.iter().filter_map(place).collect::<Vec<_>>());
        }
    }
    let worst = columns.iter().max_by_key(|column| column.p99_us);
    if let Some(worst) = worst {
        let (x, y) = (axis.at(worst.at_ms + worst.span_ms / 2.0), values.at(in_ms(worst.p99_us.unwrap_or(1))));
        canvas.text("figure", Anchor::Start, x + 5.0, y.max(top + 10.0), &format!("p99 {}", maybe_us(worst.p99_us)));
    }
    legend(canvas, top, &[("p99-key", "p99"), ("p50-key", "p50")]);
}

/// What the colours mean, in the right margin.
fn legend(canvas: &mut Canvas, top: f64, entries: &[(&str, &str)]) {
    for (index, (class, name)) in entries.iter().enumerate() {
        let y = top + 16.0 * index as f64;
        canvas.rect(class, WIDTH - RIGHT + 10.0, y, 12.0, 10.0, "");
        canvas.text("tick", Anchor::Start, WIDTH - RIGHT + 27.0, y + 9.0, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_day_is_drawn_with_few_columns_and_loses_no_request_and_no_peak() {
        let point = |second: u32| Point {
            at_ms: f64::from(second) * 1e3,
            ok: 2,
            failed: 1,
            p50_us: Some(10),
            p99_us: Some(u64::from(second)),
        };
        let points: Vec<Point> = (0..86_400).map(point).collect();
        let columns = columns(&points, 1e3);
        assert!(columns.len() <= COLUMNS_MAX);
        assert_eq!(columns.iter().map(|column| column.ok).sum::<u64>(), 2 * 86_400);
        assert_eq!(columns.iter().filter_map(|column| column.p99_us).max(), Some(86_399));
    }

    #[test]
    fn a_run_without_requests_is_drawn_all_the_same() {
        let mut report = fixture::passed();
        report.series.points.clear();
        report.steps.clear();
        assert!(draw(&report).contains("no response times"));
    }

    #[test]
    fn lines_are_broken_where_nothing_was_answered() {
        let svg = draw(&fixture::passed());
        assert_eq!(svg.matches("<polyline class=\"p99\"").count(), 2);
    }
}
