//! The kernel of the input current. The equations are in [`scan::input`](crate::scan::input).
//!
//! The forward pass lists the channels that are not 0. If they are few, it and the adjoint read the
//! weights of these channels alone. Otherwise Burn's matrix product serves all channels.

use super::gradients::total_of;
use super::matrix::{Factors, Matrix};
use super::rows::{self, ActiveSet, Row, padded};
use super::schedule::{group_count, shared_out};
use super::storage::{Storage, contiguous, part, slot_of};
use super::unwritten::{unwritten, written};
use crate::num::Real;
use crate::num::simd::{unserved, vectorize};
use crate::scan::OptionalTensor;
use crate::scan::input::op::{Found, InputBackend, InputCurrentGradients, InputTensors, Listed, OpenChannels, Wanted};
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use macerator::{Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// The largest share of channels that are listed. Beyond it, a product with the whole matrix is
/// faster.
const LISTED: f64 = 0.2;

/// Number of steps whose outer products are added at once.
const SEGMENT: usize = 32;

/// The sizes of an input current.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    steps: usize,
    channels: usize,
    neurons: usize,
}

impl Sizes {
    fn of<B: Storage>(tensors: &InputTensors<B>) -> Self {
        let (input, weights) = (tensors.input.shape(), tensors.weights.shape());
        let sizes = Self { batch: input[0], steps: input[1], channels: input[2], neurons: weights[1] };
        // The kernel reads memory by these sizes, so it does not rely on its callers.
        assert_eq!(weights[0], sizes.channels, "the input weights are [channels, neurons]");
        for (slot, length, what) in [
            (&tensors.bias, sizes.neurons, "the bias current is [neurons]"),
            (&tensors.before, sizes.batch * sizes.neurons, "the current before is [batch, neurons]"),
        ] {
            let found = slot.as_option().map_or(length, |tensor| tensor.shape().num_elements());
            assert_eq!(found, length, "{what}");
        }
        sizes
    }
}

/// Lists the channels of one sample that are not 0, up to a share of all.
struct Search<'a, T> {
    input: &'a [T],
    channels: usize,
}

impl<T: Real> WithSimd for Search<'_, T> {
    type Output = Option<Listed>;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> Option<Listed> {
        let Self { input, channels } = self;
        let most = (LISTED * input.len() as f64) as usize;
        let width = padded(channels);
        let (mut listed, mut end) = (Listed::default(), Row::zeros(channels));
        listed.ends.reserve(input.len() / channels);
        for first in (0..input.len()).step_by(channels) {
            // The search reads whole blocks, which end beyond the last row of the input.
            let row = match input.get(first..first + width) {
                Some(row) => row,
                None => {
                    end[..channels].copy_from_slice(&input[first..first + channels]);
                    &end
                }
            };
            let all = rows::nonzero::<S, T, 1>(&mut listed.channels, channels, [row]);
            if all == ActiveSet::Everyone {
                listed.channels.extend(0..channels as u32);
            }
            if listed.channels.len() > most {
                return None;
            }
            listed.ends.push(listed.channels.len());
        }
        Some(listed)
    }
}

fn open_channels<T: Real>(input: &[T], Sizes { steps, channels, .. }: Sizes) -> OpenChannels {
    let samples = input.par_chunks_exact(steps * channels);
    let listed: Option<Vec<Listed>> = samples.map(|input| vectorize(Search { input, channels })).collect();
    listed.map_or(OpenChannels::Dense, OpenChannels::Listed)
}

/// What a sample's neurons get from the channels in each step.
#[derive(Clone, Copy)]
enum Sent<'a, T> {
    /// The listed channels of the input, times the weights.
    Listed { listed: &'a Listed, input: &'a [T], weights: &'a Matrix<T> },
    /// A finished product, `[T, N]`.
    Product(&'a [T]),
}

/// The forward pass of one sample.
struct ForwardTask<'a, T> {
    sent: Sent<'a, T>,
    sizes: Sizes,
    decay: T,
    bias: &'a Row<T>,
    before: Option<&'a [T]>,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for ForwardTask<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        let Self { sent, sizes: Sizes { channels, neurons, .. }, decay, bias, before, out } = self;
        let one = T::of(1.0);
        let (mut y, mut x) = (before.map_or_else(|| Row::zeros(neurons), Row::of), Row::zeros(neurons));
        for (t, out) in out.chunks_exact_mut(neurons).enumerate() {
            match sent {
                Sent::Listed { listed, input, weights } => {
                    weights.send::<S>(listed.of(t), &input[t * channels..(t + 1) * channels], one, decay, &mut y);
                }
                Sent::Product(rows) => {
                    rows::decay_add_tensor::<S, T>(&mut y, decay, &rows[t * neurons..(t + 1) * neurons])
                }
            }
            rows::decayed_sum::<S, T>(&mut x, one, &y, bias);
            rows::write::<S, T>(out, &x);
        }
    }
}

