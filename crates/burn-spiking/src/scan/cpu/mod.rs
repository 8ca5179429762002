//! The scan's kernel for Burn's CPU backends, Flex and NdArray: one source for f32 and f64.
//!
//! It works on the backends' own storage without copying it. A sample is one unit of work, or where most neurons are active a few
//! samples side by side; their states stay in cache, and only active neurons touch the weights. Gradients that samples share are
//! summed in groups of samples that depend on plan and shape alone, and the groups in order, so results are bit-identical for any
//! number of threads.

/// One program for each precision.
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

mod adjoint;
mod dynamics;
mod forward;
mod lists;
mod matrix;
mod mean_field;
mod network;
mod replay;
mod room;
mod rows;
pub(crate) mod storage;
mod voltage;

use super::mean_field::Blocks;
use super::{
    Body, Checkpoint, InputGradients, OutputGradients, ScanInputs, ScanOutput, ScanPlan, ScanTape, Slot,
    SpikingBackend, Wanted,
};
use super::{finite, tensor_ops_adjoint, tensor_ops_forward};
use crate::lanes::{unserved, vectorize, vectors_found};
use crate::neuron::{Flow, Neuron, NeuronModel, with_model};
use crate::number::Real;
use adjoint::Sums;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use dynamics::{Dynamics, Potentials, Shared, Various};
use macerator::{Simd, WithSimd};
use matrix::Matrix;
use network::{Network, Projection, Weights};
use rayon::prelude::*;
use room::{unwritten, written};
use rows::Row;
use std::mem::MaybeUninit;
use std::sync::Arc;
use storage::Storage;
use voltage::Voltages;

/// Sizes of a run.
#[derive(Clone, Copy)]
struct Sizes {
    /// B.
    batch: usize,
    /// T.
    steps: usize,
    /// N.
    neurons: usize,
    /// K.
    synapses: usize,
    /// Rows of a state beside v: K + D.
    rows: usize,
    /// Length of a row of the drive: C with a projection, else N.
    channels: usize,
    /// O.
    outputs: usize,
}

impl Sizes {
    fn of<B: Storage>(inputs: &ScanInputs<B>, plan: &ScanPlan) -> Self {
        let drive = inputs.drive.shape();
        Self {
            batch: drive[0],
            steps: drive[1],
            neurons: inputs.v0.shape()[1],
            synapses: plan.synapses.len(),
            rows: plan.state_rows(),
            channels: drive[2],
            outputs: plan.readout.and(inputs.readout.as_option()).map_or(0, |readout| readout.shape()[1]),
        }
    }

    /// The program writes memory by these sizes, so it makes sure of them itself, whoever calls.
    fn check<B: Storage>(self, inputs: &ScanInputs<B>, plan: &ScanPlan) {
        let Self { batch, neurons, rows, channels, .. } = self;
        let dims = |tensor: &FloatTensor<B>| -> Vec<usize> {
            let shape = tensor.shape();
            (0..shape.num_dims()).map(|d| shape[d]).collect()
        };
        assert_eq!(dims(&inputs.v0), [batch, neurons], "v0 is [batch, neurons]");
        assert_eq!(dims(&inputs.s0), [batch, rows, neurons], "s0 is [batch, synapse types and delays, neurons]");
        let planes = inputs.weights.as_option().map_or(0, |weights| weights.shape()[0]);
        assert_eq!(planes, plan.weight_planes(), "one plane of weights for each recurrent synapse type");
        assert!(
            inputs.projection.as_option().is_some() || channels == neurons,
            "a whole drive is [batch, steps, neurons]"
        );
    }
}

/// Samples side by side: two vectors of each, and what they are multiplied with, are as many as the smaller processors hold.
const SIDE_BY_SIDE: usize = 5;

/// Work is cut into this many tiles at least, for the sake of machines with as many cores.
const TILES: usize = 8;

/// Width of the gate from which on most neurons are active.
const CROWDED_WIDTH: f64 = 0.6;

