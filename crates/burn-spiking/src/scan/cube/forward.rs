//! The forward kernel: one launch runs all steps, with one cube for each sample.
//!
//! The equations are those of [`scan`](crate::scan). A unit owns some neurons and keeps their v,
//! G(v), sᵏ and Jᵏ to itself. The units share only the charges of the step and a list of the
//! neurons that sent charge. All units go through this list in the same order, and adjacent units
//! read adjacent weights of these neurons' rows. So the cost of a step is proportional to the
//! number of neurons that sent charge, and sums are the same in every run.
//!
//! A step has two barriers: one before the list is made, one before it is read. The charges, and
//! the bits from which the list is made, have two buffers that alternate from step to step. So a
//! unit that is ahead of the others overwrites nothing that they still read.
//!
//! The self-weights of types that connect each neuron to itself alone follow the weight planes in
//! `weights`. The current of such a type is d ∘ sᵏ.
//!
//! Currents on their way wait in rows of the last state. Each synapse type has a ring buffer of d_k
//! rows: a unit takes the current that arrives and stores the current of this step in its place. At
//! the end, these rows are in the order of the ring buffer, not yet in the order of arrival.

use super::active;
use super::layout::Layout;
use super::model::{Model, charge, constant, decay, phi, record, spikes};
use super::planar;
use cubecl::prelude::*;

/// Number of weight rows that a unit reads at a time.
const AT_A_TIME: usize = 4;

