//! Figures of trials that ask for an answer: pulses, go cue, target and readout.

use crate::PlotError;
use crate::panels::{Line, Panel, panels};
use crate::style::{CUE, OUTPUT, PULSE, TARGET};
use std::path::Path;

/// One trial.
#[derive(Debug, Clone)]
pub struct AnsweredTrial {
    /// The label beside the panel.
    pub label: String,
    /// Pulses and go cues, `[T, 2]`.
    pub input: Vec<f32>,
    /// Outputs, `[T]`.
    pub output: Vec<f32>,
    /// Targets, `[T]`.
    pub target: Vec<f32>,
}

/// Draws one panel for each trial to a PNG or SVG file.
///
/// - `dt`: length of a time step, ms.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
///
/// # Panics
/// If inputs, outputs and targets of a trial differ in length.
pub fn answers(path: impl AsRef<Path>, title: &str, dt: f64, trials: &[AnsweredTrial]) -> Result<(), PlotError> {
    let panel = |trial: &AnsweredTrial| {
        let steps = trial.output.len();
        assert!(trial.target.len() == steps && trial.input.len() == 2 * steps, "2 inputs and a target for each output");
        let channel = |at: usize| trial.input.iter().skip(at).step_by(2).copied().collect();
        Panel {
            label: trial.label.clone(),
            lines: vec![
                Line { name: "pulses", values: channel(0), colour: PULSE, thickness: 2 },
                Line { name: "go cue", values: channel(1), colour: CUE, thickness: 2 },
                Line { name: "target", values: trial.target.clone(), colour: TARGET, thickness: 6 },
                Line { name: "readout", values: trial.output.clone(), colour: OUTPUT, thickness: 2 },
            ],
        }
    };
    panels(path.as_ref(), title, dt, trials.iter().map(panel).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.png");
        let trial = |label: &str| AnsweredTrial {
            label: label.into(),
            input: vec![0.5; 200],
            output: vec![0.1; 100],
            target: vec![0.0; 100],
        };
        answers(&path, "test", 1.0, &[trial("a"), trial("b")]).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 5_000);
    }
}
