//! Non-leaky integrate-and-fire neuron.
//!
//! ```text
//! dv/dt = I        spike at v = 1, reset to 0
//! ```
//!
//! **Flow.** φ = v + dt I, ∂φ/∂v = 1, ∂φ/∂I = dt. The time to the threshold is (1 − v)/I.
//!
//! **Jump.** A spike lowers v by 1. f is the same on both sides of the reset, so the derivative of
//! the reset is 1. The potential may fall below 0 without limit. The gate is closed there, and no
//! leak brings the potential back.
//!
//! If the potential enters the active zone of the gate and falls back without a spike, the neuron
//! takes its charge back. If the potential crosses the threshold, it is reset. The cost jumps
//! between these two cases. The gradient is exact on each side of the jump.
//!
//! Source: Huh & Sejnowski 2017, first task.

use super::flow::{Flow, NeuronModel, SLOWEST, SmallCurrent, TimeToThreshold};
use super::rate::RateCurve;
use crate::num::Number;

/// Non-leaky integrate-and-fire neuron, v_th = 1 ≡ v_reset = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nif;

impl NeuronModel for Nif {
    type Flow = NifFlow;

    fn over(&self, dt: f64) -> NifFlow {
        NifFlow { dt }
    }

    fn name(&self) -> String {
        "NIF".into()
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        Some(RateCurve::linear())
    }

    fn time_to_threshold(&self, v: f64, i: f64) -> Option<TimeToThreshold> {
        let (way, speed) = (1.0 - v, i.max(SLOWEST));
        (i > 0.0).then(|| TimeToThreshold { time: way / i, by_v: -1.0 / speed, by_i: -way / (speed * speed) })
    }
}

/// [`Nif`] over one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NifFlow {
    dt: f64,
}

impl SmallCurrent for NifFlow {
    type Small = Self;

    #[inline(always)]
    fn small_current(&self) -> (f64, Self) {
        (f64::INFINITY, *self)
    }
}

impl Flow for NifFlow {
    #[inline(always)]
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        v + i.times(self.dt)
    }

    #[inline(always)]
    fn slopes<X: Number>(&self, v: X, i: X) -> (X, X) {
        let zero = (v - i).times(0.0);
        (zero.clone().plus(1.0), zero.plus(self.dt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_and_slopes() {
        let flow = Nif.over(0.5);
        assert_eq!(flow.phi(0.25, -3.0), -1.25);
        assert_eq!(flow.slopes(0.25, -3.0), (1.0, 0.5));
    }
}
