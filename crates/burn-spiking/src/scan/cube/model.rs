//! Flow and gate as a kernel's code.

use super::traced::{self, Traced};
use crate::gate::Gate;
use crate::neuron::{Flow, Neuron, NeuronModel, with_model};
use cubecl::prelude::*;
use std::hash::{Hash, Hasher};

/// What a neuron does in a step, compiled into the kernel with all its constants.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) neuron: Neuron,
    pub(super) gate: Gate,
    pub(super) dt: f64,
}

impl Model {
    /// Two models of one key are compiled once.
    fn key(&self) -> (String, String, u64) {
        // Names of models hold every constant.
        (self.neuron.to_string(), self.gate.to_string(), self.dt.to_bits())
    }

    /// The largest |I| that the neuron's cheaper flow holds for; infinite where it has only one.
    fn near_limit(&self) -> f64 {
        with_model!(&self.neuron, |model| model.over(self.dt).near().0, |_own| f64::INFINITY)
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
    intrinsic!(|scope| traced::constant(scope, c))
}

#[cube]
fn near_phi<F: Float>(v: F, i: F, #[comptime] model: Model) -> F {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let dt = model.dt;
        with_model!(&model.neuron, |model| model.over(dt).near().1.phi(v, i), |_own| model.neuron.phi(v, i, dt)).value()
    })
}

#[cube]
fn any_phi<F: Float>(v: F, i: F, #[comptime] model: Model) -> F {
    intrinsic!(|scope| model.neuron.phi(Traced::of(scope, v), Traced::of(scope, i), model.dt).value())
}

/// φ(v, I), unwrapped.
#[cube]
pub(super) fn phi<F: Float>(v: F, i: F, #[comptime] model: Model) -> F {
    let limit = comptime!(model.near_limit());
    if comptime!(limit.is_infinite()) {
        any_phi::<F>(v, i, model)
    } else {
        let small = i.abs() < constant::<F>(limit);
        if small { near_phi::<F>(v, i, comptime!(model.clone())) } else { any_phi::<F>(v, i, model) }
    }
}

/// ∂φ/∂v and ∂φ/∂I.
#[cube]
fn near_slopes<F: Float>(v: F, i: F, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let (v, i) = (Traced::of(scope, v), Traced::of(scope, i));
        let dt = model.dt;
        let (dv, di) = with_model!(&model.neuron, |model| model.over(dt).near().1.slopes(v, i), |_own| model
            .neuron
            .slopes(v, i, dt));
        (dv.value(), di.value())
    })
}

#[cube]
fn any_slopes<F: Float>(v: F, i: F, #[comptime] model: Model) -> (F, F) {
    intrinsic!(|scope| {
        let (dv, di) = model.neuron.slopes(Traced::of(scope, v), Traced::of(scope, i), model.dt);
        (dv.value(), di.value())
    })
}

/// ∂φ/∂v and ∂φ/∂I.
#[cube]
pub(super) fn slopes<F: Float>(v: F, i: F, #[comptime] model: Model) -> (F, F) {
    let limit = comptime!(model.near_limit());
    if comptime!(limit.is_infinite()) {
        any_slopes::<F>(v, i, model)
    } else {
        if i.abs() < constant::<F>(limit) {
            near_slopes::<F>(v, i, comptime!(model.clone()))
        } else {
            any_slopes::<F>(v, i, model)
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
pub(super) fn charge<F: Float>(v: F, #[comptime] model: Model) -> F {
    intrinsic!(|scope| model.gate.charge(Traced::of(scope, v)).value())
}

/// g(v), for v < 1.
#[cube]
pub(super) fn density<F: Float>(v: F, #[comptime] model: Model) -> F {
    intrinsic!(|scope| model.gate.density(Traced::of(scope, v)).value())
}
