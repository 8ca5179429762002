//! Adaptive exponential integrate-and-fire neuron (AdEx).
//!
//! ```text
//! τ_mem dv/dt = −(v − v_L) + Δ e^((v − v_T)/Δ) − w + τ_mem I        spike at v = 1, reset to 0
//! τ_w   dw/dt = a (v − v_L) − w                                      then w rises by b
//! ```
//!
//! v counts from the reset potential (0) to the peak of a spike (1), and w in the same unit. The
//! leak potential v_L may be below 0, and the onset v_T may be below the reset, which makes a
//! neuron burst. [`AdEx::published`] converts constants in mV, MΩ, nS and pA.
//!
//! **Flow.** One step of the Runge-Kutta method of order 4 per sub-step. Above the peak the
//! exponential term has its value at the peak.
//!
//! Source: Brette & Gerstner 2005. The firing patterns are those of Gerstner, Kistler, Naud &
//! Paninski, Neuronal Dynamics (2014), table 6.1.

use super::flow::{
    CONSTANTS, Field, FieldOn, LearnableConstants, PlanarFlow, PlanarModel, RungeKutta, RungeKuttaOn, SecondConstant,
    in_time,
};
use crate::error::{ConfigError, below, finite, positive};
use crate::neuron::eif::Eif;
use crate::neuron::flow::NeuronModel;
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Dual, Number, Own};
use serde::{Deserialize, Serialize};

/// Adaptive exponential integrate-and-fire neuron.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdEx {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
    /// Sharpness Δ of the spike's onset.
    pub delta: f64,
    /// Onset v_T of the spike, below 1.
    pub onset: f64,
    /// Leak potential v_L, below 1.
    pub rest: f64,
    /// Time constant τ_w of the adaptation, ms.
    pub tau_w: f64,
    /// a, the adaptation per potential.
    pub a: f64,
    /// b, the rise of w by one spike.
    pub b: f64,
    /// Sub-steps of a step. Each has at most one spike.
    pub substeps: usize,
}

/// The constants of an AdEx neuron in the units in which they are published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdExConstants {
    /// Membrane time constant, ms.
    pub tau_mem: f64,
    /// Membrane resistance R, MΩ.
    pub resistance: f64,
    /// Leak potential, mV.
    pub rest: f64,
    /// Onset of the spike, mV.
    pub onset: f64,
    /// Sharpness of the onset, mV.
    pub delta: f64,
    /// Reset potential, mV.
    pub reset: f64,
    /// Peak of a spike, mV.
    pub peak: f64,
    /// Time constant of the adaptation, ms.
    pub tau_w: f64,
    /// a, nS.
    pub a: f64,
    /// b, pA.
    pub b: f64,
}

impl AdExConstants {
    /// The constants that the firing patterns share.
    fn pattern(tau_mem: f64, a: f64, tau_w: f64, b: f64, reset: f64) -> Self {
        Self { tau_mem, resistance: 500.0, rest: -70.0, onset: -50.0, delta: 2.0, reset, peak: -30.0, tau_w, a, b }
    }

    /// Tonic firing.
    pub fn tonic() -> Self {
        Self::pattern(20.0, 0.0, 30.0, 60.0, -55.0)
    }

    /// Firing that adapts.
    pub fn adapting() -> Self {
        Self::pattern(20.0, 0.0, 100.0, 5.0, -55.0)
    }

    /// A burst at the beginning, then regular spikes.
    pub fn initial_burst() -> Self {
        Self::pattern(5.0, 0.5, 100.0, 7.0, -51.0)
    }

    /// Bursts.
    pub fn bursting() -> Self {
        Self::pattern(5.0, -0.5, 100.0, 7.0, -46.0)
    }

    /// Irregular firing.
    pub fn irregular() -> Self {
        Self::pattern(9.9, -0.5, 100.0, 7.0, -46.0)
    }

    /// A few spikes, then silence.
    pub fn transient() -> Self {
        Self::pattern(10.0, 1.0, 100.0, 10.0, -60.0)
    }

    /// Firing that begins late.
    pub fn delayed() -> Self {
        Self::pattern(5.0, -1.0, 100.0, 10.0, -60.0)
    }

    /// The potential from reset to peak, mV: the unit of v and w.
    fn unit(&self) -> f64 {
        self.peak - self.reset
    }

    /// A current of `pa` pA in units of 1/τ_mem, those of a layer's parameters.
    pub fn current(&self, pa: f64) -> f64 {
        1e-3 * self.resistance * pa / self.unit()
    }
}

