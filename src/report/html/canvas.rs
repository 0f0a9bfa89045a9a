//! The few SVG shapes that the charts are drawn with.
//!
//! Takes coordinates in user units, class names of the style sheet and text from outside, which it escapes. Must not know
//! what is drawn.

use std::fmt::Write;

use crate::report::figures::plain;

/// Where a text stands at its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG being drawn.
#[derive(Debug, Default)]
pub struct Canvas {
    body: String,
}

impl Canvas {
    /// A rectangle; `tip` is shown where the pointer rests on it.
    pub fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64, tip: &str) {
        let _ =
            write!(self.body, r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}""#);
        match tip {
            "" => self.body.push_str("/>"),
            tip => {
                let _ = write!(self.body, "><title>{}</title></rect>", escaped(tip));
            }
        }
        self.body.push('\n');
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(self.body, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
    }

    /// A line through points; a single point becomes a dot.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if let [(x, y)] = points {
            let _ = writeln!(self.body, r#"<circle class="{class}-dot" cx="{x:.1}" cy="{y:.1}" r="1.5"/>"#);
        } else if !points.is_empty() {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(self.body, r#"<polyline class="{class}" points="{}"/>"#, points.join(" "));
        }
    }

    /// A text on one line.
    pub fn text(&mut self, class: &str, anchor: Anchor, x: f64, y: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ =
            writeln!(self.body, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
    }

    /// The finished image with the name that a screen reader speaks.
    pub fn finish(self, width: f64, height: f64, name: &str) -> String {
        let name = escaped(name);
        let body = self.body;
        format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{name}\">\n{body}</svg>")
    }
}

/// Text as it may stand in an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        let mut canvas = Canvas::default();
        canvas.rect("bar", 0.0, 0.0, 1.0, 1.0, "</title><script>");
        canvas.text("name", Anchor::Start, 0.0, 0.0, "<b>&");
        let svg = canvas.finish(10.0, 10.0, "\" onload=\"x");
        assert!(!svg.contains("<script") && !svg.contains("<b>") && !svg.contains("\" onload"));
    }

    #[test]
    fn a_lonely_point_is_a_dot() {
        let mut canvas = Canvas::default();
        canvas.polyline("p99", &[(1.0, 2.0)]);
        assert!(canvas.finish(1.0, 1.0, "").contains("p99-dot"));
    }
}
