//! The kernel of the scan for Burn's CPU backends, Flex and NdArray. One source serves f32 and f64.
//!
//! The kernel works on the storage of the backends without a copy. The unit of work is a tile of
//! samples: one sample, or a few samples side by side if most neurons are active. The states of a
//! tile stay in cache, and only active neurons touch the weights.
//!
//! The gradients that samples share are summed within groups of samples. The groups depend on the
//! plan and the shapes alone, and their sums are added in order. So the results are bit-identical
//! for any number of threads.

/// Compiles the body for each precision, and runs the one for the tensor's dtype.
///
/// # Panics
/// If the dtype is neither f32 nor f64.
macro_rules! by_dtype {
    ($tensor:expr, |$real:ident| $body:expr) => {
        match $tensor.dtype() {
            DType::F32 => {
                type $real = f32;
                $body
            }
            DType::F64 => {
                type $real = f64;
                $body
            }
            other => panic!("a spiking scan runs in f32 or f64, not in {other:?}; cast the inputs and the layer"),
        }
    };
}

mod active_set;
mod adjoint;
mod adjoint_batch;
mod adjoint_sample;
mod costate;
mod dynamics;
mod forward;
mod forward_batch;
mod gates;
mod gradients;
mod input;
mod matrix;
mod mean_field;
mod network;
pub(crate) mod own;
mod parameters;
pub(crate) mod planar;
mod replay;
mod rows;
mod sample;
mod schedule;
mod storage;
mod surrogate;
mod unwritten;
mod voltage;

use super::{
    AdjointRequest, GradientMask, Implementation, InputGradients, ScanInputs, ScanOutput, ScanPlan, SpikingBackend,
    Surrogate, fallback, tensor_ops_adjoint, tensor_ops_forward,
};
use crate::neuron::{Flow, Lif, Neuron, NeuronModel, Nif, with_model};
use crate::num::simd::Vectors;
use adjoint_batch::{adjoint_along, adjoint_with};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use dynamics::PerNeuronDynamics;
use forward_batch::{forward_along, forward_with};
use own::OwnKernels;
use planar::PlanarDynamics;
use std::sync::Arc;
use surrogate::SurrogateDynamics;
use voltage::Voltages;

