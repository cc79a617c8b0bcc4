//! Charts as SVG: axes with units, drawn on the server, legible without a script.
//!
//! Invariant: no style and no script inside, so that the strictest content policy holds; colours are the style sheet's.

use crate::format;
use crate::history::{Point, Range};

/// A drawing's size, and the room of its axes.
#[derive(Debug, Clone, Copy)]
struct Frame {
    name: &'static str,
    width: f64,
    height: f64,
    left: f64,
    times: usize,
}

const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 28.0;
/// For a desk and for a phone: the style sheet shows the one that fits, so that letters are legible on both.
const FRAMES: [Frame; 2] = [
    Frame { name: "wide", width: 960.0, height: 250.0, left: 84.0, times: 8 },
    Frame { name: "narrow", width: 400.0, height: 220.0, left: 76.0, times: 4 },
];

/// A hashrate over time.
#[must_use]
pub fn hashrate(points: &[Point], range: Range, label: &str) -> String {
    FRAMES.iter().map(|frame| line_chart(frame, points, range, label)).collect()
}

fn line_chart(frame: &Frame, points: &[Point], range: Range, label: &str) -> String {
    let most = points.iter().map(|point| point.hashrate).fold(0.0, f64::max);
    let (top, step) = ceiling(most);
    let label = escape(label);
    let Frame { name, width, height, .. } = frame;
    let mut svg = String::with_capacity(8192);
    svg.push_str(&format!(
        r#"<svg class="chart {name}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}" data-width="{width}"><title>{label}</title>"#
    ));
    frame.rules(&mut svg, top, step);
    frame.times(&mut svg, points, range);
    frame.curve(&mut svg, points, top);
    let tip = |p: &Point| {
        format!(
            "{} UTC · {} · {} workers",
            clock(p.at_s, range),
            format::hashrate(p.hashrate),
            p.workers
        )
    };
    // For the script that shows values under the pointer.
    let tips: Vec<String> = points.iter().map(tip).collect();
    svg.push_str(&format!(
        r#"<g class="tip" data-tips="{}"><line y1="{TOP}" y2="{}"/><circle r="4"/></g></svg>"#,
        escape(&tips.join("|")),
        height - BOTTOM
    ));
    svg
}

/// Width of a bar chart.
const BARS: f64 = 960.0;

/// Bars with a name and a value each.
#[must_use]
pub fn bars(rows: &[(String, f64, String)], label: &str) -> String {
    let most = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let height = 30.0 * rows.len() as f64 + 6.0;
    let name = escape(label);
    let mut svg = format!(
        r#"<svg class="chart bars" viewBox="0 0 {BARS} {height}" role="img" aria-label="{name}"><title>{name}</title>"#
    );
    for (at, (name, value, shown)) in rows.iter().enumerate() {
        let y = 30.0 * at as f64 + 4.0;
        let length = (BARS - 420.0) * value / most;
        svg.push_str(&format!(r#"<text x="200" y="{}" text-anchor="end">{}</text><rect x="212" y="{y}" width="{length:.1}" height="20" rx="2"/><text x="{:.1}" y="{}">{}</text>"#,
            y + 15.0,
            escape(name),
            220.0 + length,
            y + 15.0,
            escape(shown),));
    }
    svg.push_str("</svg>");
    svg
}

/// A round value at or above the largest, and the distance of its grid lines.
fn ceiling(most: f64) -> (f64, f64) {
    if most <= 0.0 || !most.is_finite() {
        return (1.0, 0.25);
    }
    let raw = most / 4.0;
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= raw)
        .unwrap_or(10.0 * magnitude);
    ((most / step).ceil() * step, step)
}

impl Frame {
    fn x_of(&self, at: usize, count: usize) -> f64 {
        let last = count.saturating_sub(1).max(1) as f64;
        self.left + (self.width - self.left - RIGHT) * at as f64 / last
    }

    fn y_of(&self, value: f64, top: f64) -> f64 {
        let part = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
        self.height - BOTTOM - (self.height - TOP - BOTTOM) * part
    }

    fn rules(&self, svg: &mut String, top: f64, step: f64) {
        let count = (top / step).round() as u32;
        for line in 0..=count {
            let value = step * f64::from(line);
            let y = self.y_of(value, top);
            svg.push_str(&format!(
                r#"<line class="rule" x1="{}" x2="{}" y1="{y:.1}" y2="{y:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
                self.left,
                self.width - RIGHT,
                self.left - 8.0,
                y + 4.0,
                escape(&format::hashrate(value)),
            ));
        }
    }

    fn times(&self, svg: &mut String, points: &[Point], range: Range) {
        let every = (points.len() / self.times).max(1);
        let floor = self.height - BOTTOM;
        for (at, point) in points.iter().enumerate().skip(every / 2).step_by(every) {
            let x = self.x_of(at, points.len());
            if x > self.width - 24.0 {
                break;
            }
            svg.push_str(&format!(
                r#"<line class="tick" x1="{x:.1}" x2="{x:.1}" y1="{floor}" y2="{}"/><text x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#,
                floor + 5.0,
                floor + 20.0,
                clock(point.at_s, range),
            ));
        }
    }

    fn curve(&self, svg: &mut String, points: &[Point], top: f64) {
        if points.is_empty() {
            return;
        }
        let mut line = String::with_capacity(points.len() * 14);
        for (at, point) in points.iter().enumerate() {
            let command = if at == 0 { 'M' } else { 'L' };
            let (x, y) = (self.x_of(at, points.len()), self.y_of(point.hashrate, top));
            line.push_str(&format!("{command}{x:.1} {y:.1}"));
        }
        let (floor, left) = (self.height - BOTTOM, self.left);
        let right = self.x_of(points.len() - 1, points.len());
        svg.push_str(&format!(
            r#"<path class="area" d="{line}L{right:.1} {floor}L{left} {floor}Z"/><path class="line" d="{line}"/>"#
        ));
    }
}

/// `14:05`, or with the day where the chart is long.
fn clock(at_s: u64, range: Range) -> String {
    let text = format::minute(at_s * 1000);
    match range {
        Range::Week => text.get(5..10).unwrap_or(&text).to_owned(),
        Range::Hour | Range::Day => text.get(11..16).unwrap_or(&text).to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_axes_with_units_and_nothing_a_strict_policy_forbids() {
        let points: Vec<Point> = (0..60)
            .map(|n| Point {
                at_s: 1_700_000_000 + n * 60,
                hashrate: n as f64 * 1e12,
                ..Point::default()
            })
            .collect();
        let svg = hashrate(&points, Range::Hour, "Hashrate <1 h>");
        assert!(
            svg.contains("TH/s") && svg.contains("22:") && svg.contains("Hashrate &lt;1 h&gt;")
        );
        assert!(!svg.contains("style=") && !svg.contains("<script"));
        assert!(hashrate(&[], Range::Day, "none").contains("0 H/s"));
        assert_eq!(ceiling(59e12), (60e12, 20e12));
    }
}
