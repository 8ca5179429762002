//! The scan's kernel for Burn's CPU backends, Flex and NdArray: one source for f32 and f64.
//!
//! It works on the backends' own storage without copying it. A sample is one unit of work, its state stays in cache, and
//! only active neurons touch the weights. The weight gradient is summed in groups of samples that depend on the shape alone,
//! and the groups in order, so results are bit-identical for any number of threads.

mod adjoint;
mod forward;
mod matrix;
mod rows;
mod storage;

use super::{Body, InputGradients, OutputGradients, ScanOutput, ScanPlan, ScanTape, Slot, SpikingBackend, Wanted};
use super::{composed, finite};
use crate::neuron::{Flow, Neuron, Nif, Qif};
use crate::number::{Fused, Real};
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use forward::Network;
use matrix::Matrix;
use rayon::prelude::*;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::Arc;
use storage::Storage;

/// B, T, N and K of a run.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    steps: usize,
    neurons: usize,
    synapses: usize,
}

/// One program for each neuron.
macro_rules! by_neuron {
    ($plan:expr, |$flow:ident| $body:expr) => {
        match $plan.neuron {
            Neuron::Nif => {
                let $flow = Nif.over($plan.dt);
                $body
            }
            Neuron::Qif { tau_v } => {
                let $flow = Qif { tau_v }.over($plan.dt);
                $body
            }
        }
    };
}

/// One program for each precision, with fused arithmetic where the processor has it.
macro_rules! by_dtype {
    ($tensor:expr, |$real:ident| $body:expr) => {
        match ($tensor.dtype(), fuses()) {
            (DType::F32, true) => {
                type $real = Fused<f32>;
                $body
            }
            (DType::F64, true) => {
                type $real = Fused<f64>;
                $body
            }
            (DType::F32, false) => {
                type $real = f32;
                $body
            }
            (DType::F64, false) => {
                type $real = f64;
                $body
            }
            (other, _) => panic!("a spiking scan runs in f32 or f64, not in {other:?}; cast the inputs and the layer"),
        }
    };
}

/// Whether the programs that `pulp` dispatches to multiply and add in one instruction.
fn fuses() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return pulp::x86::V3::try_new().is_some();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86")))]
    return cfg!(target_arch = "aarch64");
}

fn forward_on<B: Storage>(
    drive: FloatTensor<B>,
    weights: Slot<B>,
    v0: FloatTensor<B>,
    s0: FloatTensor<B>,
    plan: &ScanPlan,
    keep_tape: bool,
) -> ScanOutput<B> {
    by_dtype!(drive, |T| by_neuron!(plan, |flow| forward_with::<B, T, _>(
        flow, drive, weights, v0, s0, plan, keep_tape
    )))
}

fn adjoint_on<B: Storage>(
    tape: ScanTape<B>,
    gradients: OutputGradients<B>,
    plan: &ScanPlan,
    wanted: Wanted,
) -> InputGradients<B> {
    by_dtype!(tape.steps, |T| by_neuron!(plan, |flow| adjoint_with::<B, T, _>(flow, tape, gradients, plan, wanted)))
}

/// The planes of the weights, each laid out by `layout`.
fn matrices<B: Storage, T: Real>(
    weights: &Slot<B>,
    neurons: usize,
    layout: fn(&[T], usize) -> Matrix<T>,
) -> Vec<Matrix<T>> {
    let Some(weights) = weights.as_option() else { return Vec::new() };
    let weights = B::contiguous(weights.clone());
    let data = B::slice::<T>(&weights);
    data.chunks_exact(neurons * neurons).map(|plane| layout(plane, neurons)).collect()
}

/// Splits `[P, B, rest]` into P lists of B rows.
fn rows_of<T>(data: &mut [T], batch: usize, row: usize) -> impl Iterator<Item = std::slice::ChunksExactMut<'_, T>> {
    data.chunks_exact_mut(batch * row).map(move |plane| plane.chunks_exact_mut(row))
}

/// Room for `len` numbers; setting them to 0 first would take as long as a tenth of a run.
fn unwritten<T>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut room = Vec::with_capacity(len);
    // Nothing is promised of these elements.
    unsafe { room.set_len(len) };
    room
}

/// The numbers of a room.
///
/// # Safety
/// All of them have been written.
unsafe fn written<T>(room: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut room = ManuallyDrop::new(room);
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}

