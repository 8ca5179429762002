//! The options of `delayed-xor`, and the recipe that they amount to: what is known to work, unless
//! an option says otherwise.

use super::{GRACE, Start, TAU, TAU_V, layer};
use crate::device::DeviceName;
use crate::learned::Learned;
use crate::network::QuietRest;
use burn_spiking::{Adjoint, FollowScore, GradientScale, RestCost, ScoreSchedule};
use burn_spiking_tasks::{DelayedXor, Gaps, StreamSizes};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which gradient trains the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientName {
    /// The exact gradient of the spiking network.
    Exact,
    /// Spikes forward, rates backward: not the exact gradient.
    MeanField,
    /// From mean-field to exact: the share of the exact gradient rises from 0 to 1 in the first
    /// half of training.
    Mixed,
}

/// What the network starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartName {
    /// Silent at rest.
    Quiet,
    /// Each neuron rests or fires at length.
    Latched,
}

/// How gradients are brought to size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleName {
    /// Left as they are.
    Off,
    /// Each parameter's to norm 1.
    Unit,
    /// All cut at 1.5 times the running median of their norm.
    Median,
}

/// What fixes the course of a run.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Seed of the initial parameters and of all trials
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Rounds in a trial that the network is judged on
    #[arg(long, default_value_t = 4)]
    pub rounds: usize,
    /// Longest gap between pulses, and between second pulse and go cue, ms; it grows from 30
    #[arg(long, default_value_t = 500.0)]
    pub max_gap: f64,
    /// Longest gap of training trials, ms [default: for several rounds 1.2 times --max-gap by rates
    /// and 110 by exact gradients; --max-gap otherwise]
    #[arg(long)]
    pub train_gap: Option<f64>,
    /// Number of neurons
    #[arg(long, default_value_t = 80)]
    pub neurons: usize,
    /// Which gradient trains it [default: exact for one round, mean-field for several]
    #[arg(long, value_enum)]
    pub gradient: Option<GradientName>,
    /// Width of the gate, in (0, 1]; a wide gate shows the exact gradient more, a narrow one is
    /// faster
    #[arg(long, default_value_t = 1.0)]
    pub width: f64,
    /// What the network starts from
    #[arg(long, value_enum)]
    pub start: Option<StartName>,
    /// Start from the network of this finished run, with gaps of full length at once
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Chance that a trial of a stream starts anew instead of from the state that the last one
    /// ended in; 1: no streams
    #[arg(long, allow_negative_numbers = true)]
    pub fresh: Option<f64>,
    /// Rounds in a training trial
    #[arg(long)]
    pub trial_rounds: Option<usize>,
    /// Chunks that a training trial is cut into, each with a gradient of its own
    #[arg(long)]
    pub chunks: Option<usize>,
    /// Limit of each sample's exact adjoint, in units of 1/(B T); 0 for none
    #[arg(long, allow_negative_numbers = true)]
    pub limit: Option<f64>,
    /// Weight of the cost of activity between rounds; 0 for no cost
    #[arg(long, allow_negative_numbers = true)]
    pub rest: Option<f64>,
    /// How gradients are brought to size
    #[arg(long, value_enum)]
    pub scale: Option<ScaleName>,
    /// Share of the usual learning rates
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// Factor by which gaps grow
    #[arg(long)]
    pub grow: Option<f64>,
    /// Gaps grow when the mean accuracy is at least this
    #[arg(long)]
    pub grow_above: Option<f64>,
    /// Gaps shrink when it is below this; 0 for never
    #[arg(long)]
    pub shrink_below: Option<f64>,
    /// Batches in that mean
    #[arg(long)]
    pub grow_batches: Option<usize>,
    /// Decay of the parameters' running mean, in [0, 1)
    #[arg(long)]
    pub average: Option<f64>,
    /// Epochs
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Share of the iterations, the last ones, in which the learning rates fall, in [0, 1]
    #[arg(long)]
    pub falling: Option<f64>,
    /// Iterations in an epoch
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: u32,
    /// Streams, or trials in a batch
    #[arg(long)]
    pub batch: Option<usize>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    pub device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    pub plain: bool,
}

