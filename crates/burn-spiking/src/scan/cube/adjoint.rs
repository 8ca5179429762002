//! The adjoint kernel: one launch runs all steps backwards, with one cube for each sample.
//!
//! The equations are those of [`scan`](crate::scan). A unit owns the λ, Dᵏ, Pᵏ and q of its
//! neurons. The units share Pᵏ of the step and a list of the active neurons. The error current Wᵀ P
//! of an active neuron is a sum over a row of the weights. If few neurons are active, a plane of
//! units adds up one row at a time, and its units read adjacent weights. If many are active, each
//! unit computes the sums of its own neurons down the columns of the transposed weights, so that
//! the units again read adjacent weights. The choice depends only on the data, so sums are the same
//! in every run.
//!
//! The kernel writes the rows q_t, ΔQ_t and Pᵏ_{t+1}. Matrix products of these rows give the other
//! gradients, such as ∂C/∂W.
//!
//! **Two variables.** The kernel [`path`](super::planar::path) has run before, and its rows replace
//! those of the potentials. κ, the adjoint of w, goes backwards with λ:
//!
//! ```text
//! λ_t = ∂v/∂v λ′ + ∂ψ/∂v κ′ − g(v_t) μ        κ_t = ∂v/∂w λ′ + ∂ψ/∂w κ′        q_t = ∂v/∂I λ′ + ∂ψ/∂I κ′
//! ```
//!
//! with λ′ = λ_{t+1} + g(v_{t+1}) μ, κ′ = κ_{t+1}, and b κ′ in μ.
//!
//! **Learned constants.** ∂C/∂α_k needs sᵏ_t and Jᵏ_t, which are not on the tape. But both are
//! filtered charges, and the adjoint of a filter runs backwards, like the kernel. With
//!
//! ```text
//! Eᵏ_{t−1} = Dᵏ_{t+1} + α_k Eᵏ_t       Fᵏ_{t−1} = Pᵏ_{t+1} + α_k Fᵏ_t       E_{T−1} = F_{T−1} = 0
//! Σ_t Dᵏ_{t+1} · sᵏ_t = Σ_t c_k ΔQ_t · Eᵏ_t + sᵏ_0 · Eᵏ_{−1}
//! Σ_t Pᵏ_{t+1} · Jᵏ_t = Σ W_k ∘ (Σ_t c_k ΔQ_t ⊗ Fᵏ_t + sᵏ_0 ⊗ Fᵏ_{−1})
//! ```
//!
//! no state is needed. The kernel writes the rows Fᵏ_t after the rows Pᵏ, for one more matrix
//! product.

use super::active;
use super::forward::self_weight;
use super::layout::{Layout, Type};
use super::model::{Model, by_tau, by_width, charge, constant, decay, density, record, slopes};
use super::planar::moved;
use cubecl::prelude::*;

/// Planes of units take the rows of the active neurons if at most 1 in this many neurons is active.
const FEW: u32 = 4;

