//! The options of `classify`.

use super::{NeuronName, Recipe, Task, TaskName};
use crate::device::DeviceName;
use crate::gradient::GradientOptions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The options that determine the result of a run.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Task to learn
    #[arg(long, value_enum, default_value_t = TaskName::YinYang)]
    pub task: TaskName,
    /// Folder of the recorded data, for tasks that need it
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Number of neighbouring input units, in each direction, that become one, for recorded data
    #[arg(long)]
    pub pool: Option<usize>,
    /// Length of a sample, ms, for recorded data, rounded to whole steps; events after it are left
    /// out
    #[arg(long)]
    pub length: Option<f64>,
    /// Seed of the initial parameters and of the data, except for those with published seeds
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Neuron model [the default of this option and of those below depends on the task]
    #[arg(long, value_enum)]
    pub neuron: Option<NeuronName>,
    /// Number of neurons
    #[arg(long)]
    pub neurons: Option<usize>,
    /// Whether the neurons are connected to each other
    #[arg(long)]
    pub recurrent: Option<bool>,
    /// Width of the gate, in (0, 1]
    #[arg(long)]
    pub width: Option<f64>,
    /// How the network gets its gradient
    #[command(flatten)]
    #[serde(default)]
    pub gradient: GradientOptions,
    /// Length of a time step, ms
    #[arg(long)]
    pub dt: Option<f64>,
    /// Time constant of the neurons, ms
    #[arg(long)]
    pub tau_mem: Option<f64>,
    /// Time constant of the threshold of adapting neurons, ms
    #[arg(long)]
    pub tau_adapt: Option<f64>,
    /// Rise of the threshold of adapting neurons by a spike
    #[arg(long)]
    pub rise: Option<f64>,
    /// Time constant of the synapses, ms
    #[arg(long)]
    pub tau: Option<f64>,
    /// Time constant of the filter of input spikes, ms
    #[arg(long)]
    pub input_tau: Option<f64>,
    /// Standard deviation of the initial input weights, times the root of the number of units
    #[arg(long)]
    pub input: Option<f64>,
    /// Initial bias current of all neurons
    #[arg(long, allow_negative_numbers = true)]
    pub bias: Option<f64>,
    /// Standard deviation of the moves of input spikes in training, ms
    #[arg(long)]
    pub jitter: Option<f64>,
    /// Weight decay, in units of the learning rate
    #[arg(long)]
    pub decay: Option<f32>,
    /// Learning rate
    #[arg(long)]
    pub rate: Option<f64>,
    /// Number of samples in a batch
    #[arg(long)]
    pub batch: Option<usize>,
    /// Number of iterations in an epoch, for tasks whose samples are drawn afresh in each epoch
    #[arg(long)]
    pub iterations: Option<usize>,
    /// Number of epochs
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    pub device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    pub plain: bool,
}

impl Options {
    /// Returns the training recipe.
    pub fn recipe(&self) -> Recipe {
        Recipe::of(self)
    }

    /// Checks that the options describe a run.
    ///
    /// # Errors
    /// If an option is invalid. The message names the option, its limit and the remedy.
    pub fn check(&self) -> Result<(), String> {
        self.device.device()?;
        let recipe = self.recipe();
        for (name, value) in [("batch", recipe.batch), ("iterations", recipe.iterations), ("epochs", recipe.epochs)] {
            if value == 0 {
                return Err(format!("--{name} is 0, but must be at least 1"));
            }
        }
        for (name, value) in [("rate", recipe.rate), ("dt", recipe.dt)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(format!("--{name} is {value}, but must be above 0 and finite"));
            }
        }
        for (name, value) in [("jitter", recipe.jitter), ("decay", recipe.decay as f64), ("input", recipe.input)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("--{name} is {value}, but must be at least 0 and finite"));
            }
        }
        if !recipe.bias.is_finite() {
            return Err(format!("--bias is {}, but must be finite", recipe.bias));
        }
        let drawn_afresh = matches!(self.task, TaskName::Evidence | TaskName::GrazXor);
        if self.iterations.is_some() && !drawn_afresh {
            return Err(
                "--iterations is for tasks whose samples are always new; leave it out, since an epoch goes through all samples"
                    .into(),
            );
        }
        if self.jitter.is_some() && drawn_afresh {
            return Err(
                "--jitter is for tasks with a fixed set of samples; leave it out, since these samples are always new"
                    .into(),
            );
        }
        if self.gradient.surrogate.is_some() && recipe.neuron != NeuronName::Lif {
            return Err(
                "--surrogate serves LIF neurons, but this run has others; choose --neuron lif, or leave --surrogate out".into(),
            );
        }
        if (self.tau_adapt.is_some() || self.rise.is_some()) && recipe.neuron != NeuronName::Alif {
            return Err(
                "--tau-adapt and --rise are for adapting neurons; leave them out, or choose --neuron alif".into()
            );
        }
        if self.input_tau.is_some() && self.task == TaskName::GrazXor {
            return Err("--input-tau is for input spikes, but the input of graz-xor is a current; leave it out".into());
        }
        let binning = Task::open(self)?.binning(&recipe);
        binning.check().map_err(|error| error.to_string())?;
        recipe.layer(binning.units).check().map_err(|error| error.to_string())
    }
}
