//! Quartic integrate-and-fire: a neuron that `burn-spiking` does not have.
//!
//! ```text
//! dv/dt = f(v, I) = (v⁴ − v/2)/τ_mem + I        spike at v = 1, reset to 0
//! ```
//!
//! A step is one of the midpoint rule, φ = v + dt f(v + dt/2 f(v, I), I); what exceeds 1 is kept through the reset. Its slopes are
//! left to dual numbers. Source of the form: Touboul, "Bifurcation analysis of a general class of nonlinear integrate-and-fire neurons",
//! SIAM J. Appl. Math. 2008.

use burn_spiking::NeuronModel;
use burn_spiking::neuron::Flow;
use burn_spiking::number::Number;

/// Quartic integrate-and-fire neuron.
#[derive(Debug, Clone, Copy)]
pub struct Quartic {
    /// Membrane time constant τ_mem, ms.
    pub tau_mem: f64,
}

/// [`Quartic`] over one step.
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

    fn name(&self) -> String {
        format!("quartic, tau_mem {} ms", self.tau_mem)
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    // A current above the slowest drift, 0.1875 below 0 at v = 1/2; then about one spike for each unit.
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
