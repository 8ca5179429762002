//! Izhikevich neuron: quadratic, with a recovery variable.
//!
//! ```text
//! dV/dt = 0.04 V² + 5 V + 140 − u + I        spike at V = 30, reset to c        V in mV, I in mV/ms
//! du/dt = a (b V − u)                         then u rises by d
//! ```
//!
//! The library's variables count from the reset, v = (V − c)/(30 − c), and from the recovery at
//! rest, w = (u − b V_0)/(30 − c), with V_0 the stable resting potential, or −(5 − b)/0.08, where
//! the neuron is slowest, if there is none. So w is 0 in a neuron at rest. τ_mem, the unit of a
//! layer's parameters, is that of small deviations from V_0: 1.7 ms for b = 0.2.
//!
//! **Flow.** One step of the Runge-Kutta method of order 4 per sub-step. Above the peak, dV/dt has
//! its value at the peak.
//!
//! Source: Izhikevich 2003, with the constants of its figure 2.

use super::flow::{
    CONSTANTS, Field, FieldOn, LearnableConstants, PlanarFlow, PlanarModel, RungeKutta, RungeKuttaOn, SecondConstant,
    in_time,
};
use crate::error::{ConfigError, below, finite, positive};
use crate::neuron::flow::check_substeps;
use crate::num::{Constant, Dual, Number, Own};
use serde::{Deserialize, Serialize};

/// The peak of a spike, mV.
const PEAK: f64 = 30.0;

/// Izhikevich neuron, with its constants as published.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Izhikevich {
    /// a, the speed of the recovery, 1/ms.
    pub a: f64,
    /// b, the recovery per potential.
    pub b: f64,
    /// c, the reset potential, mV.
    pub c: f64,
    /// d, the rise of u by one spike, mV/ms.
    pub d: f64,
    /// Sub-steps of a step. Each has at most one spike.
    pub substeps: usize,
}

impl Izhikevich {
    /// Tonic firing that adapts (regular spiking).
    pub fn regular_spiking(substeps: usize) -> Self {
        Self { a: 0.02, b: 0.2, c: -65.0, d: 8.0, substeps }
    }

    /// An initial burst, then regular spikes (intrinsically bursting).
    pub fn intrinsically_bursting(substeps: usize) -> Self {
        Self { a: 0.02, b: 0.2, c: -55.0, d: 4.0, substeps }
    }

    /// Bursts (chattering).
    pub fn chattering(substeps: usize) -> Self {
        Self { a: 0.02, b: 0.2, c: -50.0, d: 2.0, substeps }
    }

    /// Tonic firing at high rates, without adaptation (fast spiking).
    pub fn fast_spiking(substeps: usize) -> Self {
        Self { a: 0.1, b: 0.2, c: -65.0, d: 2.0, substeps }
    }

    /// Firing that adapts at low thresholds (low-threshold spiking).
    pub fn low_threshold_spiking(substeps: usize) -> Self {
        Self { a: 0.02, b: 0.25, c: -65.0, d: 2.0, substeps }
    }

    /// 30 − c, mV: the unit of v and w.
    fn unit(&self) -> f64 {
        PEAK - self.c
    }

    /// V_0, mV.
    fn rest(&self) -> f64 {
        let slope = 5.0 - self.b;
        (-slope - (slope * slope - 22.4).max(0.0).sqrt()) / 0.08
    }

    /// The equations with this a.
    fn field<C>(&self, a: C) -> IzhikevichField<C> {
        let Self { b, c, .. } = *self;
        let (unit, rest) = (self.unit(), self.rest());
        // 0.04 V² + 5 V + 140 − b V_0 with V = c + unit v, divided by the unit.
        IzhikevichField {
            square: 0.04 * unit,
            linear: 0.08 * c + 5.0,
            constant: (0.04 * c * c + 5.0 * c + 140.0 - b * rest) / unit,
            a,
            b,
            rest: (rest - c) / unit,
        }
    }

    /// A published current, mV/ms, in 1/ms, the unit of currents in the library.
    pub fn current(&self, i: f64) -> f64 {
        i / self.unit()
    }
}

