//! The kernel of the mean-field adjoint: the backward pass of one sample through rates, block by
//! block. The equations are in [`mean_field`](crate::scan::mean_field).
//!
//! One product of all blocks with W gives all currents of a sample. The recursion then takes one
//! product with Wᵀ per block. At the end, the outer products of all blocks are added to the
//! gradients of the parameters at once. So there are three products of N² per block; the exact
//! adjoint has three per step.

use super::gradients::{Sums, parameter_gradients};
use super::matrix::{Factors, Matrix};
use super::network::Network;
use super::parameters::Parameters;
use super::rows::{self, Row, lanes_mut};
use super::schedule::{Sizes, group_count, shared_out};
use super::storage::{Storage, contiguous, part, slot_of};
use crate::neuron::RateCurve;
use crate::num::Real;
use crate::num::simd::{unserved, vectorize};
use crate::scan::mean_field::{Blocks, curve_of, factors};
use crate::scan::{AdjointRequest, GradientMask, InputGradients, ScanConnections, ScanPlan, finite};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use macerator::{Simd, WithSimd};
use rayon::prelude::*;

/// One sample's inputs and tape, and the direct gradients of the cost; `None` if they are 0.
struct Inputs<'a, T> {
    /// The drive x, `[T, N]`, or the input i, `[T, C]`.
    drive: &'a [T],
    /// s_0, `[K, N]`.
    s0: &'a [T],
    /// s̄ᵏ, the mean trace in each block, `[blocks, N]` for each synapse type.
    means: Vec<&'a [T]>,
    /// s′, the direct gradient with respect to each trace in the trajectory, `[T, N]`.
    traces: Vec<Option<&'a [T]>>,
    /// ΔQ′, the direct gradient with respect to the charges, `[T, N]`.
    charge: Option<&'a [T]>,
    /// o′, the direct gradient with respect to the readout, `[T, O]`.
    readout: Option<&'a [T]>,
    /// A′, the direct gradient with respect to the activity.
    activity: Option<T>,
    /// m, the weights of the steps in the activity, `[T]`; 1 if `None`.
    activity_weight: Option<&'a [T]>,
    /// The direct gradient with respect to s_T, `[K, N]`.
    last_s: Option<&'a [T]>,
}

/// The memory to which one sample's gradients are written.
struct Outputs<'a, T> {
    /// ∂C/∂x, `[T, N]`, or ∂C/∂i, `[T, C]`.
    drive: Option<&'a mut [T]>,
    /// ∂C/∂s_0, `[K, N]`.
    s0: Option<&'a mut [T]>,
    /// q_0, `[N]`. If any value of the adjoint is not finite, q_0 shows it.
    first: &'a mut [T],
}

/// The data that all samples share.
struct Shared<'a, T> {
    network: &'a Network<'a, T>,
    curve: &'a RateCurve,
    softness: f64,
    blocks: Blocks,
    dt: f64,
    channels: usize,
    outputs: usize,
}

/// Runs the samples of a group one after the other.
struct Task<'a, 's, T> {
    shared: &'a Shared<'a, T>,
    samples: Vec<(Inputs<'s, T>, Outputs<'s, T>)>,
    sums: &'a mut Sums<T>,
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        for (inputs, outputs) in self.samples {
            self.shared.sample::<S>(&inputs, outputs, self.sums);
        }
    }
}

