//! The step of neurons with two variables as code of a kernel, and the kernel that computes its
//! derivatives along a run.
//!
//! The flow and the search for the crossing are those of [`planar`](crate::neuron::planar). Here, a
//! neuron that does not cross the threshold branches around the search.
//!
//! Given its currents, a neuron moves by itself. So one launch can run all neurons of all samples
//! again before the adjoint, one unit for each of them, and write what the adjoint needs: a plane
//! of rows `[B, T, N]` for each of [`PLANES`] values.

use super::expression::Traced;
use super::layout::Layout;
use super::model::{Model, charge, constant, record, spikes};
use crate::num::{Dual, Number};
use cubecl::frontend::IndexExpand;
use cubecl::ir::Scope;
use cubecl::prelude::*;

/// The rows that [`path`] writes: v_{t+1}, the spikes of the step, (∂v/∂v, ∂v/∂w, ∂v/∂I) and
/// (∂ψ/∂v, ∂ψ/∂w, ∂ψ/∂I).
pub(super) const PLANES: usize = 8;

#[cube]
fn free<F: Float>(v: F, w: F, i: F, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let [v, w, i] = [v, w, i].map(|value| Traced::of(scope, value));
        let (v, w) = model.neuron.planar_free(v, w, i, model.dt);
        (v.value(), w.value())
    })
}

#[cube]
fn crossed<F: Float>(v: F, w: F, i: F, end: F, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let [v, w, i, end] = [v, w, i, end].map(|value| Traced::of(scope, value));
        let (v, w) = model.neuron.planar_crossed((v, w), i, end, model.dt);
        (v.value(), w.value())
    })
}

/// v, ψ and the spikes of a step.
#[cube]
pub(super) fn step<F: Float>(v: F, w: F, i: F, #[comptime] model: Model) -> (F, F, F) {
    let mut at_v = v;
    let mut at_w = w;
    let mut spikes = F::new(0.0_f32);
    #[unroll]
    for _ in 0..comptime!(model.neuron.substeps()) {
        let (end_v, end_w) = free::<F>(at_v, at_w, i, comptime!(model.clone()));
        if end_v < F::new(1.0_f32) {
            at_v = end_v;
            at_w = end_w;
        } else {
            let (after_v, after_w) = crossed::<F>(at_v, at_w, i, end_v, comptime!(model.clone()));
            at_v = after_v;
            at_w = after_w;
            spikes += F::new(1.0_f32);
        }
    }
    (at_v, at_w, spikes)
}

/// v and w, each followed by its derivatives with respect to v, w and I before the step.
type Sloped<F> = (F, F, F, F, F, F, F, F);

/// The length of a [`Sloped`].
const SLOPED: usize = 8;

