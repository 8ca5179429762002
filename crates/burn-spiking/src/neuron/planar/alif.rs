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
//! v(t) = a v + τ_mem (1 − a) I − (a_w − a) w = v + (a − 1) (v − τ_mem I + w) − (a_w − 1) w
//! w(t) = a_w w = w + (a_w − 1) w
//! ```
//!
//! Source: Bellec, Salaj, Subramoney, Legenstein & Maass 2018, whose threshold rises by β, here b.

use super::flow::{PlanarFlow, PlanarModel, Plane};
use crate::error::{ConfigError, finite, positive};
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Number, Own};
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
        PlanarFlow::new(AlifPlane::of(self, dt / self.substeps as f64), dt, self.substeps)
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
    tau_mem: f64,
    tau_w: f64,
    /// (a − 1, a_w − 1) of a whole sub-step.
    whole: [f64; 2],
}

impl AlifPlane {
    fn of(model: &Alif, length: f64) -> Self {
        let Alif { tau_mem, tau_w, .. } = *model;
        Self { tau_mem, tau_w, whole: [tau_mem, tau_w].map(|tau| (-length / tau).exp_m1()) }
    }

    /// (v, w) after a time with these a − 1 and a_w − 1.
    #[inline(always)]
    fn advance_by<X: Number, C: Constant<X>>(&self, v: X, w: X, i: X, [of_v, of_w]: [C; 2]) -> (X, X) {
        let way = v.clone() - i.times(self.tau_mem) + w.clone();
        let fallen = of_w.multiply(w.clone());
        (v + of_v.multiply(way) - fallen.clone(), w + fallen)
    }
}

impl Plane for AlifPlane {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        // e^(−t/τ) − 1 keeps the digits of short times.
        let of_v = time.clone().times(-1.0 / self.tau_mem).exp_m1();
        let of_w = time.times(-1.0 / self.tau_w).exp_m1();
        self.advance_by(v, w, i, [Own(of_v), Own(of_w)])
    }

    #[inline(always)]
    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, _length: f64) -> (X, X) {
        self.advance_by(v, w, i, self.whole)
    }
}
