//! Lines over time in panels one below the other: what the figures of single trials are made of.

use crate::PlotError;
use crate::style::{FONT, GRID, INK, with_font};
use plotters::prelude::*;
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

/// Draws panels that share their axes to a PNG file.
pub(crate) fn panels(path: &Path, title: &str, dt: f64, panels: &[Panel<'_>]) -> Result<(), PlotError> {
    draw(path, title, dt, panels)
        .map_err(|error| PlotError { path: path.display().to_string(), reason: error.to_string() })
}

fn draw(path: &Path, title: &str, dt: f64, panels: &[Panel<'_>]) -> Result<(), Box<dyn std::error::Error>> {
    with_font();
    let root = BitMapBackend::new(path, (1100, 60 + 270 * panels.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 24).into_font().color(&INK))?;
    let lines = || panels.iter().flat_map(|panel| &panel.lines);
    let end = lines().map(|line| line.values.len()).max().unwrap_or(0) as f64 * dt;
    let largest = lines().flat_map(|line| &line.values).fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let largest = 1.1 * if largest > 0.0 { largest as f64 } else { 1.0 };
    // Room for the legend.
    let top = 1.45 * largest;
    for (at, (panel, area)) in panels.iter().zip(root.split_evenly((panels.len(), 1))).enumerate() {
        let mut chart = ChartBuilder::on(&area)
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
            .x_desc(if at + 1 == panels.len() { "time (ms)" } else { "" })
            .y_desc(&panel.label)
            .draw()?;
        for Line { name, values, colour, thickness } in &panel.lines {
            let (colour, thickness) = (*colour, *thickness);
            let points = values.iter().enumerate().map(|(t, &value)| ((t + 1) as f64 * dt, value as f64));
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(thickness)))?
                .label(*name)
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
