//! The adjoint kernel: the backward pass of one sample, or of a few side by side, in segments.
//!
//! Each segment has three parts:
//!
//! 1. The segment runs again, forward. This leaves the charges, slopes and gates of all its steps
//!    in cache.
//! 2. The adjoint goes backward through the segment.
//! 3. The outer products of all its steps are added to the gradients of the parameters at once.
//!
//! If there are threads to spare, another thread meanwhile runs the preceding segment again.

use super::active_set::Lists;
use super::adjoint_sample::{Sample, crowded};
use super::dynamics::Dynamics;
use super::gradients::Sums;
use super::network::{Network, SampleBlock};
use super::replay::{Replay, ReplayTask};
use super::rows;
use super::sample::{Inputs, Outputs, Shared};
use crate::num::Real;
use crate::num::simd::{unserved, vectorize};
use macerator::{Simd, WithSimd};
use std::ops::Range;

/// The backward pass through one segment, for samples side by side.
struct BackTask<'a, 'n, 's, T> {
    network: &'a Network<'n, T>,
    shared: &'a Shared,
    inputs: &'a [Inputs<'s, T>],
    samples: &'a mut [Sample<'s, T>],
    replays: &'a mut [Replay<T>],
    together: &'a mut SampleBlock<T>,
    sums: &'a mut Sums<T>,
    /// The input channels that are not 0, for inputs of many channels.
    open_channels: &'a mut Lists,
    /// The segment's steps.
    steps: Range<usize>,
}

impl<T: Real> WithSimd for BackTask<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        let (first, length) = (self.steps.start, self.steps.len());
        for (sample, replay) in self.samples.iter().zip(self.replays.iter_mut()) {
            sample.enter(&mut replay.segment, length);
        }
        for t in self.steps.clone().rev() {
            let (network, shared, inputs, at) = (self.network, self.shared, self.inputs, t - first);
            for (b, sample) in self.samples.iter_mut().enumerate() {
                sample.errors::<S>(network, shared, &inputs[b], &mut self.replays[b].segment, at, t);
            }
            self.error_currents::<S>(at, t);
            for (sample, replay) in self.samples.iter_mut().zip(self.replays.iter_mut()) {
                sample.costate::<S>(network, shared, &mut replay.segment, at, t);
            }
        }
        for (b, sample) in self.samples.iter_mut().enumerate() {
            let segment = &mut self.replays[b].segment;
            sample.leave(segment);
            let (channels, sums) = (self.shared.channels, (&mut *self.sums, &mut *self.open_channels));
            sample.add_to_sums::<S>(self.network, channels, &self.inputs[b], segment, sums, self.steps.clone());
        }
    }
}

impl<T: Real> BackTask<'_, '_, '_, T> {
    /// Computes μ_t of all samples. If more than half of the neurons are active in every sample,
    /// one pass through the weights serves all samples.
    #[inline(always)]
    fn error_currents<S: Simd>(&mut self, at: usize, t: usize) {
        let Self { network, inputs, samples, replays, together, .. } = self;
        let count = samples.len();
        let mut together_now = count > 1;
        for replay in replays.iter() {
            together_now &= crowded(network, &replay.segment, at);
        }
        if !together_now {
            for (b, sample) in samples.iter_mut().enumerate() {
                sample.error_current::<S>(network, &inputs[b], &replays[b].segment, at, t);
            }
            return;
        }
        for (b, sample) in samples.iter_mut().enumerate() {
            sample.start_errors::<S>(network, &inputs[b], &replays[b].segment, at, t);
        }
        for (k, plane) in network.recurrent() {
            let amplitude = T::of(network.synapses[k].amplitude);
            for (r, (sample, replay)) in samples.iter().zip(replays.iter()).enumerate() {
                rows::scaled::<S, T>(together.factors.row_mut(r), amplitude, replay.segment.p[k].row(at));
                together.sums.row_mut(r).copy_from_slice(&sample.mu);
            }
            let weights = network.weights[plane].transposed();
            weights.send_block::<S>(count, &together.factors, &mut together.sums);
            for (r, sample) in samples.iter_mut().enumerate() {
                sample.mu.copy_from_slice(together.sums.row(r));
            }
        }
    }
}

