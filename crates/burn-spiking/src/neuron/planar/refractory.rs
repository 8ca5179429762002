//! Leaky integrate-and-fire neuron with a refractory period.
//!
//! ```text
//! dv/dt = −v/τ_mem + I   if w = 0,   0 otherwise        spike at v = 1, reset to 0; then w = r
//! dw/dt = −1             if w > 0,   0 otherwise
//! ```
//!
//! w is the time, in ms, for which the neuron is still refractory, and r is the refractory period.
//! A spike sets w at the time t* of the crossing, not at the end of its step, so the period ends
//! within a step, too.
//!
//! **Flow.** Exact. In a time t, the neuron is refractory for min(w, t) and free for the rest t_f:
//!
//! ```text
//! v(t) = v + (1 − e^(−t_f/τ_mem)) (τ_mem I − v)        w(t) = max(w − t, 0)
//! ```
//!
//! A spike that comes earlier ends the period earlier. This dependence is part of the gradient. The
//! derivatives have a kink where a period ends at the border of two steps.

use super::flow::{CONSTANTS, LearnableConstants, PlanarFlow, PlanarModel, Plane, PlaneOn, SecondConstant, in_time};
use crate::error::{ConfigError, positive};
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Dual, Number, Own};
use serde::{Deserialize, Serialize};

/// Leaky integrate-and-fire neuron with a refractory period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RefractoryLif {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
    /// The refractory period r, ms.
    pub period: f64,
    /// Sub-steps of a step. Each has at most one spike.
    pub substeps: usize,
}

impl RefractoryLif {
    /// A neuron whose steps have one sub-step. A sub-step must not be longer than the period.
    pub fn new(tau_mem: f64, period: f64) -> Self {
        Self { tau_mem, period, substeps: 1 }
    }
}

impl PlanarModel for RefractoryLif {
    type Plane = RefractoryPlane<f64>;

    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane> {
        let Self { tau_mem, period, substeps } = *self;
        PlanarFlow::new(RefractoryPlane { tau_mem, rate: 1.0 / tau_mem, period }, dt, substeps)
    }

    fn jump(&self) -> f64 {
        0.0
    }

    fn name(&self) -> String {
        let Self { tau_mem, period, substeps } = self;
        format!("refractory LIF, tau_mem {tau_mem} ms, period {period} ms, {substeps} sub-steps")
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("tau_mem", self.tau_mem, "give the membrane time constant in ms")?;
        positive("period", self.period, "give the refractory period in ms, or use Neuron::Lif, which has none")?;
        check_substeps(self.substeps)
    }

    fn check_step(&self, dt: f64) -> Result<(), ConfigError> {
        let Self { period, substeps, .. } = *self;
        if dt <= period * substeps as f64 * (1.0 + 1e-9) {
            return Ok(());
        }
        Err(ConfigError::Mismatch(format!(
            "a refractory period of {period} ms is shorter than a sub-step of {} ms, which has one spike at most; give at least {} \
             substeps, or shorten dt",
            dt / substeps as f64,
            (dt / period).ceil()
        )))
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // The time for which the neuron is free between two spikes, in units of τ_mem. It spikes at
        // most once in a period.
        let free = (1.0 / spikes - self.period / self.tau_mem).max(0.01);
        1.0 / -(-free).exp_m1()
    }
}

impl LearnableConstants for RefractoryLif {
    type Given<X: Number> = RefractoryPlane<Own<X>>;

    #[inline(always)]
    fn over_with<X: Number>(&self, dt: f64, [tau_mem, _]: [X; CONSTANTS]) -> PlanarFlow<Self::Given<X>> {
        let rate = Own(tau_mem.clone().reciprocal());
        PlanarFlow::new(RefractoryPlane { tau_mem: Own(tau_mem), rate, period: self.period }, dt, self.substeps)
    }

    fn constants(&self) -> [Option<f64>; CONSTANTS] {
        [Some(self.tau_mem), None]
    }

    fn second(&self) -> Option<SecondConstant> {
        None
    }

    fn with_constants(&self, [tau_mem, _]: [f64; CONSTANTS], _jump: f64) -> Self {
        Self { tau_mem, ..*self }
    }
}

/// The equations of [`RefractoryLif`]. τ_mem is that of all neurons, or a number of the kind of v.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefractoryPlane<C> {
    tau_mem: C,
    /// 1/τ_mem.
    rate: C,
    period: f64,
}

impl<C> RefractoryPlane<C> {
    /// (v, w) after a time.
    #[inline(always)]
    fn after<X: Number>(&self, (v, w, i): (X, X, X), time: X) -> (X, X)
    where
        C: Constant<X>,
    {
        let remaining = w - time;
        let free = (-remaining.clone()).within(0.0, f32::MAX as f64);
        let decay_less_one = self.rate.multiply(-free).exp_m1();
        let after = v.clone() - decay_less_one * (self.tau_mem.multiply(i) - v);
        (after, remaining.within(0.0, f32::MAX as f64))
    }
}

impl Plane for RefractoryPlane<f64> {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        self.after((v, w, i), time)
    }

    #[inline(always)]
    fn after_spike<X: Number>(&self, w: X) -> X {
        w.plus(self.period)
    }
}

impl<X: Number> PlaneOn<X> for RefractoryPlane<Own<X>> {
    type InTime = RefractoryPlane<Own<Dual<X::Plain, 1>>>;

    #[inline(always)]
    fn in_time(&self) -> Self::InTime {
        RefractoryPlane { tau_mem: in_time(&self.tau_mem), rate: in_time(&self.rate), period: self.period }
    }

    #[inline(always)]
    fn advance(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        self.after((v, w, i), time)
    }

    #[inline(always)]
    fn after_spike(&self, w: X) -> X {
        w.plus(self.period)
    }
}
