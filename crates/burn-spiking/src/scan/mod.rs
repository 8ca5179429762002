//! The scan: one operation for all T steps of a network, and another for its exact adjoint.
//!
//! # The system
//!
//! Sizes: B samples in a batch, T time steps, N neurons, K synapse types, D steps of delay, summed
//! over the synapse types, and H rows of a state besides v. The drive is x, and the decay is α_k =
//! e^(−dt/τ_k). A spike adds c_k to the trace sᵏ: 1/τ_k in the paper's units, 1 in the layer's
//! units. For t = 0 … T−1:
//!
//! ```text
//! I_t       = x_t + Σ_k Jᵏ_{t−d_k}              Jᵏ = W_k sᵏ, recurrent current, delay of d_k steps
//! vpre_t    = φ(v_t, I_t)                       the neuron's exact flow, before the reset
//! n_t       = max(⌊vpre_t⌋, 0)                  spikes in this step
//! v_{t+1}   = vpre_t − n_t
//! ΔQ_t      = n_t + G(v_{t+1}) − G(v_t)         charge sent in this step; negative if v falls
//! sᵏ_{t+1}  = α_k sᵏ_t + c_k ΔQ_t
//! Jᵏ_{t+1}  = α_k Jᵏ_t + W_k c_k ΔQ_t
//! ```
//!
//! Row t of the trajectory is the state *after* step t: s_{t+1}, v_{t+1}, and the charge ΔQ_t.
//!
//! A synapse type with a delay has d_k currents in transit, Jᵏ_{t−d_k} … Jᵏ_{t−1}. They are part of
//! the state. For each sample, s_0 and s_T have H = [`ScanPlan::state_rows`] rows. The first K rows
//! are the traces. The D currents in transit follow, type by type, in the order of their arrival.
//!
//! Neurons with two variables ([`planar`](crate::neuron::planar)) have w_t, the last row of the
//! state. Their flow gives v and the spikes apart, and the charge carries the jump of w:
//!
//! ```text
//! (v_{t+1}, n_t, ψ_t) = flow(v_t, w_t, I_t)      w_{t+1} = ψ_t + b ΔQ_t
//! ```
//!
//! The drive can be given whole, or as the input i_t with its projection, x_t = U i_t + I_o. With a
//! projection, the CPU kernel holds the drive of the current step alone. The scan can also compute
//! a linear readout o of one trace, and the activity A of that trace:
//!
//! ```text
//! o_t = O s_{t+1}        A = Σ_t m_t |s_{t+1}|²
//! ```
//!
//! The CPU kernel can then run without a trajectory in memory. The weights m_t of the steps are 1
//! by default.
//!
//! # Its adjoint
//!
//! The cost's direct gradients with respect to the trajectory are s′, v′ and ΔQ′. The backward pass
//! starts from λ_T = v′_T and D_{T+1} = P_{T+1} = q_T = 0. For t = T−1 … 0:
//!
//! ```text
//! Dᵏ_{t+1}  = s′ᵏ_{t+1} + α_k Dᵏ_{t+2}                      direct error, filtered backwards
//! Pᵏ_{t+1}  = q_{t+1+d_k} + α_k Pᵏ_{t+2}                    adjoint of Jᵏ
//! μ_t       = ΔQ′_t + Σ_k c_k (Dᵏ_{t+1} + W_kᵀ Pᵏ_{t+1})    error current
//! λpre_t    = λ_{t+1} + g(vpre_t) μ_t
//! q_t       = (∂φ/∂I) λpre_t                                = ∂C/∂x_t
//! λ_t       = v′_t + (∂φ/∂v) λpre_t − g(v_t) μ_t
//! ∂C/∂W_k  += Pᵏ_{t+1} ⊗ c_k ΔQ_t
//! ```
//!
//! At the start of the run, Pᵏ_0 = q_{d_k} + α_k Pᵏ_1, ∂C/∂v_0 = λ_0,
//! ∂C/∂sᵏ_0 = α_k Dᵏ_1 + W_kᵀ Pᵏ_0 and ∂C/∂W_k += Pᵏ_0 ⊗ sᵏ_0.
//!
//! A current in transit acts once, when it arrives, so its adjoint is the q of that step. If it
//! arrives after the end of the run, q_{T+i} stands for the cost's gradient with respect to the
//! i-th current still in transit. A delay therefore costs only additional rows of the state, and
//! the adjoint still visits only the active neurons.
//!
//! For neurons with two variables, κ is the adjoint of w, and κ_T is the cost's gradient with
//! respect to w_T:
//!
//! ```text
//! μ_t    += b κ_{t+1}
//! q_t     = ∂v/∂I λpre_t + ∂ψ/∂I κ_{t+1}
//! λ_t     = v′_t + ∂v/∂v λpre_t + ∂ψ/∂v κ_{t+1} − g(v_t) μ_t
//! κ_t     = ∂v/∂w λpre_t + ∂ψ/∂w κ_{t+1}
//! ```
//!
//! The network's constants have gradients, too. All neurons share these constants, or each neuron
//! has its own τ_mem and w:
//!
//! ```text
//! ∂C/∂α_k   += Dᵏ_{t+1} · sᵏ_t + Pᵏ_{t+1} · Jᵏ_t            c_k held constant
//! ∂C/∂τ_mem += λpre_t · ∂φ/∂τ_mem
//!              with ∂φ/∂τ_mem = (I ∂φ/∂I − dt f(v_{t+1}, I))/τ_mem
//! ∂C/∂w     += μ_t · (∂G/∂w(v_{t+1}) − ∂G/∂w(v_t))          w, the gate width
//! ```
//!
//! The equation of ∂φ/∂τ_mem holds because φ depends only on dt/τ_mem and τ_mem I, and because
//! ∂φ/∂dt = f at the end of the step.
//!
//! A projection has the gradients ∂C/∂U += q_t ⊗ i_t, ∂C/∂I_o += q_t and ∂C/∂i_t = Uᵀ q_t. A
//! readout adds Oᵀ o′_t + 2 A′ m_t s_{t+1} to s′_{t+1}. The gradient of its weights is
//! ∂C/∂O += o′_t ⊗ s_{t+1}.
//!
//! In these equations W maps pre to post. It is stored as `[pre, post]`, so the outgoing weights of
//! one neuron are one row.
//!
//! A synapse type can connect each neuron to itself alone
//! ([`ScanConnections::SelfRow`]). Then W_k is a diagonal matrix, given as the row d_k of its
//! diagonal: W_k s is d_k ∘ s, WᵀP is d_k ∘ P, and ∂C/∂d_k sums P ∘ c_k ΔQ. All of this is O(N) a
//! step. A slow type of this kind with negative d_k is spike-frequency adaptation.
//!
//! **Derivation.** Jᵏ_t enters I_{t+d_k} and Jᵏ_{t+1}, so its adjoint is
//! Pᵏ_t = q_{t+d_k} + α_k Pᵏ_{t+1}. In the same way, Dᵏ + W_kᵀPᵏ is the adjoint of sᵏ, because W_k
//! sᵏ = Jᵏ. The charge enters sᵏ and Jᵏ; this gives μ. vpre_t enters v_{t+1} (with derivative 1
//! through the reset) and ΔQ_t (through G, with derivative g); this gives λpre. v_t enters vpre_t
//! and, with a minus sign, ΔQ_t; this gives λ. Nothing is approximated.
//!
//! μ_t is needed only if g(v_t), g(vpre_t) or ΔQ_t is not 0, that is, for the *active* neurons. All
//! three O(N²) products, W ΔQ, Wᵀ P and P ⊗ ΔQ, therefore use only the rows of the active neurons.
//! Source: Huh & Sejnowski 2017. Their adjoint is −dp_v/dt = f_v p_v − g dp_s/dt. This integrator
//! follows it exactly, because its charge is a difference of G.
//!
//! # Modules
//!
//! - [`SpikingBackend`]: the operation.
//! - `scan/cpu`: its kernel for the backends Flex and NdArray.
//! - `scan/cube` (feature `cube`): its kernel for GPUs.
//! - `scan/tensor_ops`: the same operation in tensor operations, for any other backend.
//! - `scan/autodiff`: the gradient of the operation in Burn's graph.
//! - [`mean_field`]: the adjoint of the rate model, which is not exact.
//! - [`surrogate`]: surrogate derivatives of spikes, which are not exact.
//! - `scan/oracle`: the same system, differentiated by Burn; the tests compare with it.

