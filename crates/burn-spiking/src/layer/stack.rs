//! Stacks of layers, each of which runs on the traces of the layer before.
//!
//! [`SpikingStackConfig`] → [`SpikingStack`]. Each layer may have its own neuron model, gate and
//! synapse types. The input of a layer in a step is the trace of the layer below in the same step,
//! so a spike passes through the whole stack within one step.

use crate::error::{ConfigError, at_least_one};
use crate::gate::Gate;
use crate::layer::config::SpikingRnnConfig;
use crate::layer::rnn::SpikingRnn;
use crate::layer::state::SpikingState;
use crate::layer::trajectory::{StepOutput, Trajectory};
use crate::scan::{Adjoint, Implementation};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};

/// Configuration of a [`SpikingStack`].
#[derive(Config, Debug, PartialEq)]
pub struct SpikingStackConfig {
    /// The layers, in order from the input.
    pub layers: Vec<SpikingRnnConfig>,
}

impl SpikingStackConfig {
    /// Initialises a stack on a device: `init(&device)`, or `init((&device, DType::F64))` for
    /// double precision.
    ///
    /// # Errors
    /// [`ConfigError`] as in [`SpikingRnnConfig::init`], if there are no layers, or if a layer does
    /// not fit the layer below.
    pub fn init(&self, options: impl Into<TensorCreationOptions>) -> Result<SpikingStack, ConfigError> {
        at_least_one("number of layers", self.layers.len(), "give the layers from the input on")?;
        for (at, pair) in self.layers.windows(2).enumerate() {
            let [below, above] = pair else { unreachable!("windows of two") };
            let read = below.synapses.iter().filter(|synapse| synapse.readout).count();
            if read != 1 {
                return Err(ConfigError::Mismatch(format!(
                    "layer {at} reads {read} synapse types, but layer {} wants 1 trace; mark one synapse as read, and the others \
                     as Synapse::recurrent_only",
                    at + 1
                )));
            }
            if above.d_input != below.d_hidden {
                return Err(ConfigError::Mismatch(format!(
                    "layer {} has d_input {}, but layer {at} has {} neurons; make them equal",
                    at + 1,
                    above.d_input,
                    below.d_hidden
                )));
            }
            if above.dt != below.dt {
                return Err(ConfigError::Mismatch(format!(
                    "layer {at} has steps of {} ms, but layer {} of {} ms; make them equal",
                    below.dt,
                    at + 1,
                    above.dt
                )));
            }
            if above.batch_first != below.batch_first {
                return Err(ConfigError::Mismatch(format!(
                    "layer {at} has batch_first {}, but layer {} has {}; make them equal",
                    below.batch_first,
                    at + 1,
                    above.batch_first
                )));
            }
        }
        let options = options.into();
        let layers: Result<Vec<_>, _> = self.layers.iter().map(|layer| layer.init(options.clone())).collect();
        Ok(SpikingStack { layers: layers? })
    }
}

/// Layers, each of which runs on the traces of the layer before. Create it with
/// [`SpikingStackConfig`].
#[derive(Module, Debug)]
pub struct SpikingStack {
    /// The layers, in order from the input.
    pub layers: Vec<SpikingRnn>,
}

/// The output of each layer, and the final states.
type StackRun<T> = (Vec<T>, Vec<SpikingState>);

impl SpikingStack {
    /// Returns the configuration of the stack.
    pub fn config(&self) -> SpikingStackConfig {
        SpikingStackConfig::new(self.layers.iter().map(|layer| layer.config().clone()).collect())
    }

    /// Returns the same stack with another implementation of its runs.
    pub fn with_implementation(self, implementation: Implementation) -> Self {
        Self { layers: self.layers.into_iter().map(|layer| layer.with_implementation(implementation)).collect() }
    }

    /// Returns the same stack with another adjoint in all layers; see [`SpikingRnn::with_adjoint`].
    ///
    /// # Errors
    /// As [`SpikingRnn::with_adjoint`].
    pub fn with_adjoint(self, adjoint: Adjoint) -> Result<Self, ConfigError> {
        self.with_each(|layer| layer.with_adjoint(adjoint))
    }

    /// Returns the same stack with another gate in all layers; see [`SpikingRnn::with_gate`].
    ///
    /// # Errors
    /// As [`SpikingRnn::with_gate`].
    pub fn with_gate(self, gate: Gate) -> Result<Self, ConfigError> {
        self.with_each(|layer| layer.with_gate(gate))
    }

