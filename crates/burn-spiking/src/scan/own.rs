//! The constructors of user-defined neurons. They compile the CPU kernels for the model.

use crate::neuron::{Neuron, NeuronModel, OwnNeuron};

impl Neuron {
    /// A user-defined neuron of this model.
    pub fn own(model: impl NeuronModel) -> Self {
        Neuron::Own(OwnNeuron::new(model))
    }
}

impl OwnNeuron {
    /// A neuron of this model, with the kernels compiled for it.
    pub fn new(model: impl NeuronModel) -> Self {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        let kernels = super::cpu::own::compiled_for(model.clone());
        #[cfg(not(any(feature = "flex", feature = "ndarray")))]
        let kernels = std::sync::Arc::new(());
        Self::with_kernels(model, kernels)
    }
}
