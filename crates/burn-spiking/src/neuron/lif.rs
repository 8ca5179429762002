//! Leaky integrate-and-fire neuron.
//!
//! ```text
//! dv/dt = f(v, I) = −v/τ_mem + I        spike at v = 1, reset to 0
//! ```
//!
//! The potential relaxes towards V = τ_mem I. If V > 1, the neuron spikes repeatedly.
//!
//! **Flow.** Without a spike, φ = φ₀ = a v + (1 − a) V with a = e^(−dt/τ_mem). If φ₀ is 1 or more,
//! the neuron spikes within the step. Its final distance to V follows without the times of the
//! spikes: the flow multiplies V − v by e^(−time/τ_mem), and each reset turns V − 1 into V. So with
//! k spikes after the first,
//!
//! ```text
//! E = e^(−rest of the step/τ_mem) = E₀ ρᵏ     E₀ = a (V − v)/(V − 1) = 1 − (φ₀ − 1)/(V − 1)
//! φ = 1 + k + V (1 − E)                       ρ = V/(V − 1) = e^(period/τ_mem),  k = ⌊−ln E₀/ln ρ⌋
//! ```
//!
//! The code computes 1 − E₀ from φ₀, which loses no digits if V is large.
//!
//! **Jump.** f is larger just after a reset than just before it. So a spike that comes earlier adds
//! more to the potential after the reset than it removes before the reset. The derivatives include
//! this *saltation* of the continuous system, a factor f(0)/f(1) = ρ for each spike:
//!
//! ```text
//! no spike   ∂φ/∂v = a           ∂φ/∂I = τ_mem (1 − a)
//! spikes     ∂φ/∂v = a ρ^(k+1)   ∂φ/∂I = τ_mem (1 − E + (V ρᵏ (E₀ − a) + k E)/(V − 1))
//! ```
//!
//! A neuron that subtracts 1, or jumps to 0, at the end of the step has a different gradient,
//! however small dt is.
//!
//! "Small" currents are those with |I| ≤ 1/(τ_mem (1 − a)). They leave no time for a second spike
//! in a step, so k = 0 and no logarithm is needed.
//!
//! The time from v to the threshold is −τ_mem ln(1 − (1 − v)/(V − v)), if V > 1. Its derivatives
//! are −τ_mem/(V − v) with respect to v, and −τ_mem² (1 − v)/((V − v)(V − 1)) with respect to I.
//!
//! If the potential comes close to the threshold and falls back without a spike, the neuron takes
//! its charge back. If the potential crosses the threshold, it is reset. The cost jumps between
//! these two cases, and the derivatives grow without bound as f(1, I) → 0. The gradient is exact on
//! each side of the jump.
//!
//! Sources: Huh & Sejnowski 2017 (the neuron's equation); Aizerman & Gantmakher 1958 (the saltation
//! of a reset).

use super::flow::{FlowOn, NeuronModel, SLOWEST, TimeToThreshold};
use super::membrane::Membrane;
use super::rate::RateCurve;
use super::rows::{SmallCurrentRows, WithSmallCurrent, flow_with_small_current};
use crate::error::{ConfigError, positive};
use crate::num::{Constant, Float, Number};

/// Leaky integrate-and-fire neuron, v_th = 1, v_reset = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lif {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
}

impl NeuronModel for Lif {
    type Flow = LifFlow;

    fn name(&self) -> String {
        format!("LIF, tau_mem {} ms", self.tau_mem)
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("tau_mem", self.tau_mem, "give the membrane time constant in ms")
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // The interval between spikes is τ_mem ln ρ.
        1.0 / -(-1.0 / spikes).exp_m1()
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        Some(RateCurve::leaky(self.tau_mem))
    }

    fn time_to_threshold(&self, v: f64, i: f64) -> Option<TimeToThreshold> {
        let tau = self.tau_mem;
        // V − v and V − 1.
        let (from, beyond) = (tau * i - v, tau * i - 1.0);
        let slowest = tau * SLOWEST;
        (beyond > 0.0).then(|| TimeToThreshold {
            time: -tau * (-(1.0 - v) / from).ln_1p(),
            by_v: -tau / from.max(slowest),
            by_i: -tau * tau * (1.0 - v) / (from.max(slowest) * beyond.max(slowest)),
        })
    }

    fn over(&self, dt: f64) -> LifFlow {
        LifFlow::of(Membrane::of(self.tau_mem, dt))
    }
}