impl<T: Real> Shared<'_, T> {
    /// Returns the sum over each block of rows of a tensor, times c(number of steps in the block).
    #[inline(always)]
    fn block_sums<S: Simd>(&self, tensor: &[T], columns: usize, c: impl Fn(usize) -> f64) -> Matrix<T> {
        let mut sums = Matrix::zeros(self.blocks.count(), columns);
        for (n, steps) in tensor.chunks(self.blocks.every * columns).enumerate() {
            let sum = sums.row_mut(n);
            for row in steps.chunks_exact(columns) {
                rows::add_tensor::<S, T>(sum, row);
            }
            rows::scale::<S, T>(sum, T::of(c(self.blocks.len(n))));
        }
        sums
    }

    /// Runs the backward pass of one sample.
    #[inline(always)]
    fn sample<S: Simd>(&self, inputs: &Inputs<'_, T>, outputs: Outputs<'_, T>, sums: &mut Sums<T>) {
        let Self { network, blocks, .. } = self;
        let (n, count, one) = (network.neurons, blocks.count(), T::of(1.0));
        let mean_input = self.block_sums::<S>(inputs.drive, self.channels, |steps| 1.0 / steps as f64);
        // Loops, not closures: the compiler would take these for functions of their own, without
        // vectors.
        let mut before: Vec<Matrix<T>> = Vec::with_capacity(inputs.means.len());
        for (k, means) in inputs.means.iter().enumerate() {
            let mut rows = Matrix::zeros(count, n);
            rows.row_mut(0)[..n].copy_from_slice(&inputs.s0[k * n..(k + 1) * n]);
            for (at, mean) in means.chunks_exact(n).take(count - 1).enumerate() {
                rows.row_mut(at + 1)[..n].copy_from_slice(mean);
            }
            before.push(rows);
        }

        // `slope` first collects I_n, and then holds f′(I_n).
        let mut slope = Matrix::zeros(count, n);
        for at in 0..count {
            let onto = network.projection.map_or(mean_input.row(at), |projection| &projection.bias);
            rows::copy::<S, T>(slope.row_mut(at), onto);
        }
        if let Some(projection) = network.projection {
            projection.weights.send_block::<S>(count, &mean_input, &mut slope);
        }
        for (k, plane) in network.recurrent() {
            network.weights[plane].rows.send_block::<S>(count, &before[k], &mut slope);
        }
        for (k, row) in network.to_itself() {
            for at in 0..count {
                rows::add_product::<S, T>(slope.row_mut(at), network.self_weights.row(row), before[k].row(at));
            }
        }
        for at in 0..count {
            for x in lanes_mut::<S, T>(slope.row_mut(at)) {
                *x = self.curve.slope(*x, self.softness);
            }
        }

        let mut direct: Vec<Option<Matrix<T>>> = Vec::with_capacity(inputs.traces.len());
        for &traces in &inputs.traces {
            direct.push(match traces {
                Some(traces) => Some(self.block_sums::<S>(traces, n, |_| 1.0)),
                None => None,
            });
        }
        let charge = inputs.charge.map(|charge| self.block_sums::<S>(charge, n, |_| self.dt));
        let d_output = inputs.readout.map(|output| self.block_sums::<S>(output, self.outputs, |_| 1.0));
        let mut q = Matrix::zeros(count, n);
        let mut d: Vec<Row<T>> = network.synapses.iter().map(|_| Row::zeros(n)).collect();
        let mut error = Row::zeros(n);
        let all_outputs: Vec<u32> = (0..self.outputs as u32).collect();
        for at in (0..count).rev() {
            match &charge {
                Some(charge) => rows::copy::<S, T>(&mut error, charge.row(at)),
                None => rows::clear::<S, T>(&mut error),
            }
            for (k, synapse) in network.synapses.iter().enumerate() {
                if at + 1 < count {
                    self.back::<S>(k, at + 1, &mut d[k], q.row(at + 1));
                } else if let Some(last) = inputs.last_s {
                    rows::add_tensor::<S, T>(&mut d[k], &last[k * n..(k + 1) * n]);
                }
                if let Some(direct) = &direct[k] {
                    rows::add::<S, T>(&mut d[k], direct.row(at));
                }
                if let Some((read, readout)) = network.readout
                    && read == k
                {
                    if let Some(d_output) = &d_output {
                        readout.send::<S>(&all_outputs, d_output.row(at), one, one, &mut d[k]);
                    }
                    if let Some(activity) = inputs.activity {
                        let mean = Row::of(&inputs.means[k][at * n..(at + 1) * n]);
                        let weight = match inputs.activity_weight {
                            Some(weight) => {
                                let first = at * blocks.every;
                                weight[first..first + blocks.len(at)].iter().fold(T::default(), |sum, &m| sum + m)
                            }
                            None => T::of(blocks.len(at) as f64),
                        };
                        rows::add_scaled::<S, T>(&mut d[k], T::of(2.0) * activity * weight, &mean);
                    }
                }
                let (_, gain) = factors(synapse, blocks.len(at), self.dt);
                rows::add_scaled::<S, T>(&mut error, T::of(gain), &d[k]);
            }
            rows::add_product::<S, T>(q.row_mut(at), slope.row(at), &error);
        }

        for (k, plane) in network.recurrent() {
            if let Some(gradient) = sums.weights.get_mut(plane) {
                gradient.add_dense::<S>(count, Factors::of(&before[k]), &q);
            }
        }
        if let Some(gradient) = &mut sums.self_weights {
            for (k, row) in network.to_itself() {
                for at in 0..count {
                    rows::add_product::<S, T>(gradient.row_mut(row), before[k].row(at), q.row(at));
                }
            }
        }
        if let Some(gradient) = &mut sums.projection {
            gradient.add_dense::<S>(count, Factors::of(&mean_input), &q);
        }
        if let Some(gradient) = &mut sums.bias {
            gradient.add_dense::<S>(count, Factors::new(&[one], 0), &q);
        }
        if let (Some(gradient), Some(d_output), Some((k, _))) = (&mut sums.readout, &d_output, network.readout) {
            let means = Matrix::padded(inputs.means[k], n);
            gradient.add_dense::<S>(count, Factors::of(d_output), &means);
        }
        if let Some(out) = outputs.s0 {
            for (k, out) in out.chunks_exact_mut(n).enumerate() {
                self.back::<S>(k, 0, &mut d[k], q.row(0));
                out.copy_from_slice(&d[k][..n]);
            }
        }
        outputs.first.copy_from_slice(&q.row(0)[..n]);
        if let Some(out) = outputs.drive {
            self.write_drive::<S>(&mut q, out);
        }
    }

    /// Replaces D of block n by its part in D of the block before, a D + Wᵀ q. `q` is that of block
    /// n.
    #[inline(always)]
    fn back<S: Simd>(&self, k: usize, n: usize, d: &mut [T], q: &[T]) {
        let (left, _) = factors(&self.network.synapses[k], self.blocks.len(n), self.dt);
        match self.network.synapses[k].connections {
            ScanConnections::Plane(plane) => {
                let weights = self.network.weights[plane].transposed();
                weights.send::<S>(&self.network.everyone, q, T::of(1.0), T::of(left), d);
            }
            ScanConnections::SelfRow(row) => {
                rows::scale::<S, T>(d, T::of(left));
                rows::add_product::<S, T>(d, self.network.self_weights.row(row), q);
            }
            ScanConnections::None => rows::scale::<S, T>(d, T::of(left)),
        }
    }

    /// Writes ∂C/∂x or ∂C/∂i of each step.
    #[inline(always)]
    fn write_drive<S: Simd>(&self, q: &mut Matrix<T>, out: &mut [T]) {
        let mut row = Row::zeros(self.channels);
        let all: Vec<u32> = (0..self.channels as u32).collect();
        for (n, steps) in out.chunks_mut(self.blocks.every * self.channels).enumerate() {
            rows::scale::<S, T>(q.row_mut(n), T::of(1.0 / self.blocks.len(n) as f64));
            match self.network.projection {
                Some(projection) => {
                    rows::clear::<S, T>(&mut row);
                    projection.weights.gather::<S>(&all, q.row(n), T::of(1.0), &mut row);
                }
                None => rows::copy::<S, T>(&mut row, q.row(n)),
            }
            for step in steps.chunks_exact_mut(self.channels) {
                step.copy_from_slice(&row[..self.channels]);
            }
        }
    }
}

