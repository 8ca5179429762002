//! How a run is laid over a device: cubes, units, and what a unit holds.

use crate::scan::ScanPlan;
use cubecl::ir::features::Plane;
use cubecl::prelude::*;

/// One synapse type, compiled into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Type {
    decay: u64,
    amplitude: u64,
    /// Its plane of the weights.
    pub(super) weights: Option<usize>,
    /// Its plane of the traces.
    pub(super) readout: Option<usize>,
    /// Steps that a current is on its way.
    pub(super) delay: usize,
    /// The first row of a state for its currents on their way.
    pub(super) first_row: usize,
}

impl Type {
    /// α.
    pub(super) fn decay(&self) -> f64 {
        f64::from_bits(self.decay)
    }

    /// c.
    pub(super) fn amplitude(&self) -> f64 {
        f64::from_bits(self.amplitude)
    }
}

/// What is compiled into a kernel beside the neuron.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    /// The synapse types.
    pub(super) types: Vec<Type>,
    /// Planes of weights, M.
    pub(super) planes: usize,
    /// Rows of a state beside v.
    pub(super) state_rows: usize,
    /// Units of a cube.
    pub(super) units: usize,
    /// Neurons of a unit.
    pub(super) per_unit: usize,
    /// Neurons of a cube: what its shared rows hold.
    pub(super) row: usize,
    /// Words of one bit for each neuron of a cube.
    pub(super) words: usize,
    /// Whether the device sums over planes.
    pub(super) plane_sums: bool,
    pub(super) record_v: bool,
    pub(super) record_charge: bool,
    /// Whether the tape is kept.
    pub(super) tape: bool,
    /// Whether constants have gradients, so that the kernels read them from a table.
    pub(super) learned: bool,
}

/// Units of a cube at most: beyond, a unit has too few registers for a flow.
const UNITS: u32 = 512;

/// Bindings of the larger of the two kernels, and the two that launches add.
const BINDINGS: u32 = 14 + 2;

impl Layout {
    /// A layout for this run; `None` where the device is too small for it.
    pub(super) fn of(
        plan: &ScanPlan,
        neurons: usize,
        tape: bool,
        dtype: ElemType,
        client: &Client,
    ) -> Result<Self, String> {
        let properties = client.properties();
        let hardware = &properties.hardware;
        let planes = plan.weight_planes();
        let wide = hardware.plane_size_min.max(1);
        let most = hardware.max_cube_dim.0.min(hardware.max_units_per_cube).min(UNITS);
        // A feed-forward run needs no cube for all neurons of a sample: many small cubes keep a device busy.
        let most = if planes == 0 { most.min(64) } else { most };
        let units = (neurons as u32).next_multiple_of(wide).min(most).max(1) as usize;
        let per_unit = if planes == 0 { 1 } else { neurons.div_ceil(units) };
        let row = units * per_unit;
        let words = row.div_ceil(32);
        // Two rows of charges, or Pᵏ and μ, and the sums of each unit; the list, and two sets of words.
        let shared = ((planes + 1).max(2) * row + units) * dtype.size() + (row + 2 * words) * 4;
        let fits = planes == 0 || shared <= hardware.max_shared_memory_size;
        let even = hardware.plane_size_min == hardware.plane_size_max && (units as u32).is_multiple_of(wide);
        if !fits {
            return Err(format!(
                "{neurons} neurons with {planes} recurrent synapse types want {shared} bytes of a cube's shared memory, but the device \
                 has {}",
                hardware.max_shared_memory_size
            ));
        }
        if hardware.max_bindings < BINDINGS {
            return Err(format!("the kernel takes {BINDINGS} buffers, but the device {}", hardware.max_bindings));
        }
        Ok(Self {
            types: plan
                .synapses
                .iter()
                .zip(plan.readout_planes())
                .enumerate()
                .map(|(k, (synapse, read))| Type {
                    // A learned one is not compiled in.
                    decay: if plan.constants { 0 } else { synapse.decay.to_bits() },
                    amplitude: synapse.amplitude.to_bits(),
                    weights: synapse.weights,
                    readout: read,
                    delay: synapse.delay,
                    first_row: plan.rows_on_the_way(k).start,
                })
                .collect(),
            planes,
            state_rows: plan.state_rows(),
            units,
            per_unit,
            row,
            words,
            plane_sums: even && wide > 1 && (properties.features.plane.contains(Plane::Ops) || planes_are_forced()),
            record_v: plan.record_v,
            record_charge: plan.record_charge,
            tape,
            learned: plan.constants,
        })
    }

    /// What the adjoint leaves for each neuron at the start: λ_0, α_k Dᵏ_1, Pᵏ_0; of learned constants Eᵏ_{−1}, Fᵏ_{−1}, and the sums
    /// for τ_mem, w and each α_k.
    pub(super) fn rows_at_start(&self) -> usize {
        let (types, planes) = (self.types.len(), self.planes);
        1 + types + planes + if self.learned { types + planes + 2 + types } else { 0 }
    }

    /// Cubes of a run: one for each sample, and for each part of a feed-forward layer.
    pub(super) fn cubes(&self, batch: usize, neurons: usize) -> CubeCount {
        CubeCount::Static(batch as u32, neurons.div_ceil(self.row) as u32, 1)
    }

    /// Units of a cube.
    pub(super) fn cube(&self) -> CubeDim {
        CubeDim::new_1d(self.units as u32)
    }
}

/// CubeCL leaves planes alone on software devices. Tests, which have no other, turn them on to see that they are right.
fn planes_are_forced() -> bool {
    std::env::var_os("BURN_SPIKING_PLANES").is_some()
}
