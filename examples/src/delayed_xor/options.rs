//! The options of `delayed-xor`, and the training recipe that they select: known good values, which
//! options override.

use super::{GRACE, Start, TAU, TAU_V, layer};
use crate::device::DeviceName;
use crate::learned::Learned;
use crate::network::QuietRest;
use burn_spiking::{Adjoint, FollowScore, GradientScale, RestCost, ScoreSchedule};
use burn_spiking_tasks::{DelayedXor, Gaps, StreamSizes};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The gradient that trains the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientName {
    /// The exact gradient of the spiking network.
    Exact,
    /// Spikes in the forward pass, rates in the backward pass: not the exact gradient.
    MeanField,
    /// From mean-field to exact: the share of the exact gradient rises from 0 to 1 in the first
    /// half of training.
    Mixed,
}

/// The initial parameters of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartName {
    /// Silent at rest.
    Quiet,
    /// Each neuron keeps on resting or firing for a long time.
    Latched,
}

/// How gradients are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleName {
    /// Unchanged.
    Off,
    /// The gradient of each parameter scaled to norm 1.
    Unit,
    /// The whole gradient clipped at 1.5 times the running median of its norm.
    Median,
}

/// The options that determine the result of a run.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Seed of the initial parameters and of all trials
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of rounds in a trial, in validation and test
    #[arg(long, default_value_t = 4)]
    pub rounds: usize,
    /// Longest gap between the pulses, and between the second pulse and the go cue, ms; in training
    /// it grows from 30
    #[arg(long, default_value_t = 500.0)]
    pub max_gap: f64,
    /// Longest gap of training trials, ms [default: 1.2 times --max-gap with mean-field gradients;
    /// --max-gap, but at most 110, with exact gradients and several rounds; --max-gap otherwise]
    #[arg(long)]
    pub train_gap: Option<f64>,
    /// Number of neurons
    #[arg(long, default_value_t = 80)]
    pub neurons: usize,
    /// Gradient that trains the network [default: exact for one round, mean-field for several]
    #[arg(long, value_enum)]
    pub gradient: Option<GradientName>,
    /// Width of the gate, in (0, 1]; with a wide gate the exact gradient has more information, with
    /// a narrow gate training is faster
    #[arg(long, default_value_t = 1.0)]
    pub width: f64,
    /// Initial parameters of the network
    #[arg(long, value_enum)]
    pub start: Option<StartName>,
    /// Start from the trained network of this finished run, with full gaps at once
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Chance that a trial of a stream starts from fresh potentials instead of the final state of
    /// the previous trial; 1 for no streams
    #[arg(long, allow_negative_numbers = true)]
    pub fresh: Option<f64>,
    /// Number of rounds in a training trial
    #[arg(long)]
    pub trial_rounds: Option<usize>,
    /// Number of chunks that a training trial is cut into; each chunk gives one gradient
    #[arg(long)]
    pub chunks: Option<usize>,
    /// Limit of the exact adjoint of each sample, in units of 1/(B T); 0 for no limit
    #[arg(long, allow_negative_numbers = true)]
    pub limit: Option<f64>,
    /// Weight of the cost of activity between rounds; 0 for no cost
    #[arg(long, allow_negative_numbers = true)]
    pub rest: Option<f64>,
    /// How gradients are scaled
    #[arg(long, value_enum)]
    pub scale: Option<ScaleName>,
    /// Factor on the usual learning rates
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// Factor by which the gaps grow
    #[arg(long)]
    pub grow: Option<f64>,
    /// Mean accuracy at or above which the gaps grow
    #[arg(long)]
    pub grow_above: Option<f64>,
    /// Mean accuracy below which the gaps shrink; 0 for never
    #[arg(long)]
    pub shrink_below: Option<f64>,
    /// Number of batches in the mean accuracy
    #[arg(long)]
    pub grow_batches: Option<usize>,
    /// Decay of the running mean of the parameters, in [0, 1)
    #[arg(long)]
    pub average: Option<f64>,
    /// Number of epochs
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Share of the iterations, at the end of training, in which the learning rates fall, in [0, 1]
    #[arg(long)]
    pub falling: Option<f64>,
    /// Number of iterations in an epoch
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: u32,
    /// Number of streams, or of trials in a batch
    #[arg(long)]
    pub batch: Option<usize>,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    pub device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    pub plain: bool,
}

