//! Neuron models: what the membrane potential does while the current is held for one step.
//!
//! A step follows the neuron's *exact flow* φ(v, I), the solution of dv/dt = f(v, I) after dt. The threshold is
//! v = 1, the reset v = 0. φ is *unwrapped*: n spikes in the step leave it n higher than the potential after the reset.

pub mod nif;
pub mod qif;

pub use nif::Nif;
pub use qif::Qif;

use crate::error::{ConfigError, positive};
use crate::number::{Float, Number};
use serde::{Deserialize, Serialize};

/// The flow of a neuron over one step of fixed length, and its two partial derivatives.
pub trait Flow: Copy + Send + Sync + 'static {
    /// The same flow for small currents, where it may be cheaper.
    type Near: Flow;

    /// The cheaper flow and the largest |I| (1/ms) that it holds for. It must agree with this flow bit for bit there,
    /// since programs choose between them by the currents of many neurons.
    fn near(&self) -> (f64, Self::Near);

    /// φ(v, I), unwrapped, for v after its reset and I in 1/ms.
    fn phi<X: Number>(&self, v: X, i: X) -> X;

    /// (∂φ/∂v, ∂φ/∂I); the second in ms.
    fn slopes<X: Number>(&self, v: X, i: X) -> (X, X);

    /// φ of a row of neurons. A cheaper way may be taken where the row allows it, if the numbers come out the same to the last
    /// bit.
    #[inline(always)]
    fn phi_row<X: Float>(&self, (v, i): (&[X], &[X]), vpre: &mut [X]) {
        for ((&v, &i), vpre) in v.iter().zip(i).zip(vpre) {
            *vpre = self.phi(v, i);
        }
    }

    /// φ, ∂φ/∂v and ∂φ/∂I of a row of neurons; φ as [`phi_row`](Self::phi_row) has it.
    #[inline(always)]
    fn phi_and_slopes_row<X: Float>(&self, (v, i): (&[X], &[X]), vpre: &mut [X], (dv, di): (&mut [X], &mut [X])) {
        for (((&v, &i), vpre), (dv, di)) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)) {
            *vpre = self.phi(v, i);
            (*dv, *di) = self.slopes(v, i);
        }
    }
}

/// Which neuron a layer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Neuron {
    /// Non-leaky integrate-and-fire, dv/dt = I. See [`Nif`].
    Nif,
    /// Quadratic integrate-and-fire in its phase form (theta neuron). See [`Qif`].
    Qif {
        /// Membrane time constant τ_v, ms.
        tau_v: f64,
    },
}

impl Neuron {
    /// Where a neuron starts when no state is given: 0 for NIF, 1/2 for QIF.
    pub fn resting_potential(&self) -> f64 {
        match self {
            Neuron::Nif => 0.0,
            Neuron::Qif { .. } => 0.5,
        }
    }

    /// Membrane time constant, ms; `None` for NIF, which has none.
    pub fn tau(&self) -> Option<f64> {
        match *self {
            Neuron::Nif => None,
            Neuron::Qif { tau_v } => Some(tau_v),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match *self {
            Neuron::Nif => Ok(()),
            Neuron::Qif { tau_v } => positive("tau_v", tau_v, "give the membrane time constant in ms"),
        }
    }

    /// φ over `dt` ms; see [`Flow::phi`].
    pub fn phi<X: Number>(&self, v: X, i: X, dt: f64) -> X {
        match *self {
            Neuron::Nif => Nif.over(dt).phi(v, i),
            Neuron::Qif { tau_v } => Qif { tau_v }.over(dt).phi(v, i),
        }
    }

    /// The derivatives of φ over `dt` ms; see [`Flow::slopes`].
    pub fn slopes<X: Number>(&self, v: X, i: X, dt: f64) -> (X, X) {
        match *self {
            Neuron::Nif => Nif.over(dt).slopes(v, i),
            Neuron::Qif { tau_v } => Qif { tau_v }.over(dt).slopes(v, i),
        }
    }
}

impl std::fmt::Display for Neuron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Neuron::Nif => write!(f, "NIF"),
            Neuron::Qif { tau_v } => write!(f, "QIF, tau_v {tau_v} ms"),
        }
    }
}
