//! The auto-encoding network: NIF neurons, a readout trace, fast recurrent synapses.
//!
//! ```text
//! input i → U → 30 NIF neurons ⟲ W_f (τ_f = 1 ms) → readout o = O ŝ (τ = 10 ms), which should be i, low-pass filtered by τ
//! ```
//!
//! Source: Huh & Sejnowski 2017, predictive coding. W_f starts at 0 and learns to cancel what the input current has achieved
//! already: the trained W_f is close to −U O.

use burn::backend::ExecutionError;
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_spiking::{
    ConfigError, Gate, Initial, Neuron, SpikingRnn, SpikingRnnConfig, SpikingState, Synapse, TrackingLoss,
    TrackingLossConfig,
};
use burn_spiking_tasks::score::correlation;
use burn_spiking_tasks::{Coding, Tracking, TrialBatch};

/// Time constant of the readout trace, ms.
pub const TAU: f64 = 10.0;
/// Time constant of the fast recurrent synapses, ms.
pub const TAU_FAST: f64 = 1.0;
/// Width of the gate.
pub const WIDTH: f64 = 0.5;

/// A spiking network with a linear readout.
#[derive(Module, Debug)]
pub struct Autoencoder {
    /// The neurons; its only recurrent type is the fast one.
    pub network: SpikingRnn,
    /// O.
    pub readout: Linear,
    loss: TrackingLoss,
}

impl Autoencoder {
    /// For a task, with parameters drawn from the device's random state.
    ///
    /// # Errors
    /// [`ConfigError`] if the task's sizes or step describe no network.
    pub fn init(task: &Coding, device: &Device) -> Result<Self, ConfigError> {
        let channels = task.channels();
        let network = SpikingRnnConfig::new(channels, task.neurons)
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
        Ok(Self { network, readout, loss })
    }

    /// Runs a batch: the readout `[B, T, O]` and its trace `[B, T, N]`.
    pub fn forward(&self, batch: &TrialBatch) -> (Tensor<3>, Tensor<3>) {
        let state = SpikingState::at(batch.v0.clone(), 2);
        let (trajectory, _) = self.network.forward(batch.input.clone(), Some(state));
        let trace = trajectory.trace();
        (self.readout.forward(trace.clone()), trace)
    }

    fn cost(&self, batch: TrialBatch) -> Cost {
        let (output, trace) = self.forward(&batch);
        Cost { cost: self.loss.forward(output, batch.target, trace) }
    }

    /// The same network with its fast recurrent synapses deleted.
    pub fn without_fast(mut self) -> Self {
        self.network.recurrent = self.network.recurrent.into_iter().map(|w| w.map(|w| w.zeros_like())).collect();
        self
    }

    /// How well the network does on trials, and how its neurons fire.
    pub fn evaluate(&self, batches: impl IntoIterator<Item = TrialBatch>) -> Evaluation {
        let mut tracking = Tracking::new();
        let mut spikes = vec![0.0; self.network.config().n_neurons];
        let mut time = 0.0;
        let mut example = None;
        for batch in batches {
            let state = SpikingState::at(batch.v0.clone(), 2);
            let (trajectory, _) = self.network.forward_recording(batch.input, Some(state));
            let charge = trajectory.charge.clone().expect("a recording has the charge");
            let output = self.readout.forward(trajectory.trace());
            let [trials, steps, width] = output.dims();
            time += trials as f64 * steps as f64 * self.network.config().dt;
            let counts = floats(charge.sum_dim(1).sum_dim(0).flatten(0, 2));
            spikes.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count as f64);
            let (output, target) = (floats(output.flatten(0, 2)), floats(batch.target.flatten(0, 2)));
            tracking.add(&output, &target, width);
            example.get_or_insert_with(|| {
                let one = ..steps * width;
                (output[one].to_vec(), target[one].to_vec())
            });
        }
        let (output, target) = example.unwrap_or_default();
        Evaluation {
            nmse: tracking.nmse(),
            rate_hz: 1000.0 * spikes.iter().sum::<f64>() / (time * spikes.len() as f64),
            silent: spikes.iter().filter(|&&count| count < 1.0).count(),
            output,
            target,
        }
    }

    /// Correlations of the fast weights with −U O off the diagonal, and of U with the transpose of O.
    pub fn correlations(&self) -> (f64, f64) {
        let u = floats(self.network.input.val().flatten(0, 1));
        let o = floats(self.readout.weight.val().flatten(0, 1));
        let fast = floats(self.network.recurrent[0].val().flatten(0, 1));
        let (n, channels) = (self.network.config().n_neurons, self.network.config().d_input);
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
}

/// What [`Autoencoder::evaluate`] finds.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Normalised error.
    pub nmse: f64,
    /// Mean firing rate, Hz.
    pub rate_hz: f64,
    /// Neurons that sent less than one spike's charge in all trials.
    pub silent: usize,
    /// The first trial's outputs, `[T, O]`.
    pub output: Vec<f32>,
    /// The first trial's targets, `[T, O]`.
    pub target: Vec<f32>,
}

fn floats(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// A training or validation step's cost.
#[derive(Debug, Clone)]
pub struct Cost {
    cost: Tensor<1>,
}

impl ItemLazy for Cost {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for Cost {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.cost.clone())
    }
}

impl TrainStep for Autoencoder {
    type Input = TrialBatch;
    type Output = Cost;

    fn step(&self, batch: TrialBatch) -> TrainOutput<Cost> {
        let cost = self.cost(batch);
        let gradients = cost.cost.backward();
        TrainOutput::new(self, gradients, Cost { cost: cost.cost.detach() })
    }
}

impl InferenceStep for Autoencoder {
    type Input = TrialBatch;
    type Output = Cost;

    fn step(&self, batch: TrialBatch) -> Cost {
        self.cost(batch)
    }
}
