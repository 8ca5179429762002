//! Exponential integrate-and-fire neuron.
//!
//! ```text
//! dv/dt = f(v, I) = (−v + Δ e^((v − v_T)/Δ))/τ_mem + I        spike at v = 1, reset to 0
//! ```
//!
//! Above the onset v_T, the exponential term dominates and carries the potential to the threshold
//! without further input.
//!
//! **Flow.** The equation has no closed solution. A step is one step of the classical Runge-Kutta
//! method of order 4, φ₀ = R(v, I, dt). If φ₀ is 1 or more, the neuron spikes. The time t* of the
//! crossing is the solution of R(v, I, t*) = 1. It is found by Newton's method within brackets, to
//! rounding (`neuron/crossing.rs`):
//!
//! ```text
//! φ = 1 + R(0, I, dt − t*)
//! ```
//!
//! The second run of R starts from the reset and covers the rest of the step. If it ends below the
//! reset, which needs a negative current, the potential is 0. No neuron keeps a
//! potential above v = 1; there the exponential term has its value at v = 1.
//!
//! A step may be cut into sub-steps, each of which goes this way. Only the first
//! spike of a sub-step is at its time, since the rest of a sub-step knows no second reset. So a
//! sub-step should be shorter than the shortest interval between spikes.
//!
//! **Slopes** are the exact derivatives of this map, by dual numbers. They include the saltation of
//! the reset, because t* depends on v and I.
//!
//! Source: Fourcaud-Trocmé, Hansel, van Vreeswijk & Brunel 2003.

use super::crossing::{Path, crossing};
use super::flow::{Flow, NeuronModel, SmallCurrent, check_substeps};
use super::rate::RateCurve;
use crate::error::{ConfigError, below, positive};
use crate::num::{Dual, Float, Number};
use serde::{Deserialize, Serialize};

/// Exponential integrate-and-fire neuron, v_th = 1, v_reset = 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Eif {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
    /// Sharpness Δ of the spike's onset, in units of the potential from reset (0) to threshold (1).
    pub delta: f64,
    /// Onset v_T of the spike, below 1.
    pub onset: f64,
    /// Number of sub-steps in a step. The cost of a step grows with it.
    #[serde(default = "one")]
    pub substeps: usize,
}

/// The sub-steps of neurons whose file does not name them.
fn one() -> usize {
    1
}

impl NeuronModel for Eif {
    type Flow = EifFlow;

    fn over(&self, dt: f64) -> EifFlow {
        EifFlow { model: *self, substep: dt / self.substeps as f64 }
    }

    fn name(&self) -> String {
        let Self { tau_mem, delta, onset, substeps } = self;
        let name = format!("EIF, tau_mem {tau_mem} ms, delta {delta}, onset {onset}");
        if *substeps == 1 { name } else { format!("{name}, {substeps} sub-steps") }
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("tau_mem", self.tau_mem, "give the membrane time constant in ms")?;
        positive("delta", self.delta, "give the sharpness of the spike's onset, such as 0.1")?;
        let remedy = "give the potential at which the spike begins, such as 0.7";
        check_substeps(self.substeps)?;
        below("onset", self.onset, 1.0, "1, the threshold", remedy)
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        RateCurve::measured(self).ok()
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // The interval between spikes is ∫ dv/f from 0 to 1. It falls as the current grows, so
        // bisection finds the current.
        let per_tau = |current: f64| {
            let steps = 400;
            let times = (0..steps).map(|at| {
                let v = (at as f64 + 0.5) / steps as f64;
                let speed = -v + self.delta * ((v - self.onset) / self.delta).exp() + current;
                if speed > 0.0 { 1.0 / (speed * steps as f64) } else { f64::INFINITY }
            });
            1.0 / times.sum::<f64>()
        };
        let (mut low, mut high) = (-1.0, 2.0 * spikes + 2.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if per_tau(middle) < spikes { low = middle } else { high = middle }
        }
        high
    }
}

/// [`Eif`] over one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EifFlow {
    model: Eif,
    /// Length of a sub-step, ms.
    substep: f64,
}

impl EifFlow {
    /// f(v, I).
    #[inline(always)]
    fn drift<X: Number>(&self, v: X, i: X) -> X {
        let Eif { tau_mem, delta, onset, .. } = self.model;
        let upswing = v.clone().within(-f32::MAX as f64, 1.0).plus(-onset).times(1.0 / delta).exp();
        (upswing.times(delta) - v).times(1.0 / tau_mem) + i
    }

    /// R(v, I, t).
    #[inline(always)]
    fn runge_kutta<X: Number>(&self, v: X, i: X, t: X) -> X {
        let half = t.clone().times(0.5);
        let k1 = self.drift(v.clone(), i.clone());
        let k2 = self.drift(v.clone() + half.clone() * k1.clone(), i.clone());
        let k3 = self.drift(v.clone() + half * k2.clone(), i.clone());
        let k4 = self.drift(v.clone() + t.clone() * k3.clone(), i);
        v + t.times(1.0 / 6.0) * (k1 + (k2 + k3).times(2.0) + k4)
    }

