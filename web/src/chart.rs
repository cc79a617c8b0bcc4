//! Charts as SVG: axes with units, drawn on the server, legible without a script.
//!
//! Invariant: no style and no script inside, so that the strictest content policy holds; colours are the style sheet's.

use crate::format;
use crate::history::{Point, Range};
use crate::measure::Measure;

/// A drawing's size, and the room of its axes.
#[derive(Debug, Clone, Copy)]
struct Frame {
    name: &'static str,
    width: f64,
    height: f64,
    left: f64,
    /// Whether times are marked half as often.
    is_narrow: bool,
}

const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 28.0;
/// For a desk and for a phone: the style sheet shows the one that fits, so that letters are legible on both.
const FRAMES: [Frame; 2] = [
    Frame { name: "wide", width: 960.0, height: 250.0, left: 84.0, is_narrow: false },
    Frame { name: "narrow", width: 400.0, height: 220.0, left: 76.0, is_narrow: true },
];

/// A rate over time, and below it in words, where a script says the value under the pointer.
#[must_use]
pub fn rate(measure: Measure, points: &[Point], range: Range, label: &str) -> String {
    let drawn: String =
        FRAMES.iter().map(|frame| line_chart(frame, measure, points, range, label)).collect();
    let most = points.iter().map(|point| point.hashrate).fold(0.0, f64::max);
    let latest = points.last().map_or(0.0, |point| point.hashrate);
    let (most, latest) = (measure.show(most), measure.show(latest));
    format!(r#"{drawn}<p class="said" aria-live="polite">Highest {most}, latest {latest}</p>"#)
}

fn line_chart(
    frame: &Frame,
    measure: Measure,
    points: &[Point],
    range: Range,
    label: &str,
) -> String {
    let most = points.iter().map(|point| point.hashrate).fold(0.0, f64::max);
    let unit = measure.unit(most);
    let (top, step) = ceiling(most / unit);
    let (top, step) = (top * unit, step * unit);
    let label = escape(label);
    let Frame { name, width, height, .. } = frame;
    let mut svg = String::with_capacity(8192);
    svg.push_str(&format!(
        r#"<svg class="chart {name}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}" data-width="{width}">"#
    ));
    frame.rules(&mut svg, measure, top, step);
    frame.times(&mut svg, points, range);
    frame.curve(&mut svg, points, top);
    let tip = |p: &Point| {
        let (at, rate) = (moment(p.at_s, range), measure.show(p.hashrate));
        format!("{at} UTC · {rate} · {} worker{}", p.workers, if p.workers == 1 { "" } else { "s" })
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

/// Bars with a name and a value each.
#[must_use]
pub fn bars(rows: &[(String, f64, String)], label: &str) -> String {
    let most = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    FRAMES.iter().map(|frame| bar_chart(frame, rows, most, label)).collect()
}

fn bar_chart(frame: &Frame, rows: &[(String, f64, String)], most: f64, label: &str) -> String {
    let Frame { name, width, is_narrow, .. } = *frame;
    let row_height = if is_narrow { 46.0 } else { 30.0 };
    let height = row_height * rows.len() as f64 + 16.0;
    let label = escape(label);
    let mut svg = format!(
        r#"<svg class="chart bars {name}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">"#
    );
    for (at, (name, value, shown)) in rows.iter().enumerate() {
        let y = row_height * at as f64 + 10.0;
        let (name, shown) = (escape(name), escape(shown));
        if is_narrow {
            // Name and value above their bar.
            let (right, text, bar) = (width - RIGHT, y + 12.0, y + 20.0);
            let length = (width - 2.0 * RIGHT) * value / most;
            svg.push_str(&format!(r#"<text x="{RIGHT}" y="{text}">{name}</text><text x="{right}" y="{text}" text-anchor="end">{shown}</text><rect x="{RIGHT}" y="{bar}" width="{length:.1}" height="14" rx="2"/>"#));
        } else {
            let (text, length) = (y + 15.0, (width - 420.0) * value / most);
            let after = 220.0 + length;
            svg.push_str(&format!(r#"<text x="200" y="{text}" text-anchor="end">{name}</text><rect x="212" y="{y}" width="{length:.1}" height="20" rx="2"/><text x="{after:.1}" y="{text}">{shown}</text>"#));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A round value at or above the largest, and the distance of its grid lines.
fn ceiling(most: f64) -> (f64, f64) {
    if most <= 0.0 || !most.is_finite() {
        return (1.0, 1.0);
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

    fn rules(&self, svg: &mut String, measure: Measure, top: f64, step: f64) {
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
                escape(&measure.on_axis(value, step, top)),
            ));
        }
    }

    fn times(&self, svg: &mut String, points: &[Point], range: Range) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let (first, length) = (first.at_s, last.at_s.saturating_sub(first.at_s).max(1));
        let every = match range {
            Range::Hour => 600,
            Range::Day => 3 * 3600,
            Range::Week => 24 * 3600,
        } * if self.is_narrow { 2 } else { 1 };
        let floor = self.height - BOTTOM;
        // Round times, so that they are those people think in.
        let mut at_s = first.next_multiple_of(every);
        while at_s <= last.at_s {
            let part = (at_s - first) as f64 / length as f64;
            let x = self.left + (self.width - self.left - RIGHT) * part;
            if x > self.width - 24.0 {
                break;
            }
            svg.push_str(&format!(
                r#"<line class="tick" x1="{x:.1}" x2="{x:.1}" y1="{floor}" y2="{}"/><text x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#,
                floor + 5.0,
                floor + 20.0,
                mark(at_s, range),
            ));
            at_s += every;
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

/// A time on the axis: `14:00`, or `21 Nov` where the chart is long.
fn mark(at_s: u64, range: Range) -> String {
    match range {
        Range::Week => day(at_s),
        Range::Hour | Range::Day => clock(at_s),
    }
}

/// A point's time: `14:05`, with the day where the chart is longer than one.
fn moment(at_s: u64, range: Range) -> String {
    match range {
        Range::Week => format!("{} {}", day(at_s), clock(at_s)),
        Range::Hour | Range::Day => clock(at_s),
    }
}

fn clock(at_s: u64) -> String {
    format::minute(at_s * 1000).get(11..16).unwrap_or_default().to_owned()
}

fn day(at_s: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = format::minute(at_s * 1000);
    let number = |from: usize| text.get(from..from + 2).and_then(|two| two.parse::<usize>().ok());
    let month = number(5).and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!("{} {}", number(8).unwrap_or_default(), month.unwrap_or(&""))
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
        let svg = rate(Measure::Hashes, &points, Range::Hour, "Hashrate <1 h>");
        assert!(
            svg.contains("40 TH/s")
                && svg.contains(">22:20<")
                && svg.contains("Hashrate &lt;1 h&gt;")
        );
        assert!(svg.contains("Highest 59.0 TH/s"), "{svg}");
        assert!(!svg.contains("style=") && !svg.contains("<script"));
        assert!(rate(Measure::Hashes, &[], Range::Day, "none").contains("0 H/s"));
        assert_eq!(ceiling(59e12), (60e12, 20e12));
        assert_eq!(moment(1_700_000_000, Range::Week), "14 Nov 22:13");
        assert_eq!(mark(1_700_000_000, Range::Week), "14 Nov");
    }

    #[test]
    fn bars_have_their_names_and_values_in_both_widths() {
        let svg = bars(&[("stale".into(), 2.0, "2 <of 3>".into())], "Reasons");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches(">2 &lt;of 3&gt;<").count(), 2);
    }
}
