//! Flow and gate as a kernel's code.

use super::layout::Layout;
use super::traced::{self, Traced};
use crate::gate::Gate;
use crate::neuron::program::Program;
use crate::neuron::{Flow, Neuron, NeuronModel, with_model};
use crate::scan::ScanPlan;
use cubecl::frontend::{IndexExpand, TensorExpand};
use cubecl::ir::Scope;
use cubecl::prelude::*;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a neuron does in a step, compiled into the kernel: with all its constants, or, where they are learned, in a form that reads
/// them from memory.
#[derive(Debug, Clone)]
pub(super) enum Model {
    /// Constants compiled in.
    Fixed { neuron: Neuron, gate: Gate, dt: f64 },
    /// Constants read.
    Learned(Arc<Learned>),
}

/// A neuron and a gate as recorded programs, whose constants stand one after the other in a table, after the synapses' α.
#[derive(Debug)]
pub(super) struct Learned {
    phi: (usize, Program<2, 1>),
    slopes: (usize, Program<2, 2>),
    charge: (usize, Program<1, 1>),
    density: (usize, Program<1, 1>),
    by_tau: (usize, Program<3, 1>),
    by_width: (usize, Program<1, 1>),
    form: String,
    /// The table.
    pub(super) constants: Vec<f64>,
}

impl Model {
    /// The model of a plan.
    pub(super) fn of(plan: &ScanPlan, double: bool) -> Self {
        let (neuron, gate, dt) = (plan.neuron.clone(), plan.gate, plan.dt);
        if !plan.constants {
            return Model::Fixed { neuron, gate, dt };
        }
        /// The program, and where its constants begin.
        fn noted<const A: usize, const R: usize>(
            program: Program<A, R>,
            (constants, form): &mut (Vec<f64>, String),
        ) -> (usize, Program<A, R>) {
            let first = constants.len();
            constants.extend(program.constants());
            form.push_str(&program.form());
            (first, program)
        }
        let constants: Vec<f64> = plan.synapses.iter().map(|synapse| synapse.decay).collect();
        let of = &mut (constants, String::new());
        let phi = noted(Program::of(double, |[v, i]| [neuron.phi(v, i, dt)]), of);
        let slopes = noted(Program::of(double, |[v, i]| neuron.slopes(v, i, dt).into()), of);
        let charge = noted(Program::of(double, |[v]| [gate.charge(v)]), of);
        let density = noted(Program::of(double, |[v]| [gate.density(v)]), of);
        let by_tau = noted(Program::of(double, |[after, i, di]| [neuron.slope_by_tau(after, i, di, dt)]), of);
        let by_width = noted(Program::of(double, |[v]| [gate.charge_by_width(v)]), of);
        let (constants, form) = std::mem::take(of);
        Model::Learned(Arc::new(Learned { phi, slopes, charge, density, by_tau, by_width, form, constants }))
    }

    /// Two models of one key are compiled once.
    fn key(&self) -> [String; 3] {
        match self {
            // Names of models hold every constant.
            Model::Fixed { neuron, gate, dt } => [neuron.to_string(), gate.to_string(), dt.to_bits().to_string()],
            Model::Learned(learned) => [learned.form.clone(), String::new(), String::new()],
        }
    }

    /// The constants that the kernel reads.
    pub(super) fn constants(&self) -> &[f64] {
        match self {
            Model::Fixed { .. } => &[],
            Model::Learned(learned) => &learned.constants,
        }
    }

    /// The largest |I| that the neuron's cheaper flow holds for, where the kernel has that flow; infinite where it has only one.
    fn near_limit(&self) -> f64 {
        match self {
            Model::Fixed { neuron, dt, .. } => {
                with_model!(neuron, |model| model.over(*dt).near().0, |_own| f64::INFINITY)
            }
            Model::Learned(_) => f64::INFINITY,
        }
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

/// Runs a program of a learned model, whose constants begin at `first` of the table.
fn run<'s, F: Float, const A: usize, const R: usize>(
    (first, program): &(usize, Program<A, R>),
    arguments: [Traced<'s, F>; A],
    table: &TensorExpand<F>,
    scope: &'s Scope,
) -> [NativeExpand<F>; R] {
    let constant = |place: usize| {
        let index: NativeExpand<usize> = (first + place).into();
        let value: &NativeExpand<F> = table.__expand_index_method(scope, index);
        Traced::of(scope, *value)
    };
    program.run_with(arguments, constant).map(Traced::value)
}

/// A constant.
#[cube]
pub(super) fn constant<F: Float>(#[comptime] c: f64) -> F {
    intrinsic!(|scope| traced::constant(scope, c))
}

/// α_k: compiled in, or, where constants are learned, from their table.
#[cube]
pub(super) fn decay<F: Float>(table: &Tensor<F>, #[comptime] k: usize, #[comptime] layout: Layout) -> F {
    if comptime!(layout.learned) { table[k] } else { constant::<F>(comptime!(layout.types[k].decay())) }
}

#[cube]
fn near_phi<F: Float>(v: F, i: F, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let Model::Fixed { neuron, dt, .. } = &model else { unreachable!("a learned model has no cheaper flow") };
        with_model!(neuron, |model| model.over(*dt).near().1.phi(v, i), |_own| neuron.phi(v, i, *dt)).value()
    })
}

