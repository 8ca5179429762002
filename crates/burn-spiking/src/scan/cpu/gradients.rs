//! The gradients that samples share. Each group of samples has its own sums, and the sums of the
//! groups are added in the order of the groups.

use super::matrix::Matrix;
use super::schedule::Sizes;
use super::storage::{Storage, slot_of};
use crate::num::Real;
use crate::scan::{GradientMask, InputGradients, OptionalTensor, ScanPlan};
use rayon::prelude::*;

/// The gradients to which samples add. Each is empty if it is not wanted.
pub(super) struct Sums<T> {
    /// ∂C/∂W, `[N, N]` for each synapse type that has weights.
    pub(super) weights: Vec<Matrix<T>>,
    /// ∂C/∂d, `[L, N]`.
    pub(super) self_weights: Option<Matrix<T>>,
    /// ∂C/∂U, `[C, N]`.
    pub(super) projection: Option<Matrix<T>>,
    /// ∂C/∂I_o, `[1, N]`.
    pub(super) bias: Option<Matrix<T>>,
    /// ∂C/∂O, transposed: `[O, N]`.
    pub(super) readout: Option<Matrix<T>>,
    /// Each neuron's part of the gradient of the [`constants`](crate::scan::constants), with a row
    /// for each.
    pub(super) constants: Option<Matrix<T>>,
}

impl<T: Real> Sums<T> {
    /// Makes sums of 0 for the wanted gradients and `planes` weight planes.
    pub(super) fn zeros(sizes: Sizes, planes: usize, wanted: GradientMask) -> Self {
        let Sizes { neurons, synapses, neuron_constants, self_rows, channels, outputs, .. } = sizes;
        Self {
            weights: (0..planes).map(|_| Matrix::zeros(neurons, neurons)).collect(),
            self_weights: wanted.self_weights.then(|| Matrix::zeros(self_rows, neurons)),
            projection: wanted.projection.then(|| Matrix::zeros(channels, neurons)),
            bias: wanted.bias.then(|| Matrix::zeros(1, neurons)),
            readout: wanted.readout.then(|| Matrix::zeros(outputs, neurons)),
            constants: wanted.constants.then(|| Matrix::zeros(neuron_constants + synapses, neurons)),
        }
    }
}

/// Computes the gradients that samples share from the sums of the groups. In the result, the drive
/// and s_0 are absent and v_0 is 0.
pub(super) fn parameter_gradients<B: Storage, T: Real>(
    partial: &[Sums<T>],
    (planes, sizes): (usize, Sizes),
    plan: &ScanPlan,
) -> InputGradients<B> {
    let Sizes { neurons, self_rows, channels, outputs, .. } = sizes;
    let weights = total_of(partial, planes * neurons, neurons, |sums, at| sums.weights[at / neurons].row(at % neurons));
    let summed = |of: fn(&Sums<T>) -> Option<&Matrix<T>>| {
        let rows = of(&partial[0])?.rows();
        Some(total_of(partial, rows, neurons, |sums, at| of(sums).expect("all groups sum the same").row(at)))
    };
    let self_weights = summed(|sums| sums.self_weights.as_ref());
    let projection = summed(|sums| sums.projection.as_ref());
    let bias = summed(|sums| sums.bias.as_ref());
    let readout = summed(|sums| sums.readout.as_ref()).map(|rows| {
        let columns = (0..neurons).flat_map(|j| (0..outputs).map(move |r| r * neurons + j));
        columns.map(|at| rows[at]).collect::<Vec<T>>()
    });
    let constants = summed(|sums| sums.constants.as_ref()).map(|rows| {
        // With per-neuron constants, the gradients of the neurons' constants are not summed.
        let own = if plan.per_neuron.is_some() { plan.neuron_constants() * neurons } else { 0 };
        let total = |row: &[T]| T::of(row.iter().map(|x| x.to_f64()).sum::<f64>());
        let shared = rows[own..].chunks_exact(neurons).map(total);
        rows[..own].iter().copied().chain(shared).collect::<Vec<T>>()
    });
    InputGradients {
        drive: OptionalTensor::Absent,
        projection: slot_of::<B, T>(projection, &[channels, neurons]),
        bias: slot_of::<B, T>(bias, &[neurons]),
        weights: slot_of::<B, T>((planes > 0).then_some(weights), &[planes, neurons, neurons]),
        self_weights: slot_of::<B, T>(self_weights, &[self_rows, neurons]),
        v0: B::from_vec(vec![T::default(); sizes.batch * neurons], &[sizes.batch, neurons]),
        s0: OptionalTensor::Absent,
        readout: slot_of::<B, T>(readout, &[neurons, outputs]),
        constants: slot_of::<B, T>(constants, &[plan.constants_len(neurons)]),
    }
}

/// Adds the rows of the partial sums in the order of the groups.
pub(super) fn total_of<T: Real, X: Sync>(
    partial: &[X],
    rows: usize,
    neurons: usize,
    of: impl Fn(&X, usize) -> &[T] + Sync,
) -> Vec<T> {
    let mut total = vec![T::default(); rows * neurons];
    total.par_chunks_exact_mut(neurons).enumerate().for_each(|(at, row)| {
        for sums in partial {
            row.iter_mut().zip(of(sums, at)).for_each(|(sum, &summand)| *sum += summand);
        }
    });
    total
}
