//! The parameters of the network, in the form that the kernel reads.

use super::matrix::Matrix;
use super::network::{Network, Projection, Weights};
use super::planar::jumps_of;
use super::rows::Row;
use super::schedule::Sizes;
use super::storage::Storage;
use crate::num::Real;
use crate::scan::{OptionalTensor, ScanInputs, ScanPlan};

/// The parameters of the network, in the form that the kernel reads.
pub(super) struct Parameters<T> {
    pub(super) weights: Vec<Weights<T>>,
    /// d, one row for each synapse type that connects each neuron to itself alone.
    pub(super) self_weights: Matrix<T>,
    pub(super) projection: Option<Projection<T>>,
    /// Oᵀ.
    pub(super) readout: Option<Matrix<T>>,
}

impl<T: Real> Parameters<T> {
    pub(super) fn of<B: Storage>(inputs: &ScanInputs<B>, sizes: Sizes) -> Self {
        let Sizes { neurons, outputs, .. } = sizes;
        let matrix = |slot: &OptionalTensor<B>, columns: usize| {
            let tensor = B::contiguous(slot.as_option()?.clone());
            Some(Matrix::padded(B::slice::<T>(&tensor), columns))
        };
        let bias = |slot: &OptionalTensor<B>| match slot.as_option() {
            Some(bias) => Row::of(B::slice::<T>(&B::contiguous(bias.clone()))),
            None => Row::zeros(neurons),
        };
        let planes = match inputs.weights.as_option() {
            Some(weights) => {
                let weights = B::contiguous(weights.clone());
                let planes = B::slice::<T>(&weights).chunks_exact(neurons * neurons);
                planes.map(|plane| Weights::new(Matrix::padded(plane, neurons))).collect()
            }
            None => Vec::new(),
        };
        Self {
            weights: planes,
            self_weights: matrix(&inputs.self_weights, neurons).unwrap_or_else(|| Matrix::zeros(0, neurons)),
            projection: matrix(&inputs.projection, neurons)
                .map(|weights| Projection { weights, bias: bias(&inputs.bias) }),
            readout: matrix(&inputs.readout, outputs).map(|readout| readout.transposed(outputs)),
        }
    }

    pub(super) fn network<'a>(&'a self, plan: &'a ScanPlan, sizes: Sizes) -> Network<'a, T> {
        let Sizes { batch, steps, neurons, .. } = sizes;
        Network {
            synapses: &plan.synapses,
            weights: &self.weights,
            self_weights: &self.self_weights,
            projection: self.projection.as_ref(),
            readout: plan.readout.zip(self.readout.as_ref()),
            adjoint_limit: plan.adjoint.adjoint_limit(batch, steps),
            constants: plan.constants,
            surrogate: plan.surrogate().is_some(),
            jumps: plan.neuron.is_planar().then(|| jumps_of(plan, neurons)),
            neuron_constants: plan.neuron_constants(),
            planar_constants: plan.planar_constants,
            neurons,
            silence: Row::zeros(neurons),
            everyone: (0..neurons as u32).collect(),
        }
    }
}