/// [`Lif`] over one step, for any current. Its constants are numbers for all neurons, or numbers
/// per neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LifFlow<C = f64> {
    small: LifSmallFlow<C>,
}

/// [`Lif`] over one step with at most one spike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LifSmallFlow<C = f64> {
    membrane: Membrane<C>,
}

impl<C> LifFlow<C> {
    pub(crate) fn of(membrane: Membrane<C>) -> Self {
        Self { small: LifSmallFlow { membrane } }
    }
}

/// The smallest V − 1 by which a flow divides. It keeps the result finite for neurons that do not
/// spike. Neurons that spike have a larger V − 1, except for rounding.
const LEAST_EXCESS: f64 = 1e-12;

/// The largest V from which the number of spikes is counted. A larger V counts as this value.
const LARGEST_TARGET: f64 = 1e12;

/// The terms of a step without a spike and of a step with one spike.
struct Ways<X> {
    /// V.
    target: X,
    /// V − 1, but at least [`LEAST_EXCESS`].
    excess: X,
    /// φ₀.
    quiet: X,
    /// 1 − E₀.
    late: X,
}

impl<C> LifSmallFlow<C> {
    #[inline(always)]
    fn ways<X: Number>(&self, v: X, i: X) -> Ways<X>
    where
        C: Constant<X>,
    {
        let Membrane { tau, decay, complement, .. } = &self.membrane;
        let target = tau.multiply(i);
        let excess = target.clone().plus(-1.0).within(LEAST_EXCESS, f32::MAX as f64);
        let quiet = decay.multiply(v) + complement.multiply(target.clone());
        let late = quiet.clone().plus(-1.0) / excess.clone();
        Ways { target, excess, quiet, late }
    }
}

impl<X: Number, C: Constant<X>> FlowOn<X> for LifSmallFlow<C> {
    #[inline(always)]
    fn phi_on(&self, v: X, i: X) -> X {
        let Ways { target, quiet, late, .. } = self.ways(v, i);
        X::select(&quiet.below(1.0), quiet, (target * late).plus(1.0))
    }

    #[inline(always)]
    fn slopes_on(&self, v: X, i: X) -> (X, X) {
        let Membrane { tau, decay, complement, .. } = &self.membrane;
        let Ways { target, excess, quiet, late } = self.ways(v, i);
        let ratio = target / excess;
        let (zero, below) = (late.zero(), quiet.below(1.0));
        let gain = late.clone() + ratio.clone() * complement.add_to(-late);
        let di = tau.multiply(X::select(&below, complement.add_to(zero.clone()), gain));
        (X::select(&below, decay.add_to(zero), decay.multiply(ratio)), di)
    }
}

impl<X: Float, C: Constant<X>> SmallCurrentRows<X> for LifSmallFlow<C> {}

/// The terms of a step that depend on the spikes after the first.
struct More<X> {
    /// k.
    spikes: X,
    /// ρᵏ.
    growth: X,
    /// 1 − E.
    late: X,
}

impl<C> LifFlow<C> {
    #[inline(always)]
    fn more<X: Number>(&self, target: &X, late: X) -> More<X>
    where
        C: Constant<X>,
    {
        let (zero, one) = (target.zero(), target.one());
        // Neurons with time for more than one spike in a step. The others have k = 0, so any valid
        // V will do for them.
        let many = (-self.small.membrane.complement.multiply(target.clone())).below(-1.0);
        let safe = X::select(&many, target.clone(), one.clone().times(2.0)).within(0.0, LARGEST_TARGET);
        // ln ρ, −ln E₀ and ρᵏ − 1 are small if steps are short, and must keep their digits.
        let period = (one / safe.plus(-1.0)).ln_1p();
        let rest = -(-X::select(&many, late.clone(), zero.clone())).within(LEAST_EXCESS - 1.0, 0.0).ln_1p();
        let spikes = X::select(&many, (rest / period.clone()).floor(), zero);
        let grown = (spikes.clone() * period).exp_m1();
        More { late: late.clone() + late * grown.clone() - grown.clone(), growth: grown.plus(1.0), spikes }
    }
}

