//! Figures of spiking networks, as PNG or SVG files by the name's ending. No system font or library is needed.

pub mod answers;
mod canvas;
pub mod curves;
pub mod matrix;
mod panels;
pub mod raster;
pub mod readout;
pub mod scatter;
mod style;
pub mod traces;

pub use answers::{AnsweredTrial, answers};
pub use curves::{Curve, Curves, Role, Scale, curves};
pub use matrix::{Weights, weights};
pub use raster::{Raster, raster};
pub use readout::{Readout, readout};
pub use scatter::{Scatter, scatter};
pub use traces::{Trace, Traces, traces};

use thiserror::Error;

/// A figure that could not be drawn.
#[derive(Debug, Error)]
#[error("the figure {path} could not be drawn: {reason}")]
pub struct PlotError {
    /// Where it should have gone.
    pub path: String,
    /// What went wrong.
    pub reason: String,
}