/// Below this many neurons a product is short beside everything else.
const FEW_NEURONS: usize = 32;

/// Neurons times steps of a segment from which on another thread's help is worth waking it for.
const LONG_SEGMENT: usize = 8192;

/// Bytes of a segment's rows that stay in a core's cache.
const SEGMENT_BYTES: usize = 256 << 10;

/// How a run is cut into segments, a matter of plan and shape alone.
#[derive(Clone, Copy)]
struct Segments {
    /// Steps in each.
    every: usize,
    /// How many.
    count: usize,
    /// Whether all currents are kept.
    currents: bool,
}

impl Segments {
    fn of<T>(plan: &ScanPlan, sizes: Sizes) -> Self {
        let Sizes { steps, neurons, .. } = sizes;
        let of_constants = if plan.constants { 2 + 2 * plan.synapses.len() } else { 0 };
        let rows_per_step = 5 + plan.weight_planes() + plan.readout.is_some() as usize + of_constants;
        let in_cache = SEGMENT_BYTES / (rows_per_step * rows::padded(neurons) * size_of::<T>());
        let root = (steps as f64).sqrt().ceil() as usize;
        // Shorter segments would go through all gradients of the weights too often.
        let by_rule = root.min(in_cache.max(32));
        // About as many neurons are active as the gate is wide; sending a row again costs a hundredth of the currents' way to
        // memory and back.
        let costly = plan.gate.width() * (neurons * plan.weight_planes()) as f64 > 90.0;
        // A run without trajectories is one that should take little memory.
        let trajectories = plan.traces_read() > 0 || plan.record_v || plan.record_charge;
        let (every, currents) = match plan.checkpoint {
            Checkpoint::Auto => (by_rule, costly && trajectories),
            Checkpoint::Currents => (by_rule, true),
            Checkpoint::States => (by_rule, false),
            Checkpoint::Every(every) => (every.min(steps), false),
        };
        // The constants' gradients want Jᵏ of each step, not their sum.
        Self { every, count: steps.div_ceil(every), currents: currents && !plan.constants }
    }
}

fn forward_on<B: Storage>(inputs: ScanInputs<B>, plan: &ScanPlan, keep_tape: bool) -> ScanOutput<B> {
    if plan.each.is_some() {
        return by_dtype!(inputs.drive, |T| forward_with::<B, T, _>(various::<T>(plan), inputs, plan, keep_tape));
    }
    if let Some(voltages) = voltages(&inputs, plan) {
        return by_dtype!(inputs.drive, |T| forward_with::<B, T, _>(voltages, inputs, plan, keep_tape));
    }
    with_model!(&plan.neuron, |model| forward_along(model.over(plan.dt), inputs, plan, keep_tape), |own| {
        B::forward_by(&**own, inputs, plan, keep_tape)
    })
}

fn adjoint_on<B: Storage>(
    inputs: ScanInputs<B>,
    tape: ScanTape<B>,
    gradients: OutputGradients<B>,
    plan: &ScanPlan,
    wanted: Wanted,
) -> InputGradients<B> {
    if plan.each.is_some() {
        return by_dtype!(inputs.drive, |T| {
            adjoint_with::<B, T, _>(various::<T>(plan), inputs, tape, gradients, plan, wanted)
        });
    }
    if let Some(voltages) = voltages(&inputs, plan) {
        return by_dtype!(inputs.drive, |T| {
            adjoint_with::<B, T, _>(voltages, inputs, tape, gradients, plan, wanted)
        });
    }
    with_model!(
        &plan.neuron,
        |model| adjoint_along(model.over(plan.dt), inputs, tape, gradients, plan, wanted),
        |own| B::adjoint_by(&**own, inputs, tape, gradients, plan, wanted)
    )
}

fn various<T: Real>(plan: &ScanPlan) -> Potentials<Various<T>> {
    Various::of(plan).expect("own neurons with constants of their own run in tensor operations")
}

