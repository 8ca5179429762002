//! The readout of a network against its target.

use crate::PlotError;
use crate::style::{FONT, GRID, INK, OUTPUT, TARGET, with_font};
use plotters::prelude::*;
use std::path::Path;

/// Outputs and targets of one trial.
#[derive(Debug, Clone, Copy)]
pub struct Readout<'a> {
    /// Above the figure.
    pub title: &'a str,
    /// Length of a time step, ms.
    pub dt: f64,
    /// Outputs, `[T, O]`.
    pub output: &'a [f32],
    /// Targets, `[T, O]`.
    pub target: &'a [f32],
    /// Number of outputs, O.
    pub width: usize,
}

/// Draws one panel for each output to a PNG file.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If outputs and targets differ in length or are not whole rows of `width` values.
pub fn readout(path: impl AsRef<Path>, figure: &Readout<'_>) -> Result<(), PlotError> {
    let Readout { output, target, width, .. } = *figure;
    assert!(width > 0 && output.len() == target.len() && output.len() % width == 0, "whole rows of {width} outputs");
    let path = path.as_ref();
    draw(path, figure).map_err(|error| PlotError { path: path.display().to_string(), reason: error.to_string() })
}

fn draw(path: &Path, figure: &Readout<'_>) -> Result<(), Box<dyn std::error::Error>> {
    with_font();
    let Readout { title, dt, output, target, width } = *figure;
    let root = BitMapBackend::new(path, (1100, 60 + 270 * width as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 24).into_font().color(&INK))?;
    let steps = output.len() / width;
    let end = steps as f64 * dt;
    let largest = output.iter().chain(target).fold(0.0_f32, |largest, x| largest.max(x.abs())) as f64 * 1.1;
    // Room for the legend.
    let top = 1.45 * largest;
    for (channel, panel) in root.split_evenly((width, 1)).iter().enumerate() {
        let mut chart = ChartBuilder::on(panel)
            .margin(12)
            .margin_right(36)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, -largest..top)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style((FONT, 17).into_font().color(&INK))
            .x_label_formatter(&|t| format!("{t:.0}"))
            .x_desc(if channel + 1 == width { "time (ms)" } else { "" })
            .y_desc(format!("output {}", channel + 1))
            .draw()?;
        let line = |data: &[f32]| -> Vec<(f64, f64)> {
            (0..steps).map(|t| ((t + 1) as f64 * dt, data[t * width + channel] as f64)).collect()
        };
        for (name, data, colour, thickness) in [("target", target, TARGET, 6), ("readout", output, OUTPUT, 2)] {
            chart
                .draw_series(LineSeries::new(line(data), colour.stroke_width(thickness)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], colour.stroke_width(thickness)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .legend_area_size(34)
            .label_font((FONT, 17).into_font().color(&INK))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("readout.png");
        let target: Vec<f32> = (0..400).map(|i| (i as f32 * 0.05).sin()).collect();
        let output: Vec<f32> = target.iter().map(|x| x + 0.1).collect();
        readout(&path, &Readout { title: "test", dt: 0.5, output: &output, target: &target, width: 2 }).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 5_000);
    }

    #[test]
    fn a_path_that_cannot_be_is_named() {
        let error = readout(
            "/no/such/folder/x.png",
            &Readout { title: "test", dt: 0.5, output: &[0.0, 1.0], target: &[0.0, 1.0], width: 1 },
        );
        assert!(error.unwrap_err().to_string().contains("/no/such/folder/x.png"));
    }
}
