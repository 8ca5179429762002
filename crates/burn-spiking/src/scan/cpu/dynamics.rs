//! The dynamics of rows of neurons and their gates: uniform, or with per-neuron τ_mem and width.

use super::gates::{Gates, PerNeuronGates, UniformGates};
use super::rows::{self, ActiveSet, Row, lanes, lanes_mut};
use crate::neuron::eif::EifFlow;
use crate::neuron::flow::{Flow, FlowOn, NeuronModel, slope_by_tau};
use crate::neuron::lif::LifFlow;
use crate::neuron::membrane::Membrane;
use crate::neuron::nif::NifFlow;
use crate::neuron::planar::CONSTANTS;
use crate::neuron::qif::QifFlow;
use crate::neuron::rows::{phi_and_slopes_row_by_currents, phi_row_by_currents};
use crate::neuron::{Neuron, Nif};
use crate::num::simd::Lanes;
use crate::num::{Number, Own, Real};
use crate::scan::ScanPlan;
use macerator::Simd;

/// The operations of neurons and gates that the kernel needs, on one padded row at a time. Each
/// implementation chooses the form in which it holds the potentials in a row.
pub(crate) trait Dynamics<T: Real>: Sync {
    /// Converts the potentials in `held` to the form of these dynamics, in place.
    fn encode<S: Simd>(&self, held: &mut [T]);
    /// Returns the potentials v. Dynamics that hold another form write v to `scratch`.
    fn potentials<'a, S: Simd>(&self, held: &'a [T], scratch: &'a mut [T]) -> &'a [T];
    /// Runs a step with the currents `i`. Appends to `senders` the neurons below `n` that sent
    /// charge, unless all did.
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet;
    /// Runs the same step. Also writes the slopes and the second of the gates (g(v_t), g(v_{t+1}));
    /// the first is an input. Appends the active neurons to `active`, unless
    /// all are active.
    fn step_with_slopes<S: Simd>(
        &self,
        n: usize,
        neurons: Neurons<'_, T>,
        i: &[T],
        slopes: Slopes<'_, T>,
        densities: (&[T], &mut [T]),
        active: &mut Vec<u32>,
    ) -> ActiveSet;
    /// Writes ∂φ/∂τ_mem. `at` is the row held after the step, I_t and ∂φ/∂I.
    fn slope_by_tau<S: Simd>(&self, at: (&[T], &[T], &[T]), out: &mut [T]);
    /// Writes G(v).
    fn charge<S: Simd>(&self, held: &[T], sent: &mut [T]);
    /// Writes g(v).
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]);
    /// Writes ∂G/∂w at v.
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]);
}

/// The rows of neurons that a step updates.
pub(crate) struct Neurons<'a, T> {
    /// v, in the form of the dynamics.
    pub(super) held: &'a mut Row<T>,
    /// w of neurons with two variables; empty for neurons with one.
    pub(super) w: &'a mut [T],
    /// Room for the new v.
    pub(super) scratch: &'a mut Row<T>,
    /// G(v).
    pub(super) sent: &'a mut [T],
    /// ΔQ of the step.
    pub(super) charge: &'a mut [T],
}

