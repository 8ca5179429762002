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

use super::flow::{CONSTANTS, LearnableConstants, PlanarFlow, PlanarModel, Plane, PlaneOn, SecondConstant, in_time};
use crate::error::{ConfigError, finite, positive};
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Dual, Number, Own};
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
    type Plane = ResonatePlane<f64>;

    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane> {
        let (rate, omega) = (1.0 / self.tau_mem, self.omega());
        let size = rate * rate + omega * omega;
        let length = dt / self.substeps as f64;
        let (sin, cos) = (omega * length).sin_cos();
        let whole = [(-rate * length).exp(), sin, cos];
        let plane = ResonatePlane { rate, turn: omega / PI, goal: [rate / size, omega / size], whole };
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

impl LearnableConstants for ResonateAndFire {
    type Given<X: Number> = ResonatePlane<Own<X>>;

    #[inline(always)]
    fn over_with<X: Number>(&self, dt: f64, [tau_mem, frequency]: [X; CONSTANTS]) -> PlanarFlow<Self::Given<X>> {
        let (rate, turn) = (tau_mem.reciprocal(), frequency.times(2e-3));
        let omega = turn.clone().times(PI);
        let size = rate.clone() * rate.clone() + omega.clone() * omega.clone();
        let length = dt / self.substeps as f64;
        let (sin, cos) = turn.clone().times(length).sin_cos_pi();
        let whole = [Own(rate.clone().times(-length).exp()), Own(sin), Own(cos)];
        let goal = [Own(rate.clone() / size.clone()), Own(omega / size)];
        PlanarFlow::new(ResonatePlane { rate: Own(rate), turn: Own(turn), goal, whole }, dt, self.substeps)
    }

    fn constants(&self) -> [Option<f64>; CONSTANTS] {
        [Some(self.tau_mem), Some(self.frequency)]
    }

    fn second(&self) -> Option<SecondConstant> {
        Some(SecondConstant::Frequency)
    }

    fn with_constants(&self, [tau_mem, frequency]: [f64; CONSTANTS], jump: f64) -> Self {
        Self { tau_mem, frequency, b: jump, ..*self }
    }
}

/// The equations of [`ResonateAndFire`]. Their constants are those of all neurons, or numbers of
/// the kind of v.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResonatePlane<C> {
    /// 1/τ_mem.
    rate: C,
    /// ω/π, 1/ms.
    turn: C,
    /// z* for I = 1/ms.
    goal: [C; 2],
    /// (e^(−t/τ_mem), sin ωt, cos ωt) of a whole sub-step.
    whole: [C; 3],
}

impl<C> ResonatePlane<C> {
    /// (v, w) after a time.
    #[inline(always)]
    fn after<X: Number>(&self, (v, w, i): (X, X, X), time: X) -> (X, X)
    where
        C: Constant<X>,
    {
        let kept = self.rate.multiply(-time.clone()).exp();
        let (sin, cos) = self.turn.multiply(time).sin_cos_pi();
        self.by((v, w, i), [&Own(kept), &Own(sin), &Own(cos)])
    }

    /// (v, w) after a time with these e^(−t/τ_mem), sin ωt and cos ωt.
    #[inline(always)]
    fn by<X: Number>(&self, (v, w, i): (X, X, X), [kept, sin, cos]: [&impl Constant<X>; 3]) -> (X, X)
    where
        C: Constant<X>,
    {
        let (goal_v, goal_w) = (self.goal[0].multiply(i.clone()), self.goal[1].multiply(i));
        let (v, w) = (v - goal_v.clone(), w - goal_w.clone());
        let turned_v = cos.multiply(v.clone()) - sin.multiply(w.clone());
        let turned_w = sin.multiply(v) + cos.multiply(w);
        (goal_v + kept.multiply(turned_v), goal_w + kept.multiply(turned_w))
    }
}

impl Plane for ResonatePlane<f64> {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        self.after((v, w, i), time)
    }

    #[inline(always)]
    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, _length: f64) -> (X, X) {
        self.by((v, w, i), self.whole.each_ref())
    }
}

impl<X: Number> PlaneOn<X> for ResonatePlane<Own<X>> {
    type InTime = ResonatePlane<Own<Dual<X::Plain, 1>>>;

    #[inline(always)]
    fn in_time(&self) -> Self::InTime {
        let [goal_v, goal_w] = &self.goal;
        let [kept, sin, cos] = &self.whole;
        ResonatePlane {
            rate: in_time(&self.rate),
            turn: in_time(&self.turn),
            goal: [in_time(goal_v), in_time(goal_w)],
            whole: [in_time(kept), in_time(sin), in_time(cos)],
        }
    }

    #[inline(always)]
    fn advance(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        self.after((v, w, i), time)
    }

    #[inline(always)]
    fn advance_whole(&self, v: X, w: X, i: X, _length: f64) -> (X, X) {
        self.by((v, w, i), self.whole.each_ref())
    }
}
