//! Adaptive leaky integrate-and-fire neuron (ALIF): a leaky neuron whose threshold adapts.
//!
//! ```text
//! dV/dt = −V/τ_mem + I        dw/dt = −w/τ_w        spike at V = 1 + w, reset to w; then w rises by b
//! ```
//!
//! The library's variable is the potential relative to the reset, v = V − w, with threshold 1 and
//! reset 0:
//!
//! ```text
//! dv/dt = −v/τ_mem + I − (1/τ_mem − 1/τ_w) w
//! ```
//!
//! When w rises by b at a spike, v stays: threshold, reset and V move together. Models in which V
//! stays instead differ by b in the first moment after a spike.
//!
//! **Flow.** Exact. With a = e^(−t/τ_mem) and a_w = e^(−t/τ_w):
//!
//! ```text
//! v(t) = a v + τ_mem (1 − a) I − (a_w − a) w        w(t) = a_w w
//! ```
//!
//! Source: Bellec, Salaj, Subramoney, Legenstein & Maass 2018, whose threshold rises by β, here b.

use super::flow::{PlanarFlow, PlanarModel, Plane, check_substeps};
use crate::error::{ConfigError, finite, positive};
use crate::num::Number;
use serde::{Deserialize, Serialize};

/// Leaky integrate-and-fire neuron with a threshold that adapts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alif {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
    /// Time constant τ_w of the threshold, ms.
    pub tau_w: f64,
    /// b, the rise of the threshold by one spike, in units of the distance from reset to threshold.
    pub b: f64,
    /// Sub-steps of a step. Each has at most one spike.
    pub substeps: usize,
}

impl Alif {
    /// A neuron whose steps have one sub-step.
    pub fn new(tau_mem: f64, tau_w: f64, b: f64) -> Self {
        Self { tau_mem, tau_w, b, substeps: 1 }
    }
}

impl PlanarModel for Alif {
    type Plane = AlifPlane;

    fn over(&self, dt: f64) -> PlanarFlow<AlifPlane> {
        PlanarFlow::new(AlifPlane { model: *self }, dt, self.substeps)
    }

    fn jump(&self) -> f64 {
        self.b
    }

    fn name(&self) -> String {
        let Self { tau_mem, tau_w, b, substeps } = self;
        format!("ALIF, tau_mem {tau_mem} ms, tau_w {tau_w} ms, b {b}, {substeps} sub-steps")
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("tau_mem", self.tau_mem, "give the membrane time constant in ms")?;
        positive("tau_w", self.tau_w, "give the time constant of the threshold in ms")?;
        finite("b", self.b, "give the rise of the threshold by one spike, such as 0.1")?;
        check_substeps(self.substeps)
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // The mean threshold at this rate, as if w did not change between spikes.
        let w = self.b * spikes * self.tau_w / self.tau_mem;
        w - 1.0 / (-1.0 / spikes).exp_m1()
    }
}

/// The equations of [`Alif`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlifPlane {
    model: Alif,
}

impl Plane for AlifPlane {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        let Alif { tau_mem, tau_w, .. } = self.model;
        // −(1 − e^(−t/τ)) keeps the digits of short times.
        let [of_v, of_w] = [tau_mem, tau_w].map(|tau| time.clone().times(-1.0 / tau).exp_m1());
        let [kept_v, kept_w] = [of_v.clone().plus(1.0), of_w.clone().plus(1.0)];
        (kept_v * v - of_v.clone() * i.times(tau_mem) - (of_w - of_v) * w.clone(), kept_w * w)
    }
}
