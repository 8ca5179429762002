//! Confusion matrices: how often each class was given for each right class.

use crate::PlotError;
use crate::canvas::{Drawing, Drawn, write};
use crate::style::{FONT, INK, OUTPUT, TEXT, axes};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// Draws a confusion matrix to a PNG or SVG file. The shade of a cell is its share of its row.
///
/// - `classes`: the names of the classes.
/// - `counts`: the counts, `[right][given]`.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If there are not as many rows and columns as classes.
pub fn confusion(
    path: impl AsRef<Path>,
    title: &str,
    classes: &[String],
    counts: &[Vec<u64>],
) -> Result<(), PlotError> {
    let square = counts.len() == classes.len() && counts.iter().all(|row| row.len() == classes.len());
    assert!(square && !classes.is_empty(), "{} rows of counts for {} classes", counts.len(), classes.len());
    write(path.as_ref(), title, &Cells { classes, counts })
}

struct Cells<'a> {
    classes: &'a [String],
    counts: &'a [Vec<u64>],
}

impl Drawing for Cells<'_> {
    fn size(&self) -> (u32, u32) {
        let side = (56 * self.classes.len() as u32).max(280);
        (side + 140, side + 70)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let count = self.classes.len();
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(36)
            .x_label_area_size(48)
            .y_label_area_size(80)
            .build_cartesian_2d(0.0..count as f64, count as f64..0.0)?;
        // The names stand in the middle of their cells, and the ticks at their edges have none.
        axes(&mut chart, ("given", "right"), (&|_| String::new(), &|_| String::new()))?;
        let cells = (0..count).flat_map(|right| (0..count).map(move |given| (right, given)));
        for (right, given) in cells {
            let (row, column) = (right as f64, given as f64);
            let all = self.counts[right].iter().sum::<u64>().max(1);
            let share = self.counts[right][given] as f64 / all as f64;
            let colour = OUTPUT.mix(share);
            chart.draw_series([Rectangle::new([(column, row), (column + 1.0, row + 1.0)], colour.filled())])?;
            let ink = if share > 0.6 { WHITE } else { INK };
            let style = (FONT, TEXT).into_font().color(&ink).pos(Pos::new(HPos::Center, VPos::Center));
            let text = match self.counts[right][given] {
                0 => String::new(),
                some => some.to_string(),
            };
            chart.draw_series([Text::new(text, (column + 0.5, row + 0.5), style)])?;
        }
        // The chart maps to pixels of the whole figure, but the area below the title has its own.
        let (plotted, (left, top)) = (chart.plotting_area(), area.get_base_pixel());
        let pixel = |at: (f64, f64)| {
            let (x, y) = plotted.map_coordinate(&at);
            (x - left, y - top)
        };
        let outside = TextStyle::from((FONT, TEXT).into_font()).color(&INK);
        for (at, name) in self.classes.iter().enumerate() {
            let below = pixel((at as f64 + 0.5, count as f64));
            let beside = pixel((0.0, at as f64 + 0.5));
            let anchored = |h, v| outside.pos(Pos::new(h, v));
            area.draw(&Text::new(name.clone(), (below.0, below.1 + 6), anchored(HPos::Center, VPos::Top)))?;
            area.draw(&Text::new(name.clone(), (beside.0 - 8, beside.1), anchored(HPos::Right, VPos::Center)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confusion.svg");
        let names = ["yin", "yang"].map(String::from);
        confusion(&path, "test", &names, &[vec![801, 3], vec![0, 777]]).unwrap();
        let drawn = std::fs::read_to_string(&path).unwrap();
        ["801", "777", "yin", "yang"].iter().for_each(|text| assert!(drawn.contains(text), "{text}"));
    }

    #[test]
    #[should_panic(expected = "1 rows of counts for 2 classes")]
    fn missing_rows_are_refused() {
        let _ = confusion("x.svg", "test", &["a".into(), "b".into()], &[vec![1, 2]]);
    }
}
