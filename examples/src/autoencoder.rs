//! The predictive-coding network: NIF neurons, a readout trace, fast recurrent synapses, and slow ones where the system that it
//! follows has a memory beyond the readout's.
//!
//! ```text
//! input i → U → 30 NIF neurons ⟲ W_f (τ_f = 1 ms) → readout o = O ŝ (τ = 10 ms), which should be i, low-pass filtered by τ
//! ```
//!
//! Source: Huh & Sejnowski 2017, predictive coding. W_f starts at 0 and learns to cancel what the input current has achieved
//! already: the trained W_f is close to −U O.

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

/// Time constant of the readout trace, ms.
pub const TAU: f64 = 10.0;
/// Time constant of the fast recurrent synapses, ms.
pub const TAU_FAST: f64 = 1.0;
/// Width of the gate.
pub const WIDTH: f64 = 0.5;
/// Steps of the longest trials that are trained on.
pub const LONGEST: usize = 400;

/// Steps of the trials that are not trained on.
pub const LONG: usize = 800;
/// Number of neurons.
pub const NEURONS: usize = 30;
/// Trials in a batch.
pub const BATCH: usize = 50;
/// Trials by which the best epoch is chosen.
pub const VALIDATION_TRIALS: usize = 100;
/// Fresh trials that a trained network is judged on.
pub const TEST_TRIALS: usize = 200;
/// Number of channels, in and out.
pub const CHANNELS: usize = 2;

/// A linear system that the input drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemName {
    /// The low-pass filtered input.
    AutoEncoding,
    /// A damped oscillator, which takes slow recurrent synapses too.
    Oscillator,
}

impl SystemName {
    /// The task; neurons start below the gate.
    pub fn task(self) -> Coding {
        let task = match self {
            SystemName::AutoEncoding => Coding::auto_encoding(CHANNELS, TAU, NEURONS),
            SystemName::Oscillator => Coding::oscillator(OSCILLATOR_TAU, OSCILLATOR_PERIOD, NEURONS),
        };
        Coding { v0_below: 1.0 - WIDTH, ..task }
    }

    /// The synapses that it takes.
    pub fn recurrence(self) -> Recurrence {
        match self {
            SystemName::AutoEncoding => Recurrence::Fast,
            SystemName::Oscillator => Recurrence::FastAndSlow,
        }
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            SystemName::AutoEncoding => "Auto-encoding",
            SystemName::Oscillator => "Damped oscillator",
        }
    }
}

/// The oscillator's decay and period, ms.
const OSCILLATOR_TAU: f64 = 30.0;
const OSCILLATOR_PERIOD: f64 = 100.0;
/// Each parameter's rate follows its natural size, and falls along a cosine to a twentieth.
///
/// - `share`: of the usual rates.
///
/// # Errors
/// If Burn refuses the rates.
pub fn rates(iterations: usize, share: f64) -> Result<ModuleLrScheduler, String> {
    let cosine =
        |rate: f64| CosineAnnealingLrSchedulerConfig::new(rate * share, iterations).with_min_lr(0.05 * rate * share);
    ModuleLrSchedulerConfig::new(cosine(0.02).into())
        .with_group(ParamGroup::from_predicate("readout"), cosine(0.002))
        .with_group(ParamGroup::from_predicate("recurrent"), cosine(0.02))
        .init()
}

/// The optimizer at its start.
pub fn optimizer() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init()
}

/// The same directions, all of length 1. No neuron then hears so little that it never spikes and never learns. `[C, N]`.
fn of_one_length(input: Tensor<2>) -> Tensor<2> {
    let length = input.clone().square().sum_dim(0).sqrt();
    input / length
}

/// Whether the network has slow recurrent synapses too, with the readout's time constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recurrence {
    /// Fast synapses alone.
    Fast,
    /// Fast and slow synapses.
    FastAndSlow,
}

/// The network for a task, with parameters drawn from the device's random state.
///
/// # Errors
/// [`ConfigError`] if the task's sizes or step describe no network.
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
    // λ = 0.05 on the paper's s = ŝ/τ.
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

/// The same network with its fast recurrent synapses deleted.
pub fn without_fast(mut model: ReadoutNetwork) -> ReadoutNetwork {
    let fast = model.network.layer.recurrent_weights.pop().expect("the fast synapses are the last");
    model.network.layer.recurrent_weights.push(fast.map(|w| w.zeros_like()));
    model
}

/// W_f, `[N, N]`.
fn fast_weights(model: &ReadoutNetwork) -> Vec<f32> {
    floats(model.network.layer.recurrent_weights.last().expect("the fast synapses are the last").val())
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

/// The currents into one neuron during a trial, in units of 1/ms: from outside, and through the fast recurrent synapses.
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
    // A step's current comes from the charges before it.
    let mut current = 0.0;
    let recurrent = charge.chunks_exact(n).map(|charge| {
        let now = current;
        let arrived: f32 = charge.iter().zip(fast.iter().skip(neuron).step_by(n)).map(|(q, w)| q * w).sum();
        current = decay * current + arrived / time_unit;
        now
    });
    [external, recurrent.collect()]
}

/// The fast weights and what the analysis predicts of them, −U O: pairs off the diagonal, and both as matrices `[N, N]`.
pub struct FastWeights {
    /// W_f.
    pub trained: Vec<f32>,
    /// −U O.
    pub predicted: Vec<f32>,
    /// (−U O, W_f) without autapses.
    pub pairs: Vec<(f32, f32)>,
    /// (U, Oᵀ).
    pub input_and_readout: Vec<(f32, f32)>,
}

impl FastWeights {
    /// Of a network.
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

    /// Correlations of W_f with −U O off the diagonal, and of U with the transpose of O.
    pub fn correlations(&self) -> (f64, f64) {
        let of = |pairs: &[(f32, f32)]| {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(a, b)| (a as f64, b as f64)).unzip();
            correlation(&a, &b)
        };
        (of(&self.pairs), of(&self.input_and_readout))
    }
}