/// Computes the gradients of the initial state, for samples side by side.
struct FinishTask<'a, 'n, 's, T> {
    network: &'a Network<'n, T>,
    inputs: &'a [Inputs<'s, T>],
    steps: usize,
    samples: Vec<Sample<'s, T>>,
    replays: &'a mut [Replay<T>],
    sums: &'a mut Sums<T>,
}

impl<T: Real> WithSimd for FinishTask<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        for (b, sample) in self.samples.into_iter().enumerate() {
            sample.finish::<S>(self.network, &self.inputs[b], self.steps, &mut self.replays[b].segment, self.sums);
        }
    }
}

/// Runs the adjoint of samples side by side in segments of `every` steps. The equations are in
/// [`scan`](crate::scan).
///
/// If there are threads to spare, one thread runs the next segment again while another goes
/// backward through the current one. The computation and its numbers are the same as with one
/// thread, so the results do not change, only the time.
pub(super) fn run<'a, T: Real>(
    (network, dynamics): (&Network<'_, T>, &impl Dynamics<T>),
    steps: usize,
    every: usize,
    samples: Vec<(Inputs<'a, T>, Outputs<'a, T>)>,
    sums: &mut Sums<T>,
    threads_to_spare: bool,
) {
    let channels = samples[0].0.drive.len() / steps;
    let mut inputs = Vec::with_capacity(samples.len());
    let mut running = Vec::with_capacity(samples.len());
    for (input, outputs) in samples {
        running.push(Sample::new(network, channels, &input, outputs));
        inputs.push(input);
    }
    let (inputs, count) = (&*inputs, running.len());
    let shared = &Shared {
        steps,
        every,
        channels,
        currents_kept: inputs[0].currents.is_some(),
        all_channels: (0..channels as u32).collect(),
        all_outputs: (0..network.readout.map_or(0, |(_, readout)| readout.rows()) as u32).collect(),
    };
    let segment_at = |first: usize| first..(first + every).min(steps);
    let replays = || -> Vec<Replay<T>> { (0..count).map(|_| Replay::new(network, every)).collect() };
    let replay = |replays: &mut [Replay<T>], together: &mut SampleBlock<T>, first: usize| {
        vectorize(ReplayTask { network, dynamics, shared, inputs, replays, together, steps: segment_at(first) });
    };
    let open_channels = &mut Lists::new(0, every);
    let mut together = SampleBlock::new(count, network.neurons);
    let mut here = replays();
    let mut firsts = (0..steps).step_by(every).rev().peekable();

    if threads_to_spare && steps > every {
        let (mut before, mut beside) = (replays(), SampleBlock::new(count, network.neurons));
        replay(&mut here, &mut together, (steps - 1) / every * every);
        while let Some(first) = firsts.next() {
            let next = firsts.peek().copied();
            let (samples, replays, sums) = (&mut *running, &mut *here, &mut *sums);
            let (together, open_channels, steps) = (&mut together, &mut *open_channels, segment_at(first));
            rayon::join(
                || {
                    vectorize(BackTask {
                        network,
                        shared,
                        inputs,
                        samples,
                        replays,
                        together,
                        sums,
                        open_channels,
                        steps,
                    })
                },
                || next.into_iter().for_each(|next| replay(&mut before, &mut beside, next)),
            );
            std::mem::swap(&mut here, &mut before);
        }
    } else {
        for first in firsts {
            replay(&mut here, &mut together, first);
            let (samples, replays, sums) = (&mut *running, &mut *here, &mut *sums);
            let (together, open_channels, steps) = (&mut together, &mut *open_channels, segment_at(first));
            vectorize(BackTask { network, shared, inputs, samples, replays, together, sums, open_channels, steps });
        }
    }
    vectorize(FinishTask { network, inputs, steps, samples: running, replays: &mut here, sums });
}