fn forward_on<B: OwnKernels>(inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B> {
    by_dtype!(inputs.drive, |T| if let Some(dynamics) = PerNeuronDynamics::<T>::of(plan) {
        return forward_with::<B, T, _>(dynamics, inputs, plan, keep_tape);
    });
    if let Some(voltages) = voltages(&inputs, plan) {
        return by_dtype!(inputs.drive, |T| forward_with::<B, T, _>(voltages, inputs, plan, keep_tape));
    }
    with_model!(
        &plan.neuron,
        |model| forward_along(model.over(plan.dt), inputs, plan, keep_tape),
        |own| B::forward_by(own, inputs, plan, keep_tape),
        |planar| by_dtype!(inputs.drive, |T| {
            let dynamics = PlanarDynamics::<T>::of(&planar, plan, inputs.v0.shape()[1]);
            forward_with::<B, T, _>(dynamics, inputs, plan, keep_tape)
        }),
        |own| by_dtype!(inputs.drive, |T| {
            let dynamics = PlanarDynamics::<T>::of_own(own, plan, inputs.v0.shape()[1]);
            forward_with::<B, T, _>(dynamics, inputs, plan, keep_tape)
        })
    )
}

fn adjoint_on<B: OwnKernels>(request: AdjointRequest<B>, plan: &ScanPlan, wanted: GradientMask) -> InputGradients<B> {
    by_dtype!(request.inputs.drive, |T| if let Some(dynamics) = PerNeuronDynamics::<T>::of(plan) {
        return adjoint_with::<B, T, _>(dynamics, request, plan, wanted);
    });
    if let Some(voltages) = voltages(&request.inputs, plan) {
        return by_dtype!(request.inputs.drive, |T| adjoint_with::<B, T, _>(voltages, request, plan, wanted));
    }
    if let Some(surrogate) = plan.surrogate() {
        // The plan was checked: the neurons are LIF or NIF.
        return match plan.neuron {
            Neuron::Lif { tau_mem } => adjoint_by(surrogate, Lif { tau_mem }.over(plan.dt), request, plan, wanted),
            _ => adjoint_by(surrogate, Nif.over(plan.dt), request, plan, wanted),
        };
    }
    with_model!(
        &plan.neuron,
        |model| adjoint_along(model.over(plan.dt), request, plan, wanted),
        |own| B::adjoint_by(own, request, plan, wanted),
        |planar| by_dtype!(request.inputs.drive, |T| {
            let dynamics = PlanarDynamics::<T>::of(&planar, plan, request.inputs.v0.shape()[1]);
            adjoint_with::<B, T, _>(dynamics, request, plan, wanted)
        }),
        |own| by_dtype!(request.inputs.drive, |T| {
            let dynamics = PlanarDynamics::<T>::of_own(own, plan, request.inputs.v0.shape()[1]);
            adjoint_with::<B, T, _>(dynamics, request, plan, wanted)
        })
    )
}

/// Runs the adjoint kernel with a surrogate derivative of the spikes of one flow.
fn adjoint_by<B: OwnKernels>(
    surrogate: Surrogate,
    flow: impl Flow,
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    let dynamics = SurrogateDynamics::of(flow, surrogate, plan);
    by_dtype!(request.inputs.drive, |T| adjoint_with::<B, T, _>(dynamics, request, plan, wanted))
}

/// The dynamics of QIF neurons in voltage form, if the plan and the initial potentials allow it.
fn voltages<B: OwnKernels>(inputs: &ScanInputs<B>, plan: &ScanPlan) -> Option<Voltages> {
    let voltages = Voltages::of(plan)?;
    let v0 = B::contiguous(inputs.v0.clone());
    by_dtype!(v0, |T| Voltages::can_start(B::slice::<T>(&v0))).then_some(voltages)
}

/// Returns whether the kernel runs a plan; if it does not, tensor operations do. The kernel needs a
/// processor with vectors. It does not support user-defined neurons with per-neuron constants.
fn runs_kernel(plan: &ScanPlan) -> bool {
    if plan.implementation != Implementation::Fused {
        return false;
    }
    let reason = match &plan.neuron {
        _ if Vectors::found().is_empty() => {
            "the kernel is not compiled for this processor's vectors; on x86-64 it wants AVX2".to_string()
        }
        Neuron::Own(_) if plan.per_neuron.is_some() => {
            format!("the own neuron \"{}\" has a gate width of each neuron", plan.neuron)
        }
        _ => return true,
    };
    fallback::tell(plan, || reason);
    false
}

/// Implements the op for a backend whose storage the kernel can reach.
macro_rules! on_cpu {
    ($backend:ty) => {
        impl SpikingBackend for $backend {
            fn spiking_scan(inputs: ScanInputs<Self>, plan: Arc<ScanPlan>, keep_tape: bool) -> ScanOutput<Self> {
                match runs_kernel(&plan) {
                    true => forward_on::<Self>(inputs, &plan, keep_tape),
                    false => tensor_ops_forward::<Self>(inputs, &plan, keep_tape),
                }
            }

            fn spiking_scan_adjoint(
                request: AdjointRequest<Self>,
                plan: Arc<ScanPlan>,
                wanted: GradientMask,
            ) -> InputGradients<Self> {
                match runs_kernel(&plan) {
                    true if plan.rates.is_some() => mean_field::adjoint_on::<Self>(request, &plan, wanted),
                    true => adjoint_on::<Self>(request, &plan, wanted),
                    false => tensor_ops_adjoint::<Self>(request, &plan, wanted),
                }
            }
        }
    };
}

#[cfg(feature = "flex")]
on_cpu!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_cpu!(burn::backend::NdArray);
