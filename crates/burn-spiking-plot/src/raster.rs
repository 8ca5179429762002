//! Spike rasters: the time of each neuron's spikes.

use crate::PlotError;
use crate::canvas::{Drawing, Drawn, write};
use crate::style::{INK, OUTPUT, PULSE, axes, line, plain};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// The spikes of a trial, with the input above them and the output below them.
#[derive(Debug, Clone, Copy)]
pub struct Raster<'a> {
    /// The title above the figure.
    pub title: &'a str,
    /// Length of a time step, ms.
    pub dt: f64,
    /// Number of time steps, T.
    pub steps: usize,
    /// Number of neurons, N.
    pub neurons: usize,
    /// The pair (step, neuron) of each spike.
    pub spikes: &'a [(usize, usize)],
    /// Input channels, `[T]` each, drawn above the raster.
    pub input: &'a [&'a [f32]],
    /// Outputs, `[T]` each, drawn below the raster.
    pub output: &'a [&'a [f32]],
}

/// Draws a raster with one row for each neuron to a PNG or SVG file.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
pub fn raster(path: impl AsRef<Path>, figure: &Raster<'_>) -> Result<(), PlotError> {
    write(path.as_ref(), figure.title, figure)
}

const STRIP: u32 = 142;

impl Raster<'_> {
    fn height_of_spikes(&self) -> u32 {
        (7 * self.neurons as u32).clamp(160, 640) + 56
    }

    fn strips(&self) -> [&[&[f32]]; 2] {
        [self.input, self.output]
    }
}

/// A chart whose time axis is aligned with the time axes above and below it.
fn builder<'a, 'b, DB: DrawingBackend>(area: &'a DrawingArea<DB, Shift>, bottom: u32) -> ChartBuilder<'a, 'b, DB> {
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(6).margin_left(12).margin_right(36).y_label_area_size(70).x_label_area_size(bottom);
    builder
}

impl Drawing for Raster<'_> {
    fn size(&self) -> (u32, u32) {
        let strips = self.strips().iter().filter(|strip| !strip.is_empty()).count() as u32;
        (1100, STRIP * strips + self.height_of_spikes())
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let end = self.steps as f64 * self.dt;
        let above = if self.input.is_empty() { 0 } else { STRIP };
        let (upper, rest) = area.split_vertically(above);
        let (middle, lower) = rest.split_vertically(self.height_of_spikes());
        for (area, lines, label, colours) in
            [(&upper, self.input, "input", [PULSE, INK]), (&lower, self.output, "output", [OUTPUT, INK])]
        {
            if lines.is_empty() {
                continue;
            }
            let largest = lines.iter().flat_map(|line| line.iter()).fold(1e-6_f32, |most, x| most.max(x.abs())) as f64;
            let mut chart = builder(area, 20).build_cartesian_2d(0.0..end, -1.1 * largest..1.1 * largest)?;
            axes(&mut chart, ("", label), (&|_| String::new(), &plain))?;
            for (values, colour) in lines.iter().zip(colours.into_iter().cycle()) {
                let points = values.iter().enumerate().map(|(t, &x)| ((t + 1) as f64 * self.dt, x as f64));
                line(&mut chart, "", points, (colour, 2), 0)?;
            }
        }
        let mut chart = builder(&middle, 44).build_cartesian_2d(0.0..end, 0.0..self.neurons as f64)?;
        axes(&mut chart, ("time (ms)", "neuron"), (&plain, &plain))?;
        chart.draw_series(self.spikes.iter().map(|&(step, neuron)| {
            let (time, row) = ((step + 1) as f64 * self.dt, neuron as f64);
            PathElement::new([(time, row + 0.1), (time, row + 0.9)], INK.stroke_width(1))
        }))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spike_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, spikes: &[(usize, usize)]| {
            let path = folder.path().join(name);
            let values = [0.5_f32; 100];
            let figure = Raster {
                title: "test",
                dt: 1.0,
                steps: 100,
                neurons: 5,
                spikes,
                input: &[&values, &values],
                output: &[&values],
            };
            raster(&path, &figure).unwrap();
            std::fs::read_to_string(path).unwrap().matches("<polyline").count()
        };
        assert_eq!(of("three.svg", &[(3, 0), (50, 4), (99, 2)]), of("none.svg", &[]) + 3);
    }
}
