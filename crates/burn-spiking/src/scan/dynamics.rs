//! The flow and the gate of one step, on numbers of one kind.
//!
//! The constants are those of the plan, or numbers of the same kind as v and I. Such numbers give
//! each neuron its own constants, or make the step differentiable with respect to its constants.

use crate::gate::{Gate, Zone};
use crate::neuron::Neuron;
use crate::neuron::flow::FlowOn;
use crate::neuron::lif::LifFlow;
use crate::neuron::membrane::Membrane;
use crate::neuron::planar::{CONSTANTS, Jacobian, Moved};
use crate::neuron::qif::QifFlow;
use crate::num::{Number, Own};

/// The constants that differ from neuron to neuron.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PerNeuronConstants {
    /// τ_mem of each neuron, in ms; empty if the neuron model has no τ_mem that can be learned.
    pub tau_mem: Vec<f64>,
    /// The gate width of each neuron, in (0, 1].
    pub width: Vec<f64>,
    /// The second constant of each neuron with two variables
    /// ([`SecondConstant`](crate::neuron::planar::SecondConstant)); empty unless the plan has
    /// `planar_constants`.
    pub second: Vec<f64>,
    /// b of each neuron with two variables, the rise of w by a spike; empty unless the plan has
    /// `planar_constants`.
    pub jump: Vec<f64>,
}

impl PerNeuronConstants {
    /// The values that the flows need, for steps of `dt` ms. The rows are empty if `tau_mem` is
    /// empty.
    pub(crate) fn membranes(&self, dt: f64) -> Membrane<Vec<f64>> {
        let mut rows = Membrane { tau: Vec::new(), rate: Vec::new(), decay: Vec::new(), complement: Vec::new() };
        for membrane in self.tau_mem.iter().map(|&tau| Membrane::of(tau, dt)) {
            rows.tau.push(membrane.tau);
            rows.rate.push(membrane.rate);
            rows.decay.push(membrane.decay);
            rows.complement.push(membrane.complement);
        }
        rows
    }

    /// The values that the gates need.
    pub(crate) fn zones(&self) -> Zone<Vec<f64>> {
        let (offset, inverse) =
            self.width.iter().map(|&width| Zone::of(width)).map(|at| (at.offset, at.inverse)).unzip();
        Zone { offset, inverse }
    }
}

/// The flow and the gate on numbers of one kind.
pub(crate) struct DynamicsOn<X> {
    neuron: Neuron,
    gate: Gate,
    dt: f64,
    given: Option<NumberConstants<X>>,
}

/// Constants that are numbers of the same kind as v and I.
pub(crate) struct NumberConstants<X> {
    /// τ_mem and the values that follow from it; `None` if the neuron's τ_mem cannot be learned.
    pub(crate) membrane: Option<Membrane<Own<X>>>,
    pub(crate) zone: Zone<Own<X>>,
    /// The constants of neurons with two variables; `None` if those of the neuron hold.
    pub(crate) planar: Option<PlanarNumbers<X>>,
    /// α_k of each synapse type; empty if those of the plan hold.
    pub(crate) decays: Vec<X>,
}

/// The constants of neurons with two variables, as numbers of the same kind as v and I.
pub(crate) struct PlanarNumbers<X> {
    /// τ_mem and the second constant.
    pub(crate) flow: [X; CONSTANTS],
    /// b.
    pub(crate) jump: X,
}

/// The derivatives of a step of neurons with two variables.
pub(crate) struct PlanarSlopes<X> {
    /// Those with respect to the state and the current.
    pub(crate) of_state: Jacobian<X>,
    /// (∂v/∂c, ∂ψ/∂c) of each constant c of the flow, if the constants are numbers.
    pub(crate) of_constants: Option<[[X; 2]; CONSTANTS]>,
}

impl<X: Number> DynamicsOn<X> {
    /// Makes the dynamics with the constants in `given`, or with the plan's constants if it is
    /// `None`.
    pub(crate) fn new(neuron: &Neuron, gate: Gate, dt: f64, given: Option<NumberConstants<X>>) -> Self {
        Self { neuron: neuron.clone(), gate, dt, given }
    }

    /// α_k, if it is among the given constants.
    pub(crate) fn decay(&self, k: usize) -> Option<X> {
        self.given.as_ref()?.decays.get(k).cloned()
    }

    /// The given τ_mem with the values that follow from it.
    fn membrane(&self) -> Option<&Membrane<Own<X>>> {
        self.given.as_ref()?.membrane.as_ref()
    }

