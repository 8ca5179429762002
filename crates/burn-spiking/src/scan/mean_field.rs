//! The mean-field adjoint: spikes in the forward pass, rates in the backward pass. **Its gradient
//! is not the exact one.**
//!
//! # The model
//!
//! The steps are cut into blocks n = 0, 1, … of M = `step_ms`/dt steps; the last block may be
//! shorter. The mean-field model replaces the spikes of a neuron by the rate f(I) of a steady
//! current ([`rate`](crate::neuron::rate)). A bar denotes the mean over the steps of a block:
//!
//! ```text
//! I_n     = x̄_n + Σ_k W_k sᵏ_{n−1}               sᵏ_{−1}: the initial traces of the run
//! ΔQ_t    = dt f(I_n)                             in each step of the block
//! sᵏ_n    = a_k sᵏ_{n−1} + b_k f(I_n)             a_k = α_k^M,  b_k = c_k dt (1 − α_k^M)/(1 − α_k)
//! o_t     = O s_n        A = Σ_n (Σ_t m_t) |s_n|²
//! ```
//!
//! In a shorter last block, M is the length of that block.
//!
//! The forward run is that of the spiking network. The adjoint is that of the mean-field model
//! *along the trajectory of the spiking network*: if a derivative depends on a trace, the adjoint
//! uses the spiking network's mean trace s̄ᵏ_n of the block. The current I_n is therefore also that
//! of the spiking network. In the words of automatic differentiation, the values come from the
//! spikes and the derivatives from the rates.
//!
//! # Its adjoint
//!
//! The cost's direct gradients are summed over each block: S′ᵏ_n = Σ_t s′ᵏ_{t+1} (including the
//! contributions of readout and activity) and κ_n = dt Σ_t ΔQ′_t. For n = last … 0:
//!
//! ```text
//! Dᵏ_n  = S′ᵏ_n + a_k Dᵏ_{n+1} + W_kᵀ q_{n+1}
//! q_n   = f′(I_n) (κ_n + Σ_k b_k Dᵏ_n)              = ∂C/∂x̄_n, so ∂C/∂x_t = q_n/M
//! ∂C/∂W_k += q_n ⊗ s̄ᵏ_{n−1}        ∂C/∂sᵏ_{−1} = a_k Dᵏ_0 + W_kᵀ q_0        ∂C/∂v_0 = 0
//! ```
//!
//! **Derivation.** sᵏ_n enters the direct cost, sᵏ_{n+1} (with the factor a_k) and I_{n+1} (with
//! the factor W_k); this gives Dᵏ_n. I_n enters the charges of the block and, through b_k, all
//! sᵏ_n; this gives q_n. The gradient with respect to s_T is added in the last block. The model has
//! no membrane potentials, so the adjoint ignores v′.
//!
//! # When to use it
//!
//! Errors pass through the smooth slopes f′ instead of single gates. Chaos therefore does not
//! amplify them, and a few trials do not outweigh the others. The adjoint suits tasks that are
//! coded by rates and attractors, such as memories over long delays or many rounds. It does not see
//! the time of a spike within a block, so it cannot learn spike times. With slow inputs, high rates
//! and slow synapses, the direction of its gradient approaches that of the exact gradient. The
//! program `gradient-angle` plots how close the two are.
//!
//! Source: derivatives of f-I curves in place of spikes, as in the mean-field theory of spiking
//! networks. The forward run is that of Huh & Sejnowski 2017.

use super::tensor_number::TensorNumber;
use super::tensor_ops::{Found, by_place, connections_of, direct_errors, drive_of, kept, tensor};
use super::{
    Adjoint, AdjointRequest, GradientMask, InputGradients, OptionalTensor, ScanInputs, ScanOutput, ScanPlan,
    ScanSynapse, ScanTape,
};
use crate::neuron::RateCurve;
use crate::num::Number;
use burn::backend::{Backend, Slice, TensorMetadata};
use burn::tensor::Shape;

/// The division of a run's steps into blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// M, the number of steps in a block.
    pub(super) every: usize,
    steps: usize,
}

impl Blocks {
    pub(super) fn of(plan: &ScanPlan, steps: usize) -> Self {
        let every = match plan.adjoint {
            Adjoint::MeanField { step_ms, .. } => (step_ms / plan.dt).round().max(1.0) as usize,
            _ => steps,
        };
        Self { every, steps }
    }

    pub(super) fn count(self) -> usize {
        self.steps.div_ceil(self.every)
    }

    /// The number of steps in block n.
    pub(super) fn len(self, n: usize) -> usize {
        self.every.min(self.steps - n * self.every)
    }

