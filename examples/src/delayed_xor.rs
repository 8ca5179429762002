//! The delayed-memory network: QIF neurons that remember by their activity, and the recipes that
//! train it.
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
use burn::lr_scheduler::LrSchedulerConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
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

/// Time constant of the neurons, ms.
pub const TAU_V: f64 = 25.0;
/// Time constant of the synapses, ms.
pub const TAU: f64 = 20.0;
/// Rounds by which the best epoch is chosen.
pub const VALIDATION_ROUNDS: usize = 480;
/// Fresh rounds that a trained network is judged on.
pub const TEST_ROUNDS: usize = 2000;
/// Steps after an answer window in which activity is free, and does not count as activity at rest:
/// two time constants of the traces.
pub const GRACE: usize = 40;
/// The mean-field adjoint: blocks of a quarter of τ.
pub const BY_RATES: Adjoint = Adjoint::MeanField { step_ms: 5.0, softness: 0.005 };

/// What a network starts from, in the layer's units.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// A neuron's weight onto itself.
    pub own: f64,
    /// Spread of all weights, times √N.
    pub spread: f64,
    /// Tonic current.
    pub bias: f64,
    /// Spread of U.
    pub input: f64,
    /// Spread of O.
    pub readout: f64,
}

impl Start {
    /// Every neuron rests or fires at length, whichever it did last: each is a memory, which random
    /// initial potentials set.
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

    /// Silent at rest: no neuron excites itself enough to go on alone, but groups can learn to.
    /// Memories can be made and unmade.
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

/// The spiking layer for a task.
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

/// The network for a task, with parameters drawn from the device's random state.
///
/// # Errors
/// [`ConfigError`] if the task's sizes or step, or the recipe's numbers, describe no network.
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

/// Each parameter's rate: constant at first, then, in the last `falling` iterations, along a cosine
/// to a fiftieth.
///
/// # Errors
/// If Burn refuses the rates.
pub fn rates(recipe: &Recipe, iterations: usize, falling: usize) -> Result<ModuleLrScheduler, String> {
    let course = |rate: f64| -> LrSchedulerConfig {
        let rate = rate * recipe.rate;
        let cosine = CosineAnnealingLrSchedulerConfig::new(rate, falling.max(1)).with_min_lr(0.02 * rate);
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

/// The optimizer at its start.
pub fn optimizer() -> ModuleOptimizer {
    AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-8).init()
}