/// QIF neurons in their voltage form, where plan and start allow it.
fn voltages<B: Storage>(inputs: &ScanInputs<B>, plan: &ScanPlan) -> Option<Voltages> {
    let voltages = Voltages::of(plan)?;
    let v0 = B::contiguous(inputs.v0.clone());
    by_dtype!(v0, |T| Voltages::can_start(B::slice::<T>(&v0))).then_some(voltages)
}

/// The forward kernel of one flow.
pub(crate) fn forward_along<B: Storage, F: Flow>(
    flow: F,
    inputs: ScanInputs<B>,
    plan: &ScanPlan,
    keep_tape: bool,
) -> ScanOutput<B> {
    by_dtype!(inputs.drive, |T| forward_with::<B, T, _>(Shared::of(flow, plan), inputs, plan, keep_tape))
}

/// The adjoint kernel of one flow.
pub(crate) fn adjoint_along<B: Storage, F: Flow>(
    flow: F,
    inputs: ScanInputs<B>,
    tape: ScanTape<B>,
    gradients: OutputGradients<B>,
    plan: &ScanPlan,
    wanted: Wanted,
) -> InputGradients<B> {
    by_dtype!(inputs.drive, |T| {
        adjoint_with::<B, T, _>(Shared::of(flow, plan), inputs, tape, gradients, plan, wanted)
    })
}

/// The network's parameters as the kernel reads them.
struct Parameters<T> {
    weights: Vec<Weights<T>>,
    projection: Option<Projection<T>>,
    /// Oᵀ.
    readout: Option<Matrix<T>>,
}

impl<T: Real> Parameters<T> {
    fn of<B: Storage>(inputs: &ScanInputs<B>, sizes: Sizes) -> Self {
        let Sizes { neurons, outputs, .. } = sizes;
        let matrix = |slot: &Slot<B>, columns: usize| {
            let tensor = B::contiguous(slot.as_option()?.clone());
            Some(Matrix::padded(B::slice::<T>(&tensor), columns))
        };
        let tonic = |slot: &Slot<B>| match slot.as_option() {
            Some(tonic) => Row::of(B::slice::<T>(&B::contiguous(tonic.clone()))),
            None => Row::zeros(neurons),
        };
        let planes = match inputs.weights.as_option() {
            Some(weights) => {
                let weights = B::contiguous(weights.clone());
                let planes = B::slice::<T>(&weights).chunks_exact(neurons * neurons);
                planes.map(|plane| Weights::new(Matrix::padded(plane, neurons))).collect()
            }
            None => Vec::new(),
        };
        Self {
            weights: planes,
            projection: matrix(&inputs.projection, neurons)
                .map(|weights| Projection { weights, tonic: tonic(&inputs.tonic) }),
            readout: matrix(&inputs.readout, outputs).map(|readout| readout.transposed(outputs)),
        }
    }

    fn network<'a>(&'a self, plan: &'a ScanPlan, sizes: Sizes) -> Network<'a, T> {
        let Sizes { batch, steps, neurons, .. } = sizes;
        Network {
            synapses: &plan.synapses,
            weights: &self.weights,
            projection: self.projection.as_ref(),
            readout: plan.readout.zip(self.readout.as_ref()),
            restraint: plan.adjoint.restraint(batch, steps),
            constants: plan.constants,
            neurons,
            silence: Row::zeros(neurons),
            everyone: (0..neurons as u32).collect(),
        }
    }
}

/// Splits `[P, B, rest]` into P lists of B rows.
fn rows_of<T>(data: &mut [T], batch: usize, row: usize) -> impl Iterator<Item = std::slice::ChunksExactMut<'_, T>> {
    data.chunks_exact_mut(batch * row).map(move |plane| plane.chunks_exact_mut(row))
}