    /// φ₀.
    #[inline(always)]
    fn quiet<X: Number>(&self, v: X, i: X) -> X {
        let dt = v.zero().plus(self.substep);
        self.runge_kutta(v, i, dt)
    }

    /// φ of a neuron that crosses the threshold. `quiet` is φ₀.
    #[inline(always)]
    fn spiked<X: Number>(&self, v: X, i: X, quiet: X) -> X {
        let below = &quiet.below(1.0);
        let path = EifPath { flow: self, v: v.plain(), i: i.plain() };
        let (time, speed) = crossing(&path, (v.plain(), quiet.plain()), self.substep, below);
        // The time was found without derivatives. Those of t* follow from the derivatives of R
        // there: ∂t*/∂v = −(∂R/∂v)/(∂R/∂t).
        let time = v.zero().with_value(time);
        let here = self.runge_kutta(v.clone(), i.clone(), time.clone());
        let change = here.clone() - v.zero().with_value(here.plain());
        let time = time - X::select(below, v.zero(), change / v.zero().with_value(speed));
        let zero = v.zero();
        let rest = self.runge_kutta(zero.clone(), i, (-time).plus(self.substep));
        // Below the reset φ would be below 1, so the spike would be lost.
        X::select(&rest.below(0.0), zero, rest).plus(1.0)
    }

    /// φ over a sub-step.
    #[inline(always)]
    fn once<X: Number>(&self, v: X, i: X) -> X {
        let quiet = self.quiet(v.clone(), i.clone());
        let below = quiet.below(1.0);
        // Few neurons cross in a step. The search for the crossing time runs only if a neuron of
        // this vector crosses.
        if X::holds_everywhere(&below) {
            return quiet;
        }
        X::select(&below, quiet.clone(), self.spiked(v, i, quiet))
    }

    /// φ over all sub-steps.
    // No closure: the compiler would take it for a function of its own, without vectors.
    #[inline(always)]
    fn in_substeps<X: Number>(&self, v: X, i: X) -> X {
        let mut phi = v;
        let mut spikes = phi.zero();
        for _ in 0..self.model.substeps {
            let now = X::select(&phi.below(1.0), phi.zero(), phi.clone().floor());
            spikes = spikes + now.clone();
            phi = self.once(phi - now, i.clone());
        }
        // A neuron that spiked and ends below the reset would lose a spike.
        let lost = phi.clone().within(-f32::MAX as f64, 0.0);
        let kept = X::select(&spikes.below(1.0), phi.zero(), -lost);
        spikes + phi + kept
    }
}

/// The path R(v, I, t) of a neuron.
struct EifPath<'a, X> {
    flow: &'a EifFlow,
    v: X,
    i: X,
}

impl<X: Number> Path<X> for EifPath<'_, X> {
    #[inline(always)]
    fn v_at(&self, time: Dual<X, 1>) -> Dual<X, 1> {
        self.flow.runge_kutta(Dual::constant(self.v.clone()), Dual::constant(self.i.clone()), time)
    }
}

impl SmallCurrent for EifFlow {
    type Small = Self;

    #[inline(always)]
    fn small_current(&self) -> (f64, Self) {
        (f64::INFINITY, *self)
    }
}

