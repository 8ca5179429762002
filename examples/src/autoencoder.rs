//! The auto-encoding network: NIF neurons, a readout trace, fast recurrent synapses.
//!
//! ```text
//! input i → U → 30 NIF neurons ⟲ W_f (τ_f = 1 ms) → readout o = O ŝ (τ = 10 ms), which should be i, low-pass filtered by τ
//! ```
//!
//! Source: Huh & Sejnowski 2017, predictive coding. W_f starts at 0 and learns to cancel what the input current has achieved
//! already: the trained W_f is close to −U O.

use crate::network::{ReadoutNetwork, floats};
use burn::module::Initializer;
use burn::nn::LinearConfig;
use burn::tensor::Device;
use burn_spiking::{
    ConfigError, Firing, Gate, Initial, Neuron, SpikingNetwork, SpikingRnnConfig, Synapse, TrackingLossConfig,
};
use burn_spiking_tasks::score::correlation;
use burn_spiking_tasks::{Coding, Tracking, TrialBatch};

/// Time constant of the readout trace, ms.
pub const TAU: f64 = 10.0;
/// Time constant of the fast recurrent synapses, ms.
pub const TAU_FAST: f64 = 1.0;
/// Width of the gate.
pub const WIDTH: f64 = 0.5;

/// The network for a task, with parameters drawn from the device's random state.
///
/// # Errors
/// [`ConfigError`] if the task's sizes or step describe no network.
pub fn autoencoder(task: &Coding, device: &Device) -> Result<ReadoutNetwork, ConfigError> {
    let channels = task.channels();
    let layer = SpikingRnnConfig::new(channels, task.neurons)
        .with_neuron(Neuron::Nif)
        .with_gate(Gate::Quintic { width: WIDTH })
        .with_synapses(vec![Synapse::read_only(TAU), Synapse::recurrent_only(TAU_FAST)])
        .with_dt(task.dt)
        .with_tonic(false)
        .with_initial(Some(Initial { input: (channels as f64).sqrt(), recurrent: 0.0, tonic: 0.0 }))
        .init(device)?;
    let readout = LinearConfig::new(task.neurons, channels)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std: 1.0 / TAU })
        .init(device);
    // λ = 0.1 on the paper's s = ŝ/τ.
    let loss = TrackingLossConfig::new().with_lambda(0.1 / (TAU * TAU)).init()?;
    Ok(ReadoutNetwork { network: SpikingNetwork::new(layer, readout)?, loss })
}

/// The same network with its fast recurrent synapses deleted.
pub fn without_fast(mut model: ReadoutNetwork) -> ReadoutNetwork {
    model.network.layer.recurrent =
        model.network.layer.recurrent.into_iter().map(|w| w.map(|w| w.zeros_like())).collect();
    model
}

/// How well the network does on trials, and how its neurons fire.
pub fn evaluate(model: &ReadoutNetwork, batches: impl IntoIterator<Item = TrialBatch>) -> Evaluation {
    let mut tracking = Tracking::new();
    let mut firing = Firing::default();
    let mut example = None;
    for batch in batches {
        let outcome = model.forward_recording(batch);
        tracking.merge(&outcome.tracking());
        firing.merge(outcome.firing.as_ref().expect("a recording has the firing"));
        example.get_or_insert_with(|| [outcome.output, outcome.target].map(|tensor| floats(tensor.narrow(0, 0, 1))));
    }
    let [output, target] = example.unwrap_or_default();
    Evaluation { tracking, firing, output, target }
}

/// What [`evaluate`] finds.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// How well the readout follows.
    pub tracking: Tracking,
    /// How the neurons fire.
    pub firing: Firing,
    /// The first trial's outputs, `[T, O]`.
    pub output: Vec<f32>,
    /// The first trial's targets, `[T, O]`.
    pub target: Vec<f32>,
}

/// Correlations of the fast weights with −U O off the diagonal, and of U with the transpose of O.
pub fn correlations(model: &ReadoutNetwork) -> (f64, f64) {
    let u = floats(model.network.layer.input.val());
    let o = floats(model.network.readout.weight.val());
    let fast = floats(model.network.layer.recurrent[0].val());
    let (n, channels) = (model.network.layer.config().n_neurons, model.network.layer.config().d_input);
    let (mut weights, mut predicted) = (Vec::new(), Vec::new());
    for pre in 0..n {
        for post in (0..n).filter(|&post| post != pre) {
            weights.push(fast[pre * n + post] as f64);
            let current = |c: usize| (o[pre * channels + c] * u[c * n + post]) as f64;
            predicted.push(-(0..channels).map(current).sum::<f64>());
        }
    }
    let pairs = (0..n).flat_map(|j| (0..channels).map(move |c| (c * n + j, j * channels + c)));
    let (input, output): (Vec<f64>, Vec<f64>) = pairs.map(|(at_u, at_o)| (u[at_u] as f64, o[at_o] as f64)).unzip();
    (correlation(&weights, &predicted), correlation(&input, &output))
}
