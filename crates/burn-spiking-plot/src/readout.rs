//! Figures of a network's readout together with its target.

use crate::PlotError;
use crate::panels::{Line, Panel, panels};
use crate::style::{OUTPUT, TARGET};
use std::path::Path;

/// Outputs and targets of one trial.
#[derive(Debug, Clone, Copy)]
pub struct Readout<'a> {
    /// The title above the figure.
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

/// Draws one panel for each output to a PNG or SVG file.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If outputs and targets differ in length, or if they are not whole rows of `width` values.
pub fn readout(path: impl AsRef<Path>, figure: &Readout<'_>) -> Result<(), PlotError> {
    let Readout { output, target, width, .. } = *figure;
    assert!(width > 0 && output.len() == target.len() && output.len() % width == 0, "whole rows of {width} outputs");
    let channel = |data: &[f32], at: usize| data.iter().skip(at).step_by(width).copied().collect();
    let panel = |at: usize| Panel {
        label: format!("output {}", at + 1),
        lines: vec![
            Line { name: "target", values: channel(target, at), colour: TARGET, thickness: 6 },
            Line { name: "readout", values: channel(output, at), colour: OUTPUT, thickness: 2 },
        ],
    };
    panels(path.as_ref(), figure.title, figure.dt, (0..width).map(panel).collect())
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