#[cube]
fn any_phi<F: Float>(v: F, i: F, table: &Tensor<F>, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        match &model {
            Model::Fixed { neuron, dt, .. } => neuron.phi(v, i, *dt).value(),
            Model::Learned(learned) => {
                let [phi] = run(&learned.phi, [v, i], table, scope);
                phi
            }
        }
    })
}

/// φ(v, I), unwrapped.
#[cube]
pub(super) fn phi<F: Float>(v: F, i: F, table: &Tensor<F>, #[comptime] model: Model) -> F {
    let limit = comptime!(model.near_limit());
    if comptime!(limit.is_infinite()) {
        any_phi::<F>(v, i, table, model)
    } else {
        let small = i.abs() < constant::<F>(limit);
        if small { near_phi::<F>(v, i, comptime!(model.clone())) } else { any_phi::<F>(v, i, table, model) }
    }
}

#[cube]
fn near_slopes<F: Float>(v: F, i: F, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let Model::Fixed { neuron, dt, .. } = &model else { unreachable!("a learned model has no cheaper flow") };
        let (dv, di) =
            with_model!(neuron, |model| model.over(*dt).near().1.slopes(v, i), |_own| neuron.slopes(v, i, *dt));
        (dv.value(), di.value())
    })
}

#[cube]
fn any_slopes<F: Float>(v: F, i: F, table: &Tensor<F>, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        match &model {
            Model::Fixed { neuron, dt, .. } => {
                let (dv, di) = neuron.slopes(v, i, *dt);
                (dv.value(), di.value())
            }
            Model::Learned(learned) => run(&learned.slopes, [v, i], table, scope).into(),
        }
    })
}

/// ∂φ/∂v and ∂φ/∂I.
#[cube]
pub(super) fn slopes<F: Float>(v: F, i: F, table: &Tensor<F>, #[comptime] model: Model) -> (F, F) {
    let limit = comptime!(model.near_limit());
    if comptime!(limit.is_infinite()) {
        any_slopes::<F>(v, i, table, model)
    } else {
        if i.abs() < constant::<F>(limit) {
            near_slopes::<F>(v, i, comptime!(model.clone()))
        } else {
            any_slopes::<F>(v, i, table, model)
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
pub(super) fn charge<F: Float>(v: F, table: &Tensor<F>, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let v = Traced::of(scope, v);
        match &model {
            Model::Fixed { gate, .. } => gate.charge(v).value(),
            Model::Learned(learned) => {
                let [charge] = run(&learned.charge, [v], table, scope);
                charge
            }
        }
    })
}

/// g(v), for v < 1.
#[cube]
pub(super) fn density<F: Float>(v: F, table: &Tensor<F>, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let v = Traced::of(scope, v);
        match &model {
            Model::Fixed { gate, .. } => gate.density(v).value(),
            Model::Learned(learned) => {
                let [density] = run(&learned.density, [v], table, scope);
                density
            }
        }
    })
}

/// ∂φ/∂τ_v from v after the step, I and ∂φ/∂I; of a learned model.
#[cube]
pub(super) fn by_tau<F: Float>(after: F, i: F, by_i: F, table: &Tensor<F>, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let arguments = [after, i, by_i].map(|value| Traced::of(scope, value));
        let Model::Learned(learned) = &model else { unreachable!("fixed constants have no gradient") };
        let [slope] = run(&learned.by_tau, arguments, table, scope);
        slope
    })
}

/// ∂G/∂w at v < 1; of a learned model.
#[cube]
pub(super) fn by_width<F: Float>(v: F, table: &Tensor<F>, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let Model::Learned(learned) = &model else { unreachable!("fixed constants have no gradient") };
        let [slope] = run(&learned.by_width, [Traced::of(scope, v)], table, scope);
        slope
    })
}