    /// Sums over each block: `[.., T, N]` to `[.., blocks, N]`.
    fn sums<B: Backend>(self, x: &TensorNumber<B>) -> TensorNumber<B> {
        let (lead, outer, last) = flattened(x);
        let x = B::float_reshape(x.0.clone(), Shape::from([outer, self.steps, last]));
        let (whole, rest) = (self.steps / self.every, self.steps % self.every);
        let mut parts = Vec::with_capacity(2);
        if whole > 0 {
            let steps = sliced::<B>(x.clone(), 0, whole * self.every);
            let blocks = B::float_reshape(steps, Shape::from([outer * whole, self.every, last]));
            parts.push(B::float_reshape(B::float_sum_dim(blocks, 1), Shape::from([outer, whole, last])));
        }
        if rest > 0 {
            parts.push(B::float_sum_dim(sliced::<B>(x, whole * self.every, self.steps), 1));
        }
        restored(lead, parts, self.count(), last)
    }

    /// Copies each block's row to all steps of the block: `[.., blocks, N]` to `[.., T, N]`.
    fn spread<B: Backend>(self, x: &TensorNumber<B>) -> TensorNumber<B> {
        let (lead, outer, last) = flattened(x);
        let x = B::float_reshape(x.0.clone(), Shape::from([outer, self.count(), last]));
        let (whole, rest) = (self.steps / self.every, self.steps % self.every);
        let mut parts = Vec::with_capacity(2);
        if whole > 0 {
            let rows = B::float_reshape(sliced::<B>(x.clone(), 0, whole), Shape::from([outer * whole, 1, last]));
            let steps = B::float_expand(rows, Shape::from([outer * whole, self.every, last]));
            parts.push(B::float_reshape(steps, Shape::from([outer, whole * self.every, last])));
        }
        if rest > 0 {
            parts.push(B::float_expand(sliced::<B>(x, whole, whole + 1), Shape::from([outer, rest, last])));
        }
        restored(lead, parts, self.steps, last)
    }

    /// Takes the mean over each block: `[.., T, N]` to `[.., blocks, N]`.
    fn means<B: Backend>(self, x: &TensorNumber<B>) -> TensorNumber<B> {
        let sums = self.sums(x);
        let last = self.count() - 1;
        if self.len(last) == self.every {
            return sums.times(1.0 / self.every as f64);
        }
        let (lead, outer, columns) = flattened(&sums);
        let sums = B::float_reshape(sums.0, Shape::from([outer, last + 1, columns]));
        let part = |from, to, length: usize| {
            TensorNumber::<B>(sliced::<B>(sums.clone(), from, to)).times(1.0 / length as f64).0
        };
        let mut parts = Vec::with_capacity(2);
        if last > 0 {
            parts.push(part(0, last, self.every));
        }
        parts.push(part(last, last + 1, self.len(last)));
        restored(lead, parts, last + 1, columns)
    }
}

/// a_k and b_k of a block of `steps` steps.
pub(super) fn factors(synapse: &ScanSynapse, steps: usize, dt: f64) -> (f64, f64) {
    let left = synapse.decay.powi(steps as i32);
    // The sum of the powers of the decay. It also holds for a decay of 0: `powi` gives 0⁰ = 1.
    let powers: f64 = (0..steps).map(|power| synapse.decay.powi(power as i32)).sum();
    (left, synapse.amplitude * dt * powers)
}

/// The axes before the last two, the product of these axes, and the last axis.
fn flattened<B: Backend>(x: &TensorNumber<B>) -> (Vec<usize>, usize, usize) {
    let shape = x.0.shape();
    let dims: Vec<usize> = (0..shape.num_dims()).map(|d| shape[d]).collect();
    let lead = dims[..dims.len() - 2].to_vec();
    let outer = lead.iter().product();
    (lead, outer, dims[dims.len() - 1])
}

/// Joins parts along their middle axis and restores the leading axes.
fn restored<B: Backend>(
    lead: Vec<usize>,
    mut parts: Vec<burn::backend::tensor::FloatTensor<B>>,
    middle: usize,
    last: usize,
) -> TensorNumber<B> {
    let joined = if parts.len() == 1 { parts.remove(0) } else { B::float_cat(parts, 1) };
    TensorNumber(B::float_reshape(joined, Shape::from([lead, vec![middle, last]].concat())))
}

/// The part `from..to` of the middle axis of `[outer, middle, last]`.
fn sliced<B: Backend>(
    x: burn::backend::tensor::FloatTensor<B>,
    from: usize,
    to: usize,
) -> burn::backend::tensor::FloatTensor<B> {
    B::float_slice(x, &[Slice::full(), Slice::new(from as isize, Some(to as isize), 1)])
}

/// Runs a plan forwards by `run`, with all traces recorded, and keeps their block means on the
/// tape.
pub(super) fn forward<B: Backend>(
    inputs: ScanInputs<B>,
    plan: &ScanPlan,
    run: impl FnOnce(ScanInputs<B>, &ScanPlan) -> ScanOutput<B>,
) -> ScanOutput<B> {
    let mut recording = plan.clone();
    recording.synapses.iter_mut().for_each(|synapse| synapse.readout = true);
    let steps = inputs.drive.shape()[1];
    let out = run(inputs, &recording);
    let traces: TensorNumber<B> = kept(&out.traces);
    let means = Blocks::of(plan, steps).means(&traces);
    let asked = plan.synapses.iter().enumerate().filter(|(_, synapse)| synapse.readout);
    let asked: Vec<TensorNumber<B>> = asked.map(|(k, _)| traces.index(0, k)).collect();
    ScanOutput {
        traces: if asked.is_empty() {
            OptionalTensor::Absent
        } else {
            OptionalTensor::Present(TensorNumber::stack(asked, 0).0)
        },
        tape: ScanTape { means: OptionalTensor::Present(means.0), ..ScanTape::empty() },
        ..out
    }
}

