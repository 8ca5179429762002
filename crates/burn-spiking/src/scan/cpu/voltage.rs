//! Rows of QIF neurons in their [voltage form](crate::neuron::qif::voltage), with gates of one
//! narrow width.
//!
//! The part of a step that runs over all neurons needs no arctangent. Charges are computed only for
//! neurons that spiked or whose gate is open before or after the step. If a current is too large
//! for the voltage form, the whole row takes this step in the phase form.

use super::dynamics::{Dynamics, Neurons, Slopes};
use super::rows::{self, ActiveSet, Aligned, BLOCK, lanes, lanes_mut};
use crate::gate::{Gate, Zone};
use crate::neuron::Neuron;
use crate::neuron::flow::{Flow, NeuronModel, slope_by_tau};
use crate::neuron::qif::voltage::{QifVoltageFlow, potential_of, voltage_of};
use crate::neuron::qif::{Qif, QifFlow};
use crate::num::series::{SMALL_ANGLE, small_angle_atan_pi};
use crate::num::simd::Lanes;
use crate::num::{Float, Number, Real};
use crate::scan::ScanPlan;
use macerator::Simd;
use std::f64::consts::PI;

/// Smallest gate width at which so many neurons are active that the phase form is faster.
const WIDE: f64 = 0.5;

/// The dynamics of QIF neurons in their voltage form.
pub(super) struct Voltages {
    phase: QifFlow,
    flow: QifVoltageFlow,
    gate: Gate,
    zone: VoltageZone,
    /// (τ_mem, dt), ms.
    constants: (Option<f64>, f64),
}

/// The active zone in terms of u: v − c = atan((u − u_c)/(1 + u u_c))/π. c is the middle of the
/// zone, and u_c is u at c.
#[derive(Clone, Copy)]
struct VoltageZone {
    zone: Zone<f64>,
    /// u at the start of the zone.
    edge: f64,
    /// u_c, if the zone is so narrow that one series gives the arctangent.
    middle: Option<f64>,
}

impl VoltageZone {
    fn of(width: f64) -> Self {
        let voltage = |v: f64| (PI * (v - 0.5)).tan();
        let narrow = (PI * 0.5 * width).tan() < 0.999 * SMALL_ANGLE;
        let middle = narrow.then(|| voltage(1.0 - 0.5 * width));
        Self { zone: Zone::of(width), edge: voltage(1.0 - width), middle }
    }

    /// Returns G(v) and g(v). Below the edge both are exactly 0, even if rounding would give
    /// another value, because the kernel skips neurons below the edge.
    #[inline(always)]
    fn gated<X: Float>(&self, shape: &Gate, u: X) -> (X, X) {
        let zero = u.zero();
        let way = match self.middle {
            Some(middle) => {
                let turn = u.plus(-middle) / u.times_add(zero.plus(middle), u.one());
                small_angle_atan_pi(turn).times_add(zero.plus(self.zone.inverse), zero.plus(0.5))
            }
            None => self.zone.way(potential_of(u)),
        };
        let (charge, density) = shape.on(&self.zone).on_the_way(way);
        let open = u.exceeds(zero.plus(self.edge));
        (X::select(&open, charge, zero), X::select(&open, density, zero))
    }

    /// Returns 1 if the neuron can send charge without a spike, that is, if its gate is open before
    /// or after the step; otherwise 0.
    #[inline(always)]
    fn mark<X: Float>(&self, before: X, after: X) -> X {
        let (zero, one) = (before.zero(), before.one());
        let edge = zero.plus(self.edge);
        X::select(&before.exceeds(edge), one, X::select(&after.exceeds(edge), one, zero))
    }
}

impl Voltages {
    /// Makes the dynamics of a plan. Returns `None` if the neurons are not uniform QIF neurons, if
    /// the gate is not differentiable, or if the gate is so wide that the phase form is faster.
    pub(super) fn of(plan: &ScanPlan) -> Option<Self> {
        let (&Neuron::Qif { tau_mem }, None) = (&plan.neuron, &plan.per_neuron) else { return None };
        let width = plan.gate.width();
        if !plan.gate.is_differentiable() || width >= WIDE {
            return None;
        }
        let phase = Qif { tau_mem }.over(plan.dt);
        Some(Self {
            flow: QifVoltageFlow::of(&phase),
            phase,
            gate: plan.gate,
            zone: VoltageZone::of(width),
            constants: (plan.neuron.tau(), plan.dt),
        })
    }

