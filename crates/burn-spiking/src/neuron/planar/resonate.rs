//! Resonate-and-fire neuron: a damped oscillation that spikes at its threshold.
//!
//! ```text
//! dv/dt = −v/τ_mem − ω w + I        dw/dt = ω v − w/τ_mem        spike at v = 1: v falls by 1
//! ```
//!
//! Such a neuron answers best to inputs near its own frequency ω/2π. v is the real part of the
//! complex z = v + i w with dz/dt = (−1/τ_mem + i ω) z + I.
//!
//! **Flow.** Exact. With z* = I/(1/τ_mem − i ω), the point to which the oscillation runs:
//!
//! ```text
//! z(t) = z* + (z − z*) e^(−t/τ_mem) e^(iωt)
//! ```
//!
//! A crossing is seen if v is above the threshold at the end of a sub-step, so a sub-step should be
//! much shorter than a period.
//!
//! Source: Izhikevich 2001; the threshold on the real part, which receives the input, is that of
//! Higuchi, Kairat, Bohté & Otte 2024.

use super::flow::{PlanarFlow, PlanarModel, Plane};
use crate::error::{ConfigError, finite, positive};
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Number, Own};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Resonate-and-fire neuron.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResonateAndFire {
    /// Time constant τ_mem of the damping, ms.
    pub tau_mem: f64,
    /// Frequency ω/2π, Hz.
    pub frequency: f64,
    /// b, the rise of w by one spike; 0 in the published model.
    pub b: f64,
    /// Sub-steps of a step. Each has at most one spike.
    pub substeps: usize,
}

impl ResonateAndFire {
    /// The published model, with one sub-step to a step.
    pub fn new(tau_mem: f64, frequency: f64) -> Self {
        Self { tau_mem, frequency, b: 0.0, substeps: 1 }
    }

    /// ω in 1/ms.
    fn omega(&self) -> f64 {
        2e-3 * PI * self.frequency
    }
}

impl PlanarModel for ResonateAndFire {
    type Plane = ResonatePlane;

    fn over(&self, dt: f64) -> PlanarFlow<ResonatePlane> {
        let (rate, omega) = (1.0 / self.tau_mem, self.omega());
        let size = rate * rate + omega * omega;
        let length = dt / self.substeps as f64;
        let (sin, cos) = (omega * length).sin_cos();
        let whole = [(-rate * length).exp(), sin, cos];
        let plane = ResonatePlane { rate, omega, goal: [rate / size, omega / size], whole };
        PlanarFlow::new(plane, dt, self.substeps)
    }

    fn jump(&self) -> f64 {
        self.b
    }

    fn name(&self) -> String {
        let Self { tau_mem, frequency, b, substeps } = self;
        format!("resonate-and-fire, tau_mem {tau_mem} ms, frequency {frequency} Hz, b {b}, {substeps} sub-steps")
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("tau_mem", self.tau_mem, "give the time constant of the damping in ms")?;
        positive("frequency", self.frequency, "give the neuron's own frequency in Hz")?;
        finite("b", self.b, "give the rise of w by one spike, or 0")?;
        check_substeps(self.substeps)
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // From rest, a current x/τ_mem drives v to about x sin(ωt)/(ω τ_mem) at first. The current
        // that reaches the threshold within the interval between spikes, but at most in a quarter
        // of a period:
        let angle = (self.omega() * self.tau_mem / spikes).min(0.5 * PI);
        self.omega() * self.tau_mem / angle.sin()
    }
}

/// The equations of [`ResonateAndFire`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResonatePlane {
    /// 1/τ_mem.
    rate: f64,
    omega: f64,
    /// z* for I = 1/ms.
    goal: [f64; 2],
    /// (e^(−t/τ_mem), sin ωt, cos ωt) of a whole sub-step.
    whole: [f64; 3],
}

impl ResonatePlane {
    /// (v, w) after a time with these e^(−t/τ_mem), sin ωt and cos ωt.
    #[inline(always)]
    fn advance_by<X: Number, C: Constant<X>>(&self, v: X, w: X, i: X, [kept, sin, cos]: [C; 3]) -> (X, X) {
        let [goal_v, goal_w] = [i.clone().times(self.goal[0]), i.times(self.goal[1])];
        let (v, w) = (v - goal_v.clone(), w - goal_w.clone());
        let turned_v = cos.multiply(v.clone()) - sin.multiply(w.clone());
        let turned_w = sin.multiply(v) + cos.multiply(w);
        (goal_v + kept.multiply(turned_v), goal_w + kept.multiply(turned_w))
    }
}

impl Plane for ResonatePlane {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        let kept = time.clone().times(-self.rate).exp();
        let (sin, cos) = time.times(self.omega / PI).sin_cos_pi();
        self.advance_by(v, w, i, [Own(kept), Own(sin), Own(cos)])
    }

    #[inline(always)]
    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, _length: f64) -> (X, X) {
        self.advance_by(v, w, i, self.whole)
    }
}
