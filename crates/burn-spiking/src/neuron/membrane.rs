//! The constants of flows that have a membrane time constant.

use crate::num::Number;

/// τ_mem, and the constants that follow from it and the length of a step. They are numbers for all
/// neurons, or numbers per neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Membrane<C> {
    /// τ_mem, in ms.
    pub tau: C,
    /// 1/τ_mem, in 1/ms.
    pub rate: C,
    /// a = e^(−dt/τ_mem), the factor by which the potential decays in a step.
    pub decay: C,
    /// 1 − a.
    pub complement: C,
}

impl<X: Number> Membrane<X> {
    /// The constants for a step of `dt` ms.
    pub fn of(tau: X, dt: f64) -> Self {
        let rate = tau.one() / tau.clone();
        let exponent = rate.clone().times(-dt);
        // `exp_m1` keeps the digits of 1 − a if dt is short.
        Self { tau, decay: exponent.clone().exp(), complement: -exponent.exp_m1(), rate }
    }
}

impl<C> Membrane<C> {
    /// Applies a function to each constant.
    #[inline(always)]
    pub fn map<D>(self, mut f: impl FnMut(C) -> D) -> Membrane<D> {
        Membrane { tau: f(self.tau), rate: f(self.rate), decay: f(self.decay), complement: f(self.complement) }
    }
}
