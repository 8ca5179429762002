//! The delayed-memory network, and the recipes that train it. The network holds a memory in the
//! activity of its QIF neurons.
//!
//! ```text
//! pulses, go cue → U → 80 QIF neurons ⟲ W (τ = 20 ms) → answer o = O ŝ
//! ```
//!
//! Source: Huh & Sejnowski 2017, second task: 80 neurons, τ_mem = 25 ms, τ = 20 ms.

mod figures;
mod options;
mod program;
mod report;

pub use options::{GradientName, Options, Recipe, ScaleName, StartName};
pub use program::{COLUMNS, run};

use crate::network::ReadoutNetwork;
use crate::training::to_a_fiftieth;
use burn::lr_scheduler::LrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
use burn::module::{Initializer, Param, ParamGroup};
use burn::nn::LinearConfig;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor};
use burn_spiking::{
    Adjoint, ConfigError, Gate, InitialWeights, Neuron, NonFiniteGradient, SpikingNetwork, SpikingRnnConfig, Synapse,
    TrackingLossConfig,
};
use burn_spiking_tasks::DelayedXor;
use burn_spiking_tasks::delayed_xor::CHANNELS;

/// Time constant of the neurons, in ms.
pub const TAU_V: f64 = 25.0;
/// Time constant of the synapses, in ms.
pub const TAU: f64 = 20.0;
/// Number of validation rounds, which decide the best epoch.
pub const VALIDATION_ROUNDS: usize = 480;
/// Number of fresh rounds that test a trained network.
pub const TEST_ROUNDS: usize = 2000;
/// Number of steps after an answer window in which activity does not count as activity at rest, and
/// the cost of rest is 0. That is two time constants of the traces.
pub const GRACE: usize = 40;
/// The mean-field adjoint, with blocks of a quarter of τ.
pub const BY_RATES: Adjoint = Adjoint::MeanField { step_ms: 5.0, softness: 0.005 };

/// The initial parameters of a network, in the layer's units.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Weight of each neuron onto itself.
    pub own: f64,
    /// Standard deviation of all recurrent weights, times √N.
    pub spread: f64,
    /// Bias current.
    pub bias: f64,
    /// Standard deviation of U.
    pub input: f64,
    /// Standard deviation of O.
    pub readout: f64,
}

impl Start {
    /// Returns a start in which each neuron keeps on resting or firing for a long time. So each
    /// neuron is a memory, which the random initial potentials set.
    pub fn latched() -> Self {
        // In units of 1/ms: W 1.6 and 0.1, I_o −0.04, U 0.1, O 0.3.
        Self {
            own: 1.6 * TAU_V / TAU,
            spread: 0.1 * TAU_V / TAU,
            bias: -0.04 * TAU_V,
            input: 0.1 * TAU_V,
            readout: 0.3 / TAU,
        }
    }

    /// Returns a start that is silent at rest. No neuron excites itself enough to keep on firing
    /// alone, but groups of neurons can learn to. So the network can learn to set and to clear
    /// memories.
    pub fn quiet() -> Self {
        // In units of 1/ms: W 0.8 and 0.3, I_o −0.02, U 0.08, O 0.5.
        Self {
            own: 0.8 * TAU_V / TAU,
            spread: 0.3 * TAU_V / TAU,
            bias: -0.02 * TAU_V,
            input: 0.08 * TAU_V,
            readout: 0.5 / TAU,
        }
    }
}

/// Configures the spiking layer for a task.
pub fn layer(task: &DelayedXor, recipe: &Recipe) -> SpikingRnnConfig {
    let start = recipe.start();
    SpikingRnnConfig::new(CHANNELS, task.neurons)
        .with_neuron(Neuron::Qif { tau_mem: TAU_V })
        .with_gate(Gate::Quintic { width: recipe.width })
        .with_synapses(vec![Synapse::new(TAU)])
        .with_dt(task.dt)
        .with_autapses(true)
        .with_adjoint(recipe.adjoint())
        .with_non_finite_gradient(NonFiniteGradient::Nan)
        .with_initial(Some(InitialWeights {
            input: start.input * (CHANNELS as f64).sqrt(),
            recurrent: 0.0,
            bias: start.bias,
        }))
}

/// Builds the network for a task. Its parameters are drawn from the random state of the device.
///
/// # Errors
/// [`ConfigError`] if the sizes or the time step of the task, or the numbers of the recipe, are
/// invalid.
pub fn delayed_xor(task: &DelayedXor, recipe: &Recipe, device: &Device) -> Result<ReadoutNetwork, ConfigError> {
    let (n, start) = (task.neurons, recipe.start());
    let mut layer = layer(task, recipe).init(device)?;
    let noise = Tensor::<2>::random([n, n], Distribution::Normal(0.0, start.spread / (n as f64).sqrt()), device);
    layer.recurrent_weights = vec![Param::from_tensor(noise + Tensor::<2>::eye(n, device) * start.own)];
    let readout = LinearConfig::new(n, 1)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std: start.readout })
        .init(device);
    let loss = TrackingLossConfig::new().with_lambda(recipe.activity).init()?;
    let network = SpikingNetwork::new(layer, readout)?;
    Ok(ReadoutNetwork { network, loss, floor: None, rest: recipe.rest_cost(), mixture: None })
}

/// Returns the learning rates of all parameters. They are constant at first. In the last `falling`
/// iterations they fall to a fiftieth along a cosine.
///
/// # Errors
/// If Burn rejects the rates.
pub fn rates(recipe: &Recipe, iterations: usize, falling: usize) -> Result<ModuleLrScheduler, String> {
    let course = |rate: f64| -> LrSchedulerConfig {
        let rate = rate * recipe.rate;
        let cosine = to_a_fiftieth(rate, falling.max(1));
        match iterations.saturating_sub(falling) {
            0 => cosine.into(),
            constant => {
                let parts = vec![LrSchedulerConfig::Constant(rate), cosine.into()];
                LrSchedulerConfig::Sequential(SequentialLrSchedulerConfig::new(parts, vec![constant]))
            }
        }
    };
    let [input, recurrent, bias, readout] = recipe.rates;
    ModuleLrSchedulerConfig::new(course(input))
        .with_group(ParamGroup::from_predicate("bias"), course(bias))
        .with_group(ParamGroup::from_predicate("recurrent"), course(recurrent))
        .with_group(ParamGroup::from_predicate("readout"), course(readout))
        .init()
}

/// Returns the optimizer in its initial state.
pub fn optimizer() -> ModuleOptimizer {
    AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-8).init()
}
