//! The files that hold the figures: PNG or SVG, by the ending of the file name.

use crate::PlotError;
use crate::style::{FONT, INK, TITLE, with_font};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// The result of a drawing on any backend.
pub(crate) type Drawn<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A figure below its title.
pub(crate) trait Drawing {
    /// Width and height without the title, in pixels.
    fn size(&self) -> (u32, u32);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn
    where
        DB::ErrorType: 'static;
}

/// Height of the title, in pixels.
const TITLE_HEIGHT: u32 = 70;

/// Draws a figure with its title: to an SVG file if the path ends in `.svg`, otherwise to a PNG
/// file.
pub(crate) fn write(path: &Path, title: &str, drawing: &impl Drawing) -> Result<(), PlotError> {
    with_font();
    let (width, height) = drawing.size();
    let size = (width, height + TITLE_HEIGHT);
    let drawn = match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg")) {
        true => on(SVGBackend::new(path, size).into_drawing_area(), title, drawing),
        false => on(BitMapBackend::new(path, size).into_drawing_area(), title, drawing),
    };
    drawn.map_err(|error| PlotError { path: path.display().to_string(), reason: error.to_string() })
}

fn on<DB: DrawingBackend>(root: DrawingArea<DB, Shift>, title: &str, drawing: &impl Drawing) -> Drawn
where
    DB::ErrorType: 'static,
{
    root.fill(&WHITE)?;
    // Without a margin, plotters puts the title at the very edge.
    let below_edge = root.margin(10, 0, 0, 0);
    drawing.draw(&below_edge.titled(title, (FONT, TITLE).into_font().color(&INK))?)?;
    root.present()?;
    Ok(())
}