impl<X: Number, C: Constant<X>> FlowOn<X> for LifFlow<C> {
    #[inline(always)]
    fn phi_on(&self, v: X, i: X) -> X {
        let Ways { target, quiet, late, .. } = self.small.ways(v, i);
        let More { spikes, late, .. } = self.more(&target, late);
        // In this order the sum equals that of the flow for small currents, to the last bit.
        X::select(&quiet.below(1.0), quiet, spikes + (target * late).plus(1.0))
    }

    #[inline(always)]
    fn slopes_on(&self, v: X, i: X) -> (X, X) {
        let Membrane { tau, decay, complement, .. } = &self.small.membrane;
        let Ways { target, excess, quiet, late: first } = self.small.ways(v, i);
        let More { spikes, growth, late } = self.more(&target, first.clone());
        let ratio = target / excess.clone();
        let (zero, below) = (late.zero(), quiet.below(1.0));
        let gain = late.clone()
            + growth.clone() * (ratio.clone() * complement.add_to(-first))
            + spikes * (-late).plus(1.0) / excess;
        let di = tau.multiply(X::select(&below, complement.add_to(zero.clone()), gain));
        (X::select(&below, decay.add_to(zero), growth * decay.multiply(ratio)), di)
    }

    #[inline(always)]
    fn dvdt_on(&self, v: X, i: X) -> X {
        i - self.small.membrane.rate.multiply(v)
    }
}

impl<X: Float, C: Constant<X>> WithSmallCurrent<X> for LifFlow<C> {
    type Small = LifSmallFlow<C>;

    #[inline(always)]
    fn small_current_on(self) -> LifSmallFlow<C> {
        self.small
    }

    #[inline(always)]
    fn current_share(&self, i: X) -> X {
        self.small.membrane.complement.multiply(self.small.membrane.tau.multiply(i))
    }
}