mod arguments;
pub(crate) mod autodiff;
mod constants;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod cpu;
#[cfg(feature = "cube")]
mod cube;
pub(crate) mod device;
pub(crate) mod dynamics;
mod fallback;
pub(crate) mod finite;
pub(crate) mod input;
pub mod mean_field;
pub(crate) mod oracle;
mod own;
pub(crate) mod plan;
#[cfg(feature = "cube")]
mod segmented;
#[cfg(feature = "cube")]
mod shapes;
pub mod surrogate;
pub(crate) mod synapse;
mod tensor_number;
mod tensor_ops;
mod tensors;

pub use crate::num::simd::Vectors;
pub use arguments::{Arguments, Drive, Run};
pub(crate) use constants::numbers;
pub use dynamics::PerNeuronConstants;
pub use fallback::fallbacks;
pub use finite::NonFiniteGradient;
pub use plan::{Adjoint, Checkpointing, Implementation, Integrator, ScanPlan};
pub use surrogate::Surrogate;
pub use synapse::{ScanConnections, ScanSynapse};
pub use tensors::{
    AdjointRequest, GradientMask, InputGradients, OptionalTensor, OutputGradients, ScanInputs, ScanOutput, ScanTape,
};

use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use std::sync::Arc;

/// A backend that can run the scan. The default methods use tensor operations.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
    LibTorch: cfg(feature = "tch"),
    Autodiff
)]
pub trait SpikingBackend: Backend {
    /// Runs all steps. Keeps the tape for the adjoint if `keep_tape` is set.
    #[fusion(meta = shapes::of_run)]
    fn spiking_scan(
        #[extension_type] inputs: ScanInputs<Self>,
        plan: Arc<ScanPlan>,
        keep_tape: bool,
    ) -> ScanOutput<Self> {
        fallback::tell(&plan, || format!("there is no kernel for {}", std::any::type_name::<Self>()));
        tensor_ops_forward::<Self>(inputs, &plan, keep_tape)
    }

