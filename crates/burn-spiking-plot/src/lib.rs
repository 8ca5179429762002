//! Figures of spiking networks, as PNG files. No system font or library is needed.

pub mod answers;
pub mod curves;
mod panels;
pub mod readout;
mod style;

pub use answers::{AnsweredTrial, answers};
pub use curves::{Curve, Curves, curves};
pub use readout::{Readout, readout};

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
