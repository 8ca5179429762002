//! The connections of a synapse type in tensor operations: the current J = W s of its traces, the
//! errors WᵀP that come back, and the gradient of the weights. For a type that connects each neuron
//! to itself alone, W is the diagonal matrix of the self-weights d.

use crate::scan::tensor_number::TensorNumber;
use crate::scan::{ScanConnections, ScanPlan};
use burn::backend::Backend;

/// The weights of a synapse type that connects neurons.
#[derive(Debug, Clone)]
pub(crate) enum Connection<B: Backend> {
    /// W, `[N, N]`, stored `[pre, post]`.
    Plane(TensorNumber<B>),
    /// d, `[1, N]`.
    SelfRow(TensorNumber<B>),
}

impl<B: Backend> Connection<B> {
    /// The connections of each synapse type; `None` for a type that connects no neurons.
    pub(crate) fn of(
        plan: &ScanPlan,
        weights: Option<&TensorNumber<B>>,
        self_weights: Option<&TensorNumber<B>>,
    ) -> Vec<Option<Self>> {
        let of = |connections| match connections {
            ScanConnections::None => None,
            ScanConnections::Plane(plane) => Some(Self::Plane(weights?.index(0, plane))),
            ScanConnections::SelfRow(row) => Some(Self::SelfRow(self_weights?.index(0, row).unsqueezed(1))),
        };
        plan.synapses.iter().map(|synapse| of(synapse.connections)).collect()
    }

    /// J = W s of traces `[B, N]`.
    pub(crate) fn current(&self, s: TensorNumber<B>) -> TensorNumber<B> {
        match self {
            Self::Plane(weights) => s.product(weights.clone()),
            Self::SelfRow(weights) => s * weights.clone(),
        }
    }

    /// J = W s of traces `[B, T, N]`.
    pub(crate) fn currents(&self, s: TensorNumber<B>) -> TensorNumber<B> {
        match self {
            Self::Plane(weights) => s.product_last(weights.clone()),
            Self::SelfRow(weights) => s * weights.clone().unsqueezed(1),
        }
    }

    /// WᵀP of adjoints `[B, N]`.
    pub(crate) fn errors(&self, p: TensorNumber<B>) -> TensorNumber<B> {
        match self {
            Self::Plane(weights) => p.product(weights.clone().transposed()),
            Self::SelfRow(weights) => p * weights.clone(),
        }
    }

    /// ∂C/∂W = Σ s ⊗ P over rows `[rows, N]`, or ∂C/∂d = Σ s ∘ P, `[N]`.
    pub(crate) fn gradient(&self, s: TensorNumber<B>, p: TensorNumber<B>) -> TensorNumber<B> {
        match self {
            Self::Plane(_) => s.transposed().product(p),
            Self::SelfRow(_) => (s * p).summed_rows(),
        }
    }

    /// Σ W ∘ G, the part of the gradient of a decay that comes from the current: `by_weights` is G,
    /// in the shape of [`gradient`](Self::gradient).
    #[cfg(feature = "cube")]
    pub(crate) fn weighted_sum(&self, by_weights: TensorNumber<B>) -> TensorNumber<B> {
        match self {
            Self::Plane(weights) => (by_weights * weights.clone()).summed(),
            Self::SelfRow(weights) => (by_weights.unsqueezed(1) * weights.clone()).summed(),
        }
    }
}

/// Sorts the gradients of the synapse types: those of the weights by plane, and those of the
/// self-weights by row.
pub(crate) fn by_place<B: Backend>(
    plan: &ScanPlan,
    gradients: Vec<Option<TensorNumber<B>>>,
) -> (Vec<TensorNumber<B>>, Vec<TensorNumber<B>>) {
    let (mut planes, mut rows) = (Vec::new(), Vec::new());
    for (synapse, gradient) in plan.synapses.iter().zip(gradients) {
        match (synapse.connections, gradient) {
            (ScanConnections::Plane(plane), Some(gradient)) => planes.push((plane, gradient)),
            (ScanConnections::SelfRow(row), Some(gradient)) => rows.push((row, gradient)),
            _ => {}
        }
    }
    let sorted = |mut found: Vec<(usize, TensorNumber<B>)>| {
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, gradient)| gradient).collect()
    };
    (sorted(planes), sorted(rows))
}