/// How a network is trained. Costs are of the trace ŝ, rates in the layer's units.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Which gradient.
    pub gradient: GradientName,
    /// Width of the gate.
    pub width: f64,
    /// What it starts from.
    pub start: StartName,
    /// Chance that a trial starts anew.
    pub fresh: f64,
    /// Rounds in a training trial.
    pub trial_rounds: usize,
    /// Chunks of a trial.
    pub chunks: usize,
    /// Limit of each sample's exact adjoint.
    pub limit: Option<f64>,
    /// λ: cost of activity at all times.
    pub activity: f64,
    /// κ: cost of activity between rounds.
    pub rest: f64,
    /// How gradients are brought to size.
    pub scale: GradientScale,
    /// Learning rates of U, W, I_o and O.
    pub rates: [f64; 4],
    /// Share of them.
    pub rate: f64,
    /// Shortest gap in training, ms.
    pub shortest_gap: f64,
    /// Longest gap in training, ms.
    pub train_gap: f64,
    /// Factor by which gaps grow, the accuracy from which on they do and below which they shrink,
    /// and the batches that it is a mean of.
    pub growth: (f64, f64, Option<f64>, usize),
    /// Decay of the running mean.
    pub average: f64,
    /// Epochs.
    pub epochs: usize,
    /// Share of the iterations, the last ones, in which the rates fall.
    pub falling: f64,
    /// Streams.
    pub batch: usize,
}

/// 0.001 on the paper's s = ŝ/τ.
const LITTLE: f64 = 0.001 / (TAU * TAU);

impl Recipe {
    /// One round in a trial, by exact gradients.
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
            // All iterations count alike, however large a few samples' gradients are.
            scale: GradientScale::UnitNorm,
            // In the paper's units 0.003 times U 0.05, W 0.05, I_o 0.005, O 3.
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

    /// Round after round, errors going back by rates.
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
            // In the paper's units U 0.002, W 0.002, I_o 0.0005, O 0.01.
            rates: [0.002 * TAU_V, 0.002 * TAU_V / TAU, 0.0005 * TAU_V, 0.01 / TAU],
            // Gaps reach a little beyond the task's at both ends, so that its longest and shortest
            // ones are learned on every seed.
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

    /// Round after round, by exact gradients: what has come furthest, which is not far enough
    /// (docs/delayed-xor.md).
    fn exact(max_gap: f64) -> Self {
        Self {
            gradient: GradientName::Exact,
            limit: Some(3.0),
            // The cost is steep along directions that many neurons share: larger steps overshoot.
            rate: 0.1,
            // At longer gaps the gradient is more noise than direction, and what was learned is
            // lost again.
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

    /// Round after round, from mean-field to exact gradients.
    fn mixed(max_gap: f64) -> Self {
        Self { gradient: GradientName::Mixed, train_gap: max_gap, ..Self::exact(max_gap) }
    }

    /// The recipe that options amount to.
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

    /// What the network starts from.
    pub fn start(&self) -> Start {
        match self.start {
            StartName::Quiet => Start::quiet(),
            StartName::Latched => Start::latched(),
        }
    }

    /// How errors go back; of a mixture the exact part.
    pub fn adjoint(&self) -> Adjoint {
        match (self.gradient, self.limit) {
            (GradientName::MeanField, _) => super::BY_RATES,
            (_, Some(limit)) => Adjoint::Limited { limit: Some(limit), keep: 1.0 },
            (_, None) => Adjoint::Exact,
        }
    }

    /// The cost of activity between rounds.
    pub fn rest_cost(&self) -> Option<QuietRest> {
        (self.rest > 0.0).then_some(QuietRest { cost: RestCost { weight: self.rest }, grace: GRACE })
    }

    /// The gaps that follow the score, up to the longest of training; those of a network that goes
    /// on from another run are that long at once.
    ///
    /// # Errors
    /// If the numbers lead nowhere.
    pub fn gaps(&self, goes_on: bool) -> Result<ScoreSchedule, String> {
        let (factor, above, below, batches) = self.growth;
        let end = self.train_gap;
        let start = if goes_on { end } else { end.min(30.0) };
        ScoreSchedule::new(FollowScore { start, end, factor, above, below, batches }).map_err(|error| error.to_string())
    }
}

impl Options {
    /// The task that the network is judged on.
    pub fn task(&self) -> DelayedXor {
        DelayedXor::new(self.rounds, self.max_gap, self.neurons)
    }

    /// The task that it is trained on, with gaps up to `longest` ms.
    pub fn training_task(&self, longest: f64) -> DelayedXor {
        let Recipe { trial_rounds, shortest_gap, .. } = self.recipe();
        let task = DelayedXor { rounds: trial_rounds, ..self.task() }.with_max_gap(longest);
        DelayedXor { gaps: Gaps::Even { min_ms: shortest_gap.min(longest), max_ms: longest }, ..task }
    }

    /// How it is trained.
    pub fn recipe(&self) -> Recipe {
        Recipe::of(self)
    }

    /// Sizes of the training data.
    pub fn sizes(&self) -> StreamSizes {
        let Recipe { batch, chunks, .. } = self.recipe();
        StreamSizes { streams: batch, chunks_per_trial: chunks, chunks_per_epoch: self.iterations as usize }
    }

    /// Refuses options that make no run.
    ///
    /// # Errors
    /// It names the option, its limit and the remedy.
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

    /// Refuses a network to start from that is none, or has other neurons.
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
