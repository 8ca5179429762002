//! Spiking neural networks that learn by *exact* gradient descent, as layers of [Burn](https://burn.dev).
//!
//! A smooth gate replaces the all-or-none synapse, so that a network of spiking neurons becomes differentiable (Huh &
//! Sejnowski, "Gradient Descent for Spiking Neural Networks", 2017). The layer runs all time steps in one operation whose
//! backward pass is the exact adjoint, written by hand: the error flows only through the gate's active zone, as sparsely as
//! the spikes do.
//!
//! - [`SpikingRnnConfig`] → [`SpikingRnn`] → [`SpikingState`]: the layer, used like Burn's `Lstm`.
//! - [`SpikingNetwork`]: the layer with a linear readout in the same operation, for little memory.
//! - [`Neuron`], [`Gate`], [`Synapse`]: what it is made of.
//! - [`NeuronModel`]: a neuron of your own; [`gradcheck`]: whether its gradient is one.
//! - [`TrackingLoss`]: the cost of a readout that should follow a target.
//! - [`Firing`]: rates, silent and active neurons; `metric` (feature `train`): the same as metrics of Burn's learner.
//! - [`scan`]: the operation, its equations and its adjoint.
//!
//! # Mistakes
//!
//! Each is told with the value, its limit and the remedy, where it is made:
//!
//! | mistake | where | how |
//! | --- | --- | --- |
//! | dt, τ, τ_v, τ_m not above 0 or not finite; a gate's width outside (0, 1]; no neurons, channels or synapse types; τ_m for a neuron with a time constant of its own; λ below 0 | [`SpikingRnnConfig::init`], [`TrackingLossConfig::init`] | [`ConfigError`] |
//! | an input or a state of another shape, batch size, dtype or device; no samples or no steps; a gradient asked of [`Gate::Threshold`] | [`SpikingRnn::forward`] | panic at the layer's entry |
//! | infinite values or NaN in input, state or parameters; a gradient that is not finite | [`SpikingRnn::forward`], the backward pass | panic that names neuron and sample; by the CPU kernel always, elsewhere with [`check_finite`](SpikingRnnConfig::check_finite) |
//! | a record of other constants, or one that cannot be read or written | [`SpikingRnn::load`], [`SpikingRnn::save`] | [`RecordError`] |
//! | a task that cannot be, such as gaps that do not fit the trial | the task's `dataset` in `burn-spiking-tasks` | its `TaskError` |
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
//! let input = Tensor::random([4, 100, 3], Distribution::Normal(0.0, 1.0), &device); // [batch, time, channels]
//! let (trajectory, state) = layer.forward(input, None);
//! let gradients = trajectory.trace().square().mean().backward();
//! assert_eq!(layer.recurrent[0].grad(&gradients).unwrap().dims(), [20, 20]);
//! assert_eq!(state.v.dims(), [4, 20]);
//! # }
//! # Ok::<(), burn_spiking::ConfigError>(())
//! ```

// Burn 0.22 deprecates its NdArray backend, which users may still ask for.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

#[cfg(feature = "train")]
pub mod average;
pub mod dual;
pub mod error;
pub mod firing;
pub mod gate;
pub mod gradcheck;
pub mod lanes;
pub mod loss;
#[cfg(feature = "train")]
pub mod metric;
pub mod network;
pub mod neuron;
pub mod number;
pub mod readout;
pub mod rnn;
pub mod scan;
pub mod sequence;
pub mod stack;
pub mod state;
pub mod synapse;
pub mod wiring;

#[cfg(feature = "train")]
pub use average::Averaged;
pub use error::{ConfigError, RecordError};
pub use firing::{Firing, spikes};
pub use gate::Gate;
pub use loss::{PotentialFloor, RateBounds, RateBoundsConfig, TrackingLoss, TrackingLossConfig};
pub use network::{NetworkOutput, SpikingNetwork, SpikingNetworkConfig};
pub use neuron::{Neuron, NeuronModel};
pub use readout::{ClassificationLoss, Scores, rates_hz, spike_counts};
pub use rnn::{Initial, SpikingRnn, SpikingRnnConfig, Trajectory};
pub use scan::{Adjoint, Body, Checkpoint};
pub use sequence::{Step, step_mask};
pub use stack::{SpikingStack, SpikingStackConfig};
pub use state::SpikingState;
pub use synapse::Synapse;
pub use wiring::Wiring;

/// The README's code compiles and runs.
#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