/// The rows to which a step writes its slopes.
pub(crate) struct Slopes<'a, T> {
    /// ∂φ/∂v.
    pub(super) by_v: &'a mut [T],
    /// ∂φ/∂I.
    pub(super) by_i: &'a mut [T],
    /// For neurons with two variables, in the order of [`SECOND_SLOPES`].
    pub(super) second: Option<[&'a mut [T]; SECOND_SLOPES]>,
    /// For neurons with two variables whose constants have gradients: ∂v/∂c and ∂ψ/∂c of each
    /// constant c, in order.
    pub(super) by_constants: Option<[&'a mut [T]; 2 * CONSTANTS]>,
}

/// The number of slopes that neurons with two variables have in addition: ∂v/∂w, ∂ψ/∂v, ∂ψ/∂w and
/// ∂ψ/∂I.
pub(super) const SECOND_SLOPES: usize = 4;

/// The neurons and gates that [`Potentials`] needs.
pub(crate) trait ByPotential<T: Real>: Sync {
    /// Writes φ(v, I) to `vpre`.
    fn phi<S: Simd>(&self, potentials_and_currents: (&[T], &[T]), vpre: &mut [T]);
    /// Writes φ and the slopes (∂φ/∂v, ∂φ/∂I).
    fn phi_and_slopes<S: Simd>(
        &self,
        potentials_and_currents: (&[T], &[T]),
        vpre: &mut [T],
        slopes: (&mut [T], &mut [T]),
    );
    /// [`Dynamics::slope_by_tau`].
    fn slope_by_tau<S: Simd>(&self, at: (&[T], &[T], &[T]), out: &mut [T]);
    /// The gates.
    fn gates(&self) -> &impl Gates<T>;
}

/// Dynamics whose rows hold the potential v itself.
pub(crate) struct Potentials<D>(pub(super) D);

impl<T: Real, D: ByPotential<T>> Dynamics<T> for Potentials<D> {
    #[inline(always)]
    fn encode<S: Simd>(&self, _held: &mut [T]) {}

    #[inline(always)]
    fn potentials<'a, S: Simd>(&self, held: &'a [T], _room: &'a mut [T]) -> &'a [T] {
        held
    }

    #[inline(always)]
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet {
        let Neurons { held, scratch, sent, charge, .. } = neurons;
        self.0.phi::<S>((held, i), scratch);
        std::mem::swap(held, scratch);
        self.0.gates().update::<S>(held, sent, charge);
        rows::nonzero::<S, T, 1>(senders, n, [charge])
    }

    #[inline(always)]
    fn step_with_slopes<S: Simd>(
        &self,
        n: usize,
        neurons: Neurons<'_, T>,
        i: &[T],
        slopes: Slopes<'_, T>,
        (before, after): (&[T], &mut [T]),
        active: &mut Vec<u32>,
    ) -> ActiveSet {
        let Neurons { held, scratch, sent, charge, .. } = neurons;
        self.0.phi_and_slopes::<S>((held, i), scratch, (slopes.by_v, slopes.by_i));
        std::mem::swap(held, scratch);
        self.0.gates().update_with_density::<S>((held, sent), charge, after);
        rows::nonzero::<S, T, 3>(active, n, [charge, before, after])
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, at: (&[T], &[T], &[T]), out: &mut [T]) {
        ByPotential::slope_by_tau::<S>(&self.0, at, out);
    }

    #[inline(always)]
    fn charge<S: Simd>(&self, held: &[T], sent: &mut [T]) {
        self.0.gates().charge::<S>(held, sent);
    }

    #[inline(always)]
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]) {
        self.0.gates().density::<S>(held, density);
    }

    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]) {
        self.0.gates().charge_by_width::<S>(held, out);
    }
}

/// Uniform neurons: one flow and one gate width.
pub(crate) struct UniformDynamics<F> {
    flow: F,
    gates: UniformGates,
    /// (τ_mem, dt), ms.
    constants: (Option<f64>, f64),
}

impl<F> UniformDynamics<F> {
    pub(super) fn of(flow: F, plan: &ScanPlan) -> Potentials<Self> {
        Potentials(Self { flow, gates: UniformGates(plan.gate), constants: (plan.neuron.tau(), plan.dt) })
    }
}

impl<T: Real, F: Flow> ByPotential<T> for UniformDynamics<F> {
    #[inline(always)]
    fn phi<S: Simd>(&self, (v, i): (&[T], &[T]), vpre: &mut [T]) {
        self.flow.phi_row((lanes::<S, T>(v), lanes(i)), lanes_mut(vpre));
    }

    #[inline(always)]
    fn phi_and_slopes<S: Simd>(&self, (v, i): (&[T], &[T]), vpre: &mut [T], (dv, di): (&mut [T], &mut [T])) {
        let slopes = (lanes_mut(dv), lanes_mut(di));
        self.flow.phi_and_slopes_row((lanes::<S, T>(v), lanes(i)), lanes_mut(vpre), slopes);
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, (after, i, di): (&[T], &[T], &[T]), out: &mut [T]) {
        let (flow, constants) = (self.flow, self.constants);
        let rows = lanes::<S, T>(after).iter().zip(lanes(i)).zip(lanes(di)).zip(lanes_mut(out));
        for (((&after, &i), &di), out) in rows {
            *out = slope_by_tau(&flow, constants, after, i, di);
        }
    }

    #[inline(always)]
    fn gates(&self) -> &impl Gates<T> {
        &self.gates
    }
}

/// Neurons with a τ_mem and a gate width per neuron.
pub(super) struct PerNeuronDynamics<T> {
    kind: Kind,
    gates: PerNeuronGates<T>,
    dt: f64,
    membrane: Membrane<Row<T>>,
}

/// The neuron model.
enum Kind {
    Nif(NifFlow),
    Lif,
    Qif,
    Eif(EifFlow),
}