impl AdEx {
    /// The neuron with published constants, with steps of this number of sub-steps. For steps of
    /// 1 ms, take at least 4.
    pub fn published(constants: AdExConstants, substeps: usize) -> Self {
        let AdExConstants { tau_mem, resistance, rest, onset, delta, reset, tau_w, a, b, .. } = constants;
        let unit = constants.unit();
        Self {
            tau_mem,
            delta: delta / unit,
            onset: (onset - reset) / unit,
            rest: (rest - reset) / unit,
            tau_w,
            a: 1e-3 * resistance * a,
            b: 1e-3 * resistance * b / unit,
            substeps,
        }
    }
}

impl PlanarModel for AdEx {
    type Plane = RungeKutta<AdExField<f64>>;

    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane> {
        let field = AdExField { model: *self, rates: [1.0 / self.tau_mem, 1.0 / self.tau_w] };
        PlanarFlow::new(RungeKutta(field), dt, self.substeps)
    }

    fn jump(&self) -> f64 {
        self.b
    }

    fn name(&self) -> String {
        let Self { tau_mem, delta, onset, rest, tau_w, a, b, substeps } = self;
        format!(
            "AdEx, tau_mem {tau_mem} ms, delta {delta}, onset {onset}, rest {rest}, tau_w {tau_w} ms, a {a}, b {b}, {substeps} \
             sub-steps"
        )
    }

    fn check(&self) -> Result<(), ConfigError> {
        Eif { tau_mem: self.tau_mem, delta: self.delta, onset: self.onset, substeps: 1 }.check()?;
        positive("tau_w", self.tau_w, "give the time constant of the adaptation in ms")?;
        finite("a", self.a, "give the adaptation per potential, or 0")?;
        finite("b", self.b, "give the rise of w by one spike, or 0")?;
        check_substeps(self.substeps)?;
        below("rest", self.rest, 1.0, "1, the threshold", "give the leak potential, such as 0")
    }

    fn resting_potential(&self) -> f64 {
        self.rest
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // The mean w at this rate from its jumps, as if it did not change between spikes.
        let w = self.b * spikes * self.tau_w / self.tau_mem;
        let eif = Eif { tau_mem: self.tau_mem, delta: self.delta, onset: self.onset, substeps: 1 };
        NeuronModel::steady_current(&eif, spikes) - self.rest + w
    }
}

impl LearnableConstants for AdEx {
    type Given<X: Number> = RungeKuttaOn<AdExField<Own<X>>>;

    #[inline(always)]
    fn over_with<X: Number>(&self, dt: f64, constants: [X; CONSTANTS]) -> PlanarFlow<Self::Given<X>> {
        let [tau_mem, tau_w] = constants;
        let field = AdExField { model: *self, rates: [Own(tau_mem.reciprocal()), Own(tau_w.reciprocal())] };
        PlanarFlow::new(RungeKuttaOn(field), dt, self.substeps)
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

/// The equations of [`AdEx`]. The time constants are those of all neurons, or numbers of the kind
/// of v.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdExField<C> {
    model: AdEx,
    /// (1/τ_mem, 1/τ_w).
    rates: [C; 2],
}

impl<C> AdExField<C> {
    #[inline(always)]
    fn rates_at<X: Number>(&self, v: X, w: X, i: X) -> (X, X)
    where
        C: Constant<X>,
    {
        let AdEx { delta, onset, rest, a, .. } = self.model;
        let upswing = v.clone().within(-f32::MAX as f64, 1.0).plus(-onset).times(1.0 / delta).exp();
        let above_rest = v.plus(-rest);
        let dv = self.rates[0].multiply(upswing.times(delta) - above_rest.clone() - w.clone()) + i;
        (dv, self.rates[1].multiply(above_rest.times(a) - w))
    }
}

impl Field for AdExField<f64> {
    #[inline(always)]
    fn rates<X: Number>(&self, v: X, w: X, i: X) -> (X, X) {
        self.rates_at(v, w, i)
    }
}

impl<X: Number> FieldOn<X> for AdExField<Own<X>> {
    type InTime = AdExField<Own<Dual<X::Plain, 1>>>;

    #[inline(always)]
    fn in_time(&self) -> Self::InTime {
        let [of_v, of_w] = &self.rates;
        AdExField { model: self.model, rates: [in_time(of_v), in_time(of_w)] }
    }

    #[inline(always)]
    fn rates(&self, v: X, w: X, i: X) -> (X, X) {
        self.rates_at(v, w, i)
    }
}
