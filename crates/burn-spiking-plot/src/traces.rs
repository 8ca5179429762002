//! Figures of a network's variables over time: potentials, currents, and anything else with a value
//! for each step.

use crate::PlotError;
use crate::canvas::write;
use crate::panels::{Heights, Line, Panel, Panels};
use crate::style::{CURVES, TARGET};
use std::path::Path;

/// One line.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    /// The name in the legend. A line with an empty name has no entry.
    pub name: &'a str,
    /// A value for each step.
    pub values: &'a [f32],
    /// Whether the other lines are compared with this line. It is then thick and grey.
    pub reference: bool,
}

impl<'a> Trace<'a> {
    /// A line in its own colour.
    pub fn new(name: &'a str, values: &'a [f32]) -> Self {
        Self { name, values, reference: false }
    }

    /// A line that the others are compared with.
    pub fn reference(name: &'a str, values: &'a [f32]) -> Self {
        Self { name, values, reference: true }
    }
}

/// One panel of lines.
#[derive(Debug, Clone)]
pub struct Traces<'a> {
    /// Label of the y axis, with its unit.
    pub label: &'a str,
    /// The lines. Up to five lines have different colours; reference lines are all grey.
    pub lines: Vec<Trace<'a>>,
}

/// Draws panels of lines over time to a PNG or SVG file. Each panel has its own range.
///
/// - `dt`: length of a time step, ms.
///
/// # Errors
/// [`PlotError`] if the file cannot be written.
pub fn traces(path: impl AsRef<Path>, title: &str, dt: f64, panels: &[Traces<'_>]) -> Result<(), PlotError> {
    let mut drawn = Vec::with_capacity(panels.len());
    for panel in panels {
        let mut colours = CURVES.into_iter().cycle();
        let lines = panel.lines.iter().map(|&Trace { name, values, reference }| {
            let (colour, thickness) =
                if reference { (TARGET, 5) } else { (colours.next().expect("a cycle has no end"), 2) };
            Line { name, values: values.to_vec(), colour, thickness }
        });
        drawn.push(Panel { label: panel.label.into(), lines: lines.collect() });
    }
    let panels = drawn;
    write(path.as_ref(), title, &Panels { dt, heights: Heights::Own, panels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_written_either_way() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = (0..300).map(|t| (t as f32 * 0.1).sin()).collect();
        let panel = Traces {
            label: "v",
            lines: vec![Trace::reference("before", &values), Trace::new("after", &values[..200])],
        };
        for name in ["traces.png", "traces.svg"] {
            let path = folder.path().join(name);
            traces(&path, "test", 0.5, &[panel.clone(), panel.clone()]).unwrap();
            assert!(std::fs::metadata(&path).unwrap().len() > 5_000, "{name}");
        }
        let svg = std::fs::read_to_string(folder.path().join("traces.svg")).unwrap();
        assert!(svg.contains("<svg") && svg.contains("time (ms)"));
    }
}