fn forward<B: Storage, T: Real>(tensors: InputTensors<B>, decay: f64, found: &Found) -> FloatTensor<B> {
    let sizes = Sizes::of(&tensors);
    let Sizes { batch, steps, channels, neurons } = sizes;
    let (input, weights) = (B::contiguous(tensors.input), B::contiguous(tensors.weights));
    let (bias, before) = (contiguous::<B>(tensors.bias), contiguous::<B>(tensors.before));
    let each = B::slice::<T>(&input);
    let found = found.get_or_init(|| open_channels(each, sizes));
    let (matrix, product) = match found {
        OpenChannels::Listed(_) => (Matrix::padded(B::slice::<T>(&weights), neurons), None),
        OpenChannels::Dense => {
            let rows = B::float_reshape(input.clone(), Shape::from([batch * steps, channels]));
            (Matrix::zeros(0, neurons), Some(B::contiguous(B::float_matmul(rows, weights))))
        }
    };
    let bias = bias.map_or_else(|| Row::zeros(neurons), |bias| Row::of(B::slice::<T>(&bias)));
    let mut out = unwritten::<T>(batch * steps * neurons);
    out.par_chunks_exact_mut(steps * neurons).enumerate().for_each(|(b, out)| {
        let sent = match (found, &product) {
            (OpenChannels::Listed(all), _) => Sent::Listed {
                listed: &all[b],
                input: &each[b * steps * channels..(b + 1) * steps * channels],
                weights: &matrix,
            },
            (OpenChannels::Dense, Some(product)) => {
                Sent::Product(&B::slice::<T>(product)[b * steps * neurons..(b + 1) * steps * neurons])
            }
            (OpenChannels::Dense, None) => unreachable!("the product of a dense input was computed"),
        };
        let (bias, before, decay) = (&bias, part::<B, T>(&before, b, neurons), T::of(decay));
        vectorize(ForwardTask { sent, sizes, decay, bias, before, out });
    });
    // Each sample has written all its rows.
    B::from_vec(unsafe { written(out) }, &[batch, steps, neurons])
}

/// The sums of a group of samples.
struct Sums<T> {
    /// ∂C/∂U, `[C, N]`; no rows if it is not wanted here.
    weights: Matrix<T>,
    /// ∂C/∂I_o, `[1, N]`.
    bias: Matrix<T>,
}

/// One sample's part of an adjoint.
struct Sample<'a, T> {
    q: &'a [T],
    /// The open channels and the input, if they are listed.
    listed: Option<(&'a Listed, &'a [T])>,
    /// r, `[T, N]`, if it is wanted.
    r: Option<&'a mut [MaybeUninit<T>]>,
    /// ∂C/∂e, `[T, C]`, if it is wanted here.
    input: Option<&'a mut [MaybeUninit<T>]>,
    /// ∂C/∂y_{−1}, `[N]`, if it is wanted.
    before: Option<&'a mut [T]>,
}

/// The adjoint of one sample.
struct AdjointTask<'a, 's, T> {
    sample: Sample<'s, T>,
    sizes: Sizes,
    decay: T,
    weights: &'a Matrix<T>,
    sums: &'a mut Sums<T>,
}

impl<T: Real> WithSimd for AdjointTask<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        let Self { sample, sizes: Sizes { steps, channels, neurons: n, .. }, decay, weights, sums } = self;
        let Sample { q, listed, mut r, mut input, before } = sample;
        let (mut next, mut segment) = (Row::zeros(n), Matrix::zeros(SEGMENT, n));
        for first in (0..steps).step_by(SEGMENT).rev() {
            let length = SEGMENT.min(steps - first);
            for at in (0..length).rev() {
                let t = first + at;
                let q = &q[t * n..(t + 1) * n];
                rows::decay_add_tensor::<S, T>(&mut next, decay, q);
                rows::add_tensor::<S, T>(sums.bias.row_mut(0), q);
                rows::copy::<S, T>(segment.row_mut(at), &next);
                if let Some(r) = &mut r {
                    rows::write::<S, T>(&mut r[t * n..(t + 1) * n], &next);
                }
                if let Some(input) = &mut input {
                    weights.product::<S>(&next, &mut input[t * channels..(t + 1) * channels]);
                }
            }
            if let (Some((listed, input)), true) = (listed, sums.weights.rows() > 0) {
                let factors = Factors::new(&input[first * channels..], channels);
                let of = |at: usize| listed.of(first + at);
                sums.weights.add_outer::<S>(length, of, factors, T::of(1.0), &segment);
            }
        }
        if let Some(before) = before {
            rows::scale::<S, T>(&mut next, decay);
            before.copy_from_slice(&next[..n]);
        }
    }
}

