//! The predictive-coding network: NIF neurons with a linear readout of their synaptic trace.
//!
//! All networks have fast recurrent synapses. A network also has slow recurrent synapses if the
//! target system has a memory other than that of the readout.
//!
//! ```text
//! input i → U → 30 NIF neurons ⟲ W_f (τ_f = 1 ms) → readout o = O ŝ (τ = 10 ms)
//!
//! target of o: i, low-pass filtered with τ
//! ```
//!
//! Source: Huh & Sejnowski 2017, predictive coding. W_f starts at 0. It learns to cancel the part
//! of the input current that the readout already represents: the trained W_f is close to −U O.

use crate::network::{GrowingFloor, ReadoutNetwork, floats};
use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLrScheduler, ModuleLrSchedulerConfig};
use burn::module::{Initializer, Param, ParamGroup};
use burn::nn::LinearConfig;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use burn_spiking::{
    ConfigError, Firing, Gate, InitialWeights, Neuron, NonFiniteGradient, PotentialFloor, SpikingNetwork,
    SpikingRnnConfig, Synapse, TrackingLossConfig,
};
use burn_spiking_tasks::score::correlation;
use burn_spiking_tasks::{Coding, Tracking, TrialBatch};
use serde::{Deserialize, Serialize};

/// Time constant of the readout trace, in ms.
pub const TAU: f64 = 10.0;
/// Time constant of the fast recurrent synapses, in ms.
pub const TAU_FAST: f64 = 1.0;
/// Width of the gate.
pub const WIDTH: f64 = 0.5;
/// Number of time steps in the longest training trials.
pub const LONGEST: usize = 400;

/// Number of time steps in validation and test trials.
pub const LONG: usize = 800;
/// Number of neurons.
pub const NEURONS: usize = 30;
/// Number of trials in a batch.
pub const BATCH: usize = 50;
/// Number of validation trials, which decide the best epoch.
pub const VALIDATION_TRIALS: usize = 100;
/// Number of fresh trials that test a trained network.
pub const TEST_TRIALS: usize = 200;
/// Number of input channels, which is also the number of outputs.
pub const CHANNELS: usize = 2;

/// The linear system that the readout learns to follow. The input drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemName {
    /// The low-pass filtered input.
    AutoEncoding,
    /// A damped oscillator, which needs slow recurrent synapses too.
    Oscillator,
}

impl SystemName {
    /// Returns the task. All neurons start below the active zone of the gate.
    pub fn task(self) -> Coding {
        let task = match self {
            SystemName::AutoEncoding => Coding::auto_encoding(CHANNELS, TAU, NEURONS),
            SystemName::Oscillator => Coding::oscillator(OSCILLATOR_TAU, OSCILLATOR_PERIOD, NEURONS),
        };
        Coding { v0_below: 1.0 - WIDTH, ..task }
    }

    /// Returns the recurrent synapses that the network needs for this system.
    pub fn recurrence(self) -> Recurrence {
        match self {
            SystemName::AutoEncoding => Recurrence::Fast,
            SystemName::Oscillator => Recurrence::FastAndSlow,
        }
    }

    /// Returns the title for figures.
    pub fn title(self) -> &'static str {
        match self {
            SystemName::AutoEncoding => "Auto-encoding",
            SystemName::Oscillator => "Damped oscillator",
        }
    }
}

/// The time constant of the oscillator's decay and its period, in ms.
const OSCILLATOR_TAU: f64 = 30.0;
const OSCILLATOR_PERIOD: f64 = 100.0;
/// Returns the learning rates. The rate of each parameter suits the size of that parameter, and
/// falls to a twentieth along a cosine.
///
/// - `share`: a factor on the usual rates.
///
/// # Errors
/// If Burn rejects the rates.
pub fn rates(iterations: usize, share: f64) -> Result<ModuleLrScheduler, String> {
    let cosine =
        |rate: f64| CosineAnnealingLrSchedulerConfig::new(rate * share, iterations).with_min_lr(0.05 * rate * share);
    ModuleLrSchedulerConfig::new(cosine(0.02).into())
        .with_group(ParamGroup::from_predicate("readout"), cosine(0.002))
        .with_group(ParamGroup::from_predicate("recurrent"), cosine(0.02))
        .init()
}

/// Returns the optimizer in its initial state.
pub fn optimizer() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init()
}

/// Scales the input weights `[C, N]` of each neuron to length 1, so that every neuron gets enough
/// input to spike and learn.
fn of_one_length(input: Tensor<2>) -> Tensor<2> {
    let length = input.clone().square().sum_dim(0).sqrt();
    input / length
}

/// The recurrent synapses of a network. Slow synapses have the time constant of the readout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recurrence {
    /// Fast synapses only.
    Fast,
    /// Fast and slow synapses.
    FastAndSlow,
}

