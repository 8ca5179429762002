//! A user-defined neuron.

use burn_spiking::NeuronModel;
use burn_spiking::neuron::{Flow, RateCurve};
use burn_spiking::number::Number;

/// A theta neuron, written like a user-defined neuron: only `phi`, without its own slopes or a
/// cheaper form. It takes one step of the midpoint rule in each time step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnQif {
    /// Membrane time constant, ms.
    pub tau_mem: f64,
}

/// [`OwnQif`] over one step.
#[derive(Debug, Clone, Copy)]
pub struct OwnQifFlow {
    tau_mem: f64,
    dt: f64,
}

impl NeuronModel for OwnQif {
    type Flow = OwnQifFlow;

    fn over(&self, dt: f64) -> OwnQifFlow {
        OwnQifFlow { tau_mem: self.tau_mem, dt }
    }

    fn name(&self) -> String {
        format!("theta neuron by midpoints, tau_mem {} ms", self.tau_mem)
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        (0.5 * spikes).powi(2)
    }

    fn rate_curve(&self) -> Option<RateCurve> {
        Some(RateCurve::quadratic(self.tau_mem))
    }
}

impl OwnQifFlow {
    #[inline(always)]
    fn drift<X: Number>(&self, v: X, i: X) -> X {
        let (_, cos) = v.times(2.0).sin_cos_pi();
        cos.clone().plus(1.0).times(1.0 / self.tau_mem) + (-cos).plus(1.0) * i
    }
}

impl Flow for OwnQifFlow {
    #[inline(always)]
    fn phi<X: Number>(&self, v: X, i: X) -> X {
        let middle = v.clone() + self.drift(v.clone(), i.clone()).times(0.5 * self.dt);
        v + self.drift(middle, i).times(self.dt)
    }
}
