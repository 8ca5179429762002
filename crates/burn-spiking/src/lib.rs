//! Spiking neural networks that learn by *exact* gradient descent, as layers of
//! [Burn](https://burn.dev).
//!
//! A smooth gate replaces the all-or-none synapse. This makes a network of spiking neurons
//! differentiable (Huh & Sejnowski, "Gradient Descent for Spiking Neural Networks", 2017). The
//! layer runs all time steps in one operation. Its backward pass is the exact adjoint, written by
//! hand. Errors pass only through the gate's active zone, so they are as sparse as the spikes.
//!
//! - [`SpikingRnnConfig`] → [`SpikingRnn`] → [`SpikingState`]: the layer, used like Burn's `Lstm`.
//! - [`SpikingNetwork`]: the layer and a linear readout in one operation, which saves memory.
//! - [`SpikingStack`]: several layers. The traces of each are the input of the next.
//! - [`Neuron`], [`Gate`], [`Synapse`], [`Wiring`]: the parts of a layer; [`Learned`]: the
//!   constants that are learned.
//! - [`NeuronModel`]: a user-defined neuron, [`PlanarModel`](neuron::planar::PlanarModel): one with
//!   two variables; [`gradcheck`]: a check of its gradient.
//! - [`TrackingLoss`]: the cost of a readout that should follow a target; [`ClassificationLoss`]
//!   with its [`Scores`]; [`FirstSpikeLoss`] on the times of [`FirstSpikes`]; [`RestCost`],
//!   [`RateBounds`] and [`PotentialFloor`]: costs on the neurons' activity.
//! - [`Firing`]: rates, silent and active neurons; `train::metric` (feature `train`): the same, and
//!   the gradient's norm, as metrics of Burn's learner.
//! - `Streamed`, `Scaling`, `Skipping`, `Averaged`, `ScoreSchedule` (feature `train`): streams that
//!   continue from their own last state, scaled gradients, skipped gradients that are not finite,
//!   the running mean of the parameters, and numbers of a task that follow the score.
//! - [`scan`]: the operation, its equations and its adjoint.
//!
//! # Combinations
//!
//! All parts combine with each other, in single and double precision, except those in this table.
//! The table of mistakes below says where the crate refuses them.
//!
//! | part | with | what happens |
//! | --- | --- | --- |
//! | [`Gate::Threshold`] | a gradient | refused when the layer runs: a threshold-triggered spike has no gradient; [`Adjoint::MeanField`] and [`Adjoint::Surrogate`] do not need one |
//! | a learned τ_mem | NIF, EIF, Izhikevich and user-defined neurons | refused by the configuration |
//! | a learned τ_w, frequency or jump of w ([`Learned`]) | neurons that have none | refused by the configuration |
//! | learned τ_mem, τ_w, frequency or jump of neurons of two variables | a GPU | runs in tensor operations |
//! | learned thresholds | QIF, EIF, user-defined neurons, neurons of two variables | refused by the configuration: only NIF and LIF have thresholds that can be learned |
//! | a learned width | [`Gate::Threshold`] | refused by the configuration: it has no width |
//! | a gate width per neuron ([`Learn::PerNeuron`]) | user-defined neurons of one variable | runs in tensor operations, without the CPU kernel |
//! | [`Integrator::Heun`] | [`Adjoint::Limited`], [`Adjoint::MeanField`], [`Adjoint::Surrogate`] | refused by the configuration: Burn differentiates Heun's steps automatically |
//! | a delay of a [`Synapse`] | a dt of which the delay is not a multiple; [`Synapse::readout_only`]; [`Integrator::Heun`] | refused by the configuration |
//! | [learned delays](layer::delays) | types that do not connect neurons to each other; [`Integrator::Heun`]; [`Adjoint::MeanField`]; a dt of which the longest is not a multiple | refused by the configuration |
//! | [first-spike times](layer::first_spike) | a learned τ_mem; [`Adjoint::MeanField`]; [`Adjoint::Surrogate`]; EIF, neurons of two variables, and user-defined neurons without [`time_to_threshold`](NeuronModel::time_to_threshold) | refused when they are asked for |
//! | [`Integrator::Heun`] | [`Gate::Threshold`] | refused by the configuration: its gradient would be 0 |
//! | [`Integrator::Heun`] | [`check_finite`](SpikingRnnConfig::check_finite), [`NonFiniteGradient::Nan`] | refused by the configuration: nothing checks its tensor operations for infinite values and NaN |
//! | [`Integrator::Heun`] | [`Checkpointing`], [`Implementation`] | no effect: it runs in tensor operations and keeps all steps |
//! | `time_unit` | neurons with a τ_mem | refused by the configuration: their τ_mem is the unit of time |
//! | [`SpikingNetwork`], a lower layer of a [`SpikingStack`] | a layer without a readout synapse type, or with several | refused by the configuration |
//! | [`Wiring::Groups`] | [`Synapse::readout_only`] | this type has no connections; `inputs` still applies |
//! | [`Wiring`], autapses, Dale's law | [`Connections::SelfOnly`] | no effect on self-weights, which may have either sign |
//! | a learned start | a state given to `forward` | the given state is used |
//! | [`Checkpointing`] | backends without a kernel; on a GPU with [`Adjoint::Limited`] | no effect: all steps are kept |
//! | double precision | a GPU by Vulkan, Metal or DirectX | fails: these have no functions in double precision |
//! | [`Adjoint::MeanField`] | a delay of a [`Synapse`]; [`Learned`] τ_mem, τ_k and width; a neuron without [`rate_curve`](NeuronModel::rate_curve), such as those of two variables | refused by the configuration |
//! | [`Adjoint::MeanField`] | costs on potentials, learned initial potentials | no gradient: rates have no potentials |
//! | [`Adjoint::Surrogate`] | gates other than `Gate::Threshold { at: 1.0 }`; neurons other than NIF and LIF; [`Learned`] τ_mem, τ_k and width | refused by the configuration |
//! | [`Adjoint::Surrogate`] | a GPU | runs in tensor operations |
//! | [`Adjoint::Limited`], [`Adjoint::MeanField`] | [`Implementation::Autodiff`] | no effect: automatic differentiation is exact |
//! | EIF | steps longer than the shortest interval between spikes | only the first spike in a step is exact; further spikes in it are approximate |
//! | neurons of two variables | [`Integrator::Heun`] | refused by the configuration |
//! | LIF with a refractory period | sub-steps longer than the period | refused by the configuration |
//! | user-defined neurons | a configuration read from a file | refused until the model is given again |
//!
//! A refractory period begins with a reset and ends in the middle of a step, so its remaining time
//! is a second variable of the neuron: [`RefractoryLif`](neuron::RefractoryLif). The other models
//! have none.
//!
//! A charge takes one step to arrive. A [delay](Synapse::with_delay) is added to that step. It is
//! the same for all connections of a synapse type, unless it is
//! [learned](Synapse::with_learned_delays).
//!
//! # Mistakes
//!
//! Each mistake is reported where it is made, with the value, its limit and the remedy:
//!
//! | mistake | where | how |
//! | --- | --- | --- |
//! | dt, τ, τ_mem, τ_u not above 0 or not finite; a gate's width outside (0, 1]; no neurons, channels or synapse types; τ_u for a neuron with a τ_mem; groups whose sizes do not add up to the number of neurons; a share outside its range; layers that do not fit each other; λ below 0, rate bounds that cross | `init` of the configuration | [`ConfigError`] |
//! | an input or a state of another shape, batch size, dtype or device; no samples or no steps; lengths that do not fit the input; a gradient through [`Gate::Threshold`] | [`SpikingRnn::forward`] | panic at the entry of the layer; [`SpikingRnn::try_forward`] returns a [`ForwardError`] |
//! | infinite values or NaN in input, state or parameters; a gradient that is not finite | [`SpikingRnn::forward`], the backward pass | panic that names neuron and sample; always in the CPU kernel, elsewhere with [`check_finite`](SpikingRnnConfig::check_finite). With [`NonFiniteGradient::Nan`] the gradient is NaN instead, for `Skipping` (feature `train`) to skip |
//! | a record with other constants, or a record that cannot be read or written | [`SpikingRnn::load`], [`SpikingRnn::save`] | [`RecordError`] |
//! | an impossible task, such as gaps that do not fit into the trial | the task's `dataset` in `burn-spiking-tasks` | its `TaskError` |
//!
//! # Records
//!
//! This table shows the contents of a layer's record, in any model that holds the layer, and the
//! checks when a record is loaded: by Burn's `try_load_record`, by the `load` of a layer, a network
//! or a stack, or by a checkpoint.
//!
//! | part of a layer | in the record | when it is loaded |
//! | --- | --- | --- |
//! | parameters with their ids, including those of learned constants and of a learned initial state | as tensors | Burn checks the shapes |
//! | sizes, neuron, gate, synapse types, dt, τ_u, bias, autapses, wiring, Dale's law, whether the initial state is learned, which constants are learned, integrator | as text in the tensor `config.constants` | any difference is refused, and the message names both values |
//! | connections given by [`with_connections`](SpikingRnn::with_connections) | as tensors `config.connections_k` | the layer uses them |
//! | layout, recorded quantities, `checkpointing`, adjoint, `check_finite`, `non_finite_gradient`, initial weights | only in the JSON file that [`SpikingRnn::save`] writes next to the record | the layer keeps its own values, since they do not change the meaning of the parameters |
//! | [`SpikingState`] | no; the record of `Streamed` (feature `train`) contains the states of its streams | you keep it between runs |
//! | a record of parameters only, without constants | | refused, unless `allow_partial(true)` is set; then the log has a warning |
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::{Device, Distribution, Tensor};
//! use burn_spiking::SpikingRnnConfig;
//!
//! let device = Device::flex().autodiff();
//! let layer = SpikingRnnConfig::new(3, 20).init(&device)?;
//! // [batch, time, channels]
//! let input = Tensor::random([4, 100, 3], Distribution::Normal(0.0, 1.0), &device);
//! let (trajectory, state) = layer.forward(input, None);
//! let gradients = trajectory.trace().square().mean().backward();
//! assert_eq!(layer.recurrent_weights[0].grad(&gradients).unwrap().dims(), [20, 20]);
//! assert_eq!(state.v.dims(), [4, 20]);
//! # }
//! # Ok::<(), burn_spiking::ConfigError>(())
//! ```