    /// φ(v, I), before the reset.
    pub(crate) fn phi(&self, v: X, i: X) -> X {
        match (self.membrane(), &self.neuron) {
            (Some(membrane), Neuron::Lif { .. }) => LifFlow::of(membrane.clone()).phi_on(v, i),
            (Some(membrane), Neuron::Qif { .. }) => QifFlow::of(membrane.rate.clone(), self.dt).phi_on(v, i),
            (_, neuron) => neuron.phi(v, i, self.dt),
        }
    }

    /// (∂φ/∂v, ∂φ/∂I).
    pub(crate) fn slopes(&self, v: X, i: X) -> (X, X) {
        match (self.membrane(), &self.neuron) {
            (Some(membrane), Neuron::Lif { .. }) => LifFlow::of(membrane.clone()).slopes_on(v, i),
            (Some(membrane), Neuron::Qif { .. }) => QifFlow::of(membrane.rate.clone(), self.dt).slopes_on(v, i),
            (_, neuron) => neuron.slopes(v, i, self.dt),
        }
    }

    /// The given constants of neurons with two variables.
    fn planar(&self) -> Option<&PlanarNumbers<X>> {
        self.given.as_ref()?.planar.as_ref()
    }

    /// The given constants of a planar flow, with the shape of v.
    fn planar_constants(&self, v: &X) -> Option<[X; CONSTANTS]> {
        let numbers = self.planar()?;
        Some(numbers.flow.clone().map(|constant| v.zero() + constant))
    }

    /// The state of a neuron of two variables after a step, before the jump of w.
    pub(crate) fn planar_step(&self, v: X, w: X, i: X) -> Moved<X> {
        match self.planar_constants(&v) {
            Some(constants) => self.neuron.planar_step_with((v, w, i), self.dt, constants),
            None => self.neuron.planar_step(v, w, i, self.dt),
        }
    }

    /// [`planar_step`](Self::planar_step) and its derivatives.
    pub(crate) fn planar_step_and_slopes(&self, v: X, w: X, i: X) -> (Moved<X>, PlanarSlopes<X>) {
        let Some(constants) = self.planar_constants(&v) else {
            let (moved, of_state) = self.neuron.planar_step_and_jacobian(v, w, i, self.dt);
            return (moved, PlanarSlopes { of_state, of_constants: None });
        };
        let (moved, all) = self.neuron.planar_step_and_jacobian_with((v, w, i), self.dt, constants);
        let Jacobian { v: [vv, vw, vi, va, vb], w: [wv, ww, wi, wa, wb] } = all;
        let of_state = Jacobian { v: [vv, vw, vi], w: [wv, ww, wi] };
        (moved, PlanarSlopes { of_state, of_constants: Some([[va, wa], [vb, wb]]) })
    }

    /// The jump of w by a charge, b ΔQ; `None` for neurons of one variable.
    pub(crate) fn jump(&self, charge: X) -> Option<X> {
        match self.planar() {
            Some(numbers) => Some(charge * numbers.jump.clone()),
            None => Some(charge.times(self.neuron.jump()?)),
        }
    }

    /// ∂φ/∂τ_mem from v after the step, I and ∂φ/∂I; 0 if τ_mem cannot be learned. See
    /// [`scan`](super).
    pub(crate) fn slope_by_tau(&self, after: X, i: X, di: X) -> X {
        let Some(membrane) = self.membrane() else {
            return self.neuron.slope_by_tau(after, i, di, self.dt);
        };
        let field = match &self.neuron {
            Neuron::Lif { .. } => LifFlow::of(membrane.clone()).dvdt_on(after, i.clone()),
            _ => QifFlow::of(membrane.rate.clone(), self.dt).dvdt_on(after, i.clone()),
        };
        (i * di - field.times(self.dt)) * membrane.rate.0.clone()
    }

    /// G(v), for v < 1.
    pub(crate) fn charge(&self, v: X) -> X {
        match &self.given {
            Some(given) => self.gate.on(&given.zone).charge(v),
            None => self.gate.charge(v),
        }
    }

    /// g(v), for v < 1.
    pub(crate) fn density(&self, v: X) -> X {
        match &self.given {
            Some(given) => self.gate.on(&given.zone).density(v),
            None => self.gate.density(v),
        }
    }

    /// ∂G/∂w, for v < 1.
    pub(crate) fn charge_by_width(&self, v: X) -> X {
        match &self.given {
            Some(given) => self.gate.on(&given.zone).charge_by_width(v),
            None => self.gate.charge_by_width(v),
        }
    }
}
