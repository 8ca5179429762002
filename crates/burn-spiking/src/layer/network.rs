//! The network: a spiking layer and a linear readout of its trace, in one operation.
//!
//! ```text
//! o = O ŝ + b        A = Σ_t |ŝ|²
//! ```
//!
//! [`SpikingNetworkConfig`] → [`SpikingNetwork`]. A network computes the same as a [`SpikingRnn`]
//! followed by Burn's `Linear`. But on the CPU backends the scan computes the readout step by step,
//! and its adjoint receives the error of the readout step by step. So no trajectory `[B, T, N]` is
//! stored, and with up to 64 channels no drive either. Only the input, the output and the states
//! between segments take memory that grows with T. A segment has √T steps, or fewer if N is large.
//! The same pass computes A, for a cost on activity.

use crate::error::{ConfigError, ForwardError, at_least_one};
use crate::gate::Gate;
use crate::layer::config::SpikingRnnConfig;
use crate::layer::forward::{ReadoutTensors, learns};
use crate::layer::rnn::SpikingRnn;
use crate::layer::sequence::{Timing, run_lengths};
use crate::layer::state::SpikingState;
use crate::layer::trajectory::Trajectory;
use crate::scan::{Adjoint, Implementation, Run, ScanPlan};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorCreationOptions};
use std::sync::Arc;

/// Configuration of a [`SpikingNetwork`].
#[derive(Config, Debug, PartialEq)]
pub struct SpikingNetworkConfig {
    /// The spiking layer. Exactly one of its synapse types must be read.
    pub layer: SpikingRnnConfig,
    /// Number of outputs, O.
    pub d_output: usize,
    /// Whether the readout has a bias b. Default: no.
    #[config(default = false)]
    pub bias: bool,
    /// The initialiser of O and b. Default: that of Burn's `Linear`, U(−k, k) with k = 1/√N.
    #[config(default = "Initializer::KaimingUniform{gain:1.0/f64::sqrt(3.0), fan_out_only:false}")]
    pub initializer: Initializer,
}

impl SpikingNetworkConfig {
    /// Initialises a network on a device: `init(&device)`, or `init((&device, DType::F64))` for
    /// double precision.
    ///
    /// # Errors
    /// [`ConfigError`] as in [`SpikingRnnConfig::init`], if there are no outputs, or if the number
    /// of synapse types that are read is not 1.
    pub fn init(&self, options: impl Into<TensorCreationOptions>) -> Result<SpikingNetwork, ConfigError> {
        at_least_one("d_output", self.d_output, "give the number of outputs")?;
        let options = options.into();
        let layer = self.layer.init(options.clone())?;
        let readout = LinearConfig::new(self.layer.d_hidden, self.d_output)
            .with_bias(self.bias)
            .with_initializer(self.initializer.clone())
            .init(&options.device);
        // Burn's initialisers take no dtype.
        let dtype = layer.input_weight.val().dtype();
        fn converted<const D: usize>(tensor: Tensor<D>, device: &Device, dtype: DType) -> Param<Tensor<D>> {
            Param::from_tensor(Tensor::from_data(tensor.into_data(), (device, dtype)))
        }
        let readout = Linear {
            weight: converted(readout.weight.val(), &options.device, dtype),
            bias: readout.bias.map(|bias| converted(bias.val(), &options.device, dtype)),
        };
        SpikingNetwork::new(layer, readout)
    }
}

/// A spiking layer with a linear readout. Should be created with [`SpikingNetworkConfig`], or from
/// its parts.
///
/// Differentiable once, with respect to the parameters, the input and the initial state.
#[derive(Module, Debug)]
pub struct SpikingNetwork {
    /// The spiking layer.
    pub layer: SpikingRnn,
    /// The readout weights O, `[N, O]`, and the bias b, `[O]`.
    pub readout: Linear,
}

/// The output of a network's run.
#[derive(Debug, Clone)]
pub struct NetworkOutput {
    /// The readout o, `[B, T, O]`, or `[T, B, O]` if the layer is not `batch_first`. Row t is the
    /// readout after step t. After the end of a sample it is 0.
    pub output: Tensor<3>,
    /// The activity A = Σ_t |ŝ|² of the trace that is read, `[B]`. The sum is over the steps of
    /// each sample and over all neurons.
    pub activity: Tensor<1>,
    /// The trajectory of the neurons, if it was recorded. It has the trace that is read, and after
    /// [`SpikingNetwork::forward_recording`] also membrane potentials and charges.
    trajectory: Option<Trajectory>,
    timing: Timing,
}

impl NetworkOutput {
    /// Returns the trajectory of the neurons.
    ///
    /// # Panics
    /// If the run recorded no trajectory. Only [`SpikingNetwork::forward_recording`],
    /// [`forward_with_trace`](SpikingNetwork::forward_with_trace) and
    /// [`forward_lengths_recording`](SpikingNetwork::forward_lengths_recording) record one.
    pub fn trajectory(&self) -> &Trajectory {
        match &self.trajectory {
            Some(trajectory) => trajectory,
            None => panic!(
                "this run has no trajectory; use `forward_recording`, `forward_lengths_recording` or `forward_with_trace`"
            ),
        }
    }

