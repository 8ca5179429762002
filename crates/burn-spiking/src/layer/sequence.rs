//! Sequences: samples that end at different steps.
//!
//! A batch of samples of different lengths runs in pieces. Each piece ends at the step at which the
//! next sample ends, and the following pieces leave that sample out. So nothing is computed for
//! padding, and the gradients are the same as if each sample ran alone.

use crate::layer::state::SpikingState;
use crate::scan::Run;
use burn::tensor::{Bool, Device, Int, Tensor, TensorCreationOptions, TensorData};
use std::sync::Arc;

/// The time step, the order of the axes, and the lengths of the samples in the series of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Length of a step, in ms.
    pub dt: f64,
    /// Whether series are `[B, T, ·]`. If not, they are `[T, B, ·]`.
    pub batch_first: bool,
    /// Number of steps of each sample, if samples may differ. The values of a series after the end
    /// of a sample do not count.
    pub lengths: Option<Arc<[usize]>>,
}

impl Timing {
    /// Converts a series from the run's layout to `[B, T, ..]`, or back.
    pub(crate) fn in_layout<const D: usize>(&self, series: Tensor<D>) -> Tensor<D> {
        if self.batch_first { series } else { series.swap_dims(0, 1) }
    }

    /// Returns B and T of a series.
    fn sizes<const D: usize>(&self, series: &Tensor<D>) -> [usize; 2] {
        let dims = series.dims();
        if self.batch_first { [dims[0], dims[1]] } else { [dims[1], dims[0]] }
    }

    /// Returns the number of steps of each sample of a series.
    pub(crate) fn steps<const D: usize>(&self, series: &Tensor<D>) -> Vec<usize> {
        let [batch, steps] = self.sizes(series);
        self.lengths.as_ref().map_or_else(|| vec![steps; batch], |lengths| lengths.to_vec())
    }

    /// Returns the total number of steps of all samples of a series.
    pub(crate) fn steps_of_all<const D: usize>(&self, series: &Tensor<D>) -> usize {
        self.steps(series).iter().sum()
    }

    /// Sets a series to 0 after the end of each sample.
    pub(crate) fn cut<const D: usize>(&self, series: Tensor<D>) -> Tensor<D> {
        match &self.lengths {
            Some(lengths) => self.in_layout(cut(self.in_layout(series), lengths)),
            None => series,
        }
    }
}

/// Sets a series `[B, T, ..]` to 0 after the end of each sample. It fills values instead of
/// multiplying by 0, because 0 times NaN is NaN, and so is its gradient.
pub(crate) fn cut<const D: usize>(series: Tensor<D>, lengths: &[usize]) -> Tensor<D> {
    let after = after_ends(lengths, &series);
    series.mask_fill(after, 0.0)
}

/// Returns a mask with the shape of a series `[B, T, ..]`, true after the end of each sample.
pub(crate) fn after_ends<const D: usize>(lengths: &[usize], series: &Tensor<D>) -> Tensor<D, Bool> {
    let shape = series.dims();
    let device = series.device().inner();
    let after: Vec<bool> = lengths.iter().flat_map(|&length| (0..shape[1]).map(move |t| t >= length)).collect();
    let mut rows = [1; D];
    (rows[0], rows[1]) = (shape[0], shape[1]);
    Tensor::<2, Bool>::from_data(TensorData::new(after, [shape[0], shape[1]]), &device).reshape(rows).expand(shape)
}

/// Returns 1 for the steps of each sample and 0 after its end, `[B, T]`: the weight of each step
/// for [`TrackingLoss`](crate::TrackingLoss).
///
/// - `lengths`: number of steps of each sample.
///
/// # Panics
/// If a length is not in 1 ..= `steps`.
pub fn step_mask(lengths: &[usize], steps: usize, options: impl Into<TensorCreationOptions>) -> Tensor<2> {
    check_lengths(lengths, [lengths.len(), steps]);
    let mask = lengths.iter().flat_map(|&length| (0..steps).map(move |t| if t < length { 1.0 } else { 0.0 }));
    Tensor::from_data(TensorData::new(mask.collect::<Vec<f64>>(), [lengths.len(), steps]), options)
}

