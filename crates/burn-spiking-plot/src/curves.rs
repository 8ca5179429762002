//! Curves of one quantity over another, on linear or logarithmic axes.

use crate::PlotError;
use crate::canvas::{Drawing, Drawn, write};
use crate::style::{CURVES, FONT, INK, OUTPUT, TARGET, TEXT, axes, line, plain};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// One curve.
#[derive(Debug, Clone)]
pub struct Curve {
    /// The name in the legend. A curve with an empty name has no entry.
    pub name: String,
    /// The points (x, y).
    pub points: Vec<(f64, f64)>,
    /// The role among the other curves.
    pub role: Role,
}

/// The role of a curve among the others of its panel. It decides how the curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of a few curves, each in a different colour.
    Own,
    /// The curve that the others are compared with, in grey.
    Reference,
    /// One of many similar curves. All are thin and pale and have the same colour, so that none
    /// stands out.
    OneOfMany,
    /// The middle of many similar curves, in the full shade of their colour.
    Middle,
}

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    Linear,
    /// Logarithmic; all coordinates must be above 0.
    Log,
}

/// One panel of curves.
#[derive(Debug, Clone)]
pub struct Curves {
    /// Label of the x axis, with its unit.
    pub x: String,
    /// Label of the y axis, with its unit.
    pub y: String,
    /// The scale of the x axis.
    pub x_scale: Scale,
    /// The scale of the y axis. Panels with the same y label and the same y scale share one range.
    pub y_scale: Scale,
    /// The curves. Up to five curves of [`Role::Own`] have different colours.
    pub lines: Vec<Curve>,
}

/// Draws panels in rows of two to a PNG or SVG file.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If a panel has no point, or a coordinate on a logarithmic axis is not above 0.
pub fn curves(path: impl AsRef<Path>, title: &str, panels: &[Curves]) -> Result<(), PlotError> {
    write(path.as_ref(), title, &Panels(panels))
}

/// The range of the numbers. `below` and `above` are the room to add at each end, as shares of the
/// range.
fn range(scale: Scale, numbers: impl Iterator<Item = f64>, [below, above]: [f64; 2]) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for x in numbers {
        assert!(
            x.is_finite() && (scale == Scale::Linear || x > 0.0),
            "a coordinate is {x}, but all must be finite, and on a logarithmic axis above 0"
        );
        (low, high) = (low.min(x), high.max(x));
    }
    assert!(low <= high, "there is no point to draw");
    match scale {
        Scale::Linear => {
            let length = if high > low { high - low } else { 1.0 };
            low - below * length..high + above * length
        }
        Scale::Log => {
            let ratio = if high > low { high / low } else { 2.0 };
            let (low, high) = (low * ratio.powf(-below), high * ratio.powf(above));
            // Plotters places the ticks of a logarithmic axis from a power of ten on. If the range
            // contains no power of ten, it is extended to the nearest one, and by 1 % more to be
            // safe from rounding.
            let (under, over) = (10_f64.powf(low.log10().floor()), 10_f64.powf(low.log10().ceil()));
            match over <= high {
                true => low..high,
                false if low / under <= over / high => 0.99 * under..high,
                false => low..1.01 * over,
            }
        }
    }
}

/// The text at a tick of a logarithmic axis. Only the ticks at 1, 2 and 5 of each decade have one,
/// since more would overlap.
fn tick(x: &f64) -> String {
    let digit = (x / 10.0_f64.powf(x.log10().floor() + 1e-9)).round();
    if [1.0, 2.0, 5.0, 10.0].contains(&digit) { plain(x) } else { String::new() }
}

struct Panels<'a>(&'a [Curves]);

impl Panels<'_> {
    fn columns(&self) -> usize {
        self.0.len().clamp(1, 2)
    }

    fn rows(&self) -> usize {
        self.0.len().div_ceil(self.columns())
    }
}

impl Drawing for Panels<'_> {
    fn size(&self) -> (u32, u32) {
        (if self.columns() == 1 { 900 } else { 1200 }, 380 * self.rows() as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        for (panel, area) in self.0.iter().zip(area.split_evenly((self.rows(), self.columns()))) {
            let alike = self.0.iter().filter(|other| (&other.y, other.y_scale) == (&panel.y, panel.y_scale));
            let points = alike.flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
            let ys = range(panel.y_scale, points.map(|point| point.1), [0.05, 0.05]);
            let xs = panel.lines.iter().flat_map(|line| &line.points).map(|point| point.0);
            let xs = range(panel.x_scale, xs, [0.02, 0.04]);
            match (panel.x_scale, panel.y_scale) {
                (Scale::Linear, Scale::Linear) => draw_panel(&area, xs, ys, panel)?,
                (Scale::Linear, Scale::Log) => draw_panel(&area, xs, ys.log_scale(), panel)?,
                (Scale::Log, Scale::Linear) => draw_panel(&area, xs.log_scale(), ys, panel)?,
                (Scale::Log, Scale::Log) => draw_panel(&area, xs.log_scale(), ys.log_scale(), panel)?,
            }
        }
        Ok(())
    }
}

