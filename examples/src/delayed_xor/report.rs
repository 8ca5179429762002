//! Measures how well a trained network answers test rounds, and holds the report of a run.

use super::{GRACE, GradientName, Options};
use crate::network::ReadoutNetwork;
use crate::run::seeded;
use crate::training::batches;
use burn_spiking::Firing;
use burn_spiking_tasks::{Answers, DelayedXor, EpochLoader, Gaps, TrialBatch, TrialBatcher};
use serde::Serialize;

/// Number of rounds for each gap in the figure of accuracy against gap, and for each number of
/// rounds in a trial.
const VARIANT_ROUNDS: usize = 960;

/// The results of a run.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) seed: u64,
    /// "exact", "mean-field" or "mixed".
    pub(super) gradient: GradientName,
    pub(super) rounds: usize,
    pub(super) max_gap_ms: f64,
    pub(super) accuracy: f64,
    pub(super) accuracy_by_answer: [f64; 3],
    pub(super) accuracy_by_round: Vec<f64>,
    pub(super) test_rounds: usize,
    pub(super) leak: f64,
    pub(super) rate_hz: f64,
    /// Firing rate between rounds, from 40 ms after an answer to the next pulse.
    pub(super) rest_hz: f64,
    pub(super) silent: usize,
    pub(super) active_share: f64,
    pub(super) best_epoch: usize,
    pub(super) epochs: usize,
    /// Number of iterations until the gaps had their full length; `None` if they never had it.
    pub(super) full_gap_iteration: Option<usize>,
    /// `None` if the run was resumed, because its time is then interrupted.
    pub(super) train_seconds: Option<f64>,
    /// (rounds in a trial, accuracy), also for more rounds than in training.
    pub(super) accuracy_by_rounds: Vec<(usize, f64)>,
    /// (gap in ms, accuracy), for trials in which both gaps of each round are that long.
    pub(super) accuracy_by_gap: Vec<(f64, f64)>,
}

/// How well a network answers rounds that are not in its training data, and how its neurons fire.
pub(super) struct Evaluation {
    pub(super) answers: Answers,
    pub(super) firing: Firing,
    pub(super) rest_hz: f64,
}

pub(super) fn evaluate(model: &ReadoutNetwork, batches: Vec<TrialBatch>) -> Evaluation {
    let (mut answers, mut firing) = (Answers::new(), Firing::default());
    let (mut spikes, mut neuron_ms) = (0.0, 0.0);
    let config = model.network.layer.config();
    for batch in batches {
        let rest = batch.rest(GRACE);
        let (run, trajectory) = model.recorded(&batch);
        firing.merge(&Firing::of(&trajectory));
        let charge = trajectory.charge.expect("a recording has the charge");
        let at_rest = (charge * rest.clone().unsqueeze_dim(2)).sum();
        spikes += at_rest.into_scalar::<f64>();
        neuron_ms += rest.sum().into_scalar::<f64>() * config.d_hidden as f64 * config.dt;
        answers.merge(&model.judged(batch, run).answers());
    }
    Evaluation { answers, firing, rest_hz: 1000.0 * spikes / neuron_ms }
}

/// Measures the accuracy on a variant of the task, with trials drawn from one random stream of the
/// run's seed.
fn accuracy(model: &ReadoutNetwork, task: &DelayedXor, stream: u64, options: &Options) -> Result<f64, String> {
    let trials = VARIANT_ROUNDS.div_ceil(task.rounds);
    let data = task.dataset(seeded(options.seed, stream), trials).map_err(|error| error.to_string())?;
    let device = options.device.device()?;
    let mut answers = Answers::new();
    for batch in batches(&EpochLoader::constant(data, TrialBatcher, options.sizes().streams, &device))? {
        answers.merge(&model.forward(batch).answers());
    }
    Ok(answers.accuracy())
}

/// Measures the accuracy on rounds with two equally long gaps, within the trained range and beyond
/// it.
pub(super) fn accuracy_by_gap(
    model: &ReadoutNetwork,
    task: &DelayedXor,
    options: &Options,
) -> Result<Vec<(f64, f64)>, String> {
    let shares = [0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0];
    let mut gaps: Vec<f64> = shares.iter().map(|share| (share * options.max_gap).round()).collect();
    gaps.push(30.0);
    gaps.sort_by(f64::total_cmp);
    gaps.dedup();
    let mut points = Vec::new();
    for gap in gaps {
        let gaps = Gaps::Even { min_ms: gap, max_ms: gap };
        let task = DelayedXor { gaps, ..task.clone() }.with_max_gap(gap);
        points.push((gap, accuracy(model, &task, 3, options)?));
    }
    Ok(points)
}

/// Measures the accuracy in trials of 1, 2, 4 and 8 rounds.
pub(super) fn accuracy_by_rounds(model: &ReadoutNetwork, options: &Options) -> Result<Vec<(usize, f64)>, String> {
    let mut points = Vec::new();
    for rounds in [1, 2, 4, 8] {
        let task = DelayedXor::new(rounds, options.max_gap, options.neurons);
        points.push((rounds, accuracy(model, &task, 5, options)?));
    }
    Ok(points)
}