impl Flow for EifFlow {
    #[inline(always)]
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        self.in_substeps(v, i)
    }

    #[inline(always)]
    fn phi_and_slopes_row<X: Float>(&self, (v, i): (&[X], &[X]), vpre: &mut [X], (dv, di): (&mut [X], &mut [X])) {
        for (((&v, &i), vpre), (dv, di)) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)) {
            Dual { value: *vpre, slopes: [*dv, *di] } = self.phi(Dual::potential(v), Dual::current(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Eif = Eif { tau_mem: 20.0, delta: 0.1, onset: 0.7, substeps: 1 };

    /// Solves the equation in short steps and finds each crossing by bisection. Returns the
    /// unwrapped potential.
    fn event_by_event(v: f64, i: f64, time: f64) -> f64 {
        let flow = MODEL.over(1.0);
        let (mut v, mut left, mut spikes) = (v, time, 0.0);
        while left > 0.0 {
            let h = left.min(time / 1000.0);
            let next = flow.runge_kutta(v, i, h);
            if next < 1.0 {
                (v, left) = (next, left - h);
                continue;
            }
            let (mut low, mut high) = (0.0, h);
            for _ in 0..80 {
                let middle = 0.5 * (low + high);
                if flow.runge_kutta(v, i, middle) < 1.0 { low = middle } else { high = middle }
            }
            (v, left, spikes) = (0.0, left - high, spikes + 1.0);
        }
        v + spikes
    }

    fn grid() -> impl Iterator<Item = (f64, f64)> {
        let vs = [-0.5, 0.0, 0.4, 0.7, 0.85, 0.93, 0.97, 0.995];
        vs.into_iter().flat_map(|v| [-0.2, 0.0, 0.02, 0.05, 0.15].into_iter().map(move |i| (v, i)))
    }

    #[test]
    fn flow_approaches_the_equation_at_fourth_order() {
        let (mut spiked, mut orders) = (0, Vec::new());
        for (v, i) in grid() {
            let error = |dt: f64| (MODEL.over(dt).phi(v, i) - event_by_event(v, i, dt)).abs();
            let [coarse, fine] = [0.4, 0.1].map(error);
            spiked += (MODEL.over(0.4).phi(v, i) >= 1.0) as usize;
            assert!(fine < 1e-4, "v {v} I {i}: {fine:e}");
            if coarse > 1e-7 && fine > 1e-11 {
                orders.push((coarse / fine).log2() / 2.0);
            }
        }
        orders.sort_by(f64::total_cmp);
        // The error of a single step is of order dt⁵.
        assert!(spiked >= 5 && orders[orders.len() / 2] > 4.0, "{spiked} spikes, orders {orders:?}");
    }

    #[test]
    fn several_spikes_in_a_step_are_those_of_sub_steps() {
        // At this current an interval is about 0.9 ms.
        let fast = Eif { substeps: 40, ..MODEL };
        let mut errors = [0.0, 0.0];
        for (v, i) in [(0.0, 1.1), (0.7, 1.1), (0.3, 0.7), (0.99, 1.4)] {
            let want = event_by_event(v, i, 5.0);
            assert!(want > 3.0, "{want}");
            for (error, model) in errors.iter_mut().zip([fast, MODEL]) {
                *error += (model.over(5.0).phi(v, i) - want).abs();
            }
        }
        assert!(errors[0] < 4e-3 && errors[1] > 20.0 * errors[0], "{errors:?}");
        // A neuron that spikes in the first sub-steps and falls below the reset in later ones.
        let falling = Eif { onset: 0.05, delta: 0.02, substeps: 8, ..MODEL };
        for v in [0.4, 0.9, 0.99] {
            let phi: f64 = falling.over(4.0).phi(v, -0.05);
            assert!((1.0..1.0 + 1e-9).contains(&phi), "{phi}");
        }
    }

    #[test]
    fn slopes_match_central_differences() {
        let steep = Eif { tau_mem: 10.0, delta: 0.03, onset: 0.5, substeps: 1 };
        let fine = (0..50).flat_map(|k| [-0.05, 0.03, 0.1].map(|i| (0.02 * k as f64, i)));
        let (mut spiked, mut checked) = (0, 0);
        for (v, i) in grid().chain([(0.2, 0.8), (0.6, 1.0)]).chain(fine) {
            let settings = [(0.1, 1), (1.0, 1), (1.0, 4), (3.0, 30)];
            for (model, (dt, substeps)) in [MODEL, steep].into_iter().flat_map(|model| settings.map(|of| (model, of))) {
                let flow = Eif { substeps, ..model }.over(dt);
                let h = 1e-6;
                let (dv, di) = flow.slopes(v, i);
                let phi: f64 = flow.phi(v, i);
                let around = |h: f64| [flow.phi(v + h, i), flow.phi(v - h, i), flow.phi(v, i + h), flow.phi(v, i - h)];
                if around(2.0 * h).iter().any(|near| near.floor() != phi.floor()) {
                    continue;
                }
                let central = |h: f64| {
                    let [a, b, c, d]: [f64; 4] = around(h);
                    [(a - b) / (2.0 * h), (c - d) / (2.0 * h)]
                };
                for ((found, wanted), other) in [dv, di].into_iter().zip(central(h)).zip(central(2.0 * h)) {
                    // A stage that just reaches the threshold, or an end at the reset, is a kink.
                    if (wanted - other).abs() > 1e-6 * (1.0 + wanted.abs()) {
                        continue;
                    }
                    (spiked, checked) = (spiked + (phi >= 1.0) as usize, checked + 1);
                    let error = (found - wanted).abs() / (1.0 + wanted.abs());
                    assert!(error < 1e-6, "{model:?} v {v} I {i} dt {dt}: {found}, not {wanted}");
                }
            }
        }
        assert!(spiked > 500 && checked > 2000, "{spiked} slopes across a spike of {checked}");
    }

    #[test]
    fn rows_are_the_flow() {
        for substeps in [1, 3] {
            let flow = Eif { substeps, ..MODEL }.over(0.5);
            let (v, i): (Vec<f64>, Vec<f64>) = grid().unzip();
            let mut vpre = v.clone();
            flow.phi_row((&v, &i), &mut vpre);
            for (at, vpre) in vpre.into_iter().enumerate() {
                assert_eq!(vpre, flow.phi(v[at], i[at]));
            }
        }
    }

    #[test]
    fn a_steady_current_gives_its_rate() {
        let current = MODEL.steady_current(0.4) / MODEL.tau_mem;
        let flow = MODEL.over(0.05);
        let (mut v, mut spikes) = (0.0, 0.0);
        for _ in 0..100_000 {
            let phi: f64 = flow.phi(v, current);
            let n = phi.floor().max(0.0);
            (v, spikes) = (phi - n, spikes + n);
        }
        let per_tau: f64 = spikes * MODEL.tau_mem / 5000.0;
        assert!((per_tau - 0.4).abs() < 0.01, "{per_tau}");
    }
}