fn draw_panel<DB: DrawingBackend, X, Y>(area: &DrawingArea<DB, Shift>, xs: X, ys: Y, panel: &Curves) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    DB::ErrorType: 'static,
{
    let looks = looks(&panel.lines);
    let area = legend(area, &panel.lines, &looks)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_top(4)
        .margin_right(30)
        .x_label_area_size(48)
        .y_label_area_size(74)
        .build_cartesian_2d(xs, ys)?;
    let ticks = |scale: Scale| if scale == Scale::Log { tick } else { plain };
    axes(&mut chart, (&panel.x, &panel.y), (&ticks(panel.x_scale), &ticks(panel.y_scale)))?;
    for (curve, &(colour, width)) in panel.lines.iter().zip(&looks) {
        let mark = if curve.role != Role::OneOfMany && curve.points.len() <= 40 { 4 } else { 0 };
        line(&mut chart, "", curve.points.iter().copied(), (colour, width), mark)?;
    }
    Ok(())
}

/// The colour and the line width of each curve.
fn looks(curves: &[Curve]) -> Vec<(RGBColor, u32)> {
    let mut own = CURVES.iter().cycle();
    let look = |curve: &Curve| match curve.role {
        Role::Own => (*own.next().expect("a cycle has no end"), 3),
        Role::Reference => (TARGET, 3),
        Role::OneOfMany => (PALE, 1),
        Role::Middle => (OUTPUT, 3),
    };
    curves.iter().map(look).collect()
}

/// A pale shade of [`OUTPUT`].
const PALE: RGBColor = RGBColor(140, 190, 220);
/// Length of a line in the legend, in pixels.
const SAMPLE: i32 = 26;
/// Height of a row of the legend, in pixels.
const ROW: i32 = TEXT as i32 + 7;

/// Draws the legend in rows above a panel, where it hides no curve. Returns the area below the
/// legend.
fn legend<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    curves: &[Curve],
    looks: &[(RGBColor, u32)],
) -> Drawn<DrawingArea<DB, Shift>>
where
    DB::ErrorType: 'static,
{
    let font = (FONT, TEXT).into_font().color(&INK);
    let (left, right) = (86, area.dim_in_pixel().0 as i32 - 30);
    let (mut x, mut y) = (left, 8);
    for (curve, &(colour, width)) in curves.iter().zip(looks).filter(|(curve, _)| !curve.name.is_empty()) {
        let text = area.estimate_text_size(&curve.name, &font)?.0 as i32;
        let entry = SAMPLE + 8 + text;
        if x > left && x + entry > right {
            (x, y) = (left, y + ROW);
        }
        let middle = y + TEXT as i32 / 2;
        area.draw(&PathElement::new([(x, middle), (x + SAMPLE, middle)], colour.stroke_width(width)))?;
        area.draw(&Text::new(curve.name.clone(), (x + SAMPLE + 8, y), font.clone()))?;
        x += entry + 24;
    }
    Ok(area.split_vertically(y + ROW).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::with_font;

    fn panel(points: Vec<(f64, f64)>) -> Curves {
        let lines = vec![Curve { name: "one".into(), points, role: Role::Own }];
        Curves { x: "neurons".into(), y: "ns".into(), x_scale: Scale::Log, y_scale: Scale::Log, lines }
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
    fn curves_of_their_own_differ_and_many_alike_do_not() {
        let curve = |role: Role| Curve { name: String::new(), points: vec![], role };
        let own = looks(&[Role::Own; 5].map(curve));
        assert!((0..5).all(|i| (0..i).all(|j| own[i].0 != own[j].0)));
        let many = looks(&[Role::OneOfMany, Role::Own, Role::OneOfMany, Role::Reference, Role::Middle].map(curve));
        assert_eq!(many[0], many[2]);
        assert_eq!(many[1], own[0], "only curves of their own use up colours");
    }

    #[test]
    fn a_long_legend_takes_rows_of_its_own() {
        let mut image = vec![0; 3 * 400 * 200];
        let area = BitMapBackend::with_buffer(&mut image, (400, 200)).into_drawing_area();
        with_font();
        let curve = |at: usize| Curve { name: format!("a name of some length, {at}"), points: vec![], role: Role::Own };
        let height = |count: usize| {
            let curves: Vec<_> = (0..count).map(curve).collect();
            legend(&area, &curves, &looks(&curves)).unwrap().dim_in_pixel().1 as i32
        };
        assert_eq!(height(1) - height(3), 2 * ROW);
        assert_eq!(height(0), height(1), "a panel without names leaves the same room, so that panels stay in line");
    }

    #[test]
    fn a_logarithmic_axis_has_a_power_of_ten() {
        for (points, wanted) in [([0.11, 0.8], 0.1), ([0.2, 0.9], 1.0), ([0.5, 2.0], 1.0), ([30.0, 31.0], 10.0)] {
            let range = range(Scale::Log, points.into_iter(), [0.02, 0.04]);
            assert!(range.start < wanted && wanted < range.end, "{points:?}: {range:?}");
            assert!(range.start <= points[0] && points[1] <= range.end, "{points:?}: {range:?}");
        }
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
