//! The forward kernel: all steps of a sample in one cube, in one launch.
//!
//! The equations are those of [`scan`](crate::scan). A unit owns some neurons and keeps their v, G(v), sᵏ and Jᵏ to itself; the units
//! share only the charges of the step, and one bit for each neuron that sent some. All units go through those bits in the same order
//! and read the rows of the weights that belong to them, side by side; so a step costs as much as neurons spoke, and the sums come
//! out the same in every run. Charges are shared in turns of two steps and bits in turns of three, so that one barrier a step
//! is enough: what a unit writes ahead of the others, none of them still reads.

use super::layout::Layout;
use super::model::{Model, charge, constant, phi, spikes};
use cubecl::prelude::*;

/// What is launched for a run: B × cubes of a layout.
#[cube(launch)]
pub(super) fn run<F: Float>(
    drive: &Tensor<F>,
    weights: &Tensor<F>,
    v0: &Tensor<F>,
    s0: &Tensor<F>,
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
    let recurrent = comptime!(planes > 0);
    let zero = F::new(0.0_f32);

    let mut v = Array::<F>::new(per_unit);
    let mut sent = Array::<F>::new(per_unit);
    let mut s = Array::<F>::new(comptime!(per_unit * types));
    let mut j = Array::<F>::new(comptime!((per_unit * planes).max(1)));
    let mut shared_charge = Shared::<[F]>::new_slice(comptime!(if recurrent { 2 * row } else { 1 }));
    let bits = Shared::<[Atomic<u32>]>::new_slice(comptime!(if recurrent { 3 * words } else { 1 }));

    for r in 0..per_unit {
        let at = unit + r * units;
        let neuron = first + at;
        if neuron < n {
            v[r] = v0[sample * n + neuron];
            sent[r] = charge::<F>(v[r], comptime!(model.clone()));
            #[unroll]
            for k in 0..types {
                s[r * types + k] = s0[(sample * types + k) * n + neuron];
                let plane = comptime!(layout.types[k].weights);
                if comptime!(plane.is_some()) {
                    let m = comptime!(plane.unwrap_or(0));
                    let mut current = zero;
                    for pre in 0..n {
                        let s = s0[(sample * types + k) * n + pre];
                        if s != zero {
                            current += s * weights[(m * n + pre) * n + neuron];
                        }
                    }
                    j[r * planes + m] = current;
                }
            }
        }
    }
    if recurrent {
        let mut word = unit;
        while word < comptime!(3 * words) {
            bits[word].store(0u32);
            word += units;
        }
        sync_cube();
    }

    for t in 0..steps {
        let here = (t % 2) * row;
        let now = (t % 3) * words;
        for r in 0..per_unit {
            let at = unit + r * units;
            let neuron = first + at;
            if neuron < n {
                let place = (sample * steps + t) * n + neuron;
                let mut current = drive[place];
                #[unroll]
                for m in 0..planes {
                    current += j[r * planes + m];
                }
                let pre = phi::<F>(v[r], current, comptime!(model.clone()));
                let n_spikes = spikes::<F>(pre);
                let after = pre - n_spikes;
                let gone = charge::<F>(after, comptime!(model.clone()));
                let dq = n_spikes + (gone - sent[r]);
                v[r] = after;
                sent[r] = gone;
                if comptime!(layout.tape) {
                    currents[place] = current;
                    potentials[place] = pre;
                }
                if comptime!(layout.record_v) {
                    v_out[place] = after;
                }
                if comptime!(layout.record_charge) {
                    charge_out[place] = dq;
                }
                #[unroll]
                for k in 0..types {
                    let kind = comptime!(layout.types[k]);
                    let next = constant::<F>(comptime!(kind.decay())) * s[r * types + k]
                        + constant::<F>(comptime!(kind.jump())) * dq;
                    s[r * types + k] = next;
                    if comptime!(kind.read.is_some()) {
                        let plane = comptime!(kind.read.unwrap_or(0));
                        traces[plane * batch * steps * n + place] = next;
                    }
                }
                if recurrent {
                    shared_charge[here + at] = dq;
                    if dq != zero {
                        bits[now + at / 32].fetch_or(1u32 << (at % 32) as u32);
                    }
                }
            }
        }
        if recurrent {
            sync_cube();
            // Those of the step after next.
            let later = ((t + 2) % 3) * words;
            let mut word = unit;
            while word < words {
                bits[later + word].store(0u32);
                word += units;
            }
            for r in 0..per_unit {
                #[unroll]
                for k in 0..types {
                    let kind = comptime!(layout.types[k]);
                    if comptime!(kind.weights.is_some()) {
                        let m = comptime!(kind.weights.unwrap_or(0));
                        j[r * planes + m] = j[r * planes + m] * constant::<F>(comptime!(kind.decay()));
                    }
                }
            }
            for word in 0..words {
                let mut left = bits[now + word].load();
                while left != 0 {
                    let sender = word * 32 + left.trailing_zeros() as usize;
                    left &= left - 1;
                    let dq = shared_charge[here + sender];
                    for r in 0..per_unit {
                        let neuron = first + unit + r * units;
                        if neuron < n {
                            #[unroll]
                            for k in 0..types {
                                let kind = comptime!(layout.types[k]);
                                if comptime!(kind.weights.is_some()) {
                                    let m = comptime!(kind.weights.unwrap_or(0));
                                    let jump = constant::<F>(comptime!(kind.jump())) * dq;
                                    j[r * planes + m] += jump * weights[(m * n + sender) * n + neuron];
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    for r in 0..per_unit {
        let neuron = first + unit + r * units;
        if neuron < n {
            last_v[sample * n + neuron] = v[r];
            #[unroll]
            for k in 0..types {
                last_s[(sample * types + k) * n + neuron] = s[r * types + k];
            }
        }
    }
}
