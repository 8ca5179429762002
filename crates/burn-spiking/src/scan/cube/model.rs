//! Flow and gate as a kernel's code.

use super::expression::{self, Traced};
use super::layout::Layout;
use crate::gate::{Gate, Zone};
use crate::neuron::flow::SmallCurrent;
use crate::neuron::membrane::Membrane;
use crate::neuron::{Flow, Neuron, NeuronModel, with_model};
use crate::num::Own;
use crate::scan::ScanPlan;
use crate::scan::dynamics::{DynamicsOn, NumberConstants, PerNeuronConstants};
use cubecl::frontend::{IndexExpand, TensorExpand};
use cubecl::ir::Scope;
use cubecl::prelude::*;
use std::hash::{Hash, Hasher};

/// What a neuron does in a step, compiled into the kernel: with all its constants, or, where they are learned, in a form that reads
/// them from memory, from which one kernel serves all their values.
#[derive(Debug, Clone)]
pub(super) struct Model {
    neuron: Neuron,
    gate: Gate,
    dt: f64,
    constants: Constants,
}

/// Where a kernel has τ_mem and the gate's width from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Constants {
    /// Compiled in.
    Fixed,
    /// Read from a table: first the synapses' α, as many as this, then a record for all neurons.
    Shared(usize),
    /// The same, and a record for each neuron.
    PerNeuron(usize),
}

/// Numbers in a record: τ_mem, 1/τ_mem, e^(−dt/τ_mem) and 1 less that; w − 1 and 1/w.
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
            // What is read is not compiled in.
            (neuron, gate) = (neuron.with_tau(1.0), gate.with_width(1.0));
        }
        Self { neuron, gate, dt: plan.dt, constants }
    }

    /// The table that the kernel reads; empty where all is compiled in.
    pub(super) fn table(&self, plan: &ScanPlan) -> Vec<f64> {
        if self.constants == Constants::Fixed {
            return Vec::new();
        }
        let shared =
            || PerNeuronConstants { tau_mem: plan.neuron.tau().into_iter().collect(), width: vec![plan.gate.width()] };
        let each = plan.per_neuron.as_deref().cloned().unwrap_or_else(shared);
        let mut table: Vec<f64> = plan.synapses.iter().map(|synapse| synapse.decay).collect();
        for (at, &width) in each.width.iter().enumerate() {
            let Membrane { tau, rate, decay, complement } =
                Membrane::of(each.tau_mem.get(at).copied().unwrap_or(1.0), plan.dt);
            let Zone { offset, inverse } = Zone::of(width);
            table.extend([tau, rate, decay, complement, offset, inverse]);
        }
        table
    }

    /// Two models of one key are compiled once.
    fn key(&self) -> (String, String, u64, Constants) {
        // Names of models hold every constant.
        (self.neuron.to_string(), self.gate.to_string(), self.dt.to_bits(), self.constants)
    }

    /// The largest |I| that the neuron's cheaper flow holds for, where the kernel has that flow; infinite where it has only one.
    fn small_current_limit(&self) -> f64 {
        match self.constants {
            Constants::Fixed => {
                with_model!(&self.neuron, |model| model.over(self.dt).small_current().0, |_own| f64::INFINITY)
            }
            Constants::Shared(_) | Constants::PerNeuron(_) => f64::INFINITY,
        }
    }

    /// Flow and gate on the kernel's values; `record` is where the neuron's record begins.
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
                membrane: self.neuron.learns_tau().then(membrane),
                zone: Zone { offset: read(4), inverse: read(5) },
                decays: Vec::new(),
            }
        });
        DynamicsOn::new(&self.neuron, self.gate, self.dt, given)
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Model {}

impl Hash for Model {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// A constant.
#[cube]
pub(super) fn constant<F: Float>(#[comptime] c: f64) -> F {
    intrinsic!(|scope| expression::constant(scope, c))
}

/// α_k: compiled in, or, where constants are learned, from their table.
#[cube]
pub(super) fn decay<F: Float>(table: &Tensor<F>, #[comptime] k: usize, #[comptime] layout: Layout) -> F {
    if comptime!(layout.learned) { table[k] } else { constant::<F>(comptime!(layout.types[k].decay())) }
}

/// Where a neuron's record begins; of no meaning where nothing is read.
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
        with_model!(neuron, |model| model.over(*dt).small_current().1.phi(v, i), |_own| neuron.phi(v, i, *dt)).value()
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
        let (dv, di) = with_model!(neuron, |model| model.over(*dt).small_current().1.slopes(v, i), |_own| neuron
            .slopes(v, i, *dt));
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
