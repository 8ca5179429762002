//! Quartic integrate-and-fire: a neuron that `burn-spiking` does not have.
//!
//! ```text
//! dv/dt = f(v, I) = (v⁴ − v/2)/τ_mem + I        spike at v = 1, reset to 0
//! ```
//!
//! A time step is one step of the midpoint rule, φ = v + dt f(v + dt/2 f(v, I), I). The reset keeps
//! the part of φ above 1. Dual numbers give the derivatives of φ. Source of the form: Touboul,
//! "Bifurcation analysis of a general class of nonlinear integrate-and-fire neurons", SIAM J. Appl.
//! Math. 2008.

use burn_spiking::NeuronModel;
use burn_spiking::neuron::Flow;
use burn_spiking::number::Number;

/// Quartic integrate-and-fire neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quartic {
    /// The membrane time constant τ_mem, in ms.
    pub tau_mem: f64,
}

/// The flow of [`Quartic`] over one time step.
#[derive(Debug, Clone, Copy)]
pub struct QuarticFlow {
    rate: f64,
    dt: f64,
}

impl NeuronModel for Quartic {
    type Flow = QuarticFlow;

    fn over(&self, dt: f64) -> QuarticFlow {
        QuarticFlow { rate: 1.0 / self.tau_mem, dt }
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    // The drift is lowest at v = 1/2, where it is −0.1875. So a current above 0.1875 makes the
    // neuron spike. Each spike in τ_mem takes about 0.6 more.
    fn steady_current(&self, spikes: f64) -> f64 {
        0.19 + 0.6 * spikes
    }
}

impl QuarticFlow {
    #[inline(always)]
    fn drift<X: Number>(&self, v: X, i: X) -> X {
        let square = v.clone() * v.clone();
        (square.clone() * square - v.times(0.5)).times(self.rate) + i
    }
}

impl Flow for QuarticFlow {
    #[inline(always)]
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        let middle = v.clone() + self.drift(v.clone(), i.clone()).times(0.5 * self.dt);
        v + self.drift(middle, i).times(self.dt)
    }
}
