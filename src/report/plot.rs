//! Plots as SVG text: lines over steps, points of two quantities, values with their intervals.
//!
//! Points that are not finite are left out; axes span what is left. A plot without any point is an
//! empty frame, never an error, so that a report of a failed run can still be written.

use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;

/// Points of one name.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// What the legend says; an empty name is left out of it.
    pub name: String,
    /// `(x, y)`, for lines in order of x.
    pub points: Vec<(f64, f64)>,
}

/// What is written around a plot.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// Heading.
    pub title: &'a str,
    /// Horizontal quantity, with its unit.
    pub x: &'a str,
    /// Vertical quantity, with its unit.
    pub y: &'a str,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// A value with its interval, for [`intervals`].
#[derive(Clone, Debug)]
pub struct Whisker {
    /// Name at the left.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Lower and upper end.
    pub interval: Option<(f64, f64)>,
    /// Drawn in grey (baselines).
    pub marked: bool,
}

/// Colours that remain apart for most colour-blind readers (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const GREY: RGBColor = RGBColor(130, 130, 130);
/// Height of a row of [`intervals`], pixels.
const ROW: u32 = 18;

type Failed = Box<dyn std::error::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Lines, one a series.
pub fn lines(axes: &Axes<'_>, series: &[Series]) -> String {
    draw(axes.size, |area| chart(area, axes, series, true))
}

/// Points, one colour a series.
pub fn points(axes: &Axes<'_>, series: &[Series]) -> String {
    draw(axes.size, |area| chart(area, axes, series, false))
}

/// Values with their intervals, one below the other, in the order given.
pub fn intervals(title: &str, x: &str, rows: &[Whisker]) -> String {
    let size = (760, 90 + ROW * rows.len().max(1) as u32);
    draw(size, |area| whiskers(area, title, x, rows))
}

/// Drawing into memory cannot fail but for a defect in the plot itself, which then is an empty frame.
fn draw(size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> Result<(), Failed>) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let painted = area.fill(&WHITE).map_err(Failed::from).and_then(|()| paint(&area));
        let _ = painted.and_then(|()| area.present().map_err(Failed::from));
    }
    svg
}

fn chart(area: &Area<'_>, axes: &Axes<'_>, series: &[Series], joined: bool) -> Result<(), Failed> {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let all = || series.iter().flat_map(|s| s.points.iter().filter(finite));
    let (x, y) = (span(all().map(|p| p.0)), span(all().map(|p| p.1)));
    let mut chart = ChartBuilder::on(area)
        .caption(axes.title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y)?;
    let label = |v: &f64| short(*v);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.2))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .x_desc(axes.x)
        .y_desc(axes.y)
        .draw()?;
    for (s, &colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let points = s.points.iter().filter(finite).copied();
        let drawn = match joined {
            true => chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?,
            false => chart.draw_series(points.map(|p| Circle::new(p, 2, colour.mix(0.6).filled())))?,
        };
        if !s.name.is_empty() {
            drawn
                .label(s.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
        }
    }
    if series.iter().any(|s| !s.name.is_empty()) {
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(GREY.mix(0.3))
            .position(SeriesLabelPosition::LowerRight)
            .draw()?;
    }
    Ok(())
}

fn whiskers(area: &Area<'_>, title: &str, x: &str, rows: &[Whisker]) -> Result<(), Failed> {
    let ends =
        |r: &Whisker| r.interval.map_or([r.value, r.value], |(lo, hi)| [lo.min(r.value), hi.max(r.value)]);
    let range = span(rows.iter().flat_map(ends).chain([0.0]));
    let n = rows.len().max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(38)
        .y_label_area_size(200)
        .build_cartesian_2d(range, n - 0.5..-0.5)?;
    let name = |v: &f64| match (v - v.round()).abs() < 1e-9 {
        true => rows.get(v.round() as usize).map_or(String::new(), |r| r.name.clone()),
        false => String::new(),
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.2))
        .y_labels(2 * rows.len().max(1))
        .y_label_formatter(&name)
        .x_label_formatter(&|v: &f64| short(*v))
        .x_desc(x)
        .draw()?;
    for (i, r) in rows.iter().enumerate().filter(|(_, r)| r.value.is_finite()) {
        let (y, colour) = (i as f64, if r.marked { GREY } else { COLOURS[0] });
        if let Some((lo, hi)) = r.interval.filter(|(lo, hi)| lo.is_finite() && hi.is_finite()) {
            chart.draw_series([PathElement::new([(lo, y), (hi, y)], colour.stroke_width(2))])?;
        }
        chart.draw_series([Circle::new((r.value, y), 4, colour.filled())])?;
    }
    Ok(())
}

/// The range of what is finite, with a margin; `0..1` of nothing.
fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let ends = values.filter(|v| v.is_finite()).fold(None, |ends: Option<(f64, f64)>, v| {
        let (lo, hi) = ends.unwrap_or((v, v));
        Some((lo.min(v), hi.max(v)))
    });
    match ends {
        None => 0.0..1.0,
        Some((lo, hi)) => {
            // Half-range arithmetic, since the full range of f64 overflows; equal ends get room too.
            let half = hi / 2.0 - lo / 2.0;
            let margin = if half > 0.0 { half * 0.1 } else { lo.abs().max(1.0) * 0.1 };
            (lo - margin).max(f64::MIN / 4.0)..(hi + margin).min(f64::MAX / 4.0)
        }
    }
}

/// A number of an axis, three digits.
fn short(v: f64) -> String {
    match v.abs() {
        a if a != 0.0 && !(1e-3..1e5).contains(&a) => format!("{v:.2e}"),
        a if a >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        _ => format!("{v:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> Axes<'static> {
        Axes { title: "t", x: "x", y: "y", size: (400, 300) }
    }

    #[test]
    fn every_finite_point_is_drawn_and_no_other() {
        let points_of = |p: Vec<(f64, f64)>| [Series { name: String::new(), points: p }];
        let svg =
            points(&axes(), &points_of(vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (f64::INFINITY, 0.0)]));
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        assert!(svg.trim_end().ends_with("</svg>"), "{svg}");
    }

    #[test]
    fn hostile_values_give_a_picture() {
        for p in
            [vec![], vec![(1.0, 1.0)], vec![(f64::MAX, f64::MIN), (f64::MIN, f64::MAX)], vec![(0.0, 5e-324)]]
        {
            let series = [Series { name: "a<b".to_owned(), points: p }];
            for svg in [lines(&axes(), &series), points(&axes(), &series)] {
                assert!(svg.contains("<svg") && svg.contains("</svg>"), "{svg}");
                assert!(!svg.contains("a<b"), "names are escaped: {svg}");
            }
        }
    }

    #[test]
    fn intervals_name_every_row() {
        let row = |name: &str, value| Whisker {
            name: name.to_owned(),
            value,
            interval: Some((value - 0.1, value + 0.1)),
            marked: false,
        };
        let svg = intervals("t", "τ", &[row("first", 0.5), row("second", -0.2), row("third", 0.1)]);
        for name in ["first", "second", "third"] {
            assert!(svg.contains(name), "{name} in {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    }
}