fn forward_with<B: Storage, T: Real, F: Flow>(
    flow: F,
    drive: FloatTensor<B>,
    weights: Slot<B>,
    v0: FloatTensor<B>,
    s0: FloatTensor<B>,
    plan: &ScanPlan,
    keep_tape: bool,
) -> ScanOutput<B> {
    let shape = drive.shape();
    let sizes = Sizes { batch: shape[0], steps: shape[1], neurons: shape[2], synapses: plan.synapses.len() };
    let Sizes { batch, steps, neurons, synapses } = sizes;
    let row = steps * neurons;
    let matrices = matrices::<B, T>(&weights, neurons, Matrix::padded);
    let network = Network { flow, gate: plan.gate, synapses: &plan.synapses, weights: &matrices, neurons };
    let (drive, v0, s0) = (B::contiguous(drive), B::contiguous(v0), B::contiguous(s0));
    let inputs = B::slice::<T>(&drive)
        .chunks_exact(row)
        .zip(B::slice::<T>(&v0).chunks_exact(neurons).zip(B::slice::<T>(&s0).chunks_exact(synapses * neurons)))
        .map(|(drive, (v0, s0))| forward::Inputs { drive, v0, s0 });

    let read = plan.traces_read();
    let space = |wanted: bool, planes: usize| unwritten::<T>(if wanted { planes * batch * row } else { 0 });
    let mut traces = space(read > 0, read);
    let (mut v, mut charge) = (space(plan.record_v, 1), space(plan.record_charge, 1));
    let mut tape = space(keep_tape, 2);
    let mut last_v = vec![T::default(); batch * neurons];
    let mut last_s = vec![T::default(); batch * synapses * neurons];

    {
        let mut trace_rows: Vec<_> = rows_of(&mut traces, batch, row).collect();
        let mut v_rows = v.chunks_exact_mut(row);
        let mut charge_rows = charge.chunks_exact_mut(row);
        let mut tape_rows = tape.chunks_exact_mut(2 * row);
        let last = last_v.chunks_exact_mut(neurons).zip(last_s.chunks_exact_mut(synapses * neurons));
        let samples: Vec<_> = inputs
            .zip(last)
            .map(|(inputs, (last_v, last_s))| {
                let traces = trace_rows.iter_mut().filter_map(Iterator::next).collect();
                let (v, charge, tape) = (v_rows.next(), charge_rows.next(), tape_rows.next());
                (inputs, forward::Outputs { traces, v, charge, tape, last_v, last_s })
            })
            .collect();
        let arch = pulp::Arch::new();
        samples.into_par_iter().for_each(|(inputs, outputs)| {
            arch.dispatch(ForwardTask { network: &network, inputs, outputs });
        });
    }
    finite::check(finite::POTENTIAL, &last_v, batch, neurons, steps);
    finite::check(finite::TRACE, &last_s, batch, neurons, steps);

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
        last_v: tensor(last_v, &[batch, neurons]),
        last_s: tensor(last_s, &[batch, synapses, neurons]),
        tape: slot(tape, &[batch, steps, 2, neurons]),
    }
}

struct ForwardTask<'a, 'n, T, F> {
    network: &'a Network<'n, T, F>,
    inputs: forward::Inputs<'a, T>,
    outputs: forward::Outputs<'a, T>,
}

impl<T: Real, F: Flow> pulp::WithSimd for ForwardTask<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        forward::run(self.network, self.inputs, self.outputs);
    }
}

/// Elements that all partial sums of the weight gradient may have together.
const PARTIAL_SUMS: usize = 1 << 22;

/// How many samples share one partial sum of the weight gradient: a matter of shape alone.
fn group_size(sizes: Sizes, planes: usize) -> usize {
    let one = planes.max(1) * sizes.neurons * rows::padded(sizes.neurons);
    let groups = (PARTIAL_SUMS / one).clamp(8, 64);
    sizes.batch.div_ceil(groups).max(1)
}