/// Runs the adjoint of a run. The launch has B × ⌈N/row⌉ cubes of a layout.
#[cube(launch)]
pub(super) fn run<F: Float>(
    currents: &Tensor<F>,
    potentials: &Tensor<F>,
    v0: &Tensor<F>,
    weights: &Tensor<F>,
    transposed: &Tensor<F>,
    d_traces: &Tensor<F>,
    d_v: &Tensor<F>,
    d_charge: &Tensor<F>,
    d_last: &Tensor<F>,
    constants: &Tensor<F>,
    q_out: &mut Tensor<F>,
    charge_out: &mut Tensor<F>,
    p_out: &mut Tensor<F>,
    starts: &mut Tensor<F>,
    steps: u32,
    neurons: u32,
    limit: InputScalar,
    keep: InputScalar,
    #[comptime] given: AdjointFlags,
    #[comptime] layout: Layout,
    #[comptime] model: Model,
    #[define(F)] _dtype: ElemType,
) {
    let n = neurons as usize;
    let steps = steps as usize;
    let sample = CUBE_POS_X as usize;
    let first = CUBE_POS_Y as usize * comptime!(layout.row);
    let unit = UNIT_POS_X as usize;
    let batch = CUBE_COUNT_X as usize;

    let row = comptime!(layout.row);
    let words = comptime!(layout.words);
    let units = comptime!(layout.units);
    let per_unit = comptime!(layout.per_unit);
    let types = comptime!(layout.types.len());
    let planes = comptime!(layout.planes);
    let with_current = comptime!(layout.with_current);
    let last_rows = comptime!(layout.state_rows + 1);
    let recurrent = comptime!(planes > 0);
    let zero = F::new(0.0_f32);

    let mut lambda = Array::<F>::new(per_unit);
    let mut q = Array::<F>::new(per_unit);
    let mut mu = Array::<F>::new(per_unit);
    // κ, the adjoint of w.
    let planar = comptime!(layout.planar);
    let mut kappa = Array::<F>::new(comptime!(if planar { per_unit } else { 1 }));
    let mut d = Array::<F>::new(comptime!(per_unit * types));
    let mut p = Array::<F>::new(comptime!((per_unit * with_current).max(1)));
    // For learned constants: Eᵏ, Fᵏ, and the sums over steps for τ_mem, w and each α_k.
    let learned = comptime!(layout.learned);
    let mut e = Array::<F>::new(comptime!(if learned { per_unit * types } else { 1 }));
    let mut f = Array::<F>::new(comptime!(if learned { (per_unit * with_current).max(1) } else { 1 }));
    let mut sums = Array::<F>::new(comptime!(if learned { per_unit * (2 + types) } else { 1 }));
    let mut shared_p = Shared::<[F]>::new_slice(comptime!(if recurrent { planes * row } else { 1 }));
    let mut shared_mu = Shared::<[F]>::new_slice(comptime!(if recurrent { row } else { 1 }));
    let bits = Shared::<[Atomic<u32>]>::new_slice(comptime!(if recurrent { 2 * words } else { 1 }));
    let mut list = Shared::<[u32]>::new_slice(comptime!(if recurrent && layout.plane_sums { row } else { 1 }));
    let mut squares = Shared::<[F]>::new_slice(comptime!(if given.limited { units } else { 1 }));

    #[unroll(per_unit == 1)]
    for r in 0..per_unit {
        let neuron = first + unit + r * units;
        lambda[r] = zero;
        q[r] = zero;
        if comptime!(planar) {
            kappa[r] = zero;
        }
        #[unroll]
        for k in 0..types {
            d[r * types + k] = zero;
            if comptime!(learned) {
                e[r * types + k] = zero;
            }
        }
        #[unroll]
        for c in 0..with_current {
            p[r * with_current + c] = zero;
            if comptime!(learned) {
                f[r * with_current + c] = zero;
            }
        }
        if comptime!(learned) {
            #[unroll]
            for c in 0..comptime!(2 + types) {
                sums[r * comptime!(2 + types) + c] = zero;
            }
        }
        if neuron < n {
            if comptime!(given.last) {
                lambda[r] = d_last[sample * last_rows * n + neuron];
                if comptime!(planar) {
                    kappa[r] = d_last[(sample * last_rows + comptime!(last_rows - 1)) * n + neuron];
                }
            }
        }
    }
    if recurrent {
        active::forget(&bits, 0usize, comptime!(2 * words), units);
        sync_cube();
    }

    for back in 0..steps {
        let t = steps - 1 - back;
        let now = (back % 2) * words;
        #[unroll(per_unit == 1)]
        for r in 0..per_unit {
            let at = unit + r * units;
            let neuron = first + at;
            if neuron < n {
                let record = record(neuron, comptime!(model.clone()));
                let place = (sample * steps + t) * n + neuron;
                if comptime!(given.v) {
                    lambda[r] += d_v[place];
                }
                if comptime!(given.traces && layout.w_plane.is_some()) {
                    let plane = comptime!(layout.w_plane.unwrap_or(0));
                    kappa[r] += d_traces[plane * batch * steps * n + place];
                }
                let (after, n_spikes) = moved::<F>(potentials, place, batch * steps * n, planar);
                let mut before = v0[sample * n + neuron];
                if t > 0 {
                    let (v, _) = moved::<F>(potentials, place - n, batch * steps * n, planar);
                    before = v;
                }
                let gone = charge::<F>(after, constants, record, comptime!(model.clone()));
                let dq = n_spikes + (gone - charge::<F>(before, constants, record, comptime!(model.clone())));
                charge_out[place] = dq;

                let mut direct = zero;
                if comptime!(given.charge) {
                    direct = d_charge[place];
                }
                #[unroll]
                for k in 0..types {
                    let kind = comptime!(layout.types[k]);
                    let mut error = decay::<F>(constants, k, comptime!(layout.clone())) * d[r * types + k];
                    if comptime!(given.traces && kind.readout.is_some()) {
                        let plane = comptime!(kind.readout.unwrap_or(0));
                        error += d_traces[plane * batch * steps * n + place];
                    }
                    if comptime!(given.last) {
                        if back == 0 {
                            error += d_last[(sample * last_rows + k + 1) * n + neuron];
                        }
                    }
                    d[r * types + k] = error;
                    if comptime!(learned) {
                        let filtered = e[r * types + k];
                        sums[r * comptime!(2 + types) + 2 + k] +=
                            constant::<F>(comptime!(kind.amplitude())) * dq * filtered;
                        e[r * types + k] = error + decay::<F>(constants, k, comptime!(layout.clone())) * filtered;
                    }
                    direct += constant::<F>(comptime!(kind.amplitude())) * error;
                    if comptime!(kind.current.is_some()) {
                        let at_p = r * with_current + comptime!(kind.current.unwrap_or(0));
                        let next =
                            arriving::<F>(q[r], q_out, d_last, sample, neuron, n, t + 1, steps, kind, given, last_rows)
                                + decay::<F>(constants, k, comptime!(layout.clone())) * p[at_p];
                        p[at_p] = next;
                        if comptime!(kind.weights.is_some()) {
                            shared_p[comptime!(kind.weights.unwrap_or(0)) * row + at] = next;
                        } else {
                            let self_row = comptime!(kind.self_row.unwrap_or(0));
                            direct += constant::<F>(comptime!(kind.amplitude()))
                                * self_weight::<F>(weights, self_row, neuron, n, planes)
                                * next;
                        }
                        if comptime!(learned) {
                            let c = comptime!(with_current + kind.current.unwrap_or(0));
                            let filtered = f[at_p];
                            p_out[c * batch * steps * n + place] = filtered;
                            f[at_p] = next + decay::<F>(constants, k, comptime!(layout.clone())) * filtered;
                        }
                    }
                }
                if comptime!(planar) {
                    direct += constant::<F>(comptime!(model.jump())) * kappa[r];
                }
                mu[r] = direct;
                if recurrent {
                    let open = density::<F>(after, constants, record, comptime!(model.clone())) != zero
                        || density::<F>(before, constants, record, comptime!(model.clone())) != zero;
                    if open || dq != zero {
                        active::note(&bits, now, at);
                    }
                }
            }
        }
        if recurrent {
            sync_cube();
            active::forget(&bits, comptime!(words) - now, words, units);
            let count = active::count(&bits, now, words);
            let few = count * FEW <= neurons;
            if comptime!(layout.plane_sums) {
                #[unroll(per_unit == 1)]
                for r in 0..per_unit {
                    let at = unit + r * units;
                    if few && active::holds(&bits, now, at) {
                        active::enlist(&bits, now, &mut list, at);
                    }
                }
                sync_cube();
                if few {
                    rows_by_planes::<F>(weights, &shared_p, &mut shared_mu, &list, count, n, comptime!(layout.clone()));
                }
            }
            #[unroll(per_unit == 1)]
            for r in 0..per_unit {
                let at = unit + r * units;
                if active::holds(&bits, now, at) && (comptime!(!layout.plane_sums) || !few) {
                    #[unroll]
                    for k in 0..types {
                        let kind = comptime!(layout.types[k]);
                        if comptime!(kind.weights.is_some()) {
                            let m = comptime!(kind.weights.unwrap_or(0));
                            let mut sum = zero;
                            for post in 0..n {
                                sum += transposed[(m * n + post) * n + at] * shared_p[m * row + post];
                            }
                            mu[r] += constant::<F>(comptime!(kind.amplitude())) * sum;
                        }
                    }
                }
            }
            // After this barrier, no unit reads Pᵏ of this step again.
            sync_cube();
            if comptime!(layout.plane_sums) {
                if few {
                    #[unroll(per_unit == 1)]
                    for r in 0..per_unit {
                        let at = unit + r * units;
                        if active::holds(&bits, now, at) {
                            mu[r] += shared_mu[at];
                        }
                    }
                }
            }
        }
        #[unroll(per_unit == 1)]
        for r in 0..per_unit {
            let neuron = first + unit + r * units;
            if neuron < n {
                let record = record(neuron, comptime!(model.clone()));
                let place = (sample * steps + t) * n + neuron;
                let plane = batch * steps * n;
                let (after, _) = moved::<F>(potentials, place, plane, planar);
                let mut before = v0[sample * n + neuron];
                if t > 0 {
                    let (v, _) = moved::<F>(potentials, place - n, plane, planar);
                    before = v;
                }
                let lambda_pre = lambda[r] + density::<F>(after, constants, record, comptime!(model.clone())) * mu[r];
                let (by_v, by_i) = if comptime!(planar) {
                    (potentials[2 * plane + place], potentials[4 * plane + place])
                } else {
                    slopes::<F>(before, currents[place], constants, record, comptime!(model.clone()))
                };
                if comptime!(learned) {
                    let first = r * comptime!(2 + types);
                    sums[first] += lambda_pre
                        * by_tau::<F>(after, currents[place], by_i, constants, record, comptime!(model.clone()));
                    let now = by_width::<F>(before, constants, record, comptime!(model.clone()));
                    let then = by_width::<F>(after, constants, record, comptime!(model.clone()));
                    sums[first + 1] += mu[r] * (then - now);
                }
                q[r] = by_i * lambda_pre;
                lambda[r] =
                    by_v * lambda_pre - density::<F>(before, constants, record, comptime!(model.clone())) * mu[r];
                if comptime!(planar) {
                    q[r] += potentials[7 * plane + place] * kappa[r];
                    lambda[r] += potentials[5 * plane + place] * kappa[r];
                    kappa[r] = potentials[3 * plane + place] * lambda_pre + potentials[6 * plane + place] * kappa[r];
                }
            }
        }
        if comptime!(given.limited) {
            let mut sum = zero;
            #[unroll(per_unit == 1)]
            for r in 0..per_unit {
                sum += lambda[r] * lambda[r];
            }
            squares[unit] = sum;
            sync_cube();
            let mut total = zero;
            for other in 0..units {
                total += squares[other];
            }
            let norm = total.sqrt();
            let mut share = F::new(1.0);
            let limit = limit.get::<F>();
            if norm > limit {
                share = limit / norm;
            }
            let left = share * keep.get::<F>();
            #[unroll(per_unit == 1)]
            for r in 0..per_unit {
                lambda[r] *= left;
                q[r] *= left;
                if comptime!(planar) {
                    kappa[r] *= share;
                }
                #[unroll]
                for c in 0..with_current {
                    p[r * with_current + c] *= left;
                }
            }
        }
        #[unroll(per_unit == 1)]
        for r in 0..per_unit {
            let neuron = first + unit + r * units;
            if neuron < n {
                let place = (sample * steps + t) * n + neuron;
                q_out[place] = q[r];
                #[unroll]
                for c in 0..with_current {
                    p_out[c * batch * steps * n + place] = p[r * with_current + c];
                }
            }
        }
    }

    #[unroll(per_unit == 1)]
    for r in 0..per_unit {
        let neuron = first + unit + r * units;
        if neuron < n {
            let rows = comptime!(layout.rows_at_start());
            starts[sample * rows * n + neuron] = lambda[r];
            if comptime!(planar) {
                starts[(sample * rows + comptime!(layout.second_row_at_start())) * n + neuron] = kappa[r];
            }
            #[unroll]
            for k in 0..types {
                let kind = comptime!(layout.types[k]);
                let left = decay::<F>(constants, k, comptime!(layout.clone()));
                starts[(sample * rows + 1 + k) * n + neuron] = left * d[r * types + k];
                if comptime!(kind.current.is_some()) {
                    let c = comptime!(kind.current.unwrap_or(0));
                    starts[(sample * rows + comptime!(1 + types) + c) * n + neuron] =
                        arriving::<F>(q[r], q_out, d_last, sample, neuron, n, 0usize, steps, kind, given, last_rows)
                            + left * p[r * with_current + c];
                }
            }
            if comptime!(learned) {
                let first = comptime!(1 + types + with_current);
                #[unroll]
                for k in 0..types {
                    starts[(sample * rows + first + k) * n + neuron] = e[r * types + k];
                }
                #[unroll]
                for c in 0..with_current {
                    starts[(sample * rows + first + types + c) * n + neuron] = f[r * with_current + c];
                }
                #[unroll]
                for c in 0..comptime!(2 + types) {
                    starts[(sample * rows + comptime!(1 + 2 * (types + with_current)) + c) * n + neuron] =
                        sums[r * comptime!(2 + types) + c];
                }
            }
        }
    }
}