/// Builds the network for a task. Its parameters are drawn from the random state of the device.
///
/// # Errors
/// [`ConfigError`] if the sizes or the time step of the task are invalid.
pub fn autoencoder(task: &Coding, recurrence: Recurrence, device: &Device) -> Result<ReadoutNetwork, ConfigError> {
    let channels = task.channels();
    let readout_synapse = match recurrence {
        Recurrence::Fast => Synapse::readout_only(TAU),
        Recurrence::FastAndSlow => Synapse::new(TAU),
    };
    let mut layer = SpikingRnnConfig::new(channels, task.neurons)
        .with_neuron(Neuron::Nif)
        .with_gate(Gate::Quintic { width: WIDTH })
        .with_synapses(vec![readout_synapse, Synapse::recurrent_only(TAU_FAST)])
        .with_dt(task.dt)
        .with_bias(false)
        .with_non_finite_gradient(NonFiniteGradient::Nan)
        .with_initial(Some(InitialWeights { input: (channels as f64).sqrt(), recurrent: 0.0, bias: 0.0 }))
        .init(device)?;
    let directions = of_one_length(layer.input_weight.val()) * (channels as f64).sqrt();
    layer.input_weight = Param::from_tensor(directions.detach());
    let readout = LinearConfig::new(task.neurons, channels)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std: 0.3 / TAU })
        .init(device);
    // This is λ = 0.05 for the trace s = ŝ/τ of the paper.
    let loss = TrackingLossConfig::new().with_lambda(0.05 / (TAU * TAU)).init()?;
    let floor = GrowingFloor { cost: PotentialFloor { floor: -0.5, weight: 0.1 }, steps_below: LONGEST };
    Ok(ReadoutNetwork {
        network: SpikingNetwork::new(layer, readout)?,
        loss,
        floor: Some(floor),
        rest: None,
        mixture: None,
    })
}

/// Returns the network with its fast recurrent weights set to 0.
pub fn without_fast(mut model: ReadoutNetwork) -> ReadoutNetwork {
    let fast = model.network.layer.recurrent_weights.pop().expect("the fast synapses are the last");
    model.network.layer.recurrent_weights.push(fast.map(|w| w.zeros_like()));
    model
}

/// Returns W_f, `[N, N]`.
fn fast_weights(model: &ReadoutNetwork) -> Vec<f32> {
    floats(model.network.layer.recurrent_weights.last().expect("the fast synapses are the last").val())
}

/// Measures how well the network follows its targets on trials, and how its neurons fire.
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

/// The result of [`evaluate`].
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// How well the readout follows its target.
    pub tracking: Tracking,
    /// How the neurons fire.
    pub firing: Firing,
    /// The outputs in the first trial, `[T, O]`.
    pub output: Vec<f32>,
    /// The targets in the first trial, `[T, O]`.
    pub target: Vec<f32>,
}

/// Returns two currents into one neuron during a trial, in 1/ms: the current from the input, and
/// the current through the fast recurrent synapses.
///
/// - `input`: `[T, C]`.
/// - `charge`: ΔQ, `[T, N]`.
pub fn currents(model: &ReadoutNetwork, input: &[f32], charge: &[f32], neuron: usize) -> [Vec<f32>; 2] {
    let config = model.network.layer.config();
    let (n, channels, time_unit) = (config.d_hidden, config.d_input, config.time_unit_ms() as f32);
    let u = floats(model.network.layer.input_weight.val());
    let fast = fast_weights(model);
    let external = input.chunks_exact(channels).map(|i| i.iter().zip(u.iter().skip(neuron).step_by(n)));
    let external = external.map(|pairs| pairs.map(|(i, u)| i * u).sum::<f32>() / time_unit).collect();
    let decay = (-config.dt / TAU_FAST).exp() as f32;
    // The recurrent current of a step comes from the charges of earlier steps.
    let mut current = 0.0;
    let recurrent = charge.chunks_exact(n).map(|charge| {
        let now = current;
        let arrived: f32 = charge.iter().zip(fast.iter().skip(neuron).step_by(n)).map(|(q, w)| q * w).sum();
        current = decay * current + arrived / time_unit;
        now
    });
    [external, recurrent.collect()]
}

/// The trained fast weights W_f and their predicted values −U O. Matrices are `[N, N]`.
pub struct FastWeights {
    /// W_f.
    pub trained: Vec<f32>,
    /// −U O.
    pub predicted: Vec<f32>,
    /// Pairs (−U O, W_f), without autapses.
    pub pairs: Vec<(f32, f32)>,
    /// Pairs (Oᵀ, U).
    pub input_and_readout: Vec<(f32, f32)>,
}

impl FastWeights {
    /// Reads the weights of a network.
    pub fn of(model: &ReadoutNetwork) -> Self {
        let u = floats(model.network.layer.input_weight.val());
        let o = floats(model.network.readout.weight.val());
        let trained = fast_weights(model);
        let (n, channels) = (model.network.layer.config().d_hidden, model.network.layer.config().d_input);
        let all = || (0..n * n).map(|at| (at / n, at % n));
        let predicted: Vec<f32> = all()
            .map(|(pre, post)| -(0..channels).map(|c| o[pre * channels + c] * u[c * n + post]).sum::<f32>())
            .collect();
        let apart = all().filter(|(pre, post)| pre != post).map(|(pre, post)| pre * n + post);
        let pairs = apart.map(|at| (predicted[at], trained[at])).collect();
        let both = (0..n).flat_map(|j| (0..channels).map(move |c| (c * n + j, j * channels + c)));
        let input_and_readout = both.map(|(at_u, at_o)| (o[at_o], u[at_u])).collect();
        Self { trained, predicted, pairs, input_and_readout }
    }

    /// Returns two correlations: that of W_f with −U O, without autapses, and that of U with the
    /// transpose of O.
    pub fn correlations(&self) -> (f64, f64) {
        let of = |pairs: &[(f32, f32)]| {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(a, b)| (a as f64, b as f64)).unzip();
            correlation(&a, &b)
        };
        (of(&self.pairs), of(&self.input_and_readout))
    }
}