// Burn 0.22 deprecates its NdArray and LibTorch backends, but users may still choose them.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

pub mod error;
pub mod gate;
pub mod gradcheck;
pub mod layer;
pub mod neuron;
#[cfg_attr(
    not(any(feature = "flex", feature = "ndarray")),
    allow(dead_code, unused_imports, reason = "only the CPU kernel has a use for vectors")
)]
mod num;
pub mod scan;
pub mod synapse;
pub mod train;
pub mod wiring;

pub use error::{ConfigError, ForwardError, RecordError};
pub use gate::Gate;
pub use layer::config::{InitialWeights, SpikingRnnConfig};
pub use layer::constants::{Learn, Learned};
pub use layer::first_spike::{FirstSpikeLoss, FirstSpikes};
pub use layer::network::{NetworkOutput, SpikingNetwork, SpikingNetworkConfig};
pub use layer::rnn::SpikingRnn;
pub use layer::sequence::{Timing, step_mask};
pub use layer::stack::{SpikingStack, SpikingStackConfig};
pub use layer::state::SpikingState;
pub use layer::trajectory::{StepOutput, Trajectory};
pub use neuron::{Neuron, NeuronModel};
pub use num::number;
pub use scan::{Adjoint, Checkpointing, Implementation, Integrator, NonFiniteGradient, Surrogate};
pub use synapse::{Connections, DelayOf, LearnedDelays, Synapse};
#[cfg(feature = "train")]
pub use train::average::Averaged;
#[cfg(feature = "train")]
pub use train::clip::{GradientScale, Scaling};
pub use train::firing::Firing;
pub use train::loss::{PotentialFloor, RateBounds, RateBoundsConfig, RestCost, TrackingLoss, TrackingLossConfig};
pub use train::readout::{ClassificationLoss, Scores};
#[cfg(feature = "train")]
pub use train::schedule::{FollowScore, ScoreSchedule};
#[cfg(feature = "train")]
pub use train::skip::{Skipping, finite_gradients};
#[cfg(feature = "train")]
pub use train::stream::{Chunk, Streamed};
pub use wiring::Wiring;

/// The README's code compiles and runs.
#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
