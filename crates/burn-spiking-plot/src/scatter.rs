//! Scatter plots of one quantity against another, with their correlation.

use crate::PlotError;
use crate::canvas::{Drawing, Drawn, write};
use crate::style::{OUTPUT, TARGET, axes, line, plain};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// Pairs of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Scatter<'a> {
    /// Label of the x axis, with its unit.
    pub x: &'a str,
    /// Label of the y axis, with its unit.
    pub y: &'a str,
    /// The pairs.
    pub points: &'a [(f32, f32)],
}

/// Draws panels of points side by side to a PNG or SVG file. Each panel shows its regression line
/// and its correlation.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
pub fn scatter(path: impl AsRef<Path>, title: &str, panels: &[Scatter<'_>]) -> Result<(), PlotError> {
    write(path.as_ref(), title, &Scatters { panels })
}

struct Scatters<'a> {
    panels: &'a [Scatter<'a>],
}

/// Slope and intercept of the regression of y on x, and their correlation. If x or y does not vary,
/// the slope and the correlation are 0, and the intercept is the mean of y.
fn regression(points: &[(f32, f32)]) -> (f64, f64, f64) {
    let n = points.len() as f64;
    let mean = |of: fn(&(f32, f32)) -> f32| points.iter().map(|point| of(point) as f64).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for &(x, y) in points {
        let (x, y) = (x as f64 - mx, y as f64 - my);
        (xx, yy, xy) = (xx + x * x, yy + y * y, xy + x * y);
    }
    if xx == 0.0 || yy == 0.0 {
        return (0.0, my, 0.0);
    }
    (xy / xx, my - xy / xx * mx, xy / (xx * yy).sqrt())
}

fn range(values: impl Iterator<Item = f32>) -> Range<f64> {
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let (low, high) = if low < high { (low as f64, high as f64) } else { (-1.0, 1.0) };
    let room = 0.06 * (high - low);
    low - room..high + room
}

impl Drawing for Scatters<'_> {
    fn size(&self) -> (u32, u32) {
        (540 * self.panels.len() as u32, 480)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        for (panel, area) in self.panels.iter().zip(area.split_evenly((1, self.panels.len()))) {
            let xs = range(panel.points.iter().map(|point| point.0));
            let (slope, at_zero, correlation) = regression(panel.points);
            let mut chart = ChartBuilder::on(&area)
                .caption(format!("r = {correlation:.3}"), (crate::style::FONT, crate::style::TEXT + 2))
                .margin(12)
                .margin_right(24)
                .x_label_area_size(48)
                .y_label_area_size(70)
                .build_cartesian_2d(xs.clone(), range(panel.points.iter().map(|point| point.1)))?;
            axes(&mut chart, (panel.x, panel.y), (&plain, &plain))?;
            let ends = [xs.start, xs.end].map(|x| (x, at_zero + slope * x));
            line(&mut chart, "", ends.into_iter(), (TARGET, 3), 0)?;
            let dots =
                panel.points.iter().map(|&(x, y)| Circle::new((x as f64, y as f64), 3, OUTPUT.mix(0.6).filled()));
            chart.draw_series(dots)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_correlation_one() {
        let points: Vec<(f32, f32)> = (0..20).map(|x| (x as f32, 3.0 - 0.5 * x as f32)).collect();
        let (slope, at_zero, correlation) = regression(&points);
        assert!((slope + 0.5).abs() < 1e-9 && (at_zero - 3.0).abs() < 1e-9 && (correlation + 1.0).abs() < 1e-9);
        assert_eq!(regression(&[(1.0, 2.0), (1.0, 3.0)]).2, 0.0);
    }

    #[test]
    fn a_figure_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scatter.png");
        let points: Vec<(f32, f32)> = (0..50).map(|x| (x as f32, (x as f32).sin())).collect();
        scatter(&path, "test", &[Scatter { x: "x", y: "y", points: &points }; 2]).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 5_000);
    }
}
