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

use super::flow::{CONSTANTS, LearnableConstants, PlanarFlow, PlanarModel, Plane, PlaneOn, SecondConstant, in_time};
use crate::error::{ConfigError, finite, positive};
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Dual, Number, Own};
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
    type Plane = AlifPlane<f64>;

    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane> {
        let Self { tau_mem, tau_w, substeps, .. } = *self;
        let length = dt / substeps as f64;
        let whole = [tau_mem, tau_w].map(|tau| (-length / tau).exp_m1());
        PlanarFlow::new(AlifPlane { tau_mem, rates: [1.0 / tau_mem, 1.0 / tau_w], whole }, dt, substeps)
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

impl LearnableConstants for Alif {
    type Given<X: Number> = AlifPlane<Own<X>>;

    #[inline(always)]
    fn over_with<X: Number>(&self, dt: f64, [tau_mem, tau_w]: [X; CONSTANTS]) -> PlanarFlow<Self::Given<X>> {
        let length = dt / self.substeps as f64;
        let (rate, rate_w) = (tau_mem.clone().reciprocal(), tau_w.reciprocal());
        let whole = [Own(rate.clone().times(-length).exp_m1()), Own(rate_w.clone().times(-length).exp_m1())];
        let rates = [Own(rate), Own(rate_w)];
        PlanarFlow::new(AlifPlane { tau_mem: Own(tau_mem), rates, whole }, dt, self.substeps)
    }

    fn constants(&self) -> [Option<f64>; CONSTANTS] {
        [Some(self.tau_mem), Some(self.tau_w)]
    }

    fn second(&self) -> Option<SecondConstant> {
        Some(SecondConstant::TauW)
    }

    fn with_constants(&self, [tau_mem, tau_w]: [f64; CONSTANTS], jump: f64) -> Self {
        Self { tau_mem, tau_w, b: jump, ..*self }
    }
}

/// The equations of [`Alif`]. Their constants are those of all neurons, or numbers of the kind of
/// v.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlifPlane<C> {
    tau_mem: C,
    /// (1/τ_mem, 1/τ_w).
    rates: [C; 2],
    /// (a − 1, a_w − 1) of a whole sub-step.
    whole: [C; 2],
}

impl<C> AlifPlane<C> {
    /// (v, w) after a time.
    #[inline(always)]
    fn after<X: Number>(&self, (v, w, i): (X, X, X), time: X) -> (X, X)
    where
        C: Constant<X>,
    {
        // e^(−t/τ) − 1 keeps the digits of short times.
        let of_v = self.rates[0].multiply(-time.clone()).exp_m1();
        let of_w = self.rates[1].multiply(-time).exp_m1();
        self.by((v, w, i), [&Own(of_v), &Own(of_w)])
    }

    /// (v, w) after a time with these a − 1 and a_w − 1.
    #[inline(always)]
    fn by<X: Number>(&self, (v, w, i): (X, X, X), [of_v, of_w]: [&impl Constant<X>; 2]) -> (X, X)
    where
        C: Constant<X>,
    {
        let way = v.clone() - self.tau_mem.multiply(i) + w.clone();
        let fallen = of_w.multiply(w.clone());
        (v + of_v.multiply(way) - fallen.clone(), w + fallen)
    }
}

impl Plane for AlifPlane<f64> {
    #[inline(always)]
    fn advance<X: Number>(&self, v: X, w: X, i: X, time: X) -> (X, X) {
        self.after((v, w, i), time)
    }

    #[inline(always)]
    fn advance_whole<X: Number>(&self, v: X, w: X, i: X, _length: f64) -> (X, X) {
        self.by((v, w, i), self.whole.each_ref())
    }
}

impl<X: Number> PlaneOn<X> for AlifPlane<Own<X>> {
    type InTime = AlifPlane<Own<Dual<X::Plain, 1>>>;

    #[inline(always)]
    fn in_time(&self) -> Self::InTime {
        let [of_v, of_w] = &self.rates;
        let [whole_v, whole_w] = &self.whole;
        AlifPlane {
            tau_mem: in_time(&self.tau_mem),
            rates: [in_time(of_v), in_time(of_w)],
            whole: [in_time(whole_v), in_time(whole_w)],
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