    /// Returns whether all neurons can start from `v0`. All potentials must be in [0, 1), because a
    /// potential below the reset (0) has no voltage of its own. If one neuron cannot start, the
    /// whole run takes the phase form.
    pub(super) fn can_start(v0: &[impl Real]) -> bool {
        v0.iter().all(|v| (0.0..1.0).contains(&v.to_f64()))
    }

    /// Writes u after the step to `scratch`, and the marks: 0 if a neuron can send no charge,
    /// otherwise 1 + its number of spikes. Writes the slopes if `SLOPES` is true.
    #[inline(always)]
    fn flow<S: Simd, T: Real, const SLOPES: bool>(
        &self,
        (u, i): (&[T], &[T]),
        scratch: &mut [T],
        marks: &mut [T],
        (dv, di): (&mut [T], &mut [T]),
    ) {
        let (u, i) = (lanes::<S, T>(u), lanes::<S, T>(i));
        let (after, marks) = (lanes_mut::<S, T>(scratch), lanes_mut::<S, T>(marks));
        // An empty row may be misaligned for vectors, and then its conversion would panic.
        let (dv, di) = if SLOPES { (lanes_mut::<S, T>(dv), lanes_mut::<S, T>(di)) } else { (&mut [][..], &mut [][..]) };
        let count = u.len();
        assert!(i.len() == count && after.len() == count && marks.len() == count);
        assert!(!SLOPES || dv.len() == count && di.len() == count);
        let (zero, two) = (Lanes::of(0.0), Lanes::of(2.0));
        // These fields are copied. Otherwise the compiler must assume that the writes below can
        // change them.
        let Self { phase, flow, zone, .. } = *self;
        let mut small = zero.below(1.0);
        for n in 0..count {
            let turned = flow.turn(u[n], i[n]);
            small = Lanes::<S, T>::both(&small, &turned.is_small());
            after[n] = turned.after();
            marks[n] = Lanes::select(&turned.spiked(), two, zone.mark(u[n], after[n]));
            if SLOPES {
                (dv[n], di[n]) = flow.slopes(u[n], &turned);
            }
        }
        if Lanes::<S, T>::all(&small) {
            return;
        }
        for n in 0..count {
            let v = potential_of(u[n]);
            let (spikes, v_after) = rows::reset(phase.phi(v, i[n]));
            after[n] = voltage_of(v_after);
            marks[n] = Lanes::select(&spikes.exceeds(zero), spikes.plus(1.0), zone.mark(u[n], after[n]));
            if SLOPES {
                (dv[n], di[n]) = phase.slopes(v, i[n]);
            }
        }
    }

    /// Replaces the marks in `charge` by charges, computed from u after the step, and updates G(v)
    /// in `sent`. Writes the gates if `DENSITY` is true. Appends the marked neurons to the list,
    /// unless all are marked.
    #[inline(always)]
    fn send<S: Simd, T: Real, const DENSITY: bool>(
        &self,
        (n, list): (usize, &mut Vec<u32>),
        u: &[T],
        sent: &mut [T],
        charge: &mut [T],
        density: &mut [T],
    ) -> ActiveSet {
        let zone = self.zone;
        let start = list.len();
        let chosen = rows::nonzero::<S, T, 1>(list, n, [charge]);
        let listed = &list[start..];
        // If many gates are open, the loop runs over all vectors without the list.
        if chosen == ActiveSet::Everyone || 4 * listed.len() > n {
            rows::by_gate!(&self.gate, |shape| {
                let rows = lanes::<S, T>(u).iter().zip(lanes_mut(sent)).zip(lanes_mut(charge)).enumerate();
                for (n, ((&u, sent), charge)) in rows {
                    let gated = zone.gated(&shape, u);
                    (*charge, *sent) = (charge_of(*charge, *sent, gated.0), gated.0);
                    if DENSITY {
                        lanes_mut(density)[n] = gated.1;
                    }
                }
            });
            return chosen;
        }
        if DENSITY {
            rows::clear::<S, T>(density);
        }
        rows::by_gate!(&self.gate, |shape| {
            for few in listed.chunks(BLOCK) {
                let zeros = Aligned([T::default(); BLOCK]);
                let (mut open, mut charges, mut densities) = (zeros, zeros, zeros);
                for (open, &j) in open.0.iter_mut().zip(few) {
                    *open = u[j as usize];
                }
                let vectors = few.len().div_ceil(Lanes::<S, T>::count());
                let rows = lanes_mut::<S, T>(&mut charges.0).iter_mut().zip(lanes_mut(&mut densities.0));
                for (&u, (sent, density)) in lanes(&open.0)[..vectors].iter().zip(rows) {
                    (*sent, *density) = zone.gated(&shape, u);
                }
                for ((&j, &sent_after), &density_after) in few.iter().zip(&charges.0).zip(&densities.0) {
                    let j = j as usize;
                    (charge[j], sent[j]) = (charge_of(charge[j], sent[j], sent_after), sent_after);
                    if DENSITY {
                        density[j] = density_after;
                    }
                }
            }
        });
        chosen
    }
}

