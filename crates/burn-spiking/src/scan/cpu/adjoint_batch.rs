//! The adjoint kernel of a whole batch: runs [`adjoint`] for each tile of samples, and groups of
//! tiles in parallel.

use super::adjoint;
use super::dynamics::{Dynamics, UniformDynamics};
use super::gradients::{Sums, parameter_gradients};
use super::parameters::Parameters;
use super::sample;
use super::schedule::{LONG_SEGMENT, Segments, Sizes, group_count, shared_out, tile_count};
use super::storage::{Storage, contiguous, part, slot_of};
use super::unwritten::{unwritten, written};
use crate::neuron::Flow;
use crate::num::Real;
use crate::scan::{AdjointRequest, GradientMask, InputGradients, ScanPlan, finite};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use rayon::prelude::*;

/// Runs the adjoint kernel for uniform neurons of one flow.
pub(super) fn adjoint_along<B: Storage, F: Flow>(
    flow: F,
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    by_dtype!(request.inputs.drive, |T| {
        adjoint_with::<B, T, _>(UniformDynamics::of(flow, plan), request, plan, wanted)
    })
}

pub(super) fn adjoint_with<B: Storage, T: Real, F: Dynamics<T>>(
    dynamics: F,
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let sizes = Sizes::of(&inputs, plan);
    let Sizes { batch, steps, neurons, rows, channels, outputs, .. } = sizes;
    let segments = Segments::of::<T>(plan, sizes);
    let row = steps * neurons;
    sizes.check(&inputs, plan);
    let parameters = Parameters::<T>::of(&inputs, sizes);
    let network = parameters.network(plan, sizes);
    let state_size = segments.count * network.state_rows(segments.currents) * neurons;

    let (input, s0) = (B::contiguous(inputs.drive), B::contiguous(inputs.s0));
    let (currents, states) = (contiguous::<B>(tape.currents), contiguous::<B>(tape.states));
    let d_traces = contiguous::<B>(gradients.traces);
    let (d_v, d_charge) = (contiguous::<B>(gradients.v), contiguous::<B>(gradients.charge));
    let (d_readout, d_activity) = (contiguous::<B>(gradients.readout), contiguous::<B>(gradients.activity));
    let (d_last_v, d_last_s) = (contiguous::<B>(gradients.last_v), contiguous::<B>(gradients.last_s));
    let activity_weight = contiguous::<B>(inputs.activity_weight);
    let inputs_of = |b: usize| sample::Inputs {
        drive: &B::slice::<T>(&input)[b * steps * channels..(b + 1) * steps * channels],
        currents: part::<B, T>(&currents, b, row),
        states: part::<B, T>(&states, b, state_size).expect("the forward run kept its tape"),
        s0: &B::slice::<T>(&s0)[b * rows * neurons..(b + 1) * rows * neurons],
        traces: plan.readout_planes().map(|r| part::<B, T>(&d_traces, r? * batch + b, row)).collect(),
        w: plan.second_variable_plane().and_then(|plane| part::<B, T>(&d_traces, plane * batch + b, row)),
        v: part::<B, T>(&d_v, b, row),
        charge: part::<B, T>(&d_charge, b, row),
        readout: part::<B, T>(&d_readout, b, steps * outputs),
        activity: part::<B, T>(&d_activity, b, 1).map(|activity| activity[0]),
        activity_weight: part::<B, T>(&activity_weight, b, steps),
        last_v: part::<B, T>(&d_last_v, b, neurons),
        last_s: part::<B, T>(&d_last_s, b, rows * neurons),
    };

    let mut drive = unwritten::<T>(if wanted.drive { batch * steps * channels } else { 0 });
    let mut d_v0 = vec![T::default(); batch * neurons];
    let mut d_s0 = vec![T::default(); if wanted.s0 { batch * rows * neurons } else { 0 }];
    let planes = if wanted.weights { parameters.weights.len() } else { 0 };
    let mut drive_rows = drive.chunks_exact_mut(steps * channels);
    let mut s0_rows = d_s0.chunks_exact_mut(rows * neurons);
    let tiles = tile_count(plan, sizes);
    let samples = d_v0
        .chunks_exact_mut(neurons)
        .enumerate()
        .map(|(b, v0)| (inputs_of(b), sample::Outputs { drive: drive_rows.next(), v0, s0: s0_rows.next() }));
    let tiled = shared_out(samples, batch, tiles);
    let gradient_rows = planes * neurons + channels + outputs;
    let groups = shared_out(tiled.into_iter(), tiles, group_count(gradient_rows, neurons, tiles));
    // If the tape holds all currents, a second run is so short that another thread does not pay.
    let long = !segments.currents && segments.every * neurons >= LONG_SEGMENT;
    let threads_to_spare = long && groups.len() < rayon::current_num_threads();
    let partial: Vec<Sums<T>> = groups
        .into_par_iter()
        .map(|tiles| {
            let mut sums = Sums::zeros(sizes, planes, wanted);
            for samples in tiles {
                adjoint::run((&network, &dynamics), steps, segments.every, samples, &mut sums, threads_to_spare);
            }
            sums
        })
        .collect();
    let spoiled = finite::find(finite::ADJOINT, &d_v0, [batch, neurons, steps]);
    let gradients = InputGradients {
        // The adjoint of each sample has written its whole row.
        drive: slot_of::<B, T>(wanted.drive.then(|| unsafe { written(drive) }), &[batch, steps, channels]),
        v0: B::from_vec(d_v0, &[batch, neurons]),
        s0: slot_of::<B, T>(wanted.s0.then_some(d_s0), &[batch, rows, neurons]),
        ..parameter_gradients::<B, T>(&partial, (planes, sizes), plan)
    };
    finite::judged(gradients, spoiled, plan.non_finite_gradient)
}