    /// Returns the time step, the layout and the lengths of the run.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }
}

impl SpikingNetwork {
    /// Makes a network from its parts.
    ///
    /// # Errors
    /// [`ConfigError`] if the number of synapse types that the layer reads is not 1, or if the
    /// number of the readout's inputs is not the number of neurons.
    pub fn new(layer: SpikingRnn, readout: Linear) -> Result<Self, ConfigError> {
        let read = layer.config().synapses.iter().filter(|synapse| synapse.readout).count();
        if read != 1 {
            return Err(ConfigError::Mismatch(format!(
                "the layer reads {read} synapse types, but a network's readout wants 1; mark one synapse as read, and the \
                 others as Synapse::recurrent_only"
            )));
        }
        let (inputs, neurons) = (readout.weight.dims()[0], layer.config().d_hidden);
        if inputs != neurons {
            return Err(ConfigError::Mismatch(format!(
                "the readout has {inputs} inputs, but the layer has {neurons} neurons; use LinearConfig::new({neurons}, outputs)"
            )));
        }
        Ok(Self { layer, readout })
    }

    /// Returns the network with another implementation of its scan.
    pub fn with_implementation(self, implementation: Implementation) -> Self {
        Self { layer: self.layer.with_implementation(implementation), ..self }
    }

    /// Returns the network with another adjoint; see [`SpikingRnn::with_adjoint`].
    ///
    /// # Errors
    /// As [`SpikingRnn::with_adjoint`].
    pub fn with_adjoint(self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        Ok(Self { layer: self.layer.with_adjoint(adjoint)?, ..self })
    }

    /// Returns the network with another gate; see [`SpikingRnn::with_gate`].
    ///
    /// # Errors
    /// As [`SpikingRnn::with_gate`].
    pub fn with_gate(self, gate: Gate) -> Result<Self, ConfigError> {
        Ok(Self { layer: self.layer.with_gate(gate)?, ..self })
    }

    /// Returns the network with time steps of `dt` ms; see [`SpikingRnn::with_dt`].
    ///
    /// # Errors
    /// As [`SpikingRnn::with_dt`].
    pub fn with_dt(self, dt: f64) -> Result<Self, ConfigError> {
        Ok(Self { layer: self.layer.with_dt(dt)?, ..self })
    }

    /// Returns the configuration from which [`SpikingNetworkConfig::init`] makes such a network.
    pub fn config(&self) -> SpikingNetworkConfig {
        let [_, d_output] = self.readout.weight.dims();
        SpikingNetworkConfig::new(self.layer.config().clone(), d_output).with_bias(self.readout.bias.is_some())
    }

    /// Runs the network over an input.
    ///
    /// - `input`: `[B, T, C]`, or `[T, B, C]` if the layer is not `batch_first`.
    /// - `state`: the initial state. If `None`, it is [`SpikingRnn::resting_state`].
    ///
    /// Returns the output and the final state. A call that starts from the final state continues
    /// the run.
    ///
    /// # Panics
    /// As [`SpikingRnn::forward`].
    pub fn forward(&self, input: Tensor<3>, state: Option<SpikingState>) -> (NetworkOutput, SpikingState) {
        self.run(input, state, None, self.plan())
    }

    /// Runs the network like [`forward`](Self::forward), with errors instead of panics; see
    /// [`SpikingRnn::try_forward`].
    ///
    /// # Errors
    /// As [`SpikingRnn::try_forward`], and also if the output is infinite or NaN.
    pub fn try_forward(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
    ) -> Result<(NetworkOutput, SpikingState), ForwardError> {
        let (start_v, run) = self.layer.try_run((input, state), learns(self), self.plan(), |input, state, plan| {
            self.run_plan(input, Some(state), None, plan)
        })?;
        Ok(self.output_of(run, start_v, None))
    }

    /// Runs the network like [`forward`](Self::forward), with a weight for each step in the
    /// activity, A = Σ_t m_t |ŝ|². This serves costs on activity at certain times, such as
    /// [`RestCost`](crate::RestCost), which then need no trajectory.
    ///
    /// - `weight`: m, `[B, T]`, or `[T, B]` if the layer is not `batch_first`. It has no gradient.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and if the shape of `weight` does not match the input.
    pub fn forward_weighted(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        weight: Tensor<2>,
    ) -> (NetworkOutput, SpikingState) {
        let weight = if self.layer.config().batch_first { weight } else { weight.transpose() };
        self.run(input, state, Some(weight.detach()), self.plan())
    }