/// Returns ΔQ of a step from the mark, and G(v) before and after the step.
#[inline(always)]
fn charge_of<X: Float>(mark: X, before: X, after: X) -> X {
    X::select(&mark.below(0.5), mark.zero(), mark.plus(-1.0)) + (after - before)
}

impl<T: Real> Dynamics<T> for Voltages {
    #[inline(always)]
    fn encode<S: Simd>(&self, held: &mut [T]) {
        for x in lanes_mut::<S, T>(held) {
            *x = voltage_of(*x);
        }
    }

    #[inline(always)]
    fn potentials<'a, S: Simd>(&self, held: &'a [T], scratch: &'a mut [T]) -> &'a [T] {
        for (&u, v) in lanes::<S, T>(held).iter().zip(lanes_mut(scratch)) {
            *v = potential_of(u);
        }
        scratch
    }

    #[inline(always)]
    fn step<S: Simd>(&self, n: usize, neurons: Neurons<'_, T>, i: &[T], senders: &mut Vec<u32>) -> ActiveSet {
        let Neurons { held, scratch, sent, charge, .. } = neurons;
        self.flow::<S, T, false>((held, i), scratch, charge, (&mut [], &mut []));
        std::mem::swap(held, scratch);
        self.send::<S, T, false>((n, senders), held, sent, charge, &mut [])
    }

    #[inline(always)]
    fn step_with_slopes<S: Simd>(
        &self,
        n: usize,
        neurons: Neurons<'_, T>,
        i: &[T],
        slopes: Slopes<'_, T>,
        (_, after): (&[T], &mut [T]),
        active: &mut Vec<u32>,
    ) -> ActiveSet {
        let Neurons { held, scratch, sent, charge, .. } = neurons;
        self.flow::<S, T, true>((held, i), scratch, charge, (slopes.by_v, slopes.by_i));
        std::mem::swap(held, scratch);
        self.send::<S, T, true>((n, active), held, sent, charge, after)
    }

    #[inline(always)]
    fn slope_by_tau<S: Simd>(&self, (after, i, di): (&[T], &[T], &[T]), out: &mut [T]) {
        let rows = lanes::<S, T>(after).iter().zip(lanes(i)).zip(lanes(di)).zip(lanes_mut(out));
        for (((&after, &i), &di), out) in rows {
            *out = slope_by_tau(&self.phase, self.constants, potential_of(after), i, di);
        }
    }

    #[inline(always)]
    fn charge<S: Simd>(&self, held: &[T], sent: &mut [T]) {
        let zone = self.zone;
        rows::by_gate!(&self.gate, |shape| {
            for (&u, sent) in lanes::<S, T>(held).iter().zip(lanes_mut(sent)) {
                *sent = zone.gated(&shape, u).0;
            }
        })
    }

    #[inline(always)]
    fn density<S: Simd>(&self, held: &[T], density: &mut [T]) {
        let zone = self.zone;
        rows::by_gate!(&self.gate, |shape| {
            for (&u, density) in lanes::<S, T>(held).iter().zip(lanes_mut(density)) {
                *density = zone.gated(&shape, u).1;
            }
        })
    }

    #[inline(always)]
    fn charge_by_width<S: Simd>(&self, held: &[T], out: &mut [T]) {
        let zone = self.zone.zone;
        rows::by_gate!(&self.gate, |shape| {
            for (&u, out) in lanes::<S, T>(held).iter().zip(lanes_mut(out)) {
                *out = shape.on(&zone).charge_by_width(potential_of(u));
            }
        })
    }
}