/// How a network is trained. Costs are for the trace ŝ, learning rates in the layer's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The gradient.
    pub gradient: GradientName,
    /// Width of the gate.
    pub width: f64,
    /// The initial parameters.
    pub start: StartName,
    /// Chance that a trial starts from fresh potentials.
    pub fresh: f64,
    /// Number of rounds in a training trial.
    pub trial_rounds: usize,
    /// Number of chunks of a trial.
    pub chunks: usize,
    /// Limit of the exact adjoint of each sample, in units of 1/(B T).
    pub limit: Option<f64>,
    /// λ: weight of the cost of activity at all times.
    pub activity: f64,
    /// κ: weight of the cost of activity between rounds.
    pub rest: f64,
    /// How gradients are scaled.
    pub scale: GradientScale,
    /// Learning rates of U, W, I_o and O.
    pub rates: [f64; 4],
    /// A factor on these learning rates.
    pub rate: f64,
    /// Shortest gap in training, in ms.
    pub shortest_gap: f64,
    /// Longest gap in training, in ms.
    pub train_gap: f64,
    /// The growth of the gaps: their factor, the mean accuracy at or above which they grow, the
    /// mean accuracy below which they shrink, and the number of batches in the mean.
    pub growth: (f64, f64, Option<f64>, usize),
    /// Decay of the running mean of the parameters.
    pub average: f64,
    /// Number of epochs.
    pub epochs: usize,
    /// Share of the iterations, at the end of training, in which the learning rates fall.
    pub falling: f64,
    /// Number of streams.
    pub batch: usize,
}

/// λ = 0.001 for the trace s = ŝ/τ of the paper.
const LITTLE: f64 = 0.001 / (TAU * TAU);

impl Recipe {
    /// Returns the recipe for one round in a trial and exact gradients.
    fn one_round(max_gap: f64) -> Self {
        Self {
            gradient: GradientName::Exact,
            width: 1.0,
            start: StartName::Latched,
            fresh: 1.0,
            trial_rounds: 1,
            chunks: 1,
            limit: None,
            activity: LITTLE,
            rest: 0.0,
            // All iterations have the same weight, even if a few samples have large gradients.
            scale: GradientScale::UnitNorm,
            // In the paper's units, the rates are 0.003 times U 0.05, W 0.05, I_o 0.005, O 3.
            rates: [0.003 * 0.05 * TAU_V, 0.003 * 0.05 * TAU_V / TAU, 0.003 * 0.005 * TAU_V, 0.003 * 3.0 / TAU],
            rate: 0.5,
            shortest_gap: 30.0,
            train_gap: max_gap,
            growth: (1.2, 0.92, None, 8),
            average: 0.99,
            epochs: 24,
            falling: 0.7,
            batch: 48,
        }
    }

    /// Returns the recipe for several rounds and mean-field gradients.
    fn by_rates(max_gap: f64) -> Self {
        Self {
            gradient: GradientName::MeanField,
            start: StartName::Quiet,
            fresh: 0.1,
            trial_rounds: 2,
            activity: 10.0 * LITTLE,
            rest: 800.0 * LITTLE,
            scale: GradientScale::MedianClip { multiple: 1.5, window: 50 },
            rate: 1.0,
            // In the paper's units, the rates are U 0.002, W 0.002, I_o 0.0005, O 0.01.
            rates: [0.002 * TAU_V, 0.002 * TAU_V / TAU, 0.0005 * TAU_V, 0.01 / TAU],
            // The gaps reach a little beyond those of the task at both ends. So every seed learns
            // the longest and the shortest gaps of the task.
            shortest_gap: 20.0,
            train_gap: 1.2 * max_gap,
            growth: (1.2, 0.95, Some(0.85), 8),
            average: 0.95,
            epochs: 16,
            falling: 1.0,
            batch: 64,
            ..Self::one_round(max_gap)
        }
    }

