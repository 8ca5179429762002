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

use super::flow::{PlanarFlow, PlanarModel, Plane};
use crate::error::{ConfigError, positive};
use crate::neuron::flow::check_substeps;
use crate::num::Number;
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
    type Plane = RefractoryPlane;

    fn over(&self, dt: f64) -> PlanarFlow<RefractoryPlane> {
        PlanarFlow::new(RefractoryPlane { model: *self }, dt, self.substeps)
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

/// The equations of [`RefractoryLif`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefractoryPlane {
    model: RefractoryLif,
}

impl Plane for RefractoryPlane {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        let tau = self.model.tau_mem;
        let remaining = w - time;
        let free = (-remaining.clone()).within(0.0, f32::MAX as f64);
        let decay_less_one = free.times(-1.0 / tau).exp_m1();
        (v.clone() - decay_less_one * (i.times(tau) - v), remaining.within(0.0, f32::MAX as f64))
    }

    #[inline(always)]
    fn after_spike<X: Number>(&self, w: X) -> X {
        w.plus(self.model.period)
    }
}