impl<T: Real> PerNeuronDynamics<T> {
    /// Makes the dynamics of a plan. Returns `None` if all neurons share their constants, or if the
    /// neurons are user-defined or have two variables.
    pub(super) fn of(plan: &ScanPlan) -> Option<Potentials<Self>> {
        let each = plan.per_neuron.as_deref()?;
        let kind = match &plan.neuron {
            Neuron::Nif => Kind::Nif(Nif.over(plan.dt)),
            Neuron::Lif { .. } => Kind::Lif,
            Neuron::Qif { .. } => Kind::Qif,
            Neuron::Eif(model) => Kind::Eif(model.over(plan.dt)),
            _ => return None,
        };
        let row = |numbers: Vec<f64>| Row::of(&numbers.into_iter().map(T::of).collect::<Vec<T>>());
        let gates = PerNeuronGates::of(plan.gate, each.zones());
        Some(Potentials(Self { kind, gates, dt: plan.dt, membrane: each.membranes(plan.dt).map(row) }))
    }

    /// Returns the flow of each vector of LIF neurons.
    #[inline(always)]
    fn lif<S: Simd>(&self) -> impl Fn(usize) -> LifFlow<Own<Lanes<S, T>>> {
        let Membrane { tau, rate, decay, complement } = &self.membrane;
        let (tau, rate, decay, complement) = (lanes::<S, T>(tau), lanes(rate), lanes(decay), lanes(complement));
        |n| {
            LifFlow::of(Membrane {
                tau: Own(tau[n]),
                rate: Own(rate[n]),
                decay: Own(decay[n]),
                complement: Own(complement[n]),
            })
        }
    }

    /// Returns the flow of each vector of QIF neurons.
    #[inline(always)]
    fn qif<S: Simd>(&self) -> impl Fn(usize) -> QifFlow<Own<Lanes<S, T>>> {
        let (rate, dt) = (lanes::<S, T>(&self.membrane.rate), self.dt);
        move |n| QifFlow::of(Own(rate[n]), dt)
    }
}

/// Computes [`slope_by_tau`] with one flow for each vector of neurons.
#[inline(always)]
fn slopes_by_tau<S: Simd, T: Real, F: FlowOn<Lanes<S, T>>>(
    flow_at: impl Fn(usize) -> F,
    (rate, dt): (&[T], f64),
    (after, i, di): (&[T], &[T], &[T]),
    out: &mut [T],
) {
    let rows = lanes::<S, T>(after).iter().zip(lanes(i)).zip(lanes(di)).zip(lanes_mut(out));
    for (n, ((((&after, &i), &di), out), &rate)) in rows.zip(lanes::<S, T>(rate)).enumerate() {
        *out = (i * di - flow_at(n).dvdt_on(after, i).times(dt)) * rate;
    }
}

impl<T: Real> ByPotential<T> for PerNeuronDynamics<T> {
    #[inline(always)]
    fn phi<S: Simd>(&self, (v, i): (&[T], &[T]), vpre: &mut [T]) {
        let (at, vpre) = ((lanes::<S, T>(v), lanes(i)), lanes_mut(vpre));
        match &self.kind {
            Kind::Nif(flow) => flow.phi_row(at, vpre),
            Kind::Lif => phi_row_by_currents(self.lif::<S>(), at, vpre),
            Kind::Qif => phi_row_by_currents(self.qif::<S>(), at, vpre),
            Kind::Eif(flow) => flow.phi_row(at, vpre),
        }
    }

    #[inline(always)]
    fn phi_and_slopes<S: Simd>(&self, (v, i): (&[T], &[T]), vpre: &mut [T], (dv, di): (&mut [T], &mut [T])) {
        let (at, vpre) = ((lanes::<S, T>(v), lanes(i)), lanes_mut(vpre));
        let slopes = (lanes_mut(dv), lanes_mut(di));
        match &self.kind {
            Kind::Nif(flow) => flow.phi_and_slopes_row(at, vpre, slopes),
            Kind::Lif => phi_and_slopes_row_by_currents(self.lif::<S>(), at, vpre, slopes),
            Kind::Qif => phi_and_slopes_row_by_currents(self.qif::<S>(), at, vpre, slopes),
            Kind::Eif(flow) => flow.phi_and_slopes_row(at, vpre, slopes),
        }
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, at: (&[T], &[T], &[T]), out: &mut [T]) {
        let constants = (&*self.membrane.rate, self.dt);
        match &self.kind {
            Kind::Lif => slopes_by_tau::<S, T, _>(self.lif::<S>(), constants, at, out),
            Kind::Qif => slopes_by_tau::<S, T, _>(self.qif::<S>(), constants, at, out),
            Kind::Nif(_) | Kind::Eif(_) => out.fill(T::default()),
        }
    }

    #[inline(always)]
    fn gates(&self) -> &impl Gates<T> {
        &self.gates
    }
}