/// Returns q_{t+d_k} of a neuron, the adjoint of the current Jᵏ_t when it arrives. Without a delay
/// this is `q`. With a delay it is the row that an earlier iteration wrote. If the current arrives
/// after the end of the run, it is the cost's gradient with respect to this current, which is still
/// on its way; 0 if there is none.
#[cube]
fn arriving<F: Float>(
    q: F,
    q_out: &mut Tensor<F>,
    d_last: &Tensor<F>,
    sample: usize,
    neuron: usize,
    n: usize,
    t: usize,
    steps: usize,
    #[comptime] kind: Type,
    #[comptime] given: AdjointFlags,
    #[comptime] last_rows: usize,
) -> F {
    let mut found = q;
    if comptime!(kind.delay > 0) {
        let arrival = t + comptime!(kind.delay);
        found = F::new(0.0_f32);
        if arrival < steps {
            found = q_out[(sample * steps + arrival) * n + neuron];
        } else {
            if comptime!(given.last) {
                let beyond = arrival - steps;
                if beyond < comptime!(kind.delay) {
                    found = d_last[(sample * last_rows + comptime!(1 + kind.first_row) + beyond) * n + neuron];
                }
            }
        }
    }
    found
}

/// Writes Σ_k c_k W_kᵀ Pᵏ of the active neurons. A plane of units takes one row of the weights at a
/// time.
#[cube]
fn rows_by_planes<F: Float>(
    weights: &Tensor<F>,
    shared_p: &Shared<[F]>,
    shared_mu: &mut Shared<[F]>,
    list: &Shared<[u32]>,
    count: u32,
    n: usize,
    #[comptime] layout: Layout,
) {
    let row = comptime!(layout.row);
    let lanes = PLANE_DIM as usize;
    let lane = UNIT_POS_X as usize % lanes;
    let mut turn = UNIT_POS_X as usize / lanes;
    while turn < count as usize {
        let neuron = list[turn] as usize;
        let mut sum = F::new(0.0_f32);
        #[unroll]
        for k in 0..comptime!(layout.types.len()) {
            let kind = comptime!(layout.types[k]);
            if comptime!(kind.weights.is_some()) {
                let m = comptime!(kind.weights.unwrap_or(0));
                let mut part = F::new(0.0_f32);
                let mut post = lane;
                while post < n {
                    part += weights[(m * n + neuron) * n + post] * shared_p[m * row + post];
                    post += lanes;
                }
                sum += constant::<F>(comptime!(kind.amplitude())) * part;
            }
        }
        let sum = plane_sum(sum);
        if lane == 0 {
            shared_mu[neuron] = sum;
        }
        turn += comptime!(layout.units) / lanes;
    }
}

/// The direct gradients of the cost that are given, and whether the adjoint is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AdjointFlags {
    pub(super) traces: bool,
    pub(super) v: bool,
    pub(super) charge: bool,
    pub(super) last: bool,
    pub(super) limited: bool,
}
