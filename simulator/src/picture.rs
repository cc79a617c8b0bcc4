//! Pictures: lines with bands of uncertainty, as SVG that any browser shows, without a script and without a font of its own.
//!
//! Invariant: what is drawn is what the numbers say; a value that is not finite, or not positive on a logarithmic axis, is left
//! out, and text from a scenario cannot become markup.

use std::fmt::Write;

/// Width and height of a picture.
const SIZE: (f64, f64) = (960.0, 560.0);
/// Left, top, right and bottom of the frame within it.
const FRAME: (f64, f64, f64, f64) = (86.0, 64.0, 690.0, 492.0);
/// Colours that differ for colour-blind readers too (Okabe and Ito), and on paper.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// One line: points with an upper and lower limit each.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the legend says.
    pub name: String,
    /// x, y, and how far y may be off.
    pub points: Vec<(f64, f64, f64)>,
    /// Points without a line between them.
    pub dots: bool,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it measures.
    pub name: String,
    /// Each step multiplies.
    pub logarithmic: bool,
    /// Places that have names of their own.
    pub ticks: Vec<(f64, String)>,
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What it shows.
    pub title: String,
    /// And on what terms.
    pub subtitle: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// From numbers to places.
struct Scale {
    logarithmic: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let logarithmic = axis.logarithmic;
        let usable = |value: &f64| value.is_finite() && (!logarithmic || *value > 0.0);
        let measure = |value: f64| if logarithmic { value.log10() } else { value };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(usable).map(measure) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let margin = ((high - low) * 0.05).max(1e-9);
        Scale { logarithmic, low: low - margin, high: high + margin, from, to }
    }

    fn place(&self, value: f64) -> Option<f64> {
        let measured = if self.logarithmic { value.log10() } else { value };
        let part = (measured - self.low) / (self.high - self.low);
        part.is_finite().then(|| self.from + part.clamp(-0.02, 1.02) * (self.to - self.from))
    }

    /// Round places, where the axis names none.
    fn ticks(&self) -> Vec<(f64, String)> {
        let span = self.high - self.low;
        let exact = if self.logarithmic { (span / 6.0).ceil().max(1.0) } else { nice(span / 6.0) };
        let first = (self.low / exact).ceil() * exact;
        (0..12)
            .map(|step| first + f64::from(step) * exact)
            .take_while(|at| *at <= self.high)
            .map(|at| if self.logarithmic { 10f64.powf(at) } else { at })
            .map(|value| (value, short(value)))
            .collect()
    }
}

fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let part = step / power;
    power
        * if part <= 1.0 {
            1.0
        } else if part <= 2.0 {
            2.0
        } else if part <= 5.0 {
            5.0
        } else {
            10.0
        }
}

/// A number as short as it can be read.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if (1e-3..1e6).contains(&size) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        format!("{value:.0e}")
    }
}

