//! Weight matrices drawn as shades, with their scale.

use crate::PlotError;
use crate::canvas::{Drawing, Drawn, write};
use crate::style::{axes, plain, shade};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// One matrix.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// The name of the matrix, beside its rows.
    pub name: &'a str,
    /// Values, `[rows, columns]`.
    pub values: &'a [f32],
    /// Number of columns.
    pub columns: usize,
    /// The label of the columns, below them.
    pub across: &'a str,
}

/// Draws matrices side by side to a PNG or SVG file. All matrices share one scale.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If a matrix is empty, or its values do not fill whole rows.
pub fn weights(path: impl AsRef<Path>, title: &str, matrices: &[Weights<'_>]) -> Result<(), PlotError> {
    for matrix in matrices {
        let whole = matrix.columns > 0 && !matrix.values.is_empty() && matrix.values.len() % matrix.columns == 0;
        assert!(whole, "{} has {} values in rows of {}", matrix.name, matrix.values.len(), matrix.columns);
    }
    write(path.as_ref(), title, &Shades { matrices })
}

struct Shades<'a> {
    matrices: &'a [Weights<'a>],
}

const WIDTH: u32 = 470;
const SCALE: u32 = 110;

impl Drawing for Shades<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH * self.matrices.len() as u32 + SCALE, 450)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let values = || self.matrices.iter().flat_map(|matrix| matrix.values).filter(|x| x.is_finite());
        let largest = values().fold(1e-12_f32, |most, x| most.max(x.abs())) as f64;
        let share = |x: f64| 0.5 + 0.5 * x / largest;
        let (matrices, scale) = area.split_horizontally(WIDTH * self.matrices.len() as u32);
        for (matrix, area) in self.matrices.iter().zip(matrices.split_evenly((1, self.matrices.len()))) {
            let rows = matrix.values.len() / matrix.columns;
            let mut chart = ChartBuilder::on(&area)
                .margin(12)
                .x_label_area_size(48)
                .y_label_area_size(64)
                .build_cartesian_2d(0.0..matrix.columns as f64, rows as f64..0.0)?;
            axes(&mut chart, (matrix.across, matrix.name), (&plain, &plain))?;
            chart.draw_series(matrix.values.iter().enumerate().map(|(at, &x)| {
                let (row, column) = ((at / matrix.columns) as f64, (at % matrix.columns) as f64);
                Rectangle::new([(column, row), (column + 1.0, row + 1.0)], shade(share(x as f64)).filled())
            }))?;
        }
        let mut chart = ChartBuilder::on(&scale)
            .margin(12)
            .margin_bottom(60)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..1.0, -largest..largest)?;
        axes(&mut chart, ("", ""), (&|_| String::new(), &|x| format!("{x:.2}")))?;
        chart.draw_series((0..100).map(|i| {
            let [low, high] = [i, i + 1].map(|i| largest * (i as f64 / 50.0 - 1.0));
            Rectangle::new([(0.0, low), (1.0, high)], shade(share(0.5 * (low + high))).filled())
        }))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let rectangles = |values: &[f32], columns: usize| {
            let path = folder.path().join("weights.svg");
            weights(&path, "test", &[Weights { name: "W", values, columns, across: "to" }]).unwrap();
            std::fs::read_to_string(&path).unwrap().matches("<rect").count()
        };
        assert_eq!(rectangles(&[0.5; 12], 3), rectangles(&[0.5; 6], 3) + 6);
    }

    #[test]
    #[should_panic(expected = "W has 5 values in rows of 3")]
    fn half_rows_are_refused() {
        let _ = weights("x.svg", "test", &[Weights { name: "W", values: &[0.0; 5], columns: 3, across: "to" }]);
    }
}
