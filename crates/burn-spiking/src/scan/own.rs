//! The constructors of user-defined neurons. They compile the CPU kernels for the model.

use crate::neuron::planar::PlanarModel;
use crate::neuron::{Neuron, NeuronModel, OwnNeuron, OwnPlanarNeuron};

impl Neuron {
    /// A user-defined neuron of this model.
    pub fn own(model: impl NeuronModel) -> Self {
        Neuron::Own(OwnNeuron::new(model))
    }

    /// A user-defined neuron with two variables of this model.
    pub fn own_planar(model: impl PlanarModel) -> Self {
        Neuron::OwnPlanar(OwnPlanarNeuron::new(model))
    }
}

impl OwnPlanarNeuron {
    /// A neuron of this model, with the CPU kernel's rows compiled for it.
    pub fn new(model: impl PlanarModel) -> Self {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        let rows = super::cpu::planar::rows_for(model.clone());
        #[cfg(not(any(feature = "flex", feature = "ndarray")))]
        let rows = std::sync::Arc::new(());
        Self::with_rows(model, rows)
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