pub(crate) fn check_lengths(lengths: &[usize], [batch, steps]: [usize; 2]) {
    assert_eq!(lengths.len(), batch, "{} lengths are given, but the input has {batch} samples", lengths.len());
    for (sample, &length) in lengths.iter().enumerate() {
        assert!(
            (1..=steps).contains(&length),
            "the length of sample {sample} is {length}, but must be in 1..={steps}, the steps of the input"
        );
    }
}

/// Pads a tensor with zeros at the end of one dimension, up to `size`.
fn padded<const D: usize>(tensor: Tensor<D>, dim: usize, size: usize) -> Tensor<D> {
    let mut shape = tensor.dims();
    if shape[dim] == size {
        return tensor;
    }
    shape[dim] = size - shape[dim];
    let zeros = Tensor::zeros(shape, (&tensor.device(), tensor.dtype()));
    Tensor::cat(vec![tensor, zeros], dim)
}

/// Returns the samples in the given order.
fn ordered<const D: usize>(tensor: Tensor<D>, order: &[usize], device: &Device) -> Tensor<D> {
    let order: Vec<i64> = order.iter().map(|&b| b as i64).collect();
    tensor.select(0, Tensor::<1, Int>::from_data(TensorData::from(order.as_slice()), device))
}

/// Runs samples of different lengths. The series of a sample are 0 after its end. Its final state
/// is the state after its last step.
///
/// - `input`: `[B, T, C]`.
/// - `lengths`: number of steps of each sample.
/// - `run`: runs a batch without padding.
///
/// # Panics
/// If the number of lengths is not the number of samples, or a length is not in 1 ..= T.
pub(crate) fn run_lengths(
    input: Tensor<3>,
    lengths: &[usize],
    state: SpikingState,
    run: impl Fn(Tensor<3>, SpikingState) -> Run,
) -> Run {
    let [batch, steps, _] = input.dims();
    check_lengths(lengths, [batch, steps]);
    let device = input.device();
    // The longest samples come first, so that the samples that still run are always the first ones.
    let mut order: Vec<usize> = (0..batch).collect();
    order.sort_by_key(|&b| std::cmp::Reverse(lengths[b]));
    let mut places = vec![0; batch];
    order.iter().enumerate().for_each(|(place, &b)| places[b] = place);

    let input = ordered(input, &order, &device);
    let mut state = SpikingState { v: ordered(state.v, &order, &device), s: ordered(state.s, &order, &device) };
    let (mut pieces, mut ended) = (Vec::new(), Vec::new());
    let (mut from, mut going) = (0, batch);
    while going > 0 {
        let until = lengths[order[going - 1]];
        let piece = input.clone().narrow(0, 0, going).narrow(1, from, until - from);
        let piece = run(piece, state.clone());
        let last = SpikingState { v: piece.last_v.clone(), s: piece.last_s.clone() };
        let on = order.iter().take_while(|&&b| lengths[b] > until).count();
        ended.push(last.slice(on, going - on));
        if on > 0 {
            state = last.slice(0, on);
        }
        pieces.push(piece);
        (from, going) = (until, on);
    }

    let series = |of: &dyn Fn(&Run) -> Tensor<3>| {
        let pieces = pieces.iter().map(|piece| padded(of(piece), 0, batch)).collect();
        ordered(padded(Tensor::cat(pieces, 1), 1, steps), &places, &device)
    };
    let optional = |of: &dyn Fn(&Run) -> &Option<Tensor<3>>| {
        of(&pieces[0]).is_some().then(|| series(&|run| of(run).clone().expect("all pieces give what one gives")))
    };
    let activity = pieces.iter().filter_map(|piece| piece.activity.clone()).map(|a| padded(a, 0, batch));
    ended.reverse();
    let ends = |of: &dyn Fn(&SpikingState) -> Tensor<3>| {
        ordered(Tensor::cat(ended.iter().map(of).collect(), 0), &places, &device)
    };
    Run {
        traces: (0..pieces[0].traces.len()).map(|k| series(&|run| run.traces[k].clone())).collect(),
        v: optional(&|run| &run.v),
        charge: optional(&|run| &run.charge),
        w: optional(&|run| &run.w),
        output: optional(&|run| &run.output),
        activity: activity.reduce(|a, b| a + b).map(|activity| ordered(activity, &places, &device)),
        last_v: ends(&|state| state.v.clone().unsqueeze_dim(1)).squeeze_dim(1),
        last_s: ends(&|state| state.s.clone()),
    }
}
