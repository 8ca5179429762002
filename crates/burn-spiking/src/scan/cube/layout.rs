//! The layout of a run on a device: its cubes, its units, and the neurons of each unit.

use crate::scan::ScanPlan;
use cubecl::ir::features::Plane;
use cubecl::prelude::*;

/// One synapse type, as compiled into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Type {
    decay: u64,
    amplitude: u64,
    /// Index of its weight plane, if it connects the neurons to each other.
    pub(super) weights: Option<usize>,
    /// Index of its row of self-weights, if it connects each neuron to itself alone.
    pub(super) self_row: Option<usize>,
    /// Its index among the types that have a current.
    pub(super) current: Option<usize>,
    /// Index of its plane of the recorded traces, if its trace is read.
    pub(super) readout: Option<usize>,
    /// The delay of its current, in steps.
    pub(super) delay: usize,
    /// Index of the first state row of its currents on their way.
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

/// The constants of a kernel, except for the neuron and the gate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    /// The synapse types.
    pub(super) types: Vec<Type>,
    /// Number of weight planes, M.
    pub(super) planes: usize,
    /// Number of synapse types that have a current, M + L.
    pub(super) with_current: usize,
    /// Number of rows of a state, without v.
    pub(super) state_rows: usize,
    /// Number of units of a cube.
    pub(super) units: usize,
    /// Number of neurons of a unit.
    pub(super) per_unit: usize,
    /// Number of neurons of a cube, and the length of its shared rows.
    pub(super) row: usize,
    /// Number of words that hold one bit for each neuron of a cube.
    pub(super) words: usize,
    /// Whether the kernel sums over planes of units.
    pub(super) plane_sums: bool,
    pub(super) record_v: bool,
    pub(super) record_charge: bool,
    /// Index of the plane of w among the recorded traces, if w is recorded.
    pub(super) w_plane: Option<usize>,
    /// Whether the kernel keeps the tape.
    pub(super) tape: bool,
    /// Whether the neurons have two variables.
    pub(super) planar: bool,
    /// Whether constants have gradients. If so, the kernels read the constants from a table.
    pub(super) learned: bool,
}

/// The largest number of units of a cube. With more units, each has too few registers for a flow.
const UNITS: u32 = 512;

/// Buffer bindings of the largest of the kernels, plus two that each launch adds.
const BINDINGS: u32 = 14 + 2;

impl Layout {
    /// Makes the layout of a run.
    ///
    /// # Errors
    /// A message, if the device has too little shared memory or too few buffer bindings for the
    /// run.
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
        // A feed-forward run does not need all neurons of a sample in one cube. Many small cubes
        // use a device better.
        let most = if planes == 0 { most.min(64) } else { most };
        let units = (neurons as u32).next_multiple_of(wide).min(most).max(1) as usize;
        let per_unit = if planes == 0 { 1 } else { neurons.div_ceil(units) };
        let row = units * per_unit;
        let words = row.div_ceil(32);
        // Shared memory holds two rows of charges (forward) or the rows Pᵏ and μ (adjoint), one sum
        // for each unit, the list, and two sets of words.
        let shared = ((planes + 1).max(2) * row + units) * dtype.size() + (row + 2 * words) * 4;
        let fits = planes == 0 || shared <= hardware.max_shared_memory_size;
        let even = hardware.plane_size_min == hardware.plane_size_max && (units as u32).is_multiple_of(wide);
        if !fits {
            return Err(format!(
                "{neurons} neurons with {planes} weight matrices (one for each recurrent synapse type, or for each lag of learned delays) \
                 want {shared} bytes of a cube's shared memory, but the device has {}",
                hardware.max_shared_memory_size
            ));
        }
        if hardware.max_bindings < BINDINGS {
            return Err(format!("the kernel takes {BINDINGS} buffers, but the device {}", hardware.max_bindings));
        }
        let mut current = 0..;
        Ok(Self {
            types: plan
                .synapses
                .iter()
                .zip(plan.readout_planes())
                .enumerate()
                .map(|(k, (synapse, read))| Type {
                    // A learned α is not compiled in.
                    decay: if plan.constants { 0 } else { synapse.decay.to_bits() },
                    amplitude: synapse.amplitude.to_bits(),
                    weights: synapse.plane(),
                    self_row: synapse.self_row(),
                    current: if synapse.connects() { current.next() } else { None },
                    readout: read,
                    delay: synapse.delay,
                    first_row: plan.rows_on_the_way(k).start,
                })
                .collect(),
            planes,
            with_current: planes + plan.self_weight_rows(),
            state_rows: plan.state_rows(),
            units,
            per_unit,
            row,
            words,
            plane_sums: even && wide > 1 && (properties.features.plane.contains(Plane::Ops) || planes_are_forced()),
            record_v: plan.record_v,
            record_charge: plan.record_charge,
            w_plane: plan.second_variable_plane(),
            tape,
            planar: plan.neuron.is_planar(),
            learned: plan.constants,
        })
    }

    /// The number of rows that the adjoint writes for the start of a run: λ_0, α_k Dᵏ_1 and Pᵏ_0;
    /// with learned constants Eᵏ_{−1}, Fᵏ_{−1}, and the sums for τ_mem, w and each α_k; and with
    /// two variables κ_0.
    pub(super) fn rows_at_start(&self) -> usize {
        let (types, with_current) = (self.types.len(), self.with_current);
        let of_constants = if self.learned { types + with_current + 2 + types } else { 0 };
        1 + types + with_current + of_constants + self.planar as usize
    }

    /// The row of κ_0, the last one.
    pub(super) fn second_row_at_start(&self) -> usize {
        self.rows_at_start() - 1
    }

    /// The cubes of a run: one for each sample, or several for each sample of a feed-forward layer.
    pub(super) fn cubes(&self, batch: usize, neurons: usize) -> CubeCount {
        CubeCount::Static(batch as u32, neurons.div_ceil(self.row) as u32, 1)
    }

    /// The units of a cube.
    pub(super) fn cube(&self) -> CubeDim {
        CubeDim::new_1d(self.units as u32)
    }
}

/// Whether sums over planes of units are forced. CubeCL does not offer plane operations on software
/// devices. Tests on such devices force them, to check the code for planes.
fn planes_are_forced() -> bool {
    std::env::var_os("BURN_SPIKING_PLANES").is_some()
}