/// Runs all steps of a run. The launch has B × ⌈N/row⌉ cubes of a layout.
#[cube(launch)]
pub(super) fn run<F: Float>(
    drive: &Tensor<F>,
    weights: &Tensor<F>,
    v0: &Tensor<F>,
    s0: &Tensor<F>,
    constants: &Tensor<F>,
    traces: &mut Tensor<F>,
    v_out: &mut Tensor<F>,
    charge_out: &mut Tensor<F>,
    currents: &mut Tensor<F>,
    potentials: &mut Tensor<F>,
    last_v: &mut Tensor<F>,
    last_s: &mut Tensor<F>,
    steps: u32,
    neurons: u32,
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
    let state_rows = comptime!(layout.state_rows);
    let recurrent = comptime!(planes > 0);
    let zero = F::new(0.0_f32);

    let mut v = Array::<F>::new(per_unit);
    let mut sent = Array::<F>::new(per_unit);
    let mut s = Array::<F>::new(comptime!(per_unit * types));
    let mut j = Array::<F>::new(comptime!((per_unit * planes).max(1)));
    let planar = comptime!(layout.planar);
    let mut w = Array::<F>::new(comptime!(if planar { per_unit } else { 1 }));
    let mut shared_charge = Shared::<[F]>::new_slice(comptime!(if recurrent { 2 * row } else { 1 }));
    let bits = Shared::<[Atomic<u32>]>::new_slice(comptime!(if recurrent { 2 * words } else { 1 }));
    let mut list = Shared::<[u32]>::new_slice(comptime!(if recurrent { row } else { 1 }));

    #[unroll(per_unit == 1)]
    for r in 0..per_unit {
        let at = unit + r * units;
        let neuron = first + at;
        if neuron < n {
            let record = record(neuron, comptime!(model.clone()));
            v[r] = v0[sample * n + neuron];
            sent[r] = charge::<F>(v[r], constants, record, comptime!(model.clone()));
            #[unroll]
            for k in 0..types {
                s[r * types + k] = s0[(sample * state_rows + k) * n + neuron];
                let plane = comptime!(layout.types[k].weights);
                if comptime!(plane.is_some()) {
                    let m = comptime!(plane.unwrap_or(0));
                    let mut current = zero;
                    for pre in 0..n {
                        let s = s0[(sample * state_rows + k) * n + pre];
                        if s != zero {
                            current += s * weights[(m * n + pre) * n + neuron];
                        }
                    }
                    j[r * planes + m] = current;
                }
            }
            if comptime!(planar) {
                w[r] = s0[(sample * state_rows + comptime!(state_rows - 1)) * n + neuron];
            }
            for row in types..state_rows {
                let place = (sample * state_rows + row) * n + neuron;
                last_s[place] = s0[place];
            }
        }
    }
    if recurrent {
        active::forget(&bits, 0usize, comptime!(2 * words), units);
        sync_cube();
    }

    for t in 0..steps {
        let here = (t % 2) * row;
        let now = (t % 2) * words;
        #[unroll(per_unit == 1)]
        for r in 0..per_unit {
            let at = unit + r * units;
            let neuron = first + at;
            if neuron < n {
                let record = record(neuron, comptime!(model.clone()));
                let place = (sample * steps + t) * n + neuron;
                let mut current = drive[place];
                #[unroll]
                for k in 0..types {
                    let kind = comptime!(layout.types[k]);
                    if comptime!(kind.current.is_some()) {
                        let mut leaving = s[r * types + k];
                        if comptime!(kind.weights.is_some()) {
                            let m = comptime!(kind.weights.unwrap_or(0));
                            leaving = j[r * planes + m];
                        } else {
                            let row = comptime!(kind.self_row.unwrap_or(0));
                            leaving *= self_weight::<F>(weights, row, neuron, n, planes);
                        }
                        let mut arriving = leaving;
                        if comptime!(kind.delay > 0) {
                            let turn = comptime!(kind.first_row) + t % comptime!(kind.delay.max(1));
                            let waiting = (sample * state_rows + turn) * n + neuron;
                            arriving = last_s[waiting];
                            last_s[waiting] = leaving;
                        }
                        current += arriving;
                    }
                }
                let (after, n_spikes) = if comptime!(planar) {
                    let (v_after, w_after, of_step) = planar::step::<F>(v[r], w[r], current, comptime!(model.clone()));
                    w[r] = w_after;
                    (v_after, of_step)
                } else {
                    let pre = phi::<F>(v[r], current, constants, record, comptime!(model.clone()));
                    if comptime!(layout.tape) {
                        potentials[place] = pre;
                    }
                    let of_step = spikes::<F>(pre);
                    (pre - of_step, of_step)
                };
                let gone = charge::<F>(after, constants, record, comptime!(model.clone()));
                let dq = n_spikes + (gone - sent[r]);
                v[r] = after;
                sent[r] = gone;
                if comptime!(planar) {
                    w[r] += constant::<F>(comptime!(model.jump())) * dq;
                }
                if comptime!(layout.tape) {
                    currents[place] = current;
                }
                if comptime!(layout.record_v) {
                    v_out[place] = after;
                }
                if comptime!(layout.record_charge) {
                    charge_out[place] = dq;
                }
                if comptime!(layout.w_plane.is_some()) {
                    let plane = comptime!(layout.w_plane.unwrap_or(0));
                    traces[plane * batch * steps * n + place] = w[r];
                }
                #[unroll]
                for k in 0..types {
                    let kind = comptime!(layout.types[k]);
                    let next = decay::<F>(constants, k, comptime!(layout.clone())) * s[r * types + k]
                        + constant::<F>(comptime!(kind.amplitude())) * dq;
                    s[r * types + k] = next;
                    if comptime!(kind.readout.is_some()) {
                        let plane = comptime!(kind.readout.unwrap_or(0));
                        traces[plane * batch * steps * n + place] = next;
                    }
                }
                if recurrent {
                    shared_charge[here + at] = dq;
                    if dq != zero {
                        active::note(&bits, now, at);
                    }
                }
            }
        }
        if recurrent {
            sync_cube();
            active::forget(&bits, comptime!(words) - now, words, units);
            let count = active::count(&bits, now, words) as usize;
            #[unroll(per_unit == 1)]
            for r in 0..per_unit {
                let at = unit + r * units;
                if active::holds(&bits, now, at) {
                    active::enlist(&bits, now, &mut list, at);
                }
                #[unroll]
                for k in 0..types {
                    let kind = comptime!(layout.types[k]);
                    if comptime!(kind.weights.is_some()) {
                        let m = comptime!(kind.weights.unwrap_or(0));
                        j[r * planes + m] *= decay::<F>(constants, k, comptime!(layout.clone()));
                    }
                }
            }
            sync_cube();
            let mut from = 0usize;
            while from < count {
                // The unit reads several rows at a time, so that their memory accesses overlap.
                // Places after the last sender count as charge 0.
                let mut senders = Array::<u32>::new(AT_A_TIME);
                let mut charges = Array::<F>::new(AT_A_TIME);
                #[unroll]
                for ahead in 0..AT_A_TIME {
                    let there = from + ahead < count;
                    let sender = list[select(there, from + ahead, from)];
                    senders[ahead] = sender;
                    charges[ahead] = select(there, shared_charge[here + sender as usize], zero);
                }
                #[unroll(per_unit == 1)]
                for r in 0..per_unit {
                    let neuron = first + unit + r * units;
                    if neuron < n {
                        #[unroll]
                        for k in 0..types {
                            let kind = comptime!(layout.types[k]);
                            if comptime!(kind.weights.is_some()) {
                                let m = comptime!(kind.weights.unwrap_or(0));
                                let mut rows = Array::<F>::new(AT_A_TIME);
                                #[unroll]
                                for ahead in 0..AT_A_TIME {
                                    rows[ahead] = weights[(m * n + senders[ahead] as usize) * n + neuron];
                                }
                                let amplitude = constant::<F>(comptime!(kind.amplitude()));
                                let mut current = j[r * planes + m];
                                #[unroll]
                                for ahead in 0..AT_A_TIME {
                                    current += amplitude * charges[ahead] * rows[ahead];
                                }
                                j[r * planes + m] = current;
                            }
                        }
                    }
                }
                from += AT_A_TIME;
            }
        }
    }

    #[unroll(per_unit == 1)]
    for r in 0..per_unit {
        let neuron = first + unit + r * units;
        if neuron < n {
            last_v[sample * n + neuron] = v[r];
            #[unroll]
            for k in 0..types {
                last_s[(sample * state_rows + k) * n + neuron] = s[r * types + k];
            }
            if comptime!(planar) {
                last_s[(sample * state_rows + comptime!(state_rows - 1)) * n + neuron] = w[r];
            }
        }
    }
}

/// The weight from a neuron to itself.
#[cube]
pub(super) fn self_weight<F: Float>(
    weights: &Tensor<F>,
    #[comptime] row: usize,
    neuron: usize,
    n: usize,
    #[comptime] planes: usize,
) -> F {
    weights[planes * n * n + row * n + neuron]
}