/// Runs the adjoint on a backend, in the precision of its tensors.
pub(super) fn adjoint_on<B: Storage>(
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    by_dtype!(request.inputs.drive, |T| adjoint_with::<B, T>(request, plan, wanted))
}

fn adjoint_with<B: Storage, T: Real>(
    request: AdjointRequest<B>,
    plan: &ScanPlan,
    wanted: GradientMask,
) -> InputGradients<B> {
    let AdjointRequest { inputs, tape, gradients } = request;
    let sizes = Sizes::of(&inputs, plan);
    let Sizes { batch, steps, neurons, synapses, channels, outputs, .. } = sizes;
    sizes.check(&inputs, plan);
    let parameters = Parameters::<T>::of(&inputs, sizes);
    let network = parameters.network(plan, sizes);
    let (curve, softness) = curve_of(plan);
    let blocks = Blocks::of(plan, steps);
    let shared = Shared { network: &network, curve, softness, blocks, dt: plan.dt, channels, outputs };

    let (drive, s0) = (B::contiguous(inputs.drive), B::contiguous(inputs.s0));
    let means = contiguous::<B>(tape.means).expect("the forward run kept its tape");
    let (d_traces, d_charge) = (contiguous::<B>(gradients.traces), contiguous::<B>(gradients.charge));
    let (d_readout, d_activity) = (contiguous::<B>(gradients.readout), contiguous::<B>(gradients.activity));
    let d_last_s = contiguous::<B>(gradients.last_s);
    let activity_weight = contiguous::<B>(inputs.activity_weight);
    let (row, of_blocks) = (steps * neurons, blocks.count() * neurons);
    let inputs_of = |b: usize| Inputs {
        drive: &B::slice::<T>(&drive)[b * steps * channels..(b + 1) * steps * channels],
        s0: &B::slice::<T>(&s0)[b * synapses * neurons..(b + 1) * synapses * neurons],
        means: (0..synapses).map(|k| &B::slice::<T>(&means)[(k * batch + b) * of_blocks..][..of_blocks]).collect(),
        traces: plan.readout_planes().map(|r| part::<B, T>(&d_traces, r? * batch + b, row)).collect(),
        charge: part::<B, T>(&d_charge, b, row),
        readout: part::<B, T>(&d_readout, b, steps * outputs),
        activity: part::<B, T>(&d_activity, b, 1).map(|activity| activity[0]),
        activity_weight: part::<B, T>(&activity_weight, b, steps),
        last_s: part::<B, T>(&d_last_s, b, synapses * neurons),
    };

    let mut d_drive = vec![T::default(); if wanted.drive { batch * steps * channels } else { 0 }];
    let mut d_s0 = vec![T::default(); if wanted.s0 { batch * synapses * neurons } else { 0 }];
    let planes = if wanted.weights { parameters.weights.len() } else { 0 };
    let mut drive_rows = d_drive.chunks_exact_mut(steps * channels);
    let mut s0_rows = d_s0.chunks_exact_mut(synapses * neurons);
    let mut first = vec![T::default(); batch * neurons];
    let samples = first.chunks_exact_mut(neurons).enumerate().map(|(b, first)| {
        let outputs = Outputs { drive: drive_rows.next(), s0: s0_rows.next(), first };
        (inputs_of(b), outputs)
    });
    let groups = shared_out(samples, batch, group_count(planes * neurons + channels + outputs, neurons, batch));
    let partial: Vec<Sums<T>> = groups
        .into_par_iter()
        .map(|samples| {
            let mut sums = Sums::zeros(sizes, planes, wanted);
            vectorize(Task { shared: &shared, samples, sums: &mut sums });
            sums
        })
        .collect();
    let spoiled = finite::find(finite::DRIVE_ADJOINT, &first, [batch, neurons, steps]);
    let gradients = InputGradients {
        drive: slot_of::<B, T>(wanted.drive.then_some(d_drive), &[batch, steps, channels]),
        s0: slot_of::<B, T>(wanted.s0.then_some(d_s0), &[batch, synapses, neurons]),
        ..parameter_gradients::<B, T>(&partial, (planes, sizes), plan)
    };
    finite::judged(gradients, spoiled, plan.non_finite_gradient)
}
