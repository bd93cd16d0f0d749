//! Bars, lines and rings as SVG. Colors and letters are the page's business: shapes carry classes.

use std::fmt::Write as _;

use super::{
    board::{Chart, Series},
    numbers::{Scale, count, full, short},
    page::escape,
};

/// A drawing is this wide, in its own units: about what a phone shows of it, so letters stay legible.
const WIDTH: f64 = 400.0;
/// Its height, where the number of rows does not decide.
const HEIGHT: f64 = 220.0;
/// How much of a drawing one letter takes.
const LETTER: f64 = 6.6;
/// The row of a bar that lies.
const ROW: f64 = 26.0;

/// Where the axes are.
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    scale: Scale,
}

impl Frame {
    /// Leaves room for the numbers of the axis and the labels below.
    fn new(chart: &Chart, is_from_zero: bool) -> Self {
        let values = chart.series.iter().flat_map(|series| &series.values);
        let scale = Scale::new(values.flatten().copied(), is_from_zero);
        let widest = scale.ticks().into_iter().map(|tick| letters(&short(tick)));
        let widest = widest.fold(0.0, f64::max);
        Self {
            left: LETTER.mul_add(widest, 8.0),
            top: 14.0,
            right: WIDTH - 6.0,
            bottom: HEIGHT - 22.0,
            scale,
        }
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.scale.part(value) * (self.bottom - self.top)
    }

    /// The width of what stands over one label.
    fn slot(&self, chart: &Chart) -> f64 {
        (self.right - self.left) / count(chart.labels.len())
    }

    /// Lines across, with their numbers.
    fn axis(&self, out: &mut String) {
        for tick in self.scale.ticks() {
            let y = self.y(tick);
            let class = if tick == 0.0 { "zero" } else { "grid" };
            let (left, right) = (self.left, self.right);
            draw(
                out,
                format_args!(
                    "<line class=\"{class}\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                     <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    left - 6.0,
                    y + 4.0,
                    short(tick)
                ),
            );
        }
    }

    /// As many labels as there is room for, each under the middle of its slot.
    fn labels(&self, chart: &Chart, out: &mut String) {
        const SHOWN_MAX: f64 = 12.0;
        let slot = self.slot(chart);
        let widest = chart.labels.iter().map(|label| letters(label));
        let wanted = (widest.fold(0.0, f64::max).min(SHOWN_MAX) + 1.0) * LETTER;
        let every = (1..=chart.labels.len())
            .find(|every| count(*every) * slot >= wanted)
            .unwrap_or(chart.labels.len());
        for (at, label) in chart.labels.iter().enumerate().step_by(every) {
            let x = (count(at) + 0.5).mul_add(slot, self.left);
            let text = escape(&shortened(label, 12));
            let y = HEIGHT - 6.0;
            draw(
                out,
                format_args!("<text class=\"mid\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"),
            );
        }
    }
}

/// Bars that stand, or lie where one series has labels that are too long to stand under them.
pub fn bars(chart: &Chart) -> String {
    let frame = Frame::new(chart, true);
    let widest = chart.labels.iter().map(|label| letters(label));
    let is_tight = (widest.fold(0.0, f64::max) + 1.0) * LETTER > frame.slot(chart);
    let is_short = chart.labels.len() <= 24 && frame.scale.low >= 0.0;
    match &chart.series[..] {
        [only] if is_tight && is_short => lying(chart, only),
        _ => standing(chart, &frame),
    }
}

fn standing(chart: &Chart, frame: &Frame) -> String {
    let mut out = String::new();
    frame.axis(&mut out);
    frame.labels(chart, &mut out);
    let slot = frame.slot(chart);
    let width = (slot * 0.76 / count(chart.series.len())).min(46.0);
    let group = width * count(chart.series.len());
    let zero = frame.y(0.0);
    let has_numbers = chart.series.len() == 1 && chart.labels.len() <= 8;
    for (which, series) in chart.series.iter().enumerate() {
        for (at, value) in series.values.iter().enumerate() {
            let Some(value) = *value else { continue };
            let middle = (count(at) + 0.5).mul_add(slot, frame.left);
            let x = count(which).mul_add(width, middle - group / 2.0);
            let y = frame.y(value);
            let (top, height) = (y.min(zero), (y - zero).abs());
            let tip = tip(chart, series, at, value);
            draw(
                &mut out,
                format_args!(
                    "<rect class=\"c{which}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"1.5\">\
                     <title>{tip}</title></rect>",
                    x + width * 0.04,
                    width * 0.92
                ),
            );
            if has_numbers {
                let y = if value < 0.0 { y + 12.0 } else { y - 4.0 };
                let number = short(value);
                draw(
                    &mut out,
                    format_args!(
                        "<text class=\"mid value\" x=\"{middle:.1}\" y=\"{y:.1}\">{number}</text>"
                    ),
                );
            }
        }
    }
    svg(chart, HEIGHT, &out)
}