    /// Runs the network like [`forward`](Self::forward), with a trajectory of the trace ŝ that is
    /// read. This serves costs on the trace, such as [`RestCost`](crate::RestCost).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_with_trace(&self, input: Tensor<3>, state: Option<SpikingState>) -> (NetworkOutput, SpikingState) {
        let mut plan = self.plan();
        plan.synapses.iter_mut().enumerate().for_each(|(k, synapse)| synapse.readout = plan.readout == Some(k));
        self.run(input, state, None, plan)
    }

    /// Runs the network like [`forward`](Self::forward), with the trace, the membrane potentials
    /// and the charges of all neurons in the trajectory.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_recording(&self, input: Tensor<3>, state: Option<SpikingState>) -> (NetworkOutput, SpikingState) {
        self.run(input, state, None, self.recording())
    }

    /// Runs the network like [`forward`](Self::forward), for samples that end at different steps;
    /// see [`SpikingRnn::forward_lengths`]. After the end of a sample its output is 0, even if the
    /// readout has a bias b. Its activity is the sum up to its end.
    ///
    /// - `input`: `[B, T, C]`, or `[T, B, C]` if the layer is not `batch_first`.
    /// - `lengths`: number of steps of each sample.
    /// - `state`: the initial state. If `None`, it is [`SpikingRnn::resting_state`].
    ///
    /// # Panics
    /// As [`SpikingRnn::forward_lengths`].
    pub fn forward_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
    ) -> (NetworkOutput, SpikingState) {
        self.run_lengths(input, lengths, state, self.plan())
    }

    /// Runs the network like [`forward_lengths`](Self::forward_lengths), with the trace, the
    /// membrane potentials and the charges of all neurons in the trajectory.
    ///
    /// # Panics
    /// As [`SpikingRnn::forward_lengths`].
    pub fn forward_lengths_recording(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
    ) -> (NetworkOutput, SpikingState) {
        self.run_lengths(input, lengths, state, self.recording())
    }

    /// Runs one time step, for online use. Returns the output `[B, O]` for the input `[B, C]`, and
    /// the state after the step.
    ///
    /// # Panics
    /// As [`SpikingRnn::forward`].
    pub fn step(&self, input: Tensor<2>, state: Option<SpikingState>) -> (Tensor<2>, SpikingState) {
        let input = self.layer.config().in_layout(input.unsqueeze_dim(1));
        let (run, state) = self.forward(input, state);
        (self.layer.config().in_layout(run.output).squeeze_dim(1), state)
    }

    /// Returns the layer's plan with a readout and without a trajectory.
    fn plan(&self) -> ScanPlan {
        let mut plan = ScanPlan::clone(self.layer.plan());
        plan.readout = plan.synapses.iter().position(|synapse| synapse.readout);
        plan.synapses.iter_mut().for_each(|synapse| synapse.readout = false);
        (plan.record_v, plan.record_charge, plan.record_w) = (false, false, false);
        plan
    }

    /// Returns the layer's plan with a readout and with the full trajectory.
    fn recording(&self) -> ScanPlan {
        let mut plan = self.plan();
        plan.synapses
            .iter_mut()
            .zip(&self.layer.plan().synapses)
            .for_each(|(own, layers)| own.readout = layers.readout);
        plan.recording_all()
    }

    fn run(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        activity_weight: Option<Tensor<2>>,
        plan: ScanPlan,
    ) -> (NetworkOutput, SpikingState) {
        let input = self.layer.config().in_layout(input);
        let state = self.layer.complete_state(state, input.dims()[0]);
        let start_v = state.v.clone();
        self.output_of(self.run_plan(input, Some(state), activity_weight, Arc::new(plan)), start_v, None)
    }

    /// Runs a plan like `run`, for samples that end at different steps.
    fn run_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        state: Option<SpikingState>,
        plan: ScanPlan,
    ) -> (NetworkOutput, SpikingState) {
        let input = self.layer.config().in_layout(input);
        let state = self.layer.complete_state(state, input.dims()[0]);
        self.layer.check_input(&input, &state);
        let (start_v, plan) = (state.v.clone(), Arc::new(plan));
        let run =
            run_lengths(input, lengths, state, |input, state| self.run_plan(input, Some(state), None, plan.clone()));
        self.output_of(run, start_v, Some(lengths))
    }

    /// Runs a plan of this network, and adds b to the output.
    fn run_plan(
        &self,
        input: Tensor<3>,
        state: Option<SpikingState>,
        activity_weight: Option<Tensor<2>>,
        plan: Arc<ScanPlan>,
    ) -> Run {
        let readout = ReadoutTensors { weights: Some(self.readout.weight.val()), activity_weight };
        let mut run = self.layer.run(input, state, readout, plan);
        if let Some(bias) = &self.readout.bias {
            run.output = run.output.map(|output| output + bias.val().unsqueeze());
        }
        run
    }

    /// Converts a run to the network's output and final state. The output has a trajectory if
    /// something was recorded.
    fn output_of(&self, mut run: Run, start_v: Tensor<2>, lengths: Option<&[usize]>) -> (NetworkOutput, SpikingState) {
        let output = run.output.take().expect("a plan with a readout gives its output");
        let activity = run.activity.take().expect("a plan with a readout gives its activity");
        let recorded = !run.traces.is_empty() || run.v.is_some() || run.charge.is_some();
        let (trajectory, state) = self.layer.output_of(run, start_v, lengths);
        let output = NetworkOutput {
            output: self.layer.config().in_layout(output),
            activity,
            trajectory: recorded.then_some(trajectory),
            timing: self.layer.timing(lengths),
        };
        (output, state)
    }
}
