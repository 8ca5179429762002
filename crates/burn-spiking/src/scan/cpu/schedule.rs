//! How a run is cut into work: its sizes, segments of steps, tiles and groups of samples. All of it is a matter of plan and shape alone,
//! so results do not depend on the number of threads.

use super::rows;
use super::storage::Storage;
use crate::scan::{Checkpointing, ScanInputs, ScanPlan};
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;

/// Sizes of a run.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// B.
    pub(super) batch: usize,
    /// T.
    pub(super) steps: usize,
    /// N.
    pub(super) neurons: usize,
    /// K.
    pub(super) synapses: usize,
    /// Rows of a state beside v: K + D.
    pub(super) rows: usize,
    /// Length of a row of the drive: C with a projection, else N.
    pub(super) channels: usize,
    /// O.
    pub(super) outputs: usize,
}

impl Sizes {
    pub(super) fn of<B: Storage>(inputs: &ScanInputs<B>, plan: &ScanPlan) -> Self {
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
    pub(super) fn check<B: Storage>(self, inputs: &ScanInputs<B>, plan: &ScanPlan) {
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
pub(super) const LONG_SEGMENT: usize = 8192;

/// Bytes of a segment's rows that stay in a core's cache.
const SEGMENT_BYTES: usize = 256 << 10;

/// How a run is cut into segments, a matter of plan and shape alone.
#[derive(Clone, Copy)]
pub(super) struct Segments {
    /// Steps in each.
    pub(super) every: usize,
    /// How many.
    pub(super) count: usize,
    /// Whether all currents are kept.
    pub(super) currents: bool,
}

impl Segments {
    pub(super) fn of<T>(plan: &ScanPlan, sizes: Sizes) -> Self {
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
        let trajectories = plan.readout_traces() > 0 || plan.record_v || plan.record_charge;
        let (every, currents) = match plan.checkpointing {
            Checkpointing::Auto => (by_rule, costly && trajectories),
            Checkpointing::Currents => (by_rule, true),
            Checkpointing::States => (by_rule, false),
            Checkpointing::Every(every) => (every.min(steps), false),
        };
        // The constants' gradients want Jᵏ of each step, not their sum.
        Self { every, count: steps.div_ceil(every), currents: currents && !plan.constants }
    }
}

/// How many tiles of samples there are, each of which runs side by side: a matter of plan and shape alone. Samples run side by side
/// where the gate is so wide that a step finds most neurons active; an even number of tiles, so that two threads get equal shares.
pub(super) fn tile_count(plan: &ScanPlan, sizes: Sizes) -> usize {
    let Sizes { batch, neurons, .. } = sizes;
    let crowded = plan.weight_planes() > 0 && plan.gate.width() >= CROWDED_WIDTH && neurons >= FEW_NEURONS;
    let tiles = if crowded { batch.div_ceil(SIDE_BY_SIDE).next_multiple_of(2).max(TILES) } else { batch };
    tiles.min(batch)
}

/// Deals out what belongs to samples, in order, to `tiles` tiles.
pub(super) fn shared_out<X>(samples: impl Iterator<Item = X>, batch: usize, tiles: usize) -> Vec<Vec<X>> {
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
pub(super) fn group_count(sizes: Sizes, planes: usize, tiles: usize) -> usize {
    let rows = planes * sizes.neurons + sizes.channels + sizes.outputs;
    let affordable = (PARTIAL_SUMS / (rows * rows::padded(sizes.neurons))).max(4);
    if affordable >= tiles { tiles } else { 1 << affordable.ilog2() }
}
