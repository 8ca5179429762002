//! The dynamics of neurons with two variables: one flow and one gate width. The rows hold the
//! potential v itself, and w beside it.

use super::dynamics::{Dynamics, Neurons, Slopes};
use super::rows::{self, ActiveSet, by_gate, lanes, lanes_mut};
use crate::gate::{Gate, Zone};
use crate::neuron::planar::{Jacobian, PlanarFlow, Plane};
use crate::num::simd::Lanes;
use crate::num::{Number, Real};
use crate::scan::ScanPlan;
use macerator::Simd;

/// The dynamics of a planar model.
pub(super) struct PlanarDynamics<P> {
    flow: PlanarFlow<P>,
    gate: Gate,
    /// b, the rise of w by one spike.
    jump: f64,
}

impl<P> PlanarDynamics<P> {
    pub(super) fn of(flow: PlanarFlow<P>, jump: f64, plan: &ScanPlan) -> Self {
        Self { flow, gate: plan.gate, jump }
    }

    #[inline(always)]
    fn zone(&self) -> Zone<f64> {
        Zone::of(self.gate.width())
    }

    /// Replaces the spikes in `charge` by ΔQ_t and G(v_t) in `sent` by G(v_{t+1}), and adds the
    /// jump to w. It is a loop of its own, so that a flow is not compiled once for each gate.
    #[inline(always)]
    fn send<S: Simd, T: Real>(&self, v: &[T], w: &mut [T], sent: &mut [T], charge: &mut [T]) {
        let (zone, jump) = (self.zone(), self.jump);
        by_gate!(&self.gate, |shape| {
            let state = lanes::<S, T>(v).iter().zip(lanes_mut(w));
            for ((&v, w), (sent, charge)) in state.zip(lanes_mut(sent).iter_mut().zip(lanes_mut(charge))) {
                let sent_after = shape.on(&zone).charge(v);
                *charge = *charge + (sent_after - *sent);
                (*w, *sent) = (*w + charge.times(jump), sent_after);
            }
        });
    }
}

impl<T: Real, P: Plane> Dynamics<T> for PlanarDynamics<P> {
    #[inline(always)]
    fn encode<S: Simd>(&self, _held: &mut [T]) {}

    #[inline(always)]
    fn potentials<'a, S: Simd>(&self, held: &'a [T], _room: &'a mut [T]) -> &'a [T] {
        held
    }

    #[inline(always)]
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet {
        let Neurons { held, w, sent, charge, .. } = neurons;
        let flow = self.flow;
        let state = lanes_mut::<S, T>(held).iter_mut().zip(lanes_mut(w)).zip(lanes(i));
        for (((v, w), &i), charge) in state.zip(lanes_mut(charge)) {
            let moved = flow.step(*v, *w, i);
            (*v, *w, *charge) = (moved.v, moved.w, moved.spikes);
        }
        self.send::<S, T>(held, w, sent, charge);
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
        let Some([by_w, w_by_v, w_by_w, w_by_i]) = slopes.second else {
            unreachable!("the segments of planar neurons have rows for the slopes of w")
        };
        let flow = self.flow;
        let (by_v, by_i) = (lanes_mut::<S, T>(slopes.by_v), lanes_mut::<S, T>(slopes.by_i));
        let (by_w, w_by_v) = (lanes_mut::<S, T>(by_w), lanes_mut::<S, T>(w_by_v));
        let (w_by_w, w_by_i) = (lanes_mut::<S, T>(w_by_w), lanes_mut::<S, T>(w_by_i));
        let state = lanes_mut::<S, T>(held).iter_mut().zip(lanes_mut(w)).zip(lanes(i));
        for (at, (((v, w), &i), charge)) in state.zip(lanes_mut(charge)).enumerate() {
            let (moved, slopes) = flow.step_and_jacobian(*v, *w, i);
            let Jacobian { v: [vv, vw, vi], w: [wv, ww, wi] } = slopes;
            (by_v[at], by_w[at], by_i[at]) = (vv, vw, vi);
            (w_by_v[at], w_by_w[at], w_by_i[at]) = (wv, ww, wi);
            (*v, *w, *charge) = (moved.v, moved.w, moved.spikes);
        }
        self.send::<S, T>(held, w, sent, charge);
        let zone = self.zone();
        rows::density::<S, T, f64>(&self.gate, |_| zone, held, after);
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
        let zone = self.zone();
        rows::charge_sent::<S, T, f64>(&self.gate, |_| zone, held, sent);
    }

    #[inline(always)]
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]) {
        let zone = self.zone();
        rows::density::<S, T, f64>(&self.gate, |_| zone, held, density);
    }

    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]) {
        let zone = self.zone();
        rows::charge_by_width::<S, T, f64>(&self.gate, |_| zone, held, out);
    }
}