fn forward_with<B: Storage, T: Real, F: Dynamics<T>>(
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
    let activity_weight = inputs.activity_weight.into_option().map(B::contiguous);
    let weight_of = |b: usize| activity_weight.as_ref().map(|m| &B::slice::<T>(m)[b * steps..(b + 1) * steps]);
    let starts = B::slice::<T>(&v0).chunks_exact(neurons).zip(B::slice::<T>(&s0).chunks_exact(rows * neurons));
    let runs = B::slice::<T>(&drive).chunks_exact(steps * channels).zip(starts);

    let read = plan.traces_read();
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
            (forward::Inputs { drive, activity_weight: weight_of(b), v0, s0 }, outputs)
        });
        let tiles = shared_out(samples, batch, tile_count(plan, sizes));
        tiles.into_par_iter().for_each(|samples| {
            let (network, dynamics, every) = (&network, &dynamics, segments.every);
            vectorize(ForwardTask { network, dynamics, steps, every, blocks, samples });
        });
    }
    finite::check(finite::POTENTIAL, &last_v, batch, neurons, steps);
    finite::check(finite::TRACE, &last_s, batch, neurons, steps);
    // Each sample's run wrote all its rows, and there is a run for each sample.
    let readout = unsafe { written(readout) };
    if outputs > 0 {
        finite::check(finite::READOUT, &readout, batch, outputs, steps);
    }

    let tensor = |data: Vec<T>, shape: &[usize]| B::from_vec(data, shape);
    let slot = |data: Vec<MaybeUninit<T>>, shape: &[usize]| match data.is_empty() {
        true => Slot::Empty,
        // Each sample's run wrote all its rows, and there is a run for each sample.
        false => Slot::Full(tensor(unsafe { written(data) }, shape)),
    };
    ScanOutput {
        traces: slot(traces, &[read, batch, steps, neurons]),
        v: slot(v, &[batch, steps, neurons]),
        charge: slot(charge, &[batch, steps, neurons]),
        readout: if outputs > 0 { Slot::Full(tensor(readout, &[batch, steps, outputs])) } else { Slot::Empty },
        activity: if outputs > 0 { Slot::Full(tensor(activity, &[batch])) } else { Slot::Empty },
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

/// How many tiles of samples there are, each of which runs side by side: a matter of plan and shape alone. Samples run side by side
/// where the gate is so wide that a step finds most neurons active; an even number of tiles, so that two threads get equal shares.
fn tile_count(plan: &ScanPlan, sizes: Sizes) -> usize {
    let Sizes { batch, neurons, .. } = sizes;
    let crowded = plan.weight_planes() > 0 && plan.gate.width() >= CROWDED_WIDTH && neurons >= FEW_NEURONS;
    let tiles = if crowded { batch.div_ceil(SIDE_BY_SIDE).next_multiple_of(2).max(TILES) } else { batch };
    tiles.min(batch)
}

/// Deals out what belongs to samples, in order, to `tiles` tiles.
fn shared_out<X>(samples: impl Iterator<Item = X>, batch: usize, tiles: usize) -> Vec<Vec<X>> {
    let mut dealt: Vec<Vec<X>> = (0..tiles).map(|_| Vec::with_capacity(batch.div_ceil(tiles))).collect();
    for (b, sample) in samples.enumerate() {
        dealt[b * tiles / batch].push(sample);
    }
    dealt
}

/// Elements that all partial sums of the parameters' gradients should have together; more, if that were fewer than four sums.
const PARTIAL_SUMS: usize = 1 << 20;

/// How many groups of tiles have a partial sum of the parameters' gradients each: a matter of shape alone. Tiles of their own where
/// the sums are small; else a power of two, so that two, four or eight threads get equal shares.
fn group_count(sizes: Sizes, planes: usize, tiles: usize) -> usize {
    let rows = planes * sizes.neurons + sizes.channels + sizes.outputs;
    let affordable = (PARTIAL_SUMS / (rows * rows::padded(sizes.neurons))).max(4);
    if affordable >= tiles { tiles } else { 1 << affordable.ilog2() }
}

fn adjoint_with<B: Storage, T: Real, F: Dynamics<T>>(
    dynamics: F,
    inputs: ScanInputs<B>,
    tape: ScanTape<B>,
    gradients: OutputGradients<B>,
    plan: &ScanPlan,
    wanted: Wanted,
) -> InputGradients<B> {
    let sizes = Sizes::of(&inputs, plan);
    let Sizes { batch, steps, neurons, rows, channels, outputs, .. } = sizes;
    let segments = Segments::of::<T>(plan, sizes);
    let row = steps * neurons;
    sizes.check(&inputs, plan);
    let parameters = Parameters::<T>::of(&inputs, sizes);
    let network = parameters.network(plan, sizes);
    let state_size = segments.count * network.state_rows(segments.currents) * neurons;

    let contiguous = |slot: Slot<B>| slot.into_option().map(B::contiguous);
    let (input, s0) = (B::contiguous(inputs.drive), B::contiguous(inputs.s0));
    let (currents, states) = (contiguous(tape.currents), contiguous(tape.states));
    let d_traces = contiguous(gradients.traces);
    let (d_v, d_charge) = (contiguous(gradients.v), contiguous(gradients.charge));
    let (d_readout, d_activity) = (contiguous(gradients.readout), contiguous(gradients.activity));
    let (d_last_v, d_last_s) = (contiguous(gradients.last_v), contiguous(gradients.last_s));
    let activity_weight = contiguous(inputs.activity_weight);
    fn part<B: Storage, T: Real>(tensor: &Option<FloatTensor<B>>, at: usize, length: usize) -> Option<&[T]> {
        tensor.as_ref().map(|tensor| &B::slice::<T>(tensor)[at * length..(at + 1) * length])
    }
    let inputs_of = |b: usize| adjoint::Inputs {
        drive: &B::slice::<T>(&input)[b * steps * channels..(b + 1) * steps * channels],
        currents: part::<B, T>(&currents, b, row),
        states: part::<B, T>(&states, b, state_size).expect("the forward run kept its tape"),
        s0: &B::slice::<T>(&s0)[b * rows * neurons..(b + 1) * rows * neurons],
        traces: plan.planes_read().map(|r| part::<B, T>(&d_traces, r? * batch + b, row)).collect(),
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
        .map(|(b, v0)| (inputs_of(b), adjoint::Outputs { drive: drive_rows.next(), v0, s0: s0_rows.next() }));
    let tiled = shared_out(samples, batch, tiles);
    let groups = shared_out(tiled.into_iter(), tiles, group_count(sizes, planes, tiles));
    // With all currents at hand a segment runs again too fast for help to pay.
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
    let slot = |data: Option<Vec<T>>, shape: &[usize]| Slot::from(data.map(|data| B::from_vec(data, shape)));
    let gradients = InputGradients {
        // Each sample's adjoint wrote all its row.
        drive: slot(wanted.drive.then(|| unsafe { written(drive) }), &[batch, steps, channels]),
        v0: B::from_vec(d_v0, &[batch, neurons]),
        s0: slot(wanted.s0.then_some(d_s0), &[batch, rows, neurons]),
        ..parameter_gradients::<B, T>(&partial, (planes, sizes), plan)
    };
    finite::judged(gradients, spoiled, plan.non_finite_gradient)
}

/// The gradients that samples share, from the groups' sums; the others are empty.
fn parameter_gradients<B: Storage, T: Real>(
    partial: &[Sums<T>],
    (planes, sizes): (usize, Sizes),
    plan: &ScanPlan,
) -> InputGradients<B> {
    let Sizes { neurons, channels, outputs, .. } = sizes;
    let weights = total_of(partial, planes * neurons, neurons, |sums, at| sums.weights[at / neurons].row(at % neurons));
    let summed = |of: fn(&Sums<T>) -> Option<&Matrix<T>>| {
        let rows = of(&partial[0])?.rows();
        Some(total_of(partial, rows, neurons, |sums, at| of(sums).expect("all groups sum the same").row(at)))
    };
    let projection = summed(|sums| sums.projection.as_ref());
    let tonic = summed(|sums| sums.tonic.as_ref());
    let readout = summed(|sums| sums.readout.as_ref()).map(|rows| {
        let columns = (0..neurons).flat_map(|j| (0..outputs).map(move |r| r * neurons + j));
        columns.map(|at| rows[at]).collect::<Vec<T>>()
    });
    let constants = summed(|sums| sums.constants.as_ref()).map(|rows| {
        // A neuron's own are τ_v and w.
        let own = if plan.each.is_some() { 2 * neurons } else { 0 };
        let total = |row: &[T]| T::of(row.iter().map(|x| x.to_f64()).sum::<f64>());
        let shared = rows[own..].chunks_exact(neurons).map(total);
        rows[..own].iter().copied().chain(shared).collect::<Vec<T>>()
    });
    let slot = |data: Option<Vec<T>>, shape: &[usize]| Slot::from(data.map(|data| B::from_vec(data, shape)));
    InputGradients {
        drive: Slot::Empty,
        projection: slot(projection, &[channels, neurons]),
        tonic: slot(tonic, &[neurons]),
        weights: slot((planes > 0).then_some(weights), &[planes, neurons, neurons]),
        v0: B::from_vec(vec![T::default(); sizes.batch * neurons], &[sizes.batch, neurons]),
        s0: Slot::Empty,
        readout: slot(readout, &[neurons, outputs]),
        constants: slot(constants, &[plan.constants_len(neurons)]),
    }
}

/// Rows of partial sums, added in the order of the groups.
fn total_of<T: Real>(
    partial: &[Sums<T>],
    rows: usize,
    neurons: usize,
    of: impl Fn(&Sums<T>, usize) -> &[T] + Sync,
) -> Vec<T> {
    let mut total = vec![T::default(); rows * neurons];
    total.par_chunks_exact_mut(neurons).enumerate().for_each(|(at, row)| {
        for sums in partial {
            row.iter_mut().zip(of(sums, at)).for_each(|(sum, &summand)| *sum += summand);
        }
    });
    total
}

/// The program that runs a plan: the kernel wants a processor with vectors, and knows no own neurons with constants of their own.
fn body_of(plan: &ScanPlan) -> Body {
    let known = plan.each.is_none() || !matches!(plan.neuron, Neuron::Own(_));
    if vectors_found() && known { plan.body } else { Body::TensorOps }
}

/// The op on a backend whose storage the kernel can reach.
macro_rules! on_cpu {
    ($backend:ty) => {
        impl SpikingBackend for $backend {
            fn spiking_scan(inputs: ScanInputs<Self>, plan: Arc<ScanPlan>, keep_tape: bool) -> ScanOutput<Self> {
                match body_of(&plan) {
                    Body::Kernel => forward_on::<Self>(inputs, &plan, keep_tape),
                    Body::TensorOps => tensor_ops_forward::<Self>(inputs, &plan, keep_tape),
                }
            }

            fn spiking_scan_adjoint(
                inputs: ScanInputs<Self>,
                tape: ScanTape<Self>,
                gradients: OutputGradients<Self>,
                plan: Arc<ScanPlan>,
                wanted: Wanted,
            ) -> InputGradients<Self> {
                match body_of(&plan) {
                    Body::Kernel if plan.rates.is_some() => {
                        mean_field::adjoint_on::<Self>(inputs, tape, gradients, &plan, wanted)
                    }
                    Body::Kernel => adjoint_on::<Self>(inputs, tape, gradients, &plan, wanted),
                    Body::TensorOps => tensor_ops_adjoint::<Self>(inputs, tape, gradients, &plan, wanted),
                }
            }
        }
    };
}

#[cfg(feature = "flex")]
on_cpu!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_cpu!(burn::backend::NdArray);
