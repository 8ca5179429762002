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
use burn::module::{Initializer, Param};
use burn::nn::LinearConfig;
use burn::tensor::{Device, Distribution, Tensor};
use burn_spiking::{ConfigError, Gate, Initial, Neuron, SpikingNetwork, SpikingRnnConfig, Synapse, TrackingLossConfig};
use burn_spiking_tasks::DelayedXor;
use burn_spiking_tasks::delayed_xor::CHANNELS;

/// Time constant of the neurons, ms.
pub const TAU_V: f64 = 25.0;
/// Time constant of the synapses, ms.
pub const TAU: f64 = 20.0;
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
    Ok(ReadoutNetwork { network: SpikingNetwork::new(layer, readout)?, loss, floor: None })
}
