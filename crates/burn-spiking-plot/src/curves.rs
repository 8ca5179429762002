//! Curves over positive numbers, on logarithmic axes: how something grows with something else.

use crate::PlotError;
use crate::style::{CURVES, FONT, GRID, INK, TARGET, with_font};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// One curve.
#[derive(Debug, Clone)]
pub struct Curve {
    /// In the legend.
    pub name: String,
    /// Points (x, y), both above 0.
    pub points: Vec<(f64, f64)>,
    /// Whether this is what the others are measured against, drawn in grey.
    pub reference: bool,
}

/// One panel of curves.
#[derive(Debug, Clone)]
pub struct Curves {
    /// Label of the x axis, with its unit.
    pub x: String,
    /// Label of the y axis, with its unit.
    pub y: String,
    /// The curves; up to four have colours of their own.
    pub lines: Vec<Curve>,
}

/// Draws panels in rows of two, which share the range of y, to a PNG file.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If there is no point, or a coordinate is not above 0.
pub fn curves(path: impl AsRef<Path>, title: &str, panels: &[Curves]) -> Result<(), PlotError> {
    let path = path.as_ref();
    draw(path, title, panels).map_err(|error| PlotError { path: path.display().to_string(), reason: error.to_string() })
}

/// The range of numbers, with some room at both ends.
fn range(numbers: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for x in numbers {
        assert!(x > 0.0 && x.is_finite(), "a coordinate is {x}, but on a logarithmic axis all must be above 0");
        (low, high) = (low.min(x), high.max(x));
    }
    assert!(low <= high, "there is no point to draw");
    low / room..high * room
}

/// A number at a tick of a logarithmic axis: 1, 2 and 5 of each decade, since more would overlap.
fn tick(x: &f64) -> String {
    let digit = (x / 10.0_f64.powf(x.log10().floor() + 1e-9)).round();
    if [1.0, 2.0, 5.0, 10.0].contains(&digit) { format!("{}", (x * 1e9).round() / 1e9) } else { String::new() }
}

fn draw(path: &Path, title: &str, panels: &[Curves]) -> Result<(), Box<dyn std::error::Error>> {
    with_font();
    let rows = panels.len().div_ceil(2);
    let root = BitMapBackend::new(path, (1200, 60 + 380 * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 24).into_font().color(&INK))?;
    let points = || panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let mut ys = range(points().map(|point| point.1), 1.3);
    // Room for the legend.
    ys.end *= (ys.end / ys.start).powf(0.4);
    for (panel, area) in panels.iter().zip(root.split_evenly((rows, 2))) {
        let xs = range(panel.lines.iter().flat_map(|line| &line.points).map(|point| point.0), 1.1);
        let ys = ys.clone().log_scale();
        let mut builder = ChartBuilder::on(&area);
        builder.margin(12).margin_right(30).x_label_area_size(48).y_label_area_size(70);
        panel_on(&mut builder, xs.log_scale(), ys, panel)?;
    }
    root.present()?;
    Ok(())
}

fn panel_on<X, Y>(
    builder: &mut ChartBuilder<'_, '_, BitMapBackend<'_>>,
    xs: X,
    ys: Y,
    panel: &Curves,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = builder.build_cartesian_2d(xs, ys)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style((FONT, 17).into_font().color(&INK))
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .draw()?;
    let mut colours = CURVES.iter().cycle();
    for line in &panel.lines {
        let colour = if line.reference { TARGET } else { *colours.next().expect("a cycle has no end") };
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(3)).point_size(4))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .legend_area_size(34)
        .label_font((FONT, 17).into_font().color(&INK))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: Vec<(f64, f64)>) -> Curves {
        let lines = vec![Curve { name: "one".into(), points, reference: false }];
        Curves { x: "neurons".into(), y: "ns".into(), lines }
    }

    #[test]
    fn a_figure_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        let points: Vec<(f64, f64)> = (0..5).map(|i| (2.0_f64.powi(i), 3.0 + i as f64)).collect();
        curves(&path, "test", &[panel(points.clone()), panel(points.clone()), panel(points)]).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 5_000);
    }

    #[test]
    fn ticks_do_not_crowd() {
        let shown: Vec<String> =
            [0.1, 0.2, 0.30000000000000004, 0.5, 0.9, 1.0, 10.0, 70.0, 1000.0].iter().map(tick).collect();
        assert_eq!(shown, ["0.1", "0.2", "", "0.5", "", "1", "10", "", "1000"]);
    }

    #[test]
    #[should_panic(expected = "a coordinate is 0")]
    fn a_coordinate_of_zero_is_named() {
        let _ = curves("/no/such/folder/x.png", "test", &[panel(vec![(0.0, 1.0)])]);
    }
}
