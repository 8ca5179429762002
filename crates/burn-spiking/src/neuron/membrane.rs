//! What flows with a membrane time constant are computed from.

use crate::num::Number;

/// τ_mem, ms, and what follows from it and the length of a step: numbers, or such as each neuron has of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Membrane<C> {
    /// τ_mem, ms.
    pub tau: C,
    /// 1/τ_mem.
    pub rate: C,
    /// a = e^(−dt/τ_mem), what is decay after a step.
    pub decay: C,
    /// 1 − a.
    pub complement: C,
}

impl<X: Number> Membrane<X> {
    /// Over a step of `dt` ms.
    pub fn of(tau: X, dt: f64) -> Self {
        let rate = tau.one() / tau.clone();
        let exponent = rate.clone().times(-dt);
        // 1 − a in a form that keeps its digits where dt is short.
        Self { tau, decay: exponent.clone().exp(), complement: -exponent.exp_m1(), rate }
    }
}

impl<C> Membrane<C> {
    /// The same of other numbers.
    #[inline(always)]
    pub fn map<D>(self, mut f: impl FnMut(C) -> D) -> Membrane<D> {
        Membrane { tau: f(self.tau), rate: f(self.rate), decay: f(self.decay), complement: f(self.complement) }
    }
}