/// Runs the mean-field adjoint in tensor operations.
pub(super) fn adjoint<B: Backend>(
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let (curve, softness) = curve_of(plan);
    let steps = inputs.drive.shape()[1];
    let blocks = Blocks::of(plan, steps);
    let count = blocks.count();
    let means: TensorNumber<B> = kept(&tape.means);
    let types = 0..plan.synapses.len();
    let mean: Vec<TensorNumber<B>> = types.clone().map(|k| means.index(0, k)).collect();
    // In each step of a block, the readout and the activity see the mean trace of the block.
    let tape =
        ScanTape { trace: OptionalTensor::from(plan.readout.map(|k| blocks.spread(&mean[k]).0)), ..ScanTape::empty() };
    let direct = direct_errors(&inputs, &tape, &gradients, plan);
    let direct: Vec<Option<TensorNumber<B>>> =
        direct.iter().map(|error| error.as_ref().map(|x| blocks.sums(x))).collect();
    let charge = tensor::<B>(&gradients.charge).map(|charge| blocks.sums(&charge).times(plan.dt));
    let last_s = tensor::<B>(&gradients.last_s);

    let (v0, s0) = (TensorNumber::<B>(inputs.v0.clone()), TensorNumber::<B>(inputs.s0.clone()));
    let connections = connections_of(&inputs, plan);
    // sᵏ_{n−1}.
    let before: Vec<TensorNumber<B>> = types
        .clone()
        .map(|k| {
            let first = s0.index(1, k).unsqueezed_after(1);
            let first = B::float_swap_dims(first.0, 1, 2);
            let rest = (count > 1).then(|| sliced::<B>(mean[k].0.clone(), 0, count - 1));
            TensorNumber(B::float_cat(std::iter::once(first).chain(rest).collect(), 1))
        })
        .collect();
    let mut current = blocks.means(&drive_of(&inputs));
    for k in types.clone() {
        if let Some(connection) = &connections[k] {
            current = current + connection.currents(before[k].clone());
        }
    }
    let slope = curve.slope(current, softness);

    let zero = v0.zeros(v0.0.shape());
    let mut d = vec![zero.clone(); plan.synapses.len()];
    let mut next: Option<TensorNumber<B>> = None;
    let mut q = Vec::with_capacity(count);
    let factors = |k: usize, n: usize| factors(&plan.synapses[k], blocks.len(n), plan.dt);
    // The gradient that block n passes back to the traces before it.
    let back = |k: usize, n: usize, d: &TensorNumber<B>, q: &TensorNumber<B>| {
        let through_trace = d.clone().times(factors(k, n).0);
        match &connections[k] {
            Some(connection) => through_trace + connection.errors(q.clone()),
            None => through_trace,
        }
    };
    for n in (0..count).rev() {
        let mut error = charge.as_ref().map_or(zero.clone(), |charge| charge.index(1, n));
        for k in types.clone() {
            d[k] = match (&next, &last_s) {
                (Some(q), _) => back(k, n + 1, &d[k], q),
                (None, Some(last_s)) => last_s.index(1, k),
                (None, None) => zero.clone(),
            };
            if let Some(direct) = &direct[k] {
                d[k] = d[k].clone() + direct.index(1, n);
            }
            error = error + d[k].clone().times(factors(k, n).1);
        }
        let here = slope.index(1, n) * error;
        q.push(here.clone());
        next = Some(here);
    }
    let first = next.expect("a run has at least one step");
    let d_s0 = types.clone().map(|k| back(k, 0, &d[k], &first)).collect();
    q.reverse();
    let q = TensorNumber::stack(q, 1);
    let by_weights = types.map(|k| {
        let asked = wanted.of_connections(plan.synapses[k].connections);
        let connection = connections[k].as_ref().filter(|_| asked)?;
        Some(connection.gradient(before[k].clone().rows(), q.clone().rows()))
    });
    let (weights, self_weights) = by_place(plan, by_weights.collect());
    let per_step = (0..count).map(|n| q.index(1, n).times(1.0 / blocks.len(n) as f64)).collect();
    let found = Found {
        q: blocks.spread(&TensorNumber::stack(per_step, 1)),
        weights,
        self_weights,
        v0: zero,
        s0: d_s0,
        constants: None,
    };
    found.gradients(inputs, &tape, tensor(&gradients.readout), wanted)
}

/// The f-I curve and its softness, for a plan with [`Adjoint::MeanField`].
pub(super) fn curve_of(plan: &ScanPlan) -> (&RateCurve, f64) {
    match (&plan.rates, plan.adjoint) {
        (Some(curve), Adjoint::MeanField { softness, .. }) => (curve, softness),
        _ => unreachable!("the scan checked its plan"),
    }
}