    /// Returns the same stack with steps of `dt` ms; see [`SpikingRnn::with_dt`].
    ///
    /// # Errors
    /// As [`SpikingRnn::with_dt`].
    pub fn with_dt(self, dt: f64) -> Result<Self, ConfigError> {
        self.with_each(|layer| layer.with_dt(dt))
    }

    fn with_each(self, change: impl Fn(SpikingRnn) -> Result<SpikingRnn, ConfigError>) -> Result<Self, ConfigError> {
        Ok(Self { layers: self.layers.into_iter().map(change).collect::<Result<_, _>>()? })
    }

    /// Runs the stack over an input.
    ///
    /// - `input`: `[B, T, C]`, or `[T, B, C]` if the layers are not `batch_first`.
    /// - `states`: the initial state of each layer. If `None`, it is [`SpikingRnn::resting_state`]
    ///   of each layer.
    ///
    /// Returns the trajectory of each layer and the final states. The last trajectory is the output
    /// of the stack. A call that starts from the final states continues the run.
    ///
    /// # Panics
    /// If the number of states is not the number of layers; otherwise as [`SpikingRnn::forward`].
    pub fn forward(&self, input: Tensor<3>, states: Option<Vec<SpikingState>>) -> StackRun<Trajectory> {
        self.run(input, states, Trajectory::trace, |layer, input, state| layer.forward(input, state))
    }

    /// Runs the stack like [`forward`](Self::forward), for samples that end at different steps; see
    /// [`SpikingRnn::forward_lengths`].
    ///
    /// - `lengths`: number of steps of each sample.
    ///
    /// # Panics
    /// If the number of states is not the number of layers; otherwise as
    /// [`SpikingRnn::forward_lengths`].
    pub fn forward_lengths(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        states: Option<Vec<SpikingState>>,
    ) -> StackRun<Trajectory> {
        self.run(input, states, Trajectory::trace, |layer, input, state| layer.forward_lengths(input, lengths, state))
    }

    /// Runs the stack like [`forward`](Self::forward). All trajectories contain membrane potentials
    /// and charges.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_recording(&self, input: Tensor<3>, states: Option<Vec<SpikingState>>) -> StackRun<Trajectory> {
        self.run(input, states, Trajectory::trace, |layer, input, state| layer.forward_recording(input, state))
    }

    /// Runs the stack like [`forward_lengths`](Self::forward_lengths). All trajectories contain
    /// membrane potentials and charges.
    ///
    /// # Panics
    /// As [`forward_lengths`](Self::forward_lengths).
    pub fn forward_lengths_recording(
        &self,
        input: Tensor<3>,
        lengths: &[usize],
        states: Option<Vec<SpikingState>>,
    ) -> StackRun<Trajectory> {
        self.run(input, states, Trajectory::trace, |layer, input, state| {
            layer.forward_lengths_recording(input, lengths, state)
        })
    }

    /// Runs one time step, for online use. The result is that of [`forward`](Self::forward) over
    /// one step.
    ///
    /// - `input`: `[B, C]`.
    /// - `states`: the initial state of each layer. If `None`, it is [`SpikingRnn::resting_state`]
    ///   of each layer.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn step(&self, input: Tensor<2>, states: Option<Vec<SpikingState>>) -> StackRun<StepOutput> {
        self.run(input, states, StepOutput::trace, |layer, input, state| layer.step(input, state))
    }

    /// Runs the layers one after another, each on the trace of the layer below.
    fn run<T, const D: usize>(
        &self,
        input: Tensor<D>,
        states: Option<Vec<SpikingState>>,
        trace: impl Fn(&T) -> Tensor<D>,
        run: impl Fn(&SpikingRnn, Tensor<D>, Option<SpikingState>) -> (T, SpikingState),
    ) -> StackRun<T> {
        let layers = self.layers.len();
        let states: Vec<Option<SpikingState>> = match states {
            Some(states) => states.into_iter().map(Some).collect(),
            None => (0..layers).map(|_| None).collect(),
        };
        assert_eq!(states.len(), layers, "{} states are given, but the stack has {layers} layers", states.len());
        let (mut runs, mut last) = (Vec::<T>::with_capacity(layers), Vec::with_capacity(layers));
        for (layer, state) in self.layers.iter().zip(states) {
            let input = runs.last().map_or_else(|| input.clone(), &trace);
            let (of_layer, state) = run(layer, input, state);
            runs.push(of_layer);
            last.push(state);
        }
        (runs, last)
    }
}
