//! The forward kernel of a whole batch: runs [`forward`] for each tile of samples, and tiles in
//! parallel.

use super::dynamics::{Dynamics, UniformDynamics};
use super::forward;
use super::network::Network;
use super::parameters::Parameters;
use super::schedule::{Segments, Sizes, shared_out, tile_count};
use super::storage::{Storage, contiguous, part};
use super::unwritten::{unwritten, written};
use crate::neuron::Flow;
use crate::num::Real;
use crate::num::simd::{unserved, vectorize};
use crate::scan::mean_field::Blocks;
use crate::scan::{OptionalTensor, ScanInputs, ScanOutput, ScanPlan, ScanTape, finite};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use macerator::{Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Runs the forward kernel for uniform neurons of one flow.
pub(super) fn forward_along<B: Storage, F: Flow>(
    flow: F,
    inputs: ScanInputs<B>,
    plan: &ScanPlan,
    keep_tape: bool,
) -> ScanOutput<B> {
    by_dtype!(inputs.drive, |T| forward_with::<B, T, _>(UniformDynamics::of(flow, plan), inputs, plan, keep_tape))
}

/// Splits `[P, B, rest]` into P lists of B rows.
fn rows_of<T>(data: &mut [T], batch: usize, row: usize) -> impl Iterator<Item = std::slice::ChunksExactMut<'_, T>> {
    data.chunks_exact_mut(batch * row).map(move |plane| plane.chunks_exact_mut(row))
}

pub(super) fn forward_with<B: Storage, T: Real, F: Dynamics<T>>(
    dynamics: F,
    inputs: ScanInputs<B>,
    plan: &ScanPlan,
    keep_tape: bool,
) -> ScanOutput<B> {
    let sizes = Sizes::of(&inputs, plan);
    let Sizes { batch, steps, neurons, rows, channels, outputs, .. } = sizes;
    let segments = Segments::of::<T>(plan, sizes);
    let row = steps * neurons;
    sizes.check(&inputs, plan);
    let parameters = Parameters::<T>::of(&inputs, sizes);
    let network = parameters.network(plan, sizes);
    let (drive, v0, s0) = (B::contiguous(inputs.drive), B::contiguous(inputs.v0), B::contiguous(inputs.s0));
    let activity_weight = contiguous::<B>(inputs.activity_weight);
    let starts = B::slice::<T>(&v0).chunks_exact(neurons).zip(B::slice::<T>(&s0).chunks_exact(rows * neurons));
    let runs = B::slice::<T>(&drive).chunks_exact(steps * channels).zip(starts);

    let read = plan.recorded_planes();
    let state_rows = network.state_rows(segments.currents);
    let state_size = segments.count * state_rows * neurons;
    let space = |wanted: bool, length: usize| unwritten::<T>(if wanted { batch * length } else { 0 });
    let mut traces = space(read > 0, read * row);
    let (mut v, mut charge) = (space(plan.record_v, row), space(plan.record_charge, row));
    let mut readout = space(outputs > 0, steps * outputs);
    let keep_means = keep_tape && plan.rates.is_some();
    let keep_states = keep_tape && !keep_means;
    let blocks = Blocks::of(plan, steps);
    let of_blocks = blocks.count() * neurons;
    let mut currents = space(keep_states && segments.currents, row);
    let mut states = space(keep_states, state_size);
    let mut means = space(keep_means, sizes.synapses * of_blocks);
    let mut activity = vec![T::default(); if outputs > 0 { batch } else { 0 }];
    let mut last_v = vec![T::default(); batch * neurons];
    let mut last_s = vec![T::default(); batch * rows * neurons];

    {
        let mut trace_rows: Vec<_> = rows_of(&mut traces, batch, row).collect();
        let mut mean_rows: Vec<_> = rows_of(&mut means, batch, of_blocks).collect();
        let mut v_rows = v.chunks_exact_mut(row);
        let mut charge_rows = charge.chunks_exact_mut(row);
        let mut readout_rows = readout.chunks_exact_mut((steps * outputs).max(1)).zip(&mut activity);
        let mut current_rows = currents.chunks_exact_mut(row);
        let mut state_rows = states.chunks_exact_mut(state_size);
        let last = last_v.chunks_exact_mut(neurons).zip(last_s.chunks_exact_mut(rows * neurons));
        let samples = runs.zip(last).enumerate().map(|(b, ((drive, (v0, s0)), (last_v, last_s)))| {
            let outputs = forward::Outputs {
                traces: trace_rows.iter_mut().filter_map(Iterator::next).collect(),
                v: v_rows.next(),
                charge: charge_rows.next(),
                readout: readout_rows.next(),
                currents: current_rows.next(),
                states: state_rows.next(),
                means: mean_rows.iter_mut().filter_map(Iterator::next).collect(),
                last_v,
                last_s,
            };
            (forward::Inputs { drive, activity_weight: part::<B, T>(&activity_weight, b, steps), v0, s0 }, outputs)
        });
        let tiles = shared_out(samples, batch, tile_count(plan, sizes));
        tiles.into_par_iter().for_each(|samples| {
            let (network, dynamics, every) = (&network, &dynamics, segments.every);
            vectorize(ForwardTask { network, dynamics, steps, every, blocks, samples });
        });
    }
    if plan.panic_if_not_finite {
        finite::check(finite::POTENTIAL, &last_v, batch, neurons, steps);
        finite::check(finite::TRACE, &last_s, batch, neurons, steps);
    }
    // There is a run for each sample, and each run has written all its rows.
    let readout = unsafe { written(readout) };
    if outputs > 0 && plan.panic_if_not_finite {
        finite::check(finite::OUTPUT, &readout, batch, outputs, steps);
    }

    let tensor = |data: Vec<T>, shape: &[usize]| B::from_vec(data, shape);
    let slot = |data: Vec<MaybeUninit<T>>, shape: &[usize]| match data.is_empty() {
        true => OptionalTensor::Absent,
        // There is a run for each sample, and each run has written all its rows.
        false => OptionalTensor::Present(tensor(unsafe { written(data) }, shape)),
    };
    ScanOutput {
        traces: slot(traces, &[read, batch, steps, neurons]),
        v: slot(v, &[batch, steps, neurons]),
        charge: slot(charge, &[batch, steps, neurons]),
        readout: if outputs > 0 {
            OptionalTensor::Present(tensor(readout, &[batch, steps, outputs]))
        } else {
            OptionalTensor::Absent
        },
        activity: if outputs > 0 {
            OptionalTensor::Present(tensor(activity, &[batch]))
        } else {
            OptionalTensor::Absent
        },
        last_v: tensor(last_v, &[batch, neurons]),
        last_s: tensor(last_s, &[batch, rows, neurons]),
        tape: ScanTape {
            currents: slot(currents, &[batch, steps, neurons]),
            states: slot(states, &[batch, segments.count, state_rows, neurons]),
            means: slot(means, &[sizes.synapses, batch, blocks.count(), neurons]),
            ..ScanTape::empty()
        },
    }
}

struct ForwardTask<'a, 'n, T, F> {
    network: &'a Network<'n, T>,
    dynamics: &'a F,
    steps: usize,
    every: usize,
    blocks: Blocks,
    samples: Vec<(forward::Inputs<'a, T>, forward::Outputs<'a, T>)>,
}

impl<T: Real, F: Dynamics<T>> WithSimd for ForwardTask<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        forward::run::<S, T>((self.network, self.dynamics), self.steps, (self.every, self.blocks), self.samples);
    }
}
