//! Flow and gate as code of a kernel.

use super::expression::{self, Traced};
use super::layout::Layout;
use crate::gate::{Gate, Zone};
use crate::neuron::flow::SmallCurrent;
use crate::neuron::membrane::Membrane;
use crate::neuron::planar::PlanarModel;
use crate::neuron::{Flow, Neuron, NeuronModel, with_model};
use crate::num::Own;
use crate::scan::ScanPlan;
use crate::scan::dynamics::{DynamicsOn, NumberConstants};
use cubecl::frontend::{IndexExpand, TensorExpand};
use cubecl::ir::Scope;
use cubecl::prelude::*;
use std::hash::{Hash, Hasher};

/// The neuron and its gate over one step, compiled into the kernel. Fixed constants are compiled
/// in. If constants are learned or differ per neuron, the kernel reads them from memory, and one
/// kernel serves all their values.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) neuron: Neuron,
    gate: Gate,
    pub(super) dt: f64,
    constants: Constants,
    key: Key,
}

/// The key of a model: its neuron, gate, dt and source of constants.
type Key = (String, String, u64, Constants);

/// The source of τ_mem and of the gate width in a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Constants {
    /// Compiled in.
    Fixed,
    /// Read from a table: first α of the synapse types, whose number this is, then one record for
    /// all neurons.
    Shared(usize),
    /// Read from a table: first α of the synapse types, whose number this is, then a record for
    /// each neuron.
    PerNeuron(usize),
}

/// Length of a record: τ_mem, 1/τ_mem, e^(−dt/τ_mem), 1 − e^(−dt/τ_mem), w − 1 and 1/w.
const RECORD: usize = 6;

impl Model {
    /// The model of a plan.
    pub(super) fn of(plan: &ScanPlan) -> Self {
        let types = plan.synapses.len();
        let constants = match (&plan.per_neuron, plan.constants) {
            (Some(_), _) => Constants::PerNeuron(types),
            (None, true) => Constants::Shared(types),
            (None, false) => Constants::Fixed,
        };
        let (mut neuron, mut gate) = (plan.neuron.clone(), plan.gate);
        if constants != Constants::Fixed {
            // Constants that are read from the table must not be part of the key: their values are
            // replaced by 1.
            (neuron, gate) = (neuron.with_tau(1.0), gate.with_width(1.0));
        }
        let key = (flow_key(&neuron, plan.dt), format!("{gate:?}"), plan.dt.to_bits(), constants);
        Self { neuron, gate, dt: plan.dt, constants, key }
    }

    /// b, the rise of w by one spike; 0 for neurons with one variable.
    pub(super) fn jump(&self) -> f64 {
        self.neuron.jump().unwrap_or(0.0)
    }

    /// The table that the kernel reads; empty if all constants are compiled in.
    pub(super) fn table(&self, plan: &ScanPlan) -> Vec<f64> {
        if self.constants == Constants::Fixed {
            return Vec::new();
        }
        let each = plan.own_constants();
        let mut table: Vec<f64> = plan.synapses.iter().map(|synapse| synapse.decay).collect();
        for (at, &width) in each.width.iter().enumerate() {
            let Membrane { tau, rate, decay, complement } =
                Membrane::of(each.tau_mem.get(at).copied().unwrap_or(1.0), plan.dt);
            let Zone { offset, inverse } = Zone::of(width);
            table.extend([tau, rate, decay, complement, offset, inverse]);
        }
        table
    }

    /// The largest |I|, in 1/ms, for which the neuron's cheaper flow is valid; infinite if the
    /// kernel has only one flow.
    fn small_current_limit(&self) -> f64 {
        match self.constants {
            Constants::Fixed => {
                with_model!(
                    &self.neuron,
                    |model| model.over(self.dt).small_current().0,
                    |_own| f64::INFINITY,
                    |_planar| f64::INFINITY
                )
            }
            Constants::Shared(_) | Constants::PerNeuron(_) => f64::INFINITY,
        }
    }

    /// Flow and gate on the kernel's values. `record` is the index of the neuron's record in the
    /// table.
    fn dynamics<'s, F: Float>(
        &self,
        table: &TensorExpand<F>,
        record: NativeExpand<usize>,
        scope: &'s Scope,
    ) -> DynamicsOn<Traced<'s, F>> {
        let read = |at: usize| {
            let index = usize::__expand_add(scope, record, at.into());
            let value: &NativeExpand<F> = table.__expand_index_method(scope, index);
            Own(Traced::of(scope, *value))
        };
        let given = (self.constants != Constants::Fixed).then(|| {
            let membrane = || Membrane { tau: read(0), rate: read(1), decay: read(2), complement: read(3) };
            NumberConstants {
                membrane: self.neuron.has_membrane().then(membrane),
                zone: Zone { offset: read(4), inverse: read(5) },
                // Tensor operations run plans whose neurons with two variables have own constants.
                planar: None,
                decays: Vec::new(),
            }
        });
        DynamicsOn::new(&self.neuron, self.gate, self.dt, given)
    }
}

