//! Figures of spiking networks, drawn to PNG or SVG files. The ending of the file name decides the
//! format. No system font or library is needed.

pub mod answers;
mod canvas;
pub mod confusion;
pub mod curves;
pub mod matrix;
mod panels;
pub mod raster;
pub mod readout;
pub mod scatter;
mod style;
pub mod traces;

pub use answers::{AnsweredTrial, answers};
pub use confusion::confusion;
pub use curves::{Curve, Curves, Role, Scale, curves};
pub use matrix::{Weights, weights};
pub use raster::{Raster, raster};
pub use readout::{Readout, readout};
pub use scatter::{Scatter, scatter};
pub use traces::{Trace, Traces, traces};

use thiserror::Error;

/// The error of a figure that could not be drawn.
#[derive(Debug, Error)]
#[error("the figure {path} could not be drawn: {reason}")]
pub struct PlotError {
    /// The path of the figure's file.
    pub path: String,
    /// The reason.
    pub reason: String,
}
