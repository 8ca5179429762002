//! What all figures share: one font, and colours that differ in grey and to the colour-blind (Okabe & Ito 2008).

use plotters::style::{FontStyle, RGBColor, register_font};
use std::sync::Once;

pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
pub(crate) const GRID: RGBColor = RGBColor(225, 225, 225);
pub(crate) const TARGET: RGBColor = RGBColor(150, 150, 150);
pub(crate) const OUTPUT: RGBColor = RGBColor(0, 114, 178);

pub(crate) const PULSE: RGBColor = RGBColor(213, 94, 0);
pub(crate) const CUE: RGBColor = RGBColor(0, 158, 115);

/// Colours of curves in one panel.
pub(crate) const CURVES: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

pub(crate) const FONT: &str = "figure";

/// Makes [`FONT`] known to plotters.
pub(crate) fn with_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let known = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(known.is_ok(), "the font that comes with this crate is a font");
    });
}
