//! Charts as SVG: axes with units, drawn on the server, legible without a script.
//!
//! Invariant: no style and no script inside, so that the strictest content policy holds; colours are the style sheet's.

use crate::format;
use crate::history::{Point, Range};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 28.0;

/// A hashrate over time.
#[must_use]
pub fn hashrate(points: &[Point], range: Range, label: &str) -> String {
    let most = points.iter().map(|point| point.hashrate).fold(0.0, f64::max);
    let (top, step) = ceiling(most);
    let mut svg = String::with_capacity(8192);
    let name = escape(label);
    svg.push_str(&format!(r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}" data-left="{LEFT}" data-right="{RIGHT}" data-width="{WIDTH}"><title>{name}</title>"#));
    rules(&mut svg, top, step);
    times(&mut svg, points, range);
    curve(&mut svg, points, top);
    let tips: Vec<String> = points
        .iter()
        .map(|p| {
            format!(
                "{} UTC · {} · {} workers",
                clock(p.at_s, range),
                format::hashrate(p.hashrate),
                p.workers
            )
        })
        .collect();
    // For the script that shows values under the pointer.
    svg.push_str(&format!(
        r#"<g class="tip" data-tips="{}"><line y1="{TOP}" y2="{}"/><circle r="4"/></g></svg>"#,
        escape(&tips.join("|")),
        HEIGHT - BOTTOM
    ));
    svg
}

/// Bars with a name and a value each.
#[must_use]
pub fn bars(rows: &[(String, f64, String)], label: &str) -> String {
    let most = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let height = 30.0 * rows.len() as f64 + 6.0;
    let name = escape(label);
    let mut svg = format!(
        r#"<svg class="chart bars" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}"><title>{name}</title>"#
    );
    for (at, (name, value, shown)) in rows.iter().enumerate() {
        let y = 30.0 * at as f64 + 4.0;
        let length = (WIDTH - 420.0) * value / most;
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

fn x_of(at: usize, count: usize) -> f64 {
    let last = count.saturating_sub(1).max(1) as f64;
    LEFT + (WIDTH - LEFT - RIGHT) * at as f64 / last
}

fn y_of(value: f64, top: f64) -> f64 {
    let part = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part
}

fn rules(svg: &mut String, top: f64, step: f64) {
    let count = (top / step).round() as u32;
    for line in 0..=count {
        let value = step * f64::from(line);
        let y = y_of(value, top);
        svg.push_str(&format!(r#"<line class="rule" x1="{LEFT}" x2="{}" y1="{y:.1}" y2="{y:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            escape(&format::hashrate(value)),));
    }
}

fn times(svg: &mut String, points: &[Point], range: Range) {
    let every = (points.len() / 6).max(1);
    for (at, point) in points.iter().enumerate().skip(every / 2).step_by(every) {
        let x = x_of(at, points.len());
        svg.push_str(&format!(r#"<line class="tick" x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{}"/><text x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#,
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 5.0,
            HEIGHT - BOTTOM + 20.0,
            clock(point.at_s, range),));
    }
}

fn curve(svg: &mut String, points: &[Point], top: f64) {
    if points.is_empty() {
        return;
    }
    let mut line = String::with_capacity(points.len() * 14);
    for (at, point) in points.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        line.push_str(&format!(
            "{command}{:.1} {:.1}",
            x_of(at, points.len()),
            y_of(point.hashrate, top)
        ));
    }
    let floor = HEIGHT - BOTTOM;
    svg.push_str(&format!(r#"<path class="area" d="{line}L{:.1} {floor}L{LEFT} {floor}Z"/><path class="line" d="{line}"/>"#,
        x_of(points.len() - 1, points.len()),));
}

/// `14:05`, or with the day where the chart is long.
fn clock(at_s: u64, range: Range) -> String {
    let text = format::minute(at_s * 1000);
    match range {
        Range::Week => text.get(5..16).unwrap_or(&text).to_owned(),
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