impl PlanarModel for Izhikevich {
    type Plane = RungeKutta<IzhikevichField<f64>>;

    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane> {
        PlanarFlow::new(RungeKutta(self.field(self.a)), dt, self.substeps)
    }

    fn jump(&self) -> f64 {
        self.d / self.unit()
    }

    fn name(&self) -> String {
        let Self { a, b, c, d, substeps } = self;
        format!("Izhikevich, a {a}/ms, b {b}, c {c} mV, d {d} mV/ms, {substeps} sub-steps")
    }

    fn check(&self) -> Result<(), ConfigError> {
        positive("a", self.a, "give the speed of the recovery in 1/ms, such as 0.02")?;
        finite("b", self.b, "give the recovery per potential, such as 0.2")?;
        finite("d", self.d, "give the rise of u by one spike, such as 8")?;
        check_substeps(self.substeps)?;
        below("c", self.c, PEAK, "30 mV, the peak", "give the reset potential in mV, such as -65")
    }

    fn resting_potential(&self) -> f64 {
        (self.rest() - self.c) / self.unit()
    }

    fn tau(&self) -> Option<f64> {
        // The time constant of small deviations from rest.
        Some(-1.0 / (0.08 * self.rest() + 5.0))
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        // The rheobase, and what balances the mean recovery of the jumps at this rate.
        let (slope, tau) = (5.0 - self.b, self.tau().unwrap_or(1.0));
        let rheobase = (slope * slope / 0.16 - 140.0).max(0.0);
        tau * self.current(rheobase + self.d * spikes / (tau * self.a))
    }
}

impl LearnableConstants for Izhikevich {
    type Given<X: Number> = RungeKuttaOn<IzhikevichField<Own<X>>>;

    #[inline(always)]
    fn over_with<X: Number>(&self, dt: f64, [_, tau_w]: [X; CONSTANTS]) -> PlanarFlow<Self::Given<X>> {
        PlanarFlow::new(RungeKuttaOn(self.field(Own(tau_w.reciprocal()))), dt, self.substeps)
    }

    fn constants(&self) -> [Option<f64>; CONSTANTS] {
        [None, Some(1.0 / self.a)]
    }

    fn second(&self) -> Option<SecondConstant> {
        Some(SecondConstant::TauW)
    }

    fn with_constants(&self, [_, tau_w]: [f64; CONSTANTS], jump: f64) -> Self {
        Self { a: 1.0 / tau_w, d: jump * self.unit(), ..*self }
    }
}

/// The equations of [`Izhikevich`] in the library's units. a is that of all neurons, or a number of
/// the kind of v.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IzhikevichField<C> {
    square: f64,
    linear: f64,
    constant: f64,
    a: C,
    b: f64,
    rest: f64,
}

impl<C> IzhikevichField<C> {
    #[inline(always)]
    fn rates_at<X: Number>(&self, v: X, w: X, i: X) -> (X, X)
    where
        C: Constant<X>,
    {
        let dw = self.a.multiply(v.clone().plus(-self.rest).times(self.b) - w.clone());
        let capped = v.within(-f32::MAX as f64, 1.0);
        let dv = (capped.clone().times(self.square).plus(self.linear) * capped).plus(self.constant) - w + i;
        (dv, dw)
    }
}

impl Field for IzhikevichField<f64> {
    #[inline(always)]
    fn rates<X: Number>(&self, v: X, w: X, i: X) -> (X, X) {
        self.rates_at(v, w, i)
    }
}

impl<X: Number> FieldOn<X> for IzhikevichField<Own<X>> {
    type InTime = IzhikevichField<Own<Dual<X::Plain, 1>>>;

    #[inline(always)]
    fn in_time(&self) -> Self::InTime {
        let Self { square, linear, constant, ref a, b, rest } = *self;
        IzhikevichField { square, linear, constant, a: in_time(a), b, rest }
    }

    #[inline(always)]
    fn rates(&self, v: X, w: X, i: X) -> (X, X) {
        self.rates_at(v, w, i)
    }
}
