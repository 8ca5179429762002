//! The delayed-memory network: QIF neurons that excite themselves, so that each can keep firing through a gap.
//!
//! ```text
//! pulses, go cue → U → 80 QIF neurons ⟲ W (τ = 20 ms) → answer o = O ŝ
//! ```
//!
//! Source: Huh & Sejnowski 2017, second task: 80 neurons, τ_v = 25 ms, τ = 20 ms. W starts as a multiple of the identity with
//! a little noise and I_o below zero: a neuron then rests or fires at length, whichever it did last, and gradients find a
//! memory to work with. A plain random W learns no gap, or explodes.

use crate::network::ReadoutNetwork;
use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::module::{Initializer, Param, ParamGroup};
use burn::nn::LinearConfig;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor};
use burn_spiking::{ConfigError, Gate, Initial, Neuron, SpikingNetwork, SpikingRnnConfig, Synapse, TrackingLossConfig};
use burn_spiking_tasks::DelayedXor;
use burn_spiking_tasks::delayed_xor::CHANNELS;

/// Time constant of the neurons, ms.
pub const TAU_V: f64 = 25.0;
/// Time constant of the synapses, ms.
pub const TAU: f64 = 20.0;
/// Trials by which the best epoch is chosen.
pub const VALIDATION_TRIALS: usize = 480;
/// Fresh trials that a trained network is judged on.
pub const TEST_TRIALS: usize = 2000;
/// λ on the trace ŝ: 0.001 on the paper's s = ŝ/τ.
const LAMBDA: f64 = 0.001 / (TAU * TAU);

/// What a network starts from, in the layer's units.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Width of the gate.
    pub width: f64,
    /// A neuron's weight onto itself.
    pub own: f64,
    /// Spread of all weights, times √N.
    pub spread: f64,
    /// Tonic current.
    pub tonic: f64,
    /// Spread of U.
    pub input: f64,
    /// Spread of O.
    pub readout: f64,
}

impl Default for Start {
    fn default() -> Self {
        // In units of 1/ms: W 1.6 and 0.1, I_o −0.04, U 0.1, O 0.3.
        let weight = TAU_V / TAU;
        Self {
            width: 1.0,
            own: 1.6 * weight,
            spread: 0.1 * weight,
            tonic: -0.04 * TAU_V,
            input: 0.1 * TAU_V,
            readout: 0.3 / TAU,
        }
    }
}

/// The spiking layer for a task.
pub fn layer(task: &DelayedXor, start: Start) -> SpikingRnnConfig {
    SpikingRnnConfig::new(CHANNELS, task.neurons)
        .with_neuron(Neuron::Qif { tau_v: TAU_V })
        .with_gate(Gate::Quintic { width: start.width })
        .with_synapses(vec![Synapse::new(TAU)])
        .with_dt(task.dt)
        .with_autapses(true)
        .with_initial(Some(Initial {
            input: start.input * (CHANNELS as f64).sqrt(),
            recurrent: 0.0,
            tonic: start.tonic,
        }))
}

/// The network for a task, with parameters drawn from the device's random state.
///
/// # Errors
/// [`ConfigError`] if the task's sizes or step, or the gate's width, describe no network.
pub fn delayed_xor(task: &DelayedXor, start: Start, device: &Device) -> Result<ReadoutNetwork, ConfigError> {
    let n = task.neurons;
    let mut layer = layer(task, start).init(device)?;
    let noise = Tensor::<2>::random([n, n], Distribution::Normal(0.0, start.spread / (n as f64).sqrt()), device);
    layer.recurrent = vec![Param::from_tensor(noise + Tensor::<2>::eye(n, device) * start.own)];
    let readout = LinearConfig::new(n, 1)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std: start.readout })
        .init(device);
    let loss = TrackingLossConfig::new().with_lambda(LAMBDA).init()?;
    Ok(ReadoutNetwork { network: SpikingNetwork::new(layer, readout)?, loss, floor: None, rest: None })
}

/// The learning rate at the start, in the paper's units; each parameter's has a factor of its own.
///
/// With 0.01 every second seed loses what it knew when the gaps have grown (docs/delayed-xor.md).
const RATE: f64 = 0.003;
/// Norm to which each parameter's gradient is cut. Hardly a gradient is smaller, so that all iterations count alike: a few
/// trials' gradients are larger by orders of magnitude, and would drown the rest.
const NORM: f32 = 1e-3;

/// Each parameter's rate follows its natural size, and falls along a cosine to a fiftieth.
///
/// - `share`: of the usual rates.
///
/// # Errors
/// If Burn refuses the rates.
pub fn rates(iterations: usize, share: f64) -> Result<ModuleLrScheduler, String> {
    let rate = RATE * share;
    let cosine =
        |scale: f64| CosineAnnealingLrSchedulerConfig::new(rate * scale, iterations).with_min_lr(0.02 * rate * scale);
    // In the paper's units: U 0.05, I_o 0.005, W 0.05, O 3.
    ModuleLrSchedulerConfig::new(cosine(0.05 * TAU_V).into())
        .with_group(ParamGroup::from_predicate("tonic"), cosine(0.005 * TAU_V))
        .with_group(ParamGroup::from_predicate("recurrent"), cosine(0.05 * TAU_V / TAU))
        .with_group(ParamGroup::from_predicate("readout"), cosine(3.0 / TAU))
        .init()
}

/// The optimizer at its start.
pub fn optimizer() -> ModuleOptimizer {
    let clipping = GradientClippingConfig::Norm(NORM);
    AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-8).with_grad_clipping(Some(clipping)).init()
}
