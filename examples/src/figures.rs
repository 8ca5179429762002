//! Figures for the programs of both tasks.

use crate::history::{Epoch, History};
use crate::network::{ReadoutNetwork, floats};
use burn_spiking_plot::{Curve, Curves, Raster, Role, Scale, curves, raster};
use burn_spiking_tasks::TrialBatch;
use std::collections::BTreeMap;
use std::path::Path;

/// Returns the curve of a metric over the epochs. Leaves out values that are not numbers or that
/// the axis cannot show.
fn course(
    name: String,
    history: &History,
    values: fn(&Epoch) -> &BTreeMap<String, Option<f64>>,
    metric: &str,
    scale: Scale,
) -> Curve {
    let point = |epoch: &Epoch| {
        let value = values(epoch).get(metric).copied().flatten()?;
        (scale == Scale::Linear || value > 0.0).then_some((epoch.epoch as f64, value))
    };
    Curve { name, points: history.epochs().iter().filter_map(point).collect(), role: Role::Own }
}

/// Draws cost and score over the epochs.
///
/// - `score`: the name of the metric, and the scale of its axis.
///
/// # Errors
/// If the file cannot be written.
pub fn training(path: &Path, title: &str, history: &History, score: (&str, Scale)) -> Result<(), String> {
    let panel = |metric: &str, y_scale: Scale| {
        let lines = vec![
            course("training".into(), history, |epoch| &epoch.train, metric, y_scale),
            course("validation".into(), history, |epoch| &epoch.valid, metric, y_scale),
        ];
        Curves { x: "epoch".into(), y: metric.to_lowercase(), x_scale: Scale::Linear, y_scale, lines }
    };
    let panels = [panel("Loss", Scale::Log), panel(score.0, score.1)];
    // All values of a metric may be NaN or missing.
    if panels.iter().any(|panel| panel.lines.iter().all(|line| line.points.is_empty())) {
        return Ok(());
    }
    curves(path, title, &panels).map_err(|error| error.to_string())
}

/// Draws cost and score on validation data over the epochs, for several runs. Up to five runs have
/// one labelled curve for each seed. If there are more, all their curves have the same colour, and
/// another curve shows their median.
///
/// - `score`: the name of the metric, and the scale of its axis.
///
/// # Errors
/// If the file cannot be written.
pub fn learning(path: &Path, title: &str, runs: &[(u64, History)], score: (&str, Scale)) -> Result<(), String> {
    let panel = |metric: &str, y_scale: Scale| {
        let lines = runs
            .iter()
            .map(|(seed, history)| course(format!("seed {seed}"), history, |epoch| &epoch.valid, metric, y_scale));
        let lines: Vec<_> = lines.filter(|line| !line.points.is_empty()).collect();
        let lines = if lines.len() > 5 { many(lines) } else { lines };
        Curves { x: "epoch".into(), y: metric.to_lowercase(), x_scale: Scale::Linear, y_scale, lines }
    };
    let panels = [panel("Loss", Scale::Log), panel(score.0, score.1)];
    if panels.iter().any(|panel| panel.lines.is_empty()) {
        return Ok(());
    }
    curves(path, title, &panels).map_err(|error| error.to_string())
}

/// Gives all curves the same style, and adds their median at each x.
fn many(mut curves: Vec<Curve>) -> Vec<Curve> {
    let count = curves.len();
    let mut points: Vec<(f64, f64)> = curves.iter().flat_map(|curve| curve.points.iter().copied()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let median = points.chunk_by(|a, b| a.0 == b.0).map(|alike| {
        let (below, above) = (alike[(alike.len() - 1) / 2].1, alike[alike.len() / 2].1);
        (alike[0].0, 0.5 * (below + above))
    });
    let median = Curve { name: "median".into(), points: median.collect(), role: Role::Middle };
    for (at, curve) in curves.iter_mut().enumerate() {
        curve.name = if at == 0 { format!("each of {count} seeds") } else { String::new() };
        curve.role = Role::OneOfMany;
    }
    curves.push(median);
    curves
}

/// The activity of the network in one trial.
pub struct Inside {
    /// Number of neurons N.
    pub neurons: usize,
    /// The input i, `[T, C]`.
    pub input: Vec<f32>,
    /// The membrane potentials v, `[T, N]`.
    pub v: Vec<f32>,
    /// The charges ΔQ, `[T, N]`.
    pub charge: Vec<f32>,
    /// (step, neuron) of each spike.
    pub spikes: Vec<(usize, usize)>,
    /// The output o, `[T, O]`.
    pub output: Vec<f32>,
}

impl Inside {
    /// Runs one trial of a batch.
    pub fn of(model: &ReadoutNetwork, batch: &TrialBatch, trial: usize) -> Self {
        let batch = batch.trial(trial);
        let (run, trajectory) = model.recorded(&batch);
        Self {
            neurons: model.network.layer.config().d_hidden,
            input: floats(batch.input.clone()),
            spikes: trajectory.spikes(0),
            charge: floats(trajectory.charge.expect("a recording has the charges")),
            v: floats(trajectory.v.expect("a recording has the potentials")),
            output: floats(run.output),
        }
    }

    /// Returns the values of one column of `rows` in each step: a neuron, a channel or an output.
    pub fn column(rows: &[f32], width: usize, at: usize) -> Vec<f32> {
        rows.iter().skip(at).step_by(width).copied().collect()
    }

    /// Draws input, spikes and output.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn raster(&self, path: &Path, title: &str, model: &ReadoutNetwork) -> Result<(), String> {
        let config = model.network.layer.config();
        let steps = self.v.len() / self.neurons;
        let columns = |rows: &[f32]| -> Vec<Vec<f32>> {
            let width = rows.len() / steps;
            (0..width).map(|at| Self::column(rows, width, at)).collect()
        };
        let (input, output) = (columns(&self.input), columns(&self.output));
        let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
        let output: Vec<&[f32]> = output.iter().map(Vec::as_slice).collect();
        let figure = Raster {
            title,
            dt: config.dt,
            steps,
            neurons: self.neurons,
            spikes: &self.spikes,
            input: &input,
            output: &output,
        };
        raster(path, &figure).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_curves_the_median_stands_out() {
        let curve =
            |ys: [f64; 2]| Curve { name: "seed".into(), points: vec![(1.0, ys[0]), (2.0, ys[1])], role: Role::Own };
        let curves = many([[1.0, 7.0], [3.0, 5.0], [2.0, 6.0], [9.0, 0.0]].map(curve).into());
        assert_eq!(curves[4].points, [(1.0, 2.5), (2.0, 5.5)]);
        assert_eq!(curves[4].role, Role::Middle);
        let names: Vec<_> = curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(names, ["each of 4 seeds", "", "", "", "median"]);
    }
}