/// The part of a key that tells flows apart: all constants of a built-in neuron, and all operations
/// of a user-defined flow in both precisions.
fn flow_key(neuron: &Neuron, dt: f64) -> String {
    match neuron {
        Neuron::Own(own) => {
            let recorded = |double: bool| (own.model().phi(dt, double), own.model().slopes(dt, double));
            format!("{:?}", [false, true].map(recorded))
        }
        Neuron::OwnPlanar(own) => format!("{:?} {}", own.over(dt), own.jump()),
        built_in => format!("{built_in:?}"),
    }
}

/// The kernel is compiled once for all models with the same key.
impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Model {}

impl Hash for Model {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// A constant.
#[cube]
pub(super) fn constant<F: Float>(#[comptime] c: f64) -> F {
    intrinsic!(|scope| expression::constant(scope, c))
}

/// α_k: compiled in, or read from the table if constants are learned.
#[cube]
pub(super) fn decay<F: Float>(table: &Tensor<F>, #[comptime] k: usize, #[comptime] layout: Layout) -> F {
    if comptime!(layout.learned) { table[k] } else { constant::<F>(comptime!(layout.types[k].decay())) }
}

/// Index of a neuron's record in the table; not used if all constants are compiled in.
#[cube]
pub(super) fn record(neuron: usize, #[comptime] model: Model) -> usize {
    match comptime!(model.constants) {
        Constants::Fixed => 0usize,
        Constants::Shared(types) => comptime!(types).runtime(),
        Constants::PerNeuron(types) => types + neuron * RECORD,
    }
}

#[cube]
fn small_current_phi<F: Float>(v: F, i: F, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let Model { neuron, dt, .. } = &model;
        with_model!(
            neuron,
            |model| model.over(*dt).small_current().1.phi(v, i),
            |_own| neuron.phi(v, i, *dt),
            |_planar| neuron.phi(v, i, *dt)
        )
        .value()
    })
}

#[cube]
fn any_phi<F: Float>(v: F, i: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        model.dynamics(table, record, scope).phi(v, i).value()
    })
}

/// φ(v, I), unwrapped.
#[cube]
pub(super) fn phi<F: Float>(v: F, i: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> F {
    let limit = comptime!(model.small_current_limit());
    if comptime!(limit.is_infinite()) {
        any_phi::<F>(v, i, table, record, model)
    } else {
        let small = i.abs() < constant::<F>(limit);
        if small {
            small_current_phi::<F>(v, i, comptime!(model.clone()))
        } else {
            any_phi::<F>(v, i, table, record, model)
        }
    }
}

#[cube]
fn small_current_slopes<F: Float>(v: F, i: F, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let Model { neuron, dt, .. } = &model;
        let (dv, di) = with_model!(
            neuron,
            |model| model.over(*dt).small_current().1.slopes(v, i),
            |_own| neuron.slopes(v, i, *dt),
            |_planar| neuron.slopes(v, i, *dt)
        );
        (dv.value(), di.value())
    })
}

#[cube]
fn any_slopes<F: Float>(v: F, i: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let (dv, di) = model.dynamics(table, record, scope).slopes(v, i);
        (dv.value(), di.value())
    })
}

/// ∂φ/∂v and ∂φ/∂I.
#[cube]
pub(super) fn slopes<F: Float>(v: F, i: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> (F, F) {
    let limit = comptime!(model.small_current_limit());
    if comptime!(limit.is_infinite()) {
        any_slopes::<F>(v, i, table, record, model)
    } else {
        if i.abs() < constant::<F>(limit) {
            small_current_slopes::<F>(v, i, comptime!(model.clone()))
        } else {
            any_slopes::<F>(v, i, table, record, model)
        }
    }
}

/// n = max(⌊vpre⌋, 0).
#[cube]
pub(super) fn spikes<F: Float>(vpre: F) -> F {
    vpre.floor().max(F::new(0.0_f32))
}

/// G(v), for v < 1.
#[cube]
pub(super) fn charge<F: Float>(v: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> F {
    intrinsic!(|scope| model.dynamics(table, record, scope).charge(Traced::of(scope, v)).value())
}

/// g(v), for v < 1.
#[cube]
pub(super) fn density<F: Float>(v: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> F {
    intrinsic!(|scope| model.dynamics(table, record, scope).density(Traced::of(scope, v)).value())
}

/// ∂φ/∂τ_mem from v after the step, I and ∂φ/∂I.
#[cube]
pub(super) fn by_tau<F: Float>(
    after: F,
    i: F,
    by_i: F,
    table: &Tensor<F>,
    record: usize,
    #[comptime] model: Model,
) -> F {
    intrinsic!(|scope| {
        let [after, i, by_i] = [after, i, by_i].map(|value| Traced::of(scope, value));
        model.dynamics(table, record, scope).slope_by_tau(after, i, by_i).value()
    })
}

/// ∂G/∂w at v < 1.
#[cube]
pub(super) fn by_width<F: Float>(v: F, table: &Tensor<F>, record: usize, #[comptime] model: Model) -> F {
    intrinsic!(|scope| model.dynamics(table, record, scope).charge_by_width(Traced::of(scope, v)).value())
}
