//! The scan and its explicit adjoint in tensor operations, for backends without a kernel.
//!
//! The equations are those of [`scan`](super). All products are dense, because tensor operations
//! cannot select the active neurons. The tape keeps the current and the potential of every step
//! and, with a readout, its trace. The plan's checkpointing has no effect.

mod adjoint;
mod connection;
mod forward;
mod gradients;
mod network;

pub use adjoint::adjoint;
pub(super) use adjoint::direct_errors;
#[cfg(feature = "cube")]
pub(super) use adjoint::{d_on_the_way, direct_error_of_w, of_constant};
pub(super) use connection::{Connection, by_place};
pub use forward::forward;
#[cfg(feature = "cube")]
pub(super) use forward::output_and_activity;
pub(super) use forward::{Recorder, Recording};
pub(super) use gradients::Found;
pub(super) use network::State;

use super::dynamics::{DynamicsOn, NumberConstants, PlanarNumbers};
use super::tensor_number::TensorNumber;
use super::{OptionalTensor, ScanInputs, ScanPlan};
use crate::gate::Zone;
use crate::neuron::membrane::Membrane;
use crate::num::Own;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::TensorData;

/// The flow and the gate of a plan, on tensors with the dtype and the device of `like`.
pub(super) fn dynamics_of<B: Backend>(plan: &ScanPlan, like: &TensorNumber<B>) -> DynamicsOn<TensorNumber<B>> {
    let given = (plan.per_neuron.is_some() || plan.planar_constants).then(|| {
        let own = plan.own_constants();
        let row = |numbers: Vec<f64>| {
            let shape = [1, numbers.len()];
            let data = TensorData::new(numbers, shape).convert_dtype(like.0.dtype());
            TensorNumber::<B>(B::float_from_data(data, &like.0.device()))
        };
        let own_row = |numbers: Vec<f64>| Own(row(numbers));
        let (membranes, zones) = (own.membranes(plan.dt), own.zones());
        NumberConstants {
            membrane: plan.neuron.has_membrane().then(|| membranes.map(own_row)),
            zone: zones.map(own_row),
            planar: plan
                .planar_constants
                .then(|| PlanarNumbers { flow: [row(own.tau_mem), row(own.second)], jump: row(own.jump) }),
            decays: Vec::new(),
        }
    });
    DynamicsOn::new(&plan.neuron, plan.gate, plan.dt, given)
}

/// The flow and the gate of a plan, differentiable with respect to its tensor of
/// [`constants`](super::constants).
pub(super) fn dynamics_by<B: Backend>(plan: &ScanPlan, constants: &TensorNumber<B>) -> DynamicsOn<TensorNumber<B>> {
    let (types, kinds) = (plan.synapses.len(), plan.neuron_constants());
    let of = (constants.0.shape()[0] - types) / kinds;
    let row = |first: usize, length: usize| constants.part(first..first + length).unsqueezed(1);
    let of_neurons = |kind: usize| row(kind * of, of);
    let membrane = plan.neuron.has_membrane().then(|| Membrane::of(of_neurons(0), plan.dt).map(Own));
    let given = NumberConstants {
        membrane,
        zone: Zone::of(of_neurons(1)).map(Own),
        planar: plan
            .planar_constants
            .then(|| PlanarNumbers { flow: [of_neurons(0), of_neurons(2)], jump: of_neurons(3) }),
        decays: (0..types).map(|k| row(kinds * of + k, 1)).collect(),
    };
    DynamicsOn::new(&plan.neuron, plan.gate, plan.dt, Some(given))
}

/// The connections of each synapse type of a run.
pub(super) fn connections_of<B: Backend>(inputs: &ScanInputs<B>, plan: &ScanPlan) -> Vec<Option<Connection<B>>> {
    Connection::of(plan, tensor(&inputs.weights).as_ref(), tensor(&inputs.self_weights).as_ref())
}

/// A tensor of the tape, which the forward run must have kept.
pub(super) fn kept<B: Backend>(slot: &OptionalTensor<B>) -> TensorNumber<B> {
    tensor(slot).expect("the forward run kept its tape")
}

/// The tensor of a slot, if there is one.
pub(super) fn tensor<B: Backend>(slot: &OptionalTensor<B>) -> Option<TensorNumber<B>> {
    slot.as_option().map(|tensor| TensorNumber(tensor.clone()))
}

/// The drive x, `[B, T, N]`, projected if the inputs have a projection.
pub(super) fn drive_of<B: Backend>(inputs: &ScanInputs<B>) -> TensorNumber<B> {
    let drive = TensorNumber::<B>(inputs.drive.clone());
    let Some(projection) = tensor(&inputs.projection) else { return drive };
    let projected = drive.product_last(projection);
    match tensor(&inputs.bias) {
        Some(bias) => projected + bias.unsqueezed(2),
        None => projected,
    }
}
