//! Pattern generation: a recurrent spiking network draws a fixed curve from fixed input spikes.
//!
//! ```text
//! 100 input units → U → 100 neurons ⟲ W (τ = 20 ms) → output o = O ŝ
//! ```

mod program;

pub use program::{COLUMNS, run};

use crate::device::DeviceName;
use crate::gradient::GradientOptions;
use crate::network::ReadoutNetwork;
use crate::training::to_a_fiftieth;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::module::{Initializer, ParamGroup};
use burn::nn::LinearConfig;
use burn::tensor::Device;
use burn_spiking::{
    ConfigError, InitialWeights, Neuron, NonFiniteGradient, SpikingNetwork, SpikingRnnConfig, Synapse,
    TrackingLossConfig,
};
use burn_spiking_tasks::Pattern;
use serde::{Deserialize, Serialize};

/// Time constant of the neurons and of the synapses, in ms.
pub const TAU: f64 = 20.0;
/// Number of iterations in an epoch.
pub const ITERATIONS: usize = 50;

/// The options that determine the result of a run.
#[derive(clap::Args, Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Seed of the initial parameters, of the curve and of the input spikes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of neurons
    #[arg(long, default_value_t = 100)]
    pub neurons: usize,
    /// Number of outputs, each with a curve of its own
    #[arg(long, default_value_t = 1)]
    pub outputs: usize,
    /// Width of the gate, in (0, 1]
    #[arg(long, default_value_t = 0.5)]
    pub width: f64,
    /// How the network gets its gradient
    #[command(flatten)]
    #[serde(default)]
    pub gradient: GradientOptions,
    /// Learning rate
    #[arg(long, default_value_t = 0.01)]
    pub rate: f64,
    /// Number of epochs of 50 iterations
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: u32,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Flex)]
    pub device: DeviceName,
    /// Print a line for each epoch, even in a terminal
    #[arg(long)]
    pub plain: bool,
}

impl Options {
    /// Returns the task.
    pub fn task(&self) -> Pattern {
        Pattern { outputs: self.outputs, ..Pattern::usual(self.seed, self.neurons) }
    }

    /// Configures the spiking layer.
    fn layer(&self) -> SpikingRnnConfig {
        let (gate, adjoint) = self.gradient.gate_and_adjoint(self.width);
        SpikingRnnConfig::new(self.task().units, self.neurons)
            .with_neuron(Neuron::Lif { tau_mem: TAU })
            .with_gate(gate)
            .with_adjoint(adjoint)
            .with_synapses(vec![Synapse::new(TAU)])
            .with_non_finite_gradient(NonFiniteGradient::Nan)
            .with_initial(Some(InitialWeights { input: 2.0, recurrent: 0.3, bias: 0.8 }))
    }

    /// Builds the network. Its parameters are drawn from the random state of the device.
    ///
    /// # Errors
    /// [`ConfigError`] if an option is invalid.
    pub fn network(&self, device: &Device) -> Result<ReadoutNetwork, ConfigError> {
        let readout = LinearConfig::new(self.neurons, self.outputs)
            .with_initializer(Initializer::Normal { mean: 0.0, std: 0.05 })
            .init(device);
        let network = SpikingNetwork::new(self.layer().init(device)?, readout)?;
        let loss = TrackingLossConfig::new().with_lambda(1e-5).init()?;
        Ok(ReadoutNetwork { network, loss, floor: None, rest: None, mixture: None })
    }

    /// Returns the learning rates of all parameters. They fall along a cosine to a fiftieth.
    ///
    /// # Errors
    /// If Burn rejects the rates.
    pub fn rates(&self) -> Result<ModuleLrScheduler, String> {
        let course = |factor: f64| to_a_fiftieth(self.rate * factor, self.epochs as usize * ITERATIONS);
        ModuleLrSchedulerConfig::new(course(1.0).into())
            .with_group(ParamGroup::from_predicate("recurrent"), course(0.1))
            .init()
    }

    /// Checks that the options describe a run.
    ///
    /// # Errors
    /// If an option is invalid. The message names the option, its limit and the remedy.
    pub fn check(&self) -> Result<(), String> {
        self.device.device()?;
        if !(self.rate.is_finite() && self.rate > 0.0) {
            return Err(format!("--rate is {}, but must be above 0 and finite", self.rate));
        }
        self.task().check().map_err(|error| error.to_string())?;
        self.layer().check().map_err(|error| error.to_string())
    }
}