fn adjoint<B: Storage, T: Real>(
    tensors: InputTensors<B>,
    q: FloatTensor<B>,
    decay: f64,
    found: &Found,
    [input_wanted, weights_wanted, bias_wanted, before_wanted]: Wanted,
) -> InputCurrentGradients<B> {
    let sizes = Sizes::of(&tensors);
    let Sizes { batch, steps, channels, neurons } = sizes;
    let (input, weights, q) = (B::contiguous(tensors.input), B::contiguous(tensors.weights), B::contiguous(q));
    assert_eq!(q.shape().num_elements(), batch * steps * neurons, "the gradient is [batch, steps, neurons]");
    let each = B::slice::<T>(&input);
    let listed = match found.get_or_init(|| open_channels(each, sizes)) {
        OpenChannels::Listed(listed) => Some(listed),
        OpenChannels::Dense => None,
    };
    let matrix = match listed.is_some() && input_wanted {
        true => Matrix::padded(B::slice::<T>(&weights), neurons),
        false => Matrix::zeros(0, neurons),
    };
    let space = |wanted: bool, length: usize| unwritten::<T>(if wanted { batch * length } else { 0 });
    // Without a filter, r is q.
    let r_wanted = listed.is_none() && decay != 0.0 && (input_wanted || weights_wanted);
    let mut r = space(r_wanted, steps * neurons);
    let mut d_input = space(listed.is_some() && input_wanted, steps * channels);
    let mut d_before = vec![T::default(); if before_wanted { batch * neurons } else { 0 }];
    let rows_of_weights = if listed.is_some() && weights_wanted { channels } else { 0 };
    let partial: Vec<Sums<T>> = {
        let mut r_rows = r.chunks_exact_mut(steps * neurons);
        let mut input_rows = d_input.chunks_exact_mut(steps * channels);
        let mut before_rows = d_before.chunks_exact_mut(neurons);
        let samples = B::slice::<T>(&q).chunks_exact(steps * neurons).enumerate().map(|(b, q)| Sample {
            q,
            listed: listed.map(|all| (&all[b], &each[b * steps * channels..(b + 1) * steps * channels])),
            r: r_rows.next(),
            input: input_rows.next(),
            before: before_rows.next(),
        });
        let groups = shared_out(samples, batch, group_count(rows_of_weights + 1, neurons, batch));
        let (matrix, decay) = (&matrix, T::of(decay));
        let of_group = |samples: Vec<Sample<'_, T>>| {
            let mut sums = Sums { weights: Matrix::zeros(rows_of_weights, neurons), bias: Matrix::zeros(1, neurons) };
            for sample in samples {
                vectorize(AdjointTask { sample, sizes, decay, weights: matrix, sums: &mut sums });
            }
            sums
        };
        groups.into_par_iter().map(of_group).collect()
    };
    let total = |wanted: bool, of: fn(&Sums<T>) -> &Matrix<T>, shape: &[usize]| {
        let rows = of(&partial[0]).rows();
        slot_of::<B, T>(wanted.then(|| total_of(&partial, rows, neurons, |sums, at| of(sums).row(at))), shape)
    };
    let bias = total(bias_wanted, |sums| &sums.bias, &[neurons]);
    let before = slot_of::<B, T>(before_wanted.then_some(d_before), &[batch, neurons]);
    if listed.is_some() {
        // Each sample has written all its rows.
        let d_input = input_wanted.then(|| unsafe { written(d_input) });
        return InputCurrentGradients {
            input: slot_of::<B, T>(d_input, &[batch, steps, channels]),
            weights: total(weights_wanted, |sums| &sums.weights, &[channels, neurons]),
            bias,
            before,
        };
    }
    let r = match r_wanted {
        // Each sample has written all its rows.
        true => B::from_vec(unsafe { written(r) }, &[batch * steps, neurons]),
        false => B::float_reshape(q, Shape::from([batch * steps, neurons])),
    };
    let flat = B::float_reshape(input, Shape::from([batch * steps, channels]));
    let slot = |wanted: bool, product: &dyn Fn() -> FloatTensor<B>| OptionalTensor::from(wanted.then(product));
    InputCurrentGradients {
        input: slot(input_wanted, &|| {
            let product = B::float_matmul(r.clone(), B::float_transpose(weights.clone()));
            B::float_reshape(product, Shape::from([batch, steps, channels]))
        }),
        weights: slot(weights_wanted, &|| B::float_matmul(B::float_transpose(flat.clone()), r.clone())),
        bias,
        before,
    }
}

/// Implements the operation for a backend whose storage the kernel can reach.
macro_rules! on_cpu {
    ($backend:ty) => {
        impl InputBackend for $backend {
            fn input_current(tensors: InputTensors<Self>, decay: f64, found: Found) -> FloatTensor<Self> {
                by_dtype!(tensors.input, |T| forward::<Self, T>(tensors, decay, &found))
            }

            fn input_current_adjoint(
                tensors: InputTensors<Self>,
                q: FloatTensor<Self>,
                decay: f64,
                found: Found,
                wanted: Wanted,
            ) -> InputCurrentGradients<Self> {
                by_dtype!(tensors.input, |T| adjoint::<Self, T>(tensors, q, decay, &found, wanted))
            }
        }
    };
}

#[cfg(feature = "flex")]
on_cpu!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_cpu!(burn::backend::NdArray);
