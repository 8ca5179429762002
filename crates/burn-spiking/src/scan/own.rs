//! How a model becomes an own neuron: with the kernels that are compiled for it.

use crate::neuron::{Neuron, NeuronModel, OwnNeuron};

impl Neuron {
    /// A neuron of one's own model.
    pub fn own(model: impl NeuronModel) -> Self {
        Neuron::Own(OwnNeuron::new(model))
    }
}

impl OwnNeuron {
    /// A neuron of this model.
    pub fn new(model: impl NeuronModel) -> Self {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        let kernels = super::cpu::own::compiled_for(model.clone());
        #[cfg(not(any(feature = "flex", feature = "ndarray")))]
        let kernels = std::sync::Arc::new(());
        Self::with_kernels(model, kernels)
    }
}
