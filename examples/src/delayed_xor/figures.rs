//! The figures of a run of `delayed-xor`.

use super::report::Report;
use crate::figures::Inside;
use crate::network::{ReadoutNetwork, floats};
use crate::output::Folder;
use burn::tensor::Tensor;
use burn_spiking_plot::{AnsweredTrial, Curve, Curves, Role, Scale, curves};
use burn_spiking_tasks::{Answer, TrialBatch};
use std::path::Path;

/// Draws the accuracy against the gap and against the round in a trial.
pub(super) fn draw_gaps(folder: &Folder, report: &Report) -> Result<(), String> {
    let trained = vec![(report.max_gap_ms, 0.0), (report.max_gap_ms, 1.0)];
    let lines = vec![
        Curve { name: "longest gap of the task".into(), points: trained, role: Role::Reference },
        Curve { name: "accuracy".into(), points: report.accuracy_by_gap.clone(), role: Role::Own },
    ];
    let panel = Curves {
        x: "both gaps (ms)".into(),
        y: "accuracy".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        lines,
    };
    let last = report.accuracy_by_round.len() as f64;
    let by_round = report.accuracy_by_round.iter().enumerate().map(|(at, &accuracy)| ((at + 1) as f64, accuracy));
    let rounds = Curves {
        x: "round of a trial".into(),
        y: "accuracy".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        lines: vec![
            Curve {
                name: "by chance".into(),
                points: vec![(1.0, 1.0 / 3.0), (last, 1.0 / 3.0)],
                role: Role::Reference,
            },
            Curve { name: "accuracy".into(), points: by_round.collect(), role: Role::Own },
        ],
    };
    let panels = if report.accuracy_by_round.len() > 1 { vec![panel, rounds] } else { vec![panel] };
    let path = folder.file("gaps.png");
    curves(path, "Delayed exclusive or: accuracy against gap", &panels).map_err(|error| error.to_string())
}

/// Draws input, spikes and output of one trial for each answer.
pub(super) fn draw_spikes(folder: &Folder, model: &ReadoutNetwork, batch: &TrialBatch) -> Result<(), String> {
    for (name, trial) in first_of_each(["plus", "minus", "none"], batch) {
        let title = format!("Delayed exclusive or: the first answer is {name}");
        Inside::of(model, batch, trial).raster(&folder.file(&format!("raster-{name}.png")), &title, model)?;
    }
    Ok(())
}

/// Returns, for each answer in the order of [`Answer::ALL`], its name and the first trial of the
/// batch whose first round has that answer. Leaves out answers without such a trial.
fn first_of_each(names: [&'static str; 3], batch: &TrialBatch) -> impl Iterator<Item = (&'static str, usize)> {
    let first = |answer: Answer| batch.rounds.iter().position(|rounds| rounds[0].answer == answer);
    names.into_iter().zip(Answer::ALL.map(first)).filter_map(|(name, trial)| Some((name, trial?)))
}

/// Draws the output of one trial for each answer of its first round.
pub(super) fn draw_answers(
    path: &Path,
    title: &str,
    (model, dt): (&ReadoutNetwork, f64),
    batch: &TrialBatch,
) -> Result<(), String> {
    let output = model.forward(batch.clone()).output;
    let trial = |(label, at): (&str, usize)| {
        let row = |tensor: &Tensor<3>| floats(tensor.clone().narrow(0, at, 1));
        let [input, output, target] = [&batch.input, &output, &batch.target].map(row);
        AnsweredTrial { label: label.into(), input, output, target }
    };
    let shown: Vec<AnsweredTrial> = first_of_each(["first: +", "first: -", "first: none"], batch).map(trial).collect();
    burn_spiking_plot::answers(path, title, dt, &shown).map_err(|error| error.to_string())
}

/// Time that the figure shows before and after the end of an answer window, in ms.
const AROUND: f64 = 400.0;
/// Time over which rates are averaged, in ms.
const SMOOTH: f64 = 20.0;

/// Draws the firing rate of the neurons around the answers of a batch, which shows the change
/// between activity and rest.
pub(super) fn draw_rest(folder: &Folder, model: &ReadoutNetwork, batch: &TrialBatch) -> Result<(), String> {
    let (_, trajectory) = model.recorded(batch);
    let charge = trajectory.charge.expect("a recording has the charge");
    let dt = model.network.layer.config().dt;
    let [trials, steps, neurons] = charge.dims();
    let rates = floats(charge.sum_dim(2)).into_iter().map(|sum| 1000.0 * sum as f64 / (neurons as f64 * dt));
    let rates: Vec<f64> = rates.collect();
    let (around, smooth) = ((AROUND / dt) as usize, (SMOOTH / dt) as usize);
    let course = |name: &str, answer: Answer| {
        let mut sums = vec![(0.0, 0); 2 * around];
        for (trial, rounds) in batch.rounds.iter().enumerate().take(trials) {
            for round in rounds.iter().filter(|round| round.answer == answer) {
                for (at, (sum, count)) in sums.iter_mut().enumerate() {
                    let t = (round.window.end + at).checked_sub(around).filter(|&t| t < steps);
                    if let Some(t) = t {
                        (*sum, *count) = (*sum + rates[trial * steps + t], *count + 1);
                    }
                }
            }
        }
        // Leave out times that no trial reaches.
        let means: Vec<Option<f64>> =
            sums.iter().map(|&(sum, count)| (count > 0).then_some(sum / count as f64)).collect();
        let points = means.windows(smooth.max(1)).enumerate().filter_map(|(at, window)| {
            let ms = (at as f64 + 0.5 * smooth as f64 - around as f64) * dt;
            let sum: f64 = window.iter().copied().sum::<Option<f64>>()?;
            Some((ms, sum / window.len() as f64))
        });
        Curve { name: name.into(), points: points.collect(), role: Role::Own }
    };
    let panel = Curves {
        x: "time from the end of the answer window (ms)".into(),
        y: "rate (Hz)".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        lines: vec![
            course("answer +", Answer::Plus),
            course("answer -", Answer::Minus),
            course("no answer", Answer::None),
        ],
    };
    let title = "Delayed exclusive or: activity before and after an answer";
    curves(folder.file("rest.png"), title, &[panel]).map_err(|error| error.to_string())
}
