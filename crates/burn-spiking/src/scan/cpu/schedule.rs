//! How a run is cut into work: its sizes, segments of steps, tiles and groups of samples. All of it
//! depends on the plan and the shapes alone, so results do not depend on the number of threads.

use super::rows;
use super::storage::Storage;
use crate::neuron::planar::CONSTANTS;
use crate::scan::{Checkpointing, ScanInputs, ScanPlan};
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;

/// The sizes of a run.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// B, the number of samples.
    pub(super) batch: usize,
    /// T, the number of steps.
    pub(super) steps: usize,
    /// N, the number of neurons.
    pub(super) neurons: usize,
    /// K, the number of synapse types.
    pub(super) synapses: usize,
    /// The number of constants that neurons may have each.
    pub(super) neuron_constants: usize,
    /// L, the number of synapse types that connect each neuron to itself alone.
    pub(super) self_rows: usize,
    /// H, the rows of a state without v.
    pub(super) rows: usize,
    /// Length of a row of the drive: C with a projection, N without one.
    pub(super) channels: usize,
    /// O, the number of outputs; 0 without a readout.
    pub(super) outputs: usize,
    /// Whether the drive is given whole, `[B, T, N]`.
    pub(super) whole_drive: bool,
}

impl Sizes {
    pub(super) fn of<B: Storage>(inputs: &ScanInputs<B>, plan: &ScanPlan) -> Self {
        let drive = inputs.drive.shape();
        Self {
            batch: drive[0],
            steps: drive[1],
            neurons: inputs.v0.shape()[1],
            synapses: plan.synapses.len(),
            neuron_constants: plan.neuron_constants(),
            self_rows: plan.self_weight_rows(),
            rows: plan.state_rows(),
            channels: drive[2],
            outputs: plan.readout.and(inputs.readout.as_option()).map_or(0, |readout| readout.shape()[1]),
            whole_drive: inputs.projection.as_option().is_none(),
        }
    }

    /// Checks the shapes of the inputs against these sizes. The kernel writes memory by these
    /// sizes, so it does not rely on its callers.
    ///
    /// # Panics
    /// If a shape does not fit.
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
        let self_weights = inputs.self_weights.as_option().map_or(vec![0, neurons], dims);
        assert_eq!(self_weights, [plan.self_weight_rows(), neurons], "self-weights are [types, neurons]");
        assert!(
            inputs.projection.as_option().is_some() || channels == neurons,
            "a whole drive is [batch, steps, neurons]"
        );
    }
}

/// Largest number of samples side by side. Two vectors of each and their factors fit into the
/// registers of smaller processors.
const SIDE_BY_SIDE: usize = 5;

/// Smallest number of tiles, so that every core of a machine with this many cores has work.
const TILES: usize = 8;

/// Smallest gate width at which most neurons are active.
const CROWDED_WIDTH: f64 = 0.6;

/// Number of neurons below which a product takes little time compared with the rest of a step.
const FEW_NEURONS: usize = 32;

/// Smallest number of neurons times steps of a segment at which it pays to wake another thread.
pub(super) const LONG_SEGMENT: usize = 8192;

/// Number of bytes of a segment's rows that stay in a core's cache.
const SEGMENT_BYTES: usize = 256 << 10;

/// How a run is cut into segments. It depends on the plan and the shapes alone.
#[derive(Clone, Copy)]
pub(super) struct Segments {
    /// Number of steps in a segment.
    pub(super) every: usize,
    /// Number of segments.
    pub(super) count: usize,
    /// Whether the tape holds all currents.
    pub(super) currents: bool,
}

impl Segments {
    pub(super) fn of<T>(plan: &ScanPlan, sizes: Sizes) -> Self {
        let Sizes { steps, neurons, .. } = sizes;
        let of_planar = if plan.planar_constants { 2 * CONSTANTS } else { 0 };
        let of_constants = if plan.constants { 2 + of_planar + 2 * plan.synapses.len() } else { 0 };
        let rows_per_step =
            5 + plan.weight_planes() + plan.self_weight_rows() + plan.readout.is_some() as usize + of_constants;
        let in_cache = SEGMENT_BYTES / (rows_per_step * rows::padded(neurons) * size_of::<T>());
        let root = (steps as f64).sqrt().ceil() as usize;
        // With shorter segments, the adjoint would go through all weight gradients too often.
        let by_rule = root.min(in_cache.max(32));
        // The share of active neurons is about the gate width. To send one row again takes a
        // hundredth of the time of writing a step's currents to memory and reading them back.
        let costly = plan.gate.width() * (neurons * plan.weight_planes()) as f64 > 90.0;
        // A run without trajectories is expected to take little memory. But the currents take the
        // place of a whole drive, which the adjoint then does not read.
        let trajectories = plan.recorded_planes() > 0 || plan.record_v || plan.record_charge || sizes.whole_drive;
        let (every, currents) = match plan.checkpointing {
            Checkpointing::Auto => (by_rule, costly && trajectories),
            Checkpointing::Currents => (by_rule, true),
            Checkpointing::States => (by_rule, false),
            Checkpointing::Every(every) => (every.min(steps), false),
        };
        // The gradients of the constants need each Jᵏ of a step; the kept currents are their sum.
        Self { every, count: steps.div_ceil(every), currents: currents && !plan.constants }
    }
}

/// Returns the number of tiles of samples. It depends on the plan and the shapes alone. The samples
/// of a tile run side by side.
///
/// A tile has several samples only if the gate is so wide that most neurons are active in a step.
/// Then the number of tiles is even, so that two threads get equal shares, or B if that is smaller.
pub(super) fn tile_count(plan: &ScanPlan, sizes: Sizes) -> usize {
    let Sizes { batch, neurons, .. } = sizes;
    let crowded = plan.weight_planes() > 0 && plan.gate.width() >= CROWDED_WIDTH && neurons >= FEW_NEURONS;
    let tiles = if crowded { batch.div_ceil(SIDE_BY_SIDE).next_multiple_of(2).max(TILES) } else { batch };
    tiles.min(batch)
}

/// Deals out the data of samples, in order, to `tiles` tiles.
pub(super) fn shared_out<X>(samples: impl Iterator<Item = X>, batch: usize, tiles: usize) -> Vec<Vec<X>> {
    let mut dealt: Vec<Vec<X>> = (0..tiles).map(|_| Vec::with_capacity(batch.div_ceil(tiles))).collect();
    for (b, sample) in samples.enumerate() {
        dealt[b * tiles / batch].push(sample);
    }
    dealt
}

/// Number of elements that all partial sums of the parameters' gradients may have together. Four
/// sums are allowed even if they have more.
const PARTIAL_SUMS: usize = 1 << 20;

/// Returns the number of groups of tiles. Each group has a partial sum of the parameters'
/// gradients. The number depends on the shapes alone. If the sums are small, each tile is a group.
/// Otherwise the number is a power of two, so that two, four or eight threads get equal shares.
///
/// - `rows`: number of rows of N numbers that the gradients have together.
pub(super) fn group_count(rows: usize, neurons: usize, tiles: usize) -> usize {
    let affordable = (PARTIAL_SUMS / (rows * rows::padded(neurons))).max(4);
    if affordable >= tiles { tiles } else { 1 << affordable.ilog2() }
}