// With this margin, rounding finds no second spike for a small current.
flow_with_small_current!(LifFlow, LifSmallFlow);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::flow::{Flow, SmallCurrent};

    const TAU_V: f64 = 20.0;

    /// Solves the equation by Runge-Kutta steps from event to event and finds each crossing by
    /// bisection. Returns the unwrapped potential.
    fn event_by_event(v: f64, current: impl Fn(f64) -> f64, time: f64, step: f64) -> f64 {
        let advanced = |v: f64, t: f64, h: f64| {
            let f = |v: f64, t: f64| -v / TAU_V + current(t);
            let k1 = f(v, t);
            let k2 = f(v + 0.5 * h * k1, t + 0.5 * h);
            let k3 = f(v + 0.5 * h * k2, t + 0.5 * h);
            let k4 = f(v + h * k3, t + h);
            v + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        };
        let (mut v, mut t, mut spikes) = (v, 0.0, 0.0);
        while t < time {
            let h = step.min(time - t);
            let next = advanced(v, t, h);
            if next < 1.0 {
                (v, t) = (next, if h < step { time } else { t + h });
                continue;
            }
            let (mut low, mut high) = (0.0, h);
            for _ in 0..80 {
                let middle = 0.5 * (low + high);
                if advanced(v, t, middle) < 1.0 { low = middle } else { high = middle }
            }
            (v, t, spikes) = (0.0, t + high, spikes + 1.0);
        }
        v + spikes
    }

    /// Potentials, currents and steps, from inhibition to several spikes in a step.
    fn grid() -> impl Iterator<Item = (f64, f64, LifFlow, f64)> {
        let vs = [-2.0, 0.0, 0.013, 0.5, 0.93, 0.999];
        let is = [-3.0, -0.01, 0.0, 0.049, 0.0507, 0.08, 0.3, 0.97, 2.2, 7.0];
        let dts = [0.01, 0.5, 1.0, 5.0];
        vs.into_iter().flat_map(move |v| {
            is.into_iter().flat_map(move |i| dts.into_iter().map(move |dt| (v, i, Lif { tau_mem: TAU_V }.over(dt), dt)))
        })
    }

    #[test]
    fn flow_solves_the_equation() {
        let mut several = 0;
        for (v, i, flow, dt) in grid() {
            let want = event_by_event(v, |_| i, dt, dt / 200.0);
            let got = flow.phi(v, i);
            several += (got > 2.0) as usize;
            assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "v {v} I {i} dt {dt}: {got} against {want}");
            let single = flow.phi(v as f32, i as f32) as f64;
            let (dv, di) = flow.slopes(v, i);
            // If V is large, rounding of V limits the precision of the result.
            let allowed = 1e-6 * (1.0 + want.abs() + dv + (di * i).abs() + 0.2 * (TAU_V * i).abs());
            assert!((single - want).abs() < allowed, "f32, v {v} I {i} dt {dt}: {single} against {want}");
        }
        assert!(several > 20, "{several}");
    }

    #[test]
    fn slopes_match_central_differences() {
        let mut checked = 0;
        for (v, i, flow, dt) in grid() {
            let h = 1e-7;
            let around = [flow.phi(v + h, i), flow.phi(v - h, i), flow.phi(v, i + h), flow.phi(v, i - h)];
            let spikes = |phi: f64| phi.floor().max(0.0);
            if around.iter().any(|&phi| spikes(phi) != spikes(flow.phi(v, i))) {
                continue;
            }
            checked += 1;
            let (dv, di) = flow.slopes(v, i);
            let want_v = (around[0] - around[1]) / (2.0 * h);
            let want_i = (around[2] - around[3]) / (2.0 * h);
            assert!((dv - want_v).abs() < 1e-6 * (1.0 + dv.abs()), "v {v} I {i} dt {dt}: dv {dv} against {want_v}");
            assert!((di - want_i).abs() < 1e-6 * (1.0 + di.abs()), "v {v} I {i} dt {dt}: di {di} against {want_i}");
        }
        assert!(checked > 200, "{checked}");
    }

    #[test]
    fn the_flow_for_small_currents_is_the_flow() {
        for (v, _, flow, dt) in grid() {
            let (limit, small) = flow.small_current();
            for share in [-1.0, -0.3, 0.0, 1e-3, 0.2, 0.5, 1.0] {
                let i = share * limit;
                assert_eq!(small.phi(v, i), flow.phi(v, i), "v {v} I {i} dt {dt}");
                assert_eq!(small.slopes(v, i), flow.slopes(v, i), "v {v} I {i} dt {dt}");
                let (v, i) = (v as f32, i as f32);
                assert_eq!(small.phi(v, i), flow.phi(v, i), "f32, v {v} I {i} dt {dt}");
                assert_eq!(small.slopes(v, i), flow.slopes(v, i), "f32, v {v} I {i} dt {dt}");
            }
        }
    }

    /// A current that changes with time. A step uses its value in the middle of the step.
    fn current(t: f64) -> f64 {
        0.075 + 0.02 * (0.11 * t).sin()
    }

    /// ∂v(T)/∂v_0 over T = 64 ms. `step` is the rule for one step: it maps (v, I) to v after the
    /// step and its derivative ∂/∂v.
    fn slope_over(dt: f64, step: impl Fn(f64, f64) -> (f64, f64)) -> f64 {
        let (mut v, mut slope) = (0.3, 1.0);
        for t in 0..(64.0 / dt).round() as usize {
            let (after, d) = step(v, current((t as f64 + 0.5) * dt));
            (v, slope) = (after, slope * d);
        }
        slope
    }

    #[test]
    fn gradient_converges_to_the_continuous_one_and_plain_resets_do_not() {
        let h = 1e-5;
        let at = |v: f64| event_by_event(v, current, 64.0, 0.01);
        let truth = (at(0.3 + h) - at(0.3 - h)) / (2.0 * h);
        let exact = |dt: f64| {
            let flow = Lif { tau_mem: TAU_V }.over(dt);
            slope_over(dt, |v, i| {
                let phi = flow.phi(v, i);
                (phi - phi.floor().max(0.0), flow.slopes(v, i).0)
            })
        };
        let plain = |dt: f64, reset: fn(f64) -> f64| {
            let (a, target) = ((-dt / TAU_V).exp(), TAU_V);
            slope_over(dt, move |v, i| {
                let v = target * i - a * (target * i - v);
                (if v < 1.0 { v } else { reset(v) }, a)
            })
        };
        // The error is of first order. Its factor depends on the times of the spikes within their
        // steps.
        for dt in [0.4, 0.2, 0.1, 0.05, 0.01] {
            let error = (exact(dt) / truth - 1.0).abs();
            assert!(error < 0.04 * dt, "dt {dt}: {error} of {truth}");
        }
        for dt in [0.4, 0.05, 0.005] {
            let subtracted = plain(dt, |v| v - 1.0) / truth;
            let cleared = plain(dt, |_| 0.0) / truth;
            assert!(subtracted < 0.5 && cleared < 0.5, "dt {dt}: {subtracted}, {cleared} of the true slope");
        }
    }
}