/// Runs a part of a sub-step on dual numbers.
fn on_duals<'s, F: Float>(
    scope: &'s Scope,
    at: &ArrayExpand<F>,
    i: NativeExpand<F>,
    part: impl FnOnce(OfBoth<'s, F>, Duals<'s, F>) -> OfBoth<'s, F>,
) -> <Sloped<F> as CubeType>::ExpandType {
    let read = |k: usize| {
        let value: &NativeExpand<F> = at.__expand_index_method(scope, NativeExpand::<usize>::from(k));
        Traced::of(scope, *value)
    };
    let dual = |first: usize| Dual { value: read(first), slopes: [1, 2, 3].map(|k| read(first + k)) };
    let (v, w) = part((dual(0), dual(4)), Duals::<'s, F>::variable(Traced::of(scope, i), 2));
    let [(v, [vv, vw, vi]), (w, [wv, ww, wi])] =
        [v, w].map(|dual| (dual.value.value(), dual.slopes.map(Traced::value)));
    (v, vv, vw, vi, w, wv, ww, wi)
}

type ArrayExpand<F> = NativeExpand<Array<F>>;
type Duals<'s, F> = Dual<Traced<'s, F>, 3>;
type OfBoth<'s, F> = (Duals<'s, F>, Duals<'s, F>);

#[cube]
fn free_with_slopes<F: Float>(at: &Array<F>, i: F, #[comptime] model: Model) -> Sloped<F> {
    intrinsic!(|scope| on_duals::<F>(scope, at, i, |(v, w), i| model.neuron.planar_free(v, w, i, model.dt)))
}

#[cube]
fn crossed_with_slopes<F: Float>(at: &Array<F>, i: F, end: F, #[comptime] model: Model) -> Sloped<F> {
    intrinsic!(|scope| {
        let end = Traced::of(scope, end);
        on_duals::<F>(scope, at, i, |at, i| {
            let end = at.0.zero().with_value(end);
            model.neuron.planar_crossed(at, i, end, model.dt)
        })
    })
}

#[cube]
fn store<F: Float>(at: &mut Array<F>, values: Sloped<F>) {
    let (v, vv, vw, vi, w, wv, ww, wi) = values;
    at[0] = v;
    at[1] = vv;
    at[2] = vw;
    at[3] = vi;
    at[4] = w;
    at[5] = wv;
    at[6] = ww;
    at[7] = wi;
}

/// Writes the path of each neuron of each sample and the derivatives of its steps.
#[cube(launch)]
pub(super) fn path<F: Float>(
    currents: &Tensor<F>,
    v0: &Tensor<F>,
    s0: &Tensor<F>,
    constants: &Tensor<F>,
    path: &mut Tensor<F>,
    steps: u32,
    neurons: u32,
    batch: u32,
    #[comptime] layout: Layout,
    #[comptime] model: Model,
    #[define(F)] _dtype: ElemType,
) {
    let (n, steps, batch) = (neurons as usize, steps as usize, batch as usize);
    let place = ABSOLUTE_POS;
    if place < batch * n {
        let (sample, neuron) = (place / n, place % n);
        let record = record(neuron, comptime!(model.clone()));
        let (zero, one) = (F::new(0.0_f32), F::new(1.0_f32));
        let plane = batch * steps * n;
        let mut v = v0[place];
        let mut w = s0[(sample * comptime!(layout.state_rows) + comptime!(layout.state_rows - 1)) * n + neuron];
        let mut sent = charge::<F>(v, constants, record, comptime!(model.clone()));
        let mut now = Array::<F>::new(SLOPED);
        for t in 0..steps {
            let at = (sample * steps + t) * n + neuron;
            let i = currents[at];
            now[0] = v;
            now[4] = w;
            #[unroll]
            for k in 0..3usize {
                now[1 + k] = if comptime!(k == 0) { one } else { zero };
                now[5 + k] = if comptime!(k == 1) { one } else { zero };
            }
            let mut spikes = zero;
            #[unroll]
            for _ in 0..comptime!(model.neuron.substeps()) {
                let end = free_with_slopes::<F>(&now, i, comptime!(model.clone()));
                let end_v = end.0;
                if end_v < one {
                    store::<F>(&mut now, end);
                } else {
                    let after = crossed_with_slopes::<F>(&now, i, end_v, comptime!(model.clone()));
                    store::<F>(&mut now, after);
                    spikes += one;
                }
            }
            path[at] = now[0];
            path[plane + at] = spikes;
            #[unroll]
            for k in 0..3usize {
                path[(2 + k) * plane + at] = now[1 + k];
                path[(5 + k) * plane + at] = now[5 + k];
            }
            let gone = charge::<F>(now[0], constants, record, comptime!(model.clone()));
            w = now[4] + constant::<F>(comptime!(model.jump())) * (spikes + (gone - sent));
            v = now[0];
            sent = gone;
        }
    }
}

/// v after a step and the spikes of the step. The rows are those of the tape, which hold vpre, or,
/// for neurons with two variables, those of [`path`].
#[cube]
pub(super) fn moved<F: Float>(potentials: &Tensor<F>, place: usize, plane: usize, #[comptime] planar: bool) -> (F, F) {
    let row = potentials[place];
    if comptime!(planar) {
        (row, potentials[plane + place])
    } else {
        let n_spikes = spikes::<F>(row);
        (row - n_spikes, n_spikes)
    }
}