    /// Runs the adjoint over all steps, backwards. It does not read the drive if the tape holds the
    /// currents and there is no projection.
    #[fusion(meta = shapes::of_adjoint)]
    fn spiking_scan_adjoint(
        #[extension_type] request: AdjointRequest<Self>,
        plan: Arc<ScanPlan>,
        wanted: GradientMask,
    ) -> InputGradients<Self> {
        tensor_ops_adjoint::<Self>(request, &plan, wanted)
    }
}

/// Tensor operations serve LibTorch.
#[cfg(feature = "tch")]
impl SpikingBackend for burn_tch::LibTorch {}

/// Runs the scan in tensor operations and keeps the tape that the plan's adjoint needs.
fn tensor_ops_forward<B: Backend>(inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B> {
    if keep_tape && plan.rates.is_some() {
        return mean_field::forward(inputs, plan, |inputs, plan| tensor_ops::forward(inputs, plan, false));
    }
    tensor_ops::forward(inputs, plan, keep_tape)
}

/// Runs the plan's adjoint in tensor operations.
fn tensor_ops_adjoint<B: Backend>(
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    match plan.rates.is_some() {
        true => mean_field::adjoint(request, plan, wanted),
        false => tensor_ops::adjoint(request, plan, wanted),
    }
}

/// Runs a network over its drive. If the gate is differentiable, so is the run, with respect to
/// every tensor except the weights of the activity.
///
/// # Panics
/// If shapes, dtypes or devices do not match. If a value becomes infinite or NaN: in the CPU kernel
/// (unless the plan's `panic_if_not_finite` is `false`), and on every backend if the plan's
/// `check_finite` is set.
pub fn scan(arguments: Arguments, plan: &Arc<ScanPlan>) -> Run {
    arguments.check(plan);
    let [_, steps, _] = arguments.drive.series().dims();
    let plan = &match &arguments.constants {
        Some(constants) => Arc::new(plan.with_constants(&numbers(constants.clone()), arguments.v0.dims()[1])),
        None => plan.clone(),
    };
    if plan.check_finite {
        // The QIF flow caps its angle, so the last state can be finite in spite of an infinite
        // current.
        finite::check_tensor(finite::DRIVE, arguments.drive.series(), steps);
        if let Drive::Projected { projection, bias, .. } = &arguments.drive {
            finite::check_tensor(finite::PROJECTION, projection, steps);
            let bias = bias.iter().map(|bias| bias.clone().unsqueeze::<2>());
            bias.for_each(|bias| finite::check_tensor(finite::BIAS, &bias, steps));
        }
        arguments.weights.iter().for_each(|weights| finite::check_tensor(finite::WEIGHTS, weights, steps));
        arguments.self_weights.iter().for_each(|weights| finite::check_tensor(finite::SELF_WEIGHTS, weights, steps));
    }
    let run = match plan.implementation {
        Implementation::Autodiff => oracle::run(arguments, plan, Integrator::Flow),
        Implementation::Fused | Implementation::TensorOps => run_op(arguments, plan),
    };
    if plan.check_finite {
        finite::check_tensor(finite::POTENTIAL, &run.last_v, steps);
        finite::check_tensor(finite::TRACE, &run.last_s, steps);
    }
    run
}

/// Runs the scan as one operation.
fn run_op(arguments: Arguments, plan: &Arc<ScanPlan>) -> Run {
    let output = Dispatch::spiking_scan(arguments.into(), plan.clone(), false);
    let mut traces = Vec::with_capacity(plan.recorded_planes());
    if let OptionalTensor::Present(packed) = output.traces {
        let packed = Tensor::<4>::from_dispatch(packed);
        match plan.recorded_planes() {
            1 => traces.push(packed.squeeze_dim(0)),
            planes => traces.extend((0..planes).map(|r| packed.clone().narrow(0, r, 1).squeeze_dim(0))),
        }
    }
    let w = if plan.record_w { traces.pop() } else { None };
    Run {
        traces,
        w,
        v: output.v.into_option().map(Tensor::from_dispatch),
        charge: output.charge.into_option().map(Tensor::from_dispatch),
        output: output.readout.into_option().map(Tensor::from_dispatch),
        activity: output.activity.into_option().map(Tensor::from_dispatch),
        last_v: Tensor::from_dispatch(output.last_v),
        last_s: Tensor::from_dispatch(output.last_s),
    }
}
