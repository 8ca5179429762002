//! The style of all figures: one font, axes, legends and colours. The colours can be told apart in
//! greyscale and by colour-blind readers (Okabe & Ito 2008).

use crate::canvas::Drawn;
use plotters::chart::ChartContext;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::register_font;
use std::sync::Once;

pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
pub(crate) const GRID: RGBColor = RGBColor(225, 225, 225);
pub(crate) const TARGET: RGBColor = RGBColor(150, 150, 150);
pub(crate) const OUTPUT: RGBColor = RGBColor(0, 114, 178);

pub(crate) const PULSE: RGBColor = RGBColor(213, 94, 0);
pub(crate) const CUE: RGBColor = RGBColor(0, 158, 115);

/// The colours of the curves in one panel.
pub(crate) const CURVES: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];

/// The name of the font. A program that shows an SVG file looks the font up by this name.
pub(crate) const FONT: &str = "sans-serif";
/// Font size of titles, in pixels.
pub(crate) const TITLE: u32 = 24;
/// Font size of all other text, in pixels.
pub(crate) const TEXT: u32 = 17;

/// Registers [`FONT`] with plotters.
pub(crate) fn with_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let known = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(known.is_ok(), "the font that comes with this crate is a font");
    });
}

/// A colour map for shares from 0 to 1: cividis (Nuñez, Anderton & Renslow 2018), interpolated
/// between eight of its colours. Its lightness rises evenly, so that a figure can be read in
/// greyscale.
pub(crate) fn shade(share: f64) -> RGBColor {
    const STOPS: [(u8, u8, u8); 8] = [
        (0, 34, 78),
        (30, 59, 110),
        (78, 88, 109),
        (112, 116, 115),
        (146, 144, 119),
        (182, 176, 110),
        (219, 207, 88),
        (254, 232, 56),
    ];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (at as usize).min(STOPS.len() - 2);
    let mix = |a: u8, b: u8| (a as f64 + (b as f64 - a as f64) * (at - below as f64)).round() as u8;
    let (a, b) = (STOPS[below], STOPS[below + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// A chart with two axes of real numbers.
pub(crate) type Chart<'a, DB, X, Y> = ChartContext<'a, DB, Cartesian2d<X, Y>>;

/// A function that formats the numbers at the ticks.
pub(crate) type Ticks<'a> = &'a dyn Fn(&f64) -> String;

/// The text of a number at a tick, without rounding noise in the last digits and without the sign
/// of a zero.
pub(crate) fn plain(x: &f64) -> String {
    format!("{}", (x * 1e9).round() / 1e9 + 0.0)
}

/// Draws a chart's axes and grid.
pub(crate) fn axes<'a, DB: DrawingBackend + 'a, X, Y>(
    chart: &mut Chart<'a, DB, X, Y>,
    (x, y): (&str, &str),
    (x_ticks, y_ticks): (Ticks<'_>, Ticks<'_>),
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    DB::ErrorType: 'static,
{
    let (_, height) = chart.plotting_area().dim_in_pixel();
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style((FONT, TEXT).into_font().color(&INK))
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(x_ticks)
        .y_label_formatter(y_ticks)
        // The numbers beside the y axis must not touch each other in a low chart.
        .y_labels((height as usize / 24).clamp(2, 10))
        .draw()?;
    Ok(())
}

/// Draws a chart's legend.
pub(crate) fn legend<'a, DB: DrawingBackend + 'a, X, Y>(chart: &mut Chart<'a, DB, X, Y>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
    DB::ErrorType: 'static,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .legend_area_size(34)
        .label_font((FONT, TEXT).into_font().color(&INK))
        .draw()?;
    Ok(())
}

/// Cuts a line of pixels at sharp turns, and leaves out points on the same pixel. Returns the
/// indices of each piece's points. At a sharp turn, the outer edge of a thick line would extend far
/// beyond the line.
fn pieces(pixels: &[(i32, i32)]) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let mut piece: Vec<usize> = Vec::new();
    for (at, &(x, y)) in pixels.iter().enumerate() {
        let Some(&last) = piece.last() else {
            piece.push(at);
            continue;
        };
        let way = |(x0, y0): (i32, i32), (x1, y1): (i32, i32)| ((x1 - x0) as f64, (y1 - y0) as f64);
        let step = way(pixels[last], (x, y));
        if step == (0.0, 0.0) {
            continue;
        }
        if let [.., before, last] = piece[..] {
            let previous = way(pixels[before], pixels[last]);
            let along = step.0 * previous.0 + step.1 * previous.1;
            // The line turns by more than 45 degrees.
            if along < 0.707 * step.0.hypot(step.1) * previous.0.hypot(previous.1) {
                pieces.push(std::mem::replace(&mut piece, vec![last]));
            }
        }
        piece.push(at);
    }
    pieces.push(piece);
    pieces
}

/// Draws a line and a mark of size `mark` at each point, and adds the line to the legend. A `mark`
/// of 0 draws no marks, and an empty name makes no legend entry.
pub(crate) fn line<'a, DB: DrawingBackend + 'a, X, Y>(
    chart: &mut Chart<'a, DB, X, Y>,
    name: &str,
    points: impl Iterator<Item = (f64, f64)>,
    style: (RGBColor, u32),
    mark: u32,
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
    DB::ErrorType: 'static,
{
    let points: Vec<(f64, f64)> = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let pixels: Vec<(i32, i32)> = points.iter().map(|point| chart.plotting_area().map_coordinate(point)).collect();
    let (colour, style) = (style.0, style.0.stroke_width(style.1));
    if mark > 0 {
        chart.draw_series(points.iter().map(|&point| Circle::new(point, mark, colour.filled())))?;
    }
    let pieces = pieces(&pixels).into_iter();
    let drawn = chart.draw_series(
        pieces.map(|piece| PathElement::new(piece.into_iter().map(|at| points[at]).collect::<Vec<_>>(), style)),
    )?;
    if !name.is_empty() {
        drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], style));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_turns_sharply() {
        let zigzag = [(0, 0), (10, 0), (10, 0), (20, 1), (20, 50), (21, 99), (22, 0)];
        assert_eq!(pieces(&zigzag), [vec![0, 1, 3], vec![3, 4, 5], vec![5, 6]]);
        assert_eq!(pieces(&[(1, 1)]), [vec![0]]);
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!([-0.0, -1e-12, 0.5, -2.0].map(|x| plain(&x)), ["0", "0", "0.5", "-2"]);
    }

    #[test]
    fn shades_grow_lighter() {
        let lightness = |share: f64| {
            let RGBColor(r, g, b) = shade(share);
            0.2126 * r as f64 + 0.7152 * g as f64 + 0.0722 * b as f64
        };
        for i in 0..100 {
            assert!(lightness((i + 1) as f64 / 100.0) > lightness(i as f64 / 100.0), "{i}");
        }
    }
}
