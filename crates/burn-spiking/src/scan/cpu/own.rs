//! The kernels of user-defined neurons. They are compiled where [`Neuron::own`](crate::Neuron::own)
//! is called, because the model's type is known only there. The neuron carries them as an object.

use super::adjoint_batch::adjoint_along;
use super::forward_batch::forward_along;
use super::storage::Storage;
use crate::neuron::{NeuronModel, OwnNeuron};
use crate::scan::{AdjointRequest, GradientMask, InputGradients, ScanInputs, ScanOutput, ScanPlan};
use std::any::Any;
use std::sync::Arc;

/// The kernels of one model on a backend.
pub(super) trait Kernels<B: Storage>: Send + Sync {
    fn forward(&self, inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B>;

    fn adjoint(&self, request: AdjointRequest<B>, plan: &ScanPlan, wanted: GradientMask) -> InputGradients<B>;
}

impl<M: NeuronModel, B: Storage> Kernels<B> for M {
    fn forward(&self, inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B> {
        forward_along(self.over(plan.dt), inputs, plan, keep_tape)
    }

    fn adjoint(&self, request: AdjointRequest<B>, plan: &ScanPlan, wanted: GradientMask) -> InputGradients<B> {
        adjoint_along(self.over(plan.dt), request, plan, wanted)
    }
}

/// The kernels of a user-defined neuron on every backend. The neuron carries them.
pub(super) struct Compiled {
    #[cfg(feature = "flex")]
    flex: Arc<dyn Kernels<burn::backend::Flex>>,
    #[cfg(feature = "ndarray")]
    ndarray: Arc<dyn Kernels<burn::backend::NdArray>>,
}

/// Returns the kernels of a model, for the neuron to carry.
pub(crate) fn compiled_for(model: impl NeuronModel) -> Arc<dyn Any + Send + Sync> {
    let model = Arc::new(model);
    Arc::new(Compiled {
        #[cfg(feature = "flex")]
        flex: model.clone(),
        #[cfg(feature = "ndarray")]
        ndarray: model.clone(),
    })
}

/// A backend that selects its own kernels among those of a user-defined neuron.
pub(super) trait OwnKernels: Storage {
    /// Returns the kernels for this backend.
    fn among(compiled: &Compiled) -> &dyn Kernels<Self>;

    /// Runs the forward kernel of a user-defined neuron.
    fn forward_by(own: &OwnNeuron, inputs: ScanInputs<Self>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<Self> {
        Self::among(compiled_of(own)).forward(inputs, plan, keep_tape)
    }

    /// Runs the adjoint kernel of a user-defined neuron.
    fn adjoint_by(
        own: &OwnNeuron,
        request: AdjointRequest<Self>,
        plan: &ScanPlan,
        wanted: GradientMask,
    ) -> InputGradients<Self> {
        Self::among(compiled_of(own)).adjoint(request, plan, wanted)
    }
}

#[cfg(feature = "flex")]
impl OwnKernels for burn::backend::Flex {
    fn among(compiled: &Compiled) -> &dyn Kernels<Self> {
        &*compiled.flex
    }
}

#[cfg(feature = "ndarray")]
impl OwnKernels for burn::backend::NdArray {
    fn among(compiled: &Compiled) -> &dyn Kernels<Self> {
        &*compiled.ndarray
    }
}

/// Returns the kernels that a user-defined neuron carries.
///
/// # Panics
/// If the neuron was read from a file, which holds only its name.
fn compiled_of(own: &OwnNeuron) -> &Compiled {
    own.kernels().downcast_ref().unwrap_or_else(|| panic!("{}", own.model().unknown()))
}
