//! Lines over time in panels, one below the other. The figures of single trials consist of them.

use crate::PlotError;
use crate::canvas::{Drawing, Drawn, write};
use crate::style::{axes, legend, line, plain};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// One line of a panel.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// A value for each step.
    pub(crate) values: Vec<f32>,
    pub(crate) colour: RGBColor,
    pub(crate) thickness: u32,
}

/// One panel.
pub(crate) struct Panel<'a> {
    pub(crate) label: String,
    pub(crate) lines: Vec<Line<'a>>,
}

/// The choice of the panels' ranges on the y axis.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Heights {
    /// All panels have the same range, which extends as far below 0 as above.
    Shared,
    /// Each panel has its own range.
    Own,
}

/// Panels that share the time axis.
pub(crate) struct Panels<'a> {
    pub(crate) dt: f64,
    pub(crate) heights: Heights,
    pub(crate) panels: Vec<Panel<'a>>,
}

/// Draws panels with one shared range to a file.
pub(crate) fn panels(path: &Path, title: &str, dt: f64, panels: Vec<Panel<'_>>) -> Result<(), PlotError> {
    write(path, title, &Panels { dt, heights: Heights::Shared, panels })
}

/// The range of the values, with room above them for a legend of `entries` entries.
fn range<'a>(heights: Heights, entries: usize, values: impl Iterator<Item = &'a f32>) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &x in values.filter(|x| x.is_finite()) {
        (low, high) = (low.min(x as f64), high.max(x as f64));
    }
    if low > high {
        (low, high) = (0.0, 0.0);
    }
    if heights == Heights::Shared {
        high = high.max(-low);
        low = -high;
    }
    if high - low < 1e-12 {
        (low, high) = (low - 1.0, high + 1.0);
    }
    let room = 0.05 * (high - low);
    low - room..high + room + (0.05 + 0.12 * entries as f64) * (high - low)
}

impl Drawing for Panels<'_> {
    fn size(&self) -> (u32, u32) {
        (1100, 270 * self.panels.len() as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let Self { dt, heights, panels } = self;
        let lines = || panels.iter().flat_map(|panel| &panel.lines);
        let end = lines().map(|line| line.values.len()).max().unwrap_or(0) as f64 * dt;
        let entries = |panel: &Panel<'_>| panel.lines.iter().filter(|line| !line.name.is_empty()).count();
        let most = panels.iter().map(entries).max().unwrap_or(0);
        let shared = range(*heights, most, lines().flat_map(|line| &line.values));
        for (at, (panel, area)) in panels.iter().zip(area.split_evenly((panels.len(), 1))).enumerate() {
            let heights = match heights {
                Heights::Shared => shared.clone(),
                Heights::Own => range(*heights, entries(panel), panel.lines.iter().flat_map(|line| &line.values)),
            };
            let mut chart = ChartBuilder::on(&area)
                .margin(12)
                .margin_right(36)
                .x_label_area_size(44)
                .y_label_area_size(70)
                .build_cartesian_2d(0.0..end, heights)?;
            let time = if at + 1 == panels.len() { "time (ms)" } else { "" };
            axes(&mut chart, (time, &panel.label), (&plain, &plain))?;
            for Line { name, values, colour, thickness } in &panel.lines {
                let points = values.iter().enumerate().map(|(t, &value)| ((t + 1) as f64 * dt, value as f64));
                line(&mut chart, name, points, (*colour, *thickness), 0)?;
            }
            legend(&mut chart)?;
        }
        Ok(())
    }
}