    /// Returns the recipe for several rounds and exact gradients. It is the best one known, but it
    /// does not solve the whole task (docs/delayed-xor.md).
    fn exact(max_gap: f64) -> Self {
        Self {
            gradient: GradientName::Exact,
            limit: Some(3.0),
            // The cost is steep along directions that many neurons share. Larger steps overshoot.
            rate: 0.1,
            // At longer gaps, the gradient has more noise than direction, and the network loses
            // what it has learned.
            shortest_gap: 30.0,
            train_gap: max_gap.min(110.0),
            growth: (1.1, 0.95, Some(0.85), 16),
            average: 0.98,
            epochs: 40,
            falling: 0.7,
            batch: 128,
            ..Self::by_rates(max_gap)
        }
    }

    /// Returns the recipe for several rounds and a mixture of gradients, from mean-field to exact.
    fn mixed(max_gap: f64) -> Self {
        Self { gradient: GradientName::Mixed, train_gap: max_gap, ..Self::exact(max_gap) }
    }

    /// Returns the recipe that the options select.
    pub fn of(options: &Options) -> Self {
        let default = if options.rounds == 1 { GradientName::Exact } else { GradientName::MeanField };
        let gradient = options.gradient.unwrap_or(default);
        let max_gap = options.max_gap;
        let usual = match (gradient, options.rounds) {
            (GradientName::Exact, 1) => Self::one_round(max_gap),
            (GradientName::Exact, _) => Self::exact(max_gap),
            (GradientName::Mixed, _) => Self::mixed(max_gap),
            (GradientName::MeanField, _) => Self::by_rates(max_gap),
        };
        let not_zero = |given: Option<f64>, usual: Option<f64>| match given {
            Some(given) => (given != 0.0).then_some(given),
            None => usual,
        };
        let (grow, above, below, batches) = usual.growth;
        Self {
            gradient,
            width: options.width,
            start: options.start.unwrap_or(usual.start),
            fresh: options.fresh.unwrap_or(usual.fresh),
            trial_rounds: options.trial_rounds.unwrap_or(usual.trial_rounds),
            chunks: options.chunks.unwrap_or(usual.chunks),
            limit: not_zero(options.limit, usual.limit),
            rest: options.rest.unwrap_or(usual.rest),
            scale: match options.scale {
                None => usual.scale,
                Some(ScaleName::Off) => GradientScale::Off,
                Some(ScaleName::Unit) => GradientScale::UnitNorm,
                Some(ScaleName::Median) => GradientScale::MedianClip { multiple: 1.5, window: 50 },
            },
            rate: usual.rate * options.rate,
            train_gap: options.train_gap.unwrap_or(usual.train_gap),
            growth: (
                options.grow.unwrap_or(grow),
                options.grow_above.unwrap_or(above),
                not_zero(options.shrink_below, below),
                options.grow_batches.unwrap_or(batches),
            ),
            average: options.average.unwrap_or(usual.average),
            epochs: options.epochs.unwrap_or(usual.epochs),
            falling: options.falling.unwrap_or(usual.falling),
            batch: options.batch.unwrap_or(usual.batch),
            ..usual
        }
    }

    /// Returns the initial parameters of the network.
    pub fn start(&self) -> Start {
        match self.start {
            StartName::Quiet => Start::quiet(),
            StartName::Latched => Start::latched(),
        }
    }

    /// Returns the adjoint; for a mixture, the adjoint of its exact part.
    pub fn adjoint(&self) -> Adjoint {
        match (self.gradient, self.limit) {
            (GradientName::MeanField, _) => super::BY_RATES,
            (_, Some(limit)) => Adjoint::Limited { limit: Some(limit), keep: 1.0 },
            (_, None) => Adjoint::Exact,
        }
    }

    /// Returns the cost of activity between rounds, if it has one.
    pub fn rest_cost(&self) -> Option<QuietRest> {
        (self.rest > 0.0).then_some(QuietRest { cost: RestCost { weight: self.rest }, grace: GRACE })
    }

