//! What a neuron and its gate do in a step, on numbers of one kind: with the plan's constants, or with constants that are such
//! numbers themselves, so that each neuron has its own, or so that they can be differentiated by.

use crate::gate::{Gate, Zone};
use crate::neuron::Neuron;
use crate::neuron::flow::FlowOn;
use crate::neuron::lif::LifFlow;
use crate::neuron::membrane::Membrane;
use crate::neuron::qif::QifFlow;
use crate::num::{Number, Own};

/// The constants that differ from neuron to neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct PerNeuronConstants {
    /// τ_mem of each neuron, ms; empty where neurons have none.
    pub tau_mem: Vec<f64>,
    /// The gate's width of each neuron, in (0, 1].
    pub width: Vec<f64>,
}

impl PerNeuronConstants {
    /// What flows are computed from; empty rows where neurons have no τ_mem.
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

    /// What gates are computed from.
    pub(crate) fn zones(&self) -> Zone<Vec<f64>> {
        let (offset, inverse) =
            self.width.iter().map(|&width| Zone::of(width)).map(|at| (at.offset, at.inverse)).unzip();
        Zone { offset, inverse }
    }
}

/// Flow and gate on numbers of one kind.
pub(crate) struct DynamicsOn<X> {
    neuron: Neuron,
    gate: Gate,
    dt: f64,
    given: Option<NumberConstants<X>>,
}

/// Constants that are numbers like v and I.
pub(crate) struct NumberConstants<X> {
    /// Of a neuron whose flow has a τ_mem that may be given.
    pub(crate) membrane: Option<Membrane<Own<X>>>,
    pub(crate) zone: Zone<Own<X>>,
    /// α_k of each synapse type; the plan's own where there are none.
    pub(crate) decays: Vec<X>,
}

impl<X: Number> DynamicsOn<X> {
    /// With the plan's constants, or with those given.
    pub(crate) fn new(neuron: &Neuron, gate: Gate, dt: f64, given: Option<NumberConstants<X>>) -> Self {
        Self { neuron: neuron.clone(), gate, dt, given }
    }

    /// α_k, where it is given.
    pub(crate) fn decay(&self, k: usize) -> Option<X> {
        self.given.as_ref()?.decays.get(k).cloned()
    }

    /// τ_mem of the neurons whose flow takes it.
    fn membrane(&self) -> Option<&Membrane<Own<X>>> {
        self.given.as_ref()?.membrane.as_ref()
    }

    /// φ(v, I), unwrapped.
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

    /// ∂φ/∂τ_mem from v after the step, I and ∂φ/∂I; 0 where τ_mem cannot be learned. See [`scan`](super).
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
