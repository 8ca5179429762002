//! A user-defined neuron with two variables.

use burn_spiking::neuron::planar::{Field, PlanarFlow, PlanarModel, RungeKutta};
use burn_spiking::number::Number;

/// The equations of [`AdEx`](burn_spiking::neuron::AdEx) with a rest of 0, written like a
/// user-defined neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnAdEx {
    /// Membrane time constant, ms.
    pub tau_mem: f64,
    /// Time constant of the adaptation, ms.
    pub tau_w: f64,
    /// Sub-steps of a step.
    pub substeps: usize,
}

impl OwnAdEx {
    /// The adaptation per potential.
    pub const A: f64 = 0.2;
    /// The rise of w by one spike.
    pub const B: f64 = 0.25;
    /// The sharpness of the onset.
    pub const DELTA: f64 = 0.15;
    /// The onset of a spike.
    pub const ONSET: f64 = 0.7;
}

impl PlanarModel for OwnAdEx {
    type Plane = RungeKutta<OwnAdEx>;

    fn over(&self, dt: f64) -> PlanarFlow<Self::Plane> {
        PlanarFlow::new(RungeKutta(*self), dt, self.substeps)
    }

    fn jump(&self) -> f64 {
        Self::B
    }

    fn tau(&self) -> Option<f64> {
        Some(self.tau_mem)
    }

    fn steady_current(&self, spikes: f64) -> f64 {
        1.0 + spikes
    }
}

impl Field for OwnAdEx {
    #[inline(always)]
    fn rates<X: Number>(&self, v: X, w: X, i: X) -> (X, X) {
        let upswing = v.clone().within(-1e9, 1.0).plus(-Self::ONSET).times(1.0 / Self::DELTA).exp();
        let dv = (upswing.times(Self::DELTA) - v.clone() - w.clone()).times(1.0 / self.tau_mem) + i;
        (dv, (v.times(Self::A) - w).times(1.0 / self.tau_w))
    }
}
