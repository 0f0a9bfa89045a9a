//! The chart of the tenants: a row each, with the windows in which its reads and its writes were down.
//!
//! Takes tenants and gives SVG on the same time axis as the chart of the run. Must not know the page around it.

use super::axis::{LEFT, RIGHT, TimeAxis, WIDTH};
use super::canvas::{Anchor, Canvas};
use crate::report::figures::{maybe_ms, ms, shortened};
use crate::report::model::{ClassDowntime, Report, Source, Tenant, Window};

const ROW_HEIGHT: f64 = 16.0;
const TOP: f64 = 22.0;

/// The chart of these tenants as SVG.
pub fn draw(report: &Report, tenants: &[Tenant]) -> String {
    let axis = TimeAxis::of(report);
    let mut canvas = Canvas::default();
    let bottom = TOP + ROW_HEIGHT * tenants.len() as f64;
    axis.draw_phases(&mut canvas, report, TOP, bottom, true);
    for (index, tenant) in tenants.iter().enumerate() {
        draw_tenant(&mut canvas, &axis, tenant, TOP + ROW_HEIGHT * index as f64);
    }
    axis.draw_ticks(&mut canvas, bottom + 2.0);
    canvas.finish(WIDTH, bottom + 26.0, "Downtime of each tenant over the run, reads above writes")
}

fn draw_tenant(canvas: &mut Canvas, axis: &TimeAxis, tenant: &Tenant, y: f64) {
    let middle = y + ROW_HEIGHT / 2.0;
    canvas.text("name", Anchor::End, LEFT - 6.0, middle + 4.0, &shortened(&tenant.tenant, 24));
    canvas.line("track", (LEFT, middle), (WIDTH - RIGHT, middle));
    draw_class(canvas, axis, ("read", "reads"), &tenant.read, y + 2.0);
    draw_class(canvas, axis, ("write", "writes"), &tenant.write, middle);
    let figure = match tenant.downtime_ms {
        Some(0.0) => "none seen".to_owned(),
        downtime_ms if tenant.read.open() || tenant.write.open() => format!("≥ {}", maybe_ms(downtime_ms)),
        downtime_ms => maybe_ms(downtime_ms),
    };
    canvas.text("figure", Anchor::Start, WIDTH - RIGHT + 8.0, middle + 4.0, &figure);
}

fn draw_class(canvas: &mut Canvas, axis: &TimeAxis, (class, name): (&str, &str), down: &ClassDowntime, y: f64) {
    for window in &down.windows {
        let (x, width) = axis.stretch(window.started_ms, window.ended_ms);
        canvas.rect(class, x, y, width, ROW_HEIGHT / 2.0 - 2.0, &tip(name, window));
        if window.open {
            canvas.text("open", Anchor::End, WIDTH - RIGHT - 2.0, y + 6.0, "▶");
        }
    }
}

fn tip(name: &str, window: &Window) -> String {
    let length = match window.ended_ms {
        Some(ended_ms) => format!("down for {}", ms(ended_ms - window.started_ms)),
        None => "still down when recording stopped".to_owned(),
    };
    let most = window.at_most_ms.map(|most| format!(", at most {}", ms(most))).unwrap_or_default();
    let source = match window.source {
        Source::Own => "own requests",
        Source::Group => "probes",
    };
    let (began, least) = (ms(window.started_ms), ms(window.at_least_ms));
    format!("{name}: {length} from {began}, at least {least}{most}, seen by {source}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_window_is_drawn_and_open_ones_are_marked() {
        let report = fixture::interrupted();
        let svg = draw(&report, &report.tenants);
        assert_eq!(svg.matches("class=\"read\"").count(), 26);
        assert_eq!(svg.matches("class=\"write\"").count(), 26);
        assert_eq!(svg.matches('▶').count(), 52);
    }

    #[test]
    fn a_tenant_without_downtime_is_not_said_to_have_had_none() {
        let report = fixture::no_downtime_observed();
        assert!(draw(&report, &report.tenants).contains("none seen"));
    }
}