    /// Returns the schedule of the gaps, in ms. They follow the score up to the longest gap of
    /// training. A network from another run (`goes_on`) has that gap at once.
    ///
    /// # Errors
    /// If the numbers of the schedule are invalid.
    pub fn gaps(&self, goes_on: bool) -> Result<ScoreSchedule, String> {
        let (factor, above, below, batches) = self.growth;
        let end = self.train_gap;
        let start = if goes_on { end } else { end.min(30.0) };
        ScoreSchedule::new(FollowScore { start, end, factor, above, below, batches }).map_err(|error| error.to_string())
    }
}

impl Options {
    /// Returns the task for validation and test.
    pub fn task(&self) -> DelayedXor {
        DelayedXor::new(self.rounds, self.max_gap, self.neurons)
    }

    /// Returns the task for training, with gaps up to `longest` ms.
    pub fn training_task(&self, longest: f64) -> DelayedXor {
        let Recipe { trial_rounds, shortest_gap, .. } = self.recipe();
        let task = DelayedXor { rounds: trial_rounds, ..self.task() }.with_max_gap(longest);
        DelayedXor { gaps: Gaps::Even { min_ms: shortest_gap.min(longest), max_ms: longest }, ..task }
    }

    /// Returns the training recipe.
    pub fn recipe(&self) -> Recipe {
        Recipe::of(self)
    }

    /// Returns the sizes of the training data.
    pub fn sizes(&self) -> StreamSizes {
        let Recipe { batch, chunks, .. } = self.recipe();
        StreamSizes { streams: batch, chunks_per_trial: chunks, chunks_per_epoch: self.iterations as usize }
    }

    /// Checks that the options describe a run.
    ///
    /// # Errors
    /// If an option is invalid. The message names the option, its limit and the remedy.
    pub fn check(&self) -> Result<(), String> {
        self.device.device()?;
        let recipe = self.recipe();
        let task = self.task();
        task.check().map_err(|error| error.to_string())?;
        self.training_task(recipe.train_gap).check().map_err(|error| error.to_string())?;
        layer(&task, &recipe).check().map_err(|error| error.to_string())?;
        self.sizes().check().map_err(|error| error.to_string())?;
        recipe.gaps(self.from.is_some())?;
        if self.limit.is_some_and(|limit| limit != 0.0) && recipe.gradient == GradientName::MeanField {
            return Err(
                "--limit is for exact adjoints, but this is the mean-field one; leave it out, or use --gradient exact"
                    .into(),
            );
        }
        if let Some(gap) = self.train_gap.filter(|gap| !(gap.is_finite() && *gap >= 30.0)) {
            return Err(format!(
                "--train-gap is {gap} ms, but must be at least 30, the shortest gap of the task, and finite"
            ));
        }
        let share = |name: &str, value: f64, holds: bool, limit: &str| match holds {
            true => Ok(()),
            false => Err(format!("--{name} is {value}, but must be {limit}")),
        };
        share("fresh", recipe.fresh, (0.0..=1.0).contains(&recipe.fresh), "in [0, 1]; 1 is a fresh start each time")?;
        share("rest", recipe.rest, recipe.rest.is_finite() && recipe.rest >= 0.0, "at least 0; 0 is no cost")?;
        share("rate", self.rate, self.rate.is_finite() && self.rate > 0.0, "above 0; 1 is the usual rates")?;
        share("average", recipe.average, (0.0..1.0).contains(&recipe.average), "in [0, 1); 0 is no mean")?;
        share("falling", recipe.falling, (0.0..=1.0).contains(&recipe.falling), "in [0, 1]; 0 is never")?;
        share("epochs", recipe.epochs as f64, recipe.epochs > 0, "at least 1")
    }

    /// Checks that the network of --from exists and has the same numbers of channels and neurons.
    ///
    /// # Errors
    /// As [`Learned::open`] and [`Learned::check_start_of`].
    pub fn check_from(&self) -> Result<(), String> {
        match &self.from {
            Some(from) => Learned::open(from, &self.device.device()?)?.check_start_of(&self.task(), &self.recipe()),
            None => Ok(()),
        }
    }
}