fn adjoint_with<B: Storage, T: Real, F: Flow>(
    flow: F,
    tape: ScanTape<B>,
    gradients: OutputGradients<B>,
    plan: &ScanPlan,
    wanted: Wanted,
) -> InputGradients<B> {
    let shape = tape.steps.shape();
    let sizes = Sizes { batch: shape[0], steps: shape[1], neurons: shape[3], synapses: plan.synapses.len() };
    let Sizes { batch, steps, neurons, synapses } = sizes;
    let row = steps * neurons;
    let transposed = matrices::<B, T>(&tape.weights, neurons, Matrix::transposed);
    let matrices = matrices::<B, T>(&tape.weights, neurons, Matrix::padded);
    let network = Network { flow, gate: plan.gate, synapses: &plan.synapses, weights: &matrices, neurons };

    let contiguous = |slot: Slot<B>| slot.into_option().map(B::contiguous);
    let (steps_tape, v0, s0) = (B::contiguous(tape.steps), B::contiguous(tape.v0), B::contiguous(tape.s0));
    let d_traces = contiguous(gradients.traces);
    let (d_v, d_charge) = (contiguous(gradients.v), contiguous(gradients.charge));
    let (d_last_v, d_last_s) = (contiguous(gradients.last_v), contiguous(gradients.last_s));
    fn part<B: Storage, T: Real>(tensor: &Option<FloatTensor<B>>, at: usize, length: usize) -> Option<&[T]> {
        tensor.as_ref().map(|tensor| &B::slice::<T>(tensor)[at * length..(at + 1) * length])
    }
    let inputs = |b: usize| adjoint::Inputs {
        tape: &B::slice::<T>(&steps_tape)[2 * b * row..2 * (b + 1) * row],
        v0: &B::slice::<T>(&v0)[b * neurons..(b + 1) * neurons],
        s0: &B::slice::<T>(&s0)[b * synapses * neurons..(b + 1) * synapses * neurons],
        traces: plan.planes_read().map(|r| part::<B, T>(&d_traces, r? * batch + b, row)).collect(),
        v: part::<B, T>(&d_v, b, row),
        charge: part::<B, T>(&d_charge, b, row),
        last_v: part::<B, T>(&d_last_v, b, neurons),
        last_s: part::<B, T>(&d_last_s, b, synapses * neurons),
    };

    let mut drive = unwritten::<T>(batch * row);
    let mut d_v0 = vec![T::default(); batch * neurons];
    let mut d_s0 = vec![T::default(); if wanted.s0 { batch * synapses * neurons } else { 0 }];
    let planes = if wanted.weights { matrices.len() } else { 0 };
    let group = group_size(sizes, planes);
    let mut s0_rows = d_s0.chunks_exact_mut(synapses * neurons);
    let samples: Vec<_> = drive
        .chunks_exact_mut(row)
        .zip(d_v0.chunks_exact_mut(neurons))
        .map(|(drive, v0)| (drive, v0, s0_rows.next()))
        .enumerate()
        .collect();
    let mut groups: Vec<Vec<_>> = Vec::new();
    for (b, sample) in samples {
        if b % group == 0 {
            groups.push(Vec::with_capacity(group));
        }
        groups.last_mut().expect("the first sample opens a group").push((b, sample));
    }
    let arch = pulp::Arch::new();
    let partial: Vec<Vec<Matrix<T>>> = groups
        .into_par_iter()
        .map(|samples| {
            let mut weights: Vec<_> = (0..planes).map(|_| Matrix::zeros(neurons, neurons)).collect();
            for (b, (drive, v0, s0)) in samples {
                let outputs = adjoint::Outputs { drive, v0, s0, weights: &mut weights };
                arch.dispatch(AdjointTask { network: &network, transposed: &transposed, inputs: &inputs(b), outputs });
            }
            weights
        })
        .collect();
    let mut d_weights = vec![T::default(); planes * neurons * neurons];
    d_weights.par_chunks_exact_mut(neurons).enumerate().for_each(|(at, row)| {
        for group in &partial {
            let summand = group[at / neurons].row(at % neurons);
            row.iter_mut().zip(summand).for_each(|(sum, &summand)| *sum += summand);
        }
    });

    finite::check(finite::ADJOINT, &d_v0, batch, neurons, steps);
    InputGradients {
        // Each sample's adjoint wrote all its row.
        drive: B::from_vec(unsafe { written(drive) }, &[batch, steps, neurons]),
        weights: if planes > 0 { Slot::Full(B::from_vec(d_weights, &[planes, neurons, neurons])) } else { Slot::Empty },
        v0: B::from_vec(d_v0, &[batch, neurons]),
        s0: if wanted.s0 { Slot::Full(B::from_vec(d_s0, &[batch, synapses, neurons])) } else { Slot::Empty },
    }
}

struct AdjointTask<'a, 'n, T, F> {
    network: &'a Network<'n, T, F>,
    transposed: &'a [Matrix<T>],
    inputs: &'a adjoint::Inputs<'a, T>,
    outputs: adjoint::Outputs<'a, T>,
}

impl<T: Real, F: Flow> pulp::WithSimd for AdjointTask<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        adjoint::run(self.network, self.transposed, self.inputs, self.outputs);
    }
}

/// The op on a backend whose storage the kernel can reach.
macro_rules! on_cpu {
    ($backend:ty) => {
        impl SpikingBackend for $backend {
            fn spiking_scan(
                drive: FloatTensor<Self>,
                weights: Slot<Self>,
                v0: FloatTensor<Self>,
                s0: FloatTensor<Self>,
                plan: Arc<ScanPlan>,
                keep_tape: bool,
            ) -> ScanOutput<Self> {
                match plan.body {
                    Body::Kernel => forward_on::<Self>(drive, weights, v0, s0, &plan, keep_tape),
                    Body::TensorOps => composed::forward::<Self>(drive, weights, v0, s0, &plan, keep_tape),
                }
            }

            fn spiking_scan_adjoint(
                tape: ScanTape<Self>,
                gradients: OutputGradients<Self>,
                plan: Arc<ScanPlan>,
                wanted: Wanted,
            ) -> InputGradients<Self> {
                match plan.body {
                    Body::Kernel => adjoint_on::<Self>(tape, gradients, &plan, wanted),
                    Body::TensorOps => composed::adjoint::<Self>(tape, gradients, &plan, wanted),
                }
            }
        }
    };
}

#[cfg(feature = "flex")]
on_cpu!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_cpu!(burn::backend::NdArray);
