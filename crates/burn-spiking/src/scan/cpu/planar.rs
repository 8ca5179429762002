//! The dynamics of neurons with two variables. The rows hold the potential v itself, and w beside
//! it.
//!
//! A step of such a neuron costs much more than a call. So the kernel is compiled once for all
//! models and calls the [`Rows`] of a model, which are compiled for each.

use super::dynamics::{Dynamics, Neurons, SECOND_SLOPES, Slopes};
use super::gates::{Gates, PerNeuronGates};
use super::rows::{self, ActiveSet, by_gate, lanes, lanes_mut};
use crate::gate::Zone;
use crate::neuron::planar::{Jacobian, PlanarFlow, PlanarModel, Plane};
use crate::num::simd::{Lanes, unserved, vectorize};
use crate::num::{Number, Real};
use crate::scan::ScanPlan;
use macerator::{Simd, WithSimd};

/// One step of rows of planar neurons.
trait Rows<T>: Sync {
    /// Replaces v and w by those after the step, before the jump of w. Writes the spikes.
    fn step(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]);

    /// Does the same, and writes (∂v/∂v, ∂v/∂I) and the slopes of [`SECOND_SLOPES`].
    fn step_with_slopes(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>);
}

type RowSlopes<'a, T> = ([&'a mut [T]; 2], [&'a mut [T]; SECOND_SLOPES]);

impl<T: Real, P: Plane> Rows<T> for PlanarFlow<P> {
    fn step(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T]) {
        vectorize(StepTask { flow: self, state, i, spikes, slopes: None });
    }

    fn step_with_slopes(&self, state: (&mut [T], &mut [T]), i: &[T], spikes: &mut [T], slopes: RowSlopes<'_, T>) {
        vectorize(StepTask { flow: self, state, i, spikes, slopes: Some(slopes) });
    }
}

struct StepTask<'a, T, P> {
    flow: &'a PlanarFlow<P>,
    state: (&'a mut [T], &'a mut [T]),
    i: &'a [T],
    spikes: &'a mut [T],
    slopes: Option<RowSlopes<'a, T>>,
}

impl<T: Real, P: Plane> WithSimd for StepTask<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if const { unserved::<S>() } {
            unreachable!("this processor runs the tensor operations");
        }
        let Self { flow, state: (v, w), i, spikes, slopes } = self;
        let flow = *flow;
        let state = lanes_mut::<S, T>(v).iter_mut().zip(lanes_mut(w)).zip(lanes(i)).zip(lanes_mut(spikes));
        let Some(([by_v, by_i], [by_w, w_by_v, w_by_w, w_by_i])) = slopes else {
            for (((v, w), &i), spikes) in state {
                let moved = flow.step(*v, *w, i);
                (*v, *w, *spikes) = (moved.v, moved.w, moved.spikes);
            }
            return;
        };
        let (by_v, by_w, by_i) = (lanes_mut::<S, T>(by_v), lanes_mut::<S, T>(by_w), lanes_mut::<S, T>(by_i));
        let (w_by_v, w_by_w) = (lanes_mut::<S, T>(w_by_v), lanes_mut::<S, T>(w_by_w));
        let w_by_i = lanes_mut::<S, T>(w_by_i);
        for (at, (((v, w), &i), spikes)) in state.enumerate() {
            let (moved, Jacobian { v: of_v, w: of_w }) = flow.step_and_jacobian(*v, *w, i);
            [by_v[at], by_w[at], by_i[at]] = of_v;
            [w_by_v[at], w_by_w[at], w_by_i[at]] = of_w;
            (*v, *w, *spikes) = (moved.v, moved.w, moved.spikes);
        }
    }
}

/// The dynamics of planar neurons.
pub(super) struct PlanarDynamics<T> {
    flow: Box<dyn Rows<T>>,
    gates: PerNeuronGates<T>,
    /// b, the rise of w by one spike.
    jump: f64,
}

impl<T: Real> PlanarDynamics<T> {
    /// The dynamics of this number of neurons.
    pub(super) fn of(model: &impl PlanarModel, plan: &ScanPlan, neurons: usize) -> Self {
        let zones = match &plan.per_neuron {
            Some(each) => each.zones(),
            None => Zone::of(plan.gate.width()).map(|constant| vec![constant; neurons]),
        };
        let flow = Box::new(model.over(plan.dt));
        Self { flow, gates: PerNeuronGates::of(plan.gate, zones), jump: model.jump() }
    }

    /// Replaces the spikes in `charge` by ΔQ_t and G(v_t) in `sent` by G(v_{t+1}), and adds the
    /// jump to w.
    #[inline(always)]
    fn send<S: Simd>(&self, v: &[T], w: &mut [T], sent: &mut [T], charge: &mut [T]) {
        let (zone_at, jump) = (self.gates.zone_at::<S>(), self.jump);
        by_gate!(self.gates.gate(), |shape| {
            let state = lanes::<S, T>(v).iter().zip(lanes_mut(w));
            let rows = state.zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge)));
            for (n, ((&v, w), (sent, charge))) in rows.enumerate() {
                let sent_after = shape.on(&zone_at(n)).charge(v);
                *charge = *charge + (sent_after - *sent);
                (*w, *sent) = (*w + charge.times(jump), sent_after);
            }
        });
    }
}

impl<T: Real> Dynamics<T> for PlanarDynamics<T> {
    #[inline(always)]
    fn encode<S: Simd>(&self, _held: &mut [T]) {}

    #[inline(always)]
    fn potentials<'a, S: Simd>(&self, held: &'a [T], _room: &'a mut [T]) -> &'a [T] {
        held
    }

    #[inline(always)]
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet {
        let Neurons { held, w, sent, charge, .. } = neurons;
        self.flow.step((held, w), i, charge);
        self.send::<S>(held, w, sent, charge);
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
        let Neurons { held, w, sent, charge, .. } = neurons;
        let Some(second) = slopes.second else {
            unreachable!("the segments of planar neurons have rows for the slopes of w")
        };
        self.flow.step_with_slopes((held, w), i, charge, ([slopes.by_v, slopes.by_i], second));
        self.send::<S>(held, w, sent, charge);
        self.gates.density::<S>(held, after);
        rows::nonzero::<S, T, 3>(active, n, [charge, before, after])
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, _at: (&[T], &[T], &[T]), out: &mut [T]) {
        for out in lanes_mut::<S, T>(out) {
            *out = Lanes::of(0.0);
        }
    }

    #[inline(always)]
    fn charge<S: Simd>(&self, held: &[T], sent: &mut [T]) {
        self.gates.charge::<S>(held, sent);
    }

    #[inline(always)]
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]) {
        self.gates.density::<S>(held, density);
    }

    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]) {
        self.gates.charge_by_width::<S>(held, out);
    }
}