fn lying(chart: &Chart, series: &Series) -> String {
    const LABEL_MAX: usize = 22;
    let widest = chart.labels.iter().map(|label| letters(label));
    let widest = widest.fold(0.0, f64::max).min(count(LABEL_MAX));
    let left = LETTER.mul_add(widest, 10.0);
    let right = WIDTH - 46.0;
    let most = series.values.iter().flatten().copied().fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let mut out = String::new();
    for (at, (label, value)) in chart.labels.iter().zip(&series.values).enumerate() {
        let middle = count(at).mul_add(ROW, ROW / 2.0);
        let text = escape(&shortened(label, LABEL_MAX));
        let x = left - 8.0;
        let y = middle + 4.0;
        draw(
            &mut out,
            format_args!("<text class=\"end\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"),
        );
        let Some(value) = *value else { continue };
        let length = value / most * (right - left);
        let (top, tip) = (middle - 8.0, tip(chart, series, at, value));
        let (beside, number) = (left + length + 5.0, short(value));
        draw(
            &mut out,
            format_args!(
                "<rect class=\"c0\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"16\" rx=\"1.5\">\
                 <title>{tip}</title></rect><text class=\"value\" x=\"{beside:.1}\" y=\"{y:.1}\">{number}</text>"
            ),
        );
    }
    svg(chart, count(chart.labels.len()) * ROW, &out)
}

/// Lines with a dot for each number, if they are not too many; nothing is drawn where there is none.
pub fn lines(chart: &Chart) -> String {
    const DOTS_MAX: usize = 40;
    let frame = Frame::new(chart, false);
    let mut out = String::new();
    frame.axis(&mut out);
    frame.labels(chart, &mut out);
    let slot = frame.slot(chart);
    for (which, series) in chart.series.iter().enumerate() {
        let points: Vec<Option<(f64, f64)>> = series
            .values
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let x = (count(at) + 0.5).mul_add(slot, frame.left);
                value.map(|value| (x, frame.y(value)))
            })
            .collect();
        for run in points.split(Option::is_none) {
            let run: Vec<_> = run.iter().flatten().collect();
            let path: Vec<_> = run.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let path = path.join(" ");
            // An area means an amount only where it begins at zero.
            let has_area = chart.series.len() == 1 && frame.scale.low == 0.0;
            if let ([(first, _), .., (last, _)], true) = (&run[..], has_area) {
                let floor = frame.y(0.0);
                draw(
                    &mut out,
                    format_args!(
                        "<polygon class=\"c{which} area\" points=\"{first:.1},{floor:.1} {path} {last:.1},{floor:.1}\"/>"
                    ),
                );
            }
            draw(
                &mut out,
                format_args!("<polyline class=\"c{which}\" points=\"{path}\"/>"),
            );
        }
        let radius = if chart.labels.len() > DOTS_MAX {
            1.2
        } else {
            3.0
        };
        for (at, (point, value)) in points.iter().zip(&series.values).enumerate() {
            if let (Some((x, y)), Some(value)) = (point, value) {
                let tip = tip(chart, series, at, *value);
                draw(
                    &mut out,
                    format_args!(
                        "<circle class=\"c{which}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{tip}</title></circle>"
                    ),
                );
            }
        }
    }
    svg(chart, HEIGHT, &out)
}

/// Slices of a ring, each given its share; from the top, clockwise.
pub fn ring(chart: &Chart, slices: &[(String, f64)]) -> String {
    const RADIUS: f64 = 64.0;
    let around = std::f64::consts::TAU * RADIUS;
    let total: f64 = slices.iter().map(|(_, value)| value).sum();
    let mut out = String::new();
    let mut begun = 0.0;
    for (which, (label, value)) in slices.iter().enumerate() {
        let length = value / total * around;
        // A hair between two of them.
        let shown = (length - 1.5).max(length / 2.0);
        let shown = if slices.len() == 1 { length } else { shown };
        let tip = escape(&format!("{label}: {} {}", full(*value), chart.unit));
        draw(
            &mut out,
            format_args!(
                "<circle class=\"s{which}\" cx=\"100\" cy=\"100\" r=\"{RADIUS}\" stroke-dasharray=\"{shown:.2} {around:.2}\" \
                 stroke-dashoffset=\"{:.2}\" transform=\"rotate(-90 100 100)\"><title>{tip}</title></circle>",
                -begun
            ),
        );
        begun += length;
    }
    let (number, unit) = (short(total), escape(&shortened(&chart.unit, 12)));
    draw(
        &mut out,
        format_args!(
            "<text class=\"mid total\" x=\"100\" y=\"106\">{number}</text><text class=\"mid\" x=\"100\" y=\"122\">{unit}</text>"
        ),
    );
    let name = name(chart);
    format!(
        "<svg class=\"ring\" viewBox=\"0 0 200 200\" role=\"img\" aria-label=\"{name}\">{out}</svg>"
    )
}

fn svg(chart: &Chart, height: f64, inner: &str) -> String {
    let name = name(chart);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{name}\">{inner}</svg>"
    )
}

/// What a screen reader says of it.
fn name(chart: &Chart) -> String {
    if chart.title.is_empty() {
        return "chart".to_owned();
    }
    escape(&chart.title)
}

/// What the pointer shows: `March, sales: 1,234 €`.
fn tip(chart: &Chart, series: &Series, at: usize, value: f64) -> String {
    let label = chart.labels.get(at).map_or("", String::as_str);
    let comma = if series.name.is_empty() { "" } else { ", " };
    let (name, unit) = (&series.name, &chart.unit);
    escape(format!("{label}{comma}{name}: {} {unit}", full(value)).trim_end())
}

fn letters(text: &str) -> f64 {
    count(text.chars().count())
}

/// A text that fits; the whole one is in the tip.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most - 1).collect();
    format!("{}…", start.trim_end())
}

fn draw(out: &mut String, shape: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ok = out.write_fmt(shape).is_ok();
}