/// Text as it may stand in SVG.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Picture {
    /// As SVG.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (left, top, right, bottom) = FRAME;
        let named = |axis: &Axis| axis.ticks.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        let across = points().map(|point| point.0).chain(named(&self.x));
        let x = Scale::new(&self.x, across, left, right);
        let limits = points().flat_map(|(_, y, off)| [*y, y + off, y - off]);
        let y = Scale::new(&self.y, limits.chain(named(&self.y)), bottom, top);
        let mut svg = String::new();
        self.head(&mut svg);
        self.grid(&mut svg, &x, &y);
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            draw(&mut svg, line, colour, &x, &y);
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn head(&self, svg: &mut String) {
        let (width, height) = SIZE;
        push(
            svg,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n<title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"{}\" y=\"28\" font-size=\"18\" font-weight=\"600\">{}</text>\n\
             <text x=\"{}\" y=\"48\" fill=\"#555\">{}</text>\n",
                escaped(&self.title),
                FRAME.0,
                escaped(&self.title),
                FRAME.0,
                escaped(&self.subtitle),
            ),
        );
    }

    fn grid(&self, svg: &mut String, x: &Scale, y: &Scale) {
        let (left, top, right, bottom) = FRAME;
        let ticks = |axis: &Axis, scale: &Scale| {
            if axis.ticks.is_empty() { scale.ticks() } else { axis.ticks.clone() }
        };
        for (value, name) in ticks(&self.x, x) {
            let Some(at) = x.place(value) else { continue };
            push(
                svg,
                format_args!(
                    "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#e4e4e4\"/>\n\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                    bottom + 20.0,
                    escaped(&name),
                ),
            );
        }
        for (value, name) in ticks(&self.y, y) {
            let Some(at) = y.place(value) else { continue };
            push(
                svg,
                format_args!(
                    "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#e4e4e4\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                    left - 8.0,
                    at + 4.0,
                    escaped(&name),
                ),
            );
        }
        push(
            svg,
            format_args!(
                "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#555\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(22 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                f64::midpoint(left, right),
                bottom + 46.0,
                escaped(&self.x.name),
                f64::midpoint(top, bottom),
                escaped(&self.y.name),
            ),
        );
    }

    fn legend(&self, svg: &mut String) {
        for ((line, colour), row) in self.lines.iter().zip(COLOURS.iter().cycle()).zip(0u32..) {
            let (at, left) = (FRAME.1 + 14.0 + 24.0 * f64::from(row), FRAME.2 + 24.0);
            push(
                svg,
                format_args!(
                    "<path d=\"M{left} {at:.1}h22\" stroke=\"{colour}\" stroke-width=\"3\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                    left + 30.0,
                    at + 4.0,
                    escaped(&line.name),
                ),
            );
        }
    }
}

fn draw(svg: &mut String, line: &Line, colour: &str, x: &Scale, y: &Scale) {
    let placed: Vec<(f64, f64, f64, f64)> = line
        .points
        .iter()
        .filter_map(|(across, up, off)| {
            let at = (x.place(*across)?, y.place(*up)?);
            let high = y.place(up + off).unwrap_or(at.1);
            let low = y.place(up - off).unwrap_or(at.1);
            Some((at.0, at.1, high, low))
        })
        .collect();
    if line.dots {
        for (across, up, ..) in &placed {
            push(
                svg,
                format_args!(
                    "<circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"3.4\" fill=\"{colour}\" fill-opacity=\"0.55\"/>\n"
                ),
            );
        }
        return;
    }
    let mut band = String::new();
    for (across, _, high, _) in &placed {
        push(&mut band, format_args!("{across:.1},{high:.1} "));
    }
    for (across, _, _, low) in placed.iter().rev() {
        push(&mut band, format_args!("{across:.1},{low:.1} "));
    }
    let path: String =
        placed.iter().map(|(across, up, ..)| format!("{across:.1},{up:.1} ")).collect();
    push(
        svg,
        format_args!(
            "<polygon points=\"{band}\" fill=\"{colour}\" fill-opacity=\"0.18\"/>\n\
         <polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\" stroke-linejoin=\"round\"/>\n"
        ),
    );
    if placed.len() < 20 {
        for (across, up, ..) in &placed {
            push(
                svg,
                format_args!(
                    "<circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"3.2\" fill=\"{colour}\"/>\n"
                ),
            );
        }
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all text");
}

/// Names of horizons on an axis.
#[must_use]
pub fn horizon_ticks(longest: u64) -> Vec<(f64, String)> {
    [(1, "a block"), (144, "a day"), (1008, "a week"), (4320, "30 days"), (52_560, "a year")]
        .into_iter()
        .filter(|(blocks, _)| *blocks <= longest)
        .map(|(blocks, name)| (blocks as f64, name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup_and_impossible_values_are_left_out() {
        let axis = |logarithmic| Axis { name: "a<b".into(), logarithmic, ticks: Vec::new() };
        let points = vec![(1.0, 0.0, 0.0), (10.0, f64::NAN, 0.0), (100.0, 5.0, 1.0)];
        let line = Line { name: "<script>&\"".into(), points, dots: false };
        let picture = Picture {
            title: "t".into(),
            subtitle: "s".into(),
            x: axis(true),
            y: axis(true),
            lines: vec![line],
        };
        let svg = picture.to_svg();
        assert!(!svg.contains("<script") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.contains("&lt;script&gt;&amp;&quot;"));
    }
}
