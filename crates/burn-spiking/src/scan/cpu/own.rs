//! The kernels of own neurons. They are compiled where [`Neuron::own`](crate::Neuron::own) is called, since only there the model's type
//! is known; the neuron carries them along as an object.

use super::adjoint_batch::adjoint_along;
use super::forward_batch::forward_along;
use super::storage::Storage;
use crate::neuron::{NeuronModel, OwnNeuron};
use crate::scan::{InputGradients, OutputGradients, ScanInputs, ScanOutput, ScanPlan, ScanTape, Wanted};
use std::any::Any;
use std::sync::Arc;

/// A backend that finds its own kernels among those of an own neuron.
pub(super) trait OwnKernels: Storage {
    /// The forward kernel of an own neuron.
    fn forward_by(own: &OwnNeuron, inputs: ScanInputs<Self>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<Self>;

    /// The adjoint kernel of an own neuron.
    fn adjoint_by(
        own: &OwnNeuron,
        inputs: ScanInputs<Self>,
        tape: ScanTape<Self>,
        gradients: OutputGradients<Self>,
        plan: &ScanPlan,
        wanted: Wanted,
    ) -> InputGradients<Self>;
}

/// One model's kernels, one pair for each backend.
macro_rules! kernels {
    ($($feature:literal, $backend:ty, $forward:ident, $adjoint:ident;)*) => {
        trait Kernels: Send + Sync {
            $(
                #[cfg(feature = $feature)]
                fn $forward(&self, inputs: ScanInputs<$backend>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<$backend>;
                #[cfg(feature = $feature)]
                fn $adjoint(
                    &self,
                    inputs: ScanInputs<$backend>,
                    tape: ScanTape<$backend>,
                    gradients: OutputGradients<$backend>,
                    plan: &ScanPlan,
                    wanted: Wanted,
                ) -> InputGradients<$backend>;
            )*
        }

        impl<M: NeuronModel> Kernels for M {
            $(
                #[cfg(feature = $feature)]
                fn $forward(&self, inputs: ScanInputs<$backend>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<$backend> {
                    forward_along(self.over(plan.dt), inputs, plan, keep_tape)
                }
                #[cfg(feature = $feature)]
                fn $adjoint(
                    &self,
                    inputs: ScanInputs<$backend>,
                    tape: ScanTape<$backend>,
                    gradients: OutputGradients<$backend>,
                    plan: &ScanPlan,
                    wanted: Wanted,
                ) -> InputGradients<$backend> {
                    adjoint_along(self.over(plan.dt), inputs, tape, gradients, plan, wanted)
                }
            )*
        }

        $(
            #[cfg(feature = $feature)]
            impl OwnKernels for $backend {
                fn forward_by(
                    own: &OwnNeuron,
                    inputs: ScanInputs<Self>,
                    plan: &ScanPlan,
                    keep_tape: bool,
                ) -> ScanOutput<Self> {
                    kernels_of(own).$forward(inputs, plan, keep_tape)
                }

                fn adjoint_by(
                    own: &OwnNeuron,
                    inputs: ScanInputs<Self>,
                    tape: ScanTape<Self>,
                    gradients: OutputGradients<Self>,
                    plan: &ScanPlan,
                    wanted: Wanted,
                ) -> InputGradients<Self> {
                    kernels_of(own).$adjoint(inputs, tape, gradients, plan, wanted)
                }
            }
        )*
    };
}
kernels! {
    "flex", burn::backend::Flex, forward_on_flex, adjoint_on_flex;
    "ndarray", burn::backend::NdArray, forward_on_ndarray, adjoint_on_ndarray;
}

/// What an own neuron carries along.
struct Compiled(Box<dyn Kernels>);

/// The kernels of a model, for a neuron to carry along.
pub(crate) fn compiled_for(model: impl NeuronModel) -> Arc<dyn Any + Send + Sync> {
    Arc::new(Compiled(Box::new(model)))
}

/// # Panics
/// If the neuron was read from a file, which has its name alone.
fn kernels_of(own: &OwnNeuron) -> &dyn Kernels {
    match own.kernels().downcast_ref::<Compiled>() {
        Some(compiled) => &*compiled.0,
        None => panic!("{}", own.model().unknown()),
    }
}
