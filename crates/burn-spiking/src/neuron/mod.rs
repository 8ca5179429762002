//! Neuron models: what the membrane potential does while the current is held for one step.
//!
//! A step follows the neuron's *exact flow* φ(v, I), the solution of dv/dt = f(v, I) after dt. The threshold is
//! v = 1, the reset v = 0. φ is *unwrapped*: n spikes in the step leave it n higher than the potential after the reset.

pub mod lif;
pub mod nif;
pub mod qif;

pub use lif::Lif;
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
    /// Leaky integrate-and-fire, dv/dt = −v/τ_v + I. See [`Lif`].
    Lif {
        /// Membrane time constant τ_v, ms.
        tau_v: f64,
    },
    /// Quadratic integrate-and-fire in its phase form (theta neuron). See [`Qif`].
    Qif {
        /// Membrane time constant τ_v, ms.
        tau_v: f64,
    },
}

/// The one place where a neuron becomes its flow over a step: each model gets a program of its own.
macro_rules! with_flow {
    ($neuron:expr, $dt:expr, |$flow:ident| $body:expr) => {
        match $neuron {
            $crate::neuron::Neuron::Nif => {
                let $flow = $crate::neuron::Nif.over($dt);
                $body
            }
            $crate::neuron::Neuron::Lif { tau_v } => {
                let $flow = $crate::neuron::Lif { tau_v }.over($dt);
                $body
            }
            $crate::neuron::Neuron::Qif { tau_v } => {
                let $flow = $crate::neuron::Qif { tau_v }.over($dt);
                $body
            }
        }
    };
}
pub(crate) use with_flow;

/// Whether every |i| is below `limit`.
#[inline(always)]
fn all_within<X: Float>(i: &[X], limit: f64) -> bool {
    let mut all = i[0].magnitude().below(limit);
    for &i in &i[1..] {
        all = X::both(&all, &i.magnitude().below(limit));
    }
    X::all(&all)
}

/// [`Flow::phi_row`] by the cheaper flow where every current of the row allows it.
#[inline(always)]
fn phi_row_by_currents<F: Flow, X: Float>(flow: &F, (v, i): (&[X], &[X]), vpre: &mut [X]) {
    let (limit, near) = flow.near();
    if all_within(i, limit) {
        return near.phi_row((v, i), vpre);
    }
    let flow = *flow;
    for ((&v, &i), vpre) in v.iter().zip(i).zip(vpre) {
        *vpre = flow.phi(v, i);
    }
}

/// [`Flow::phi_and_slopes_row`], likewise.
#[inline(always)]
fn phi_and_slopes_row_by_currents<F: Flow, X: Float>(
    flow: &F,
    (v, i): (&[X], &[X]),
    vpre: &mut [X],
    (dv, di): (&mut [X], &mut [X]),
) {
    let (limit, near) = flow.near();
    if all_within(i, limit) {
        return near.phi_and_slopes_row((v, i), vpre, (dv, di));
    }
    let flow = *flow;
    for (((&v, &i), vpre), (dv, di)) in v.iter().zip(i).zip(vpre).zip(dv.iter_mut().zip(di)) {
        *vpre = flow.phi(v, i);
        (*dv, *di) = flow.slopes(v, i);
    }
}

impl Neuron {
    /// Where a neuron starts when no state is given: 0 for NIF and LIF, 1/2 for QIF.
    pub fn resting_potential(&self) -> f64 {
        match self {
            Neuron::Nif | Neuron::Lif { .. } => 0.0,
            Neuron::Qif { .. } => 0.5,
        }
    }

    /// The steady current, in units of 1/τ_m, under which a neuron spikes `spikes` times in τ_m.
    pub fn steady_current(&self, spikes: f64) -> f64 {
        match self {
            Neuron::Nif => spikes,
            // Every τ_v ln(V/(V − 1)), V = τ_v I.
            Neuron::Lif { .. } => 1.0 / -(-1.0 / spikes).exp_m1(),
            // √(4 I/τ_v) times a ms.
            Neuron::Qif { .. } => (0.5 * spikes).powi(2),
        }
    }

    /// Membrane time constant, ms; `None` for NIF, which has none.
    pub fn tau(&self) -> Option<f64> {
        match *self {
            Neuron::Nif => None,
            Neuron::Lif { tau_v } | Neuron::Qif { tau_v } => Some(tau_v),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match *self {
            Neuron::Nif => Ok(()),
            Neuron::Lif { tau_v } | Neuron::Qif { tau_v } => {
                positive("tau_v", tau_v, "give the membrane time constant in ms")
            }
        }
    }

    /// φ over `dt` ms; see [`Flow::phi`].
    pub fn phi<X: Number>(&self, v: X, i: X, dt: f64) -> X {
        with_flow!(*self, dt, |flow| flow.phi(v, i))
    }

    /// The derivatives of φ over `dt` ms; see [`Flow::slopes`].
    pub fn slopes<X: Number>(&self, v: X, i: X, dt: f64) -> (X, X) {
        with_flow!(*self, dt, |flow| flow.slopes(v, i))
    }
}

impl std::fmt::Display for Neuron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Neuron::Nif => write!(f, "NIF"),
            Neuron::Lif { tau_v } => write!(f, "LIF, tau_v {tau_v} ms"),
            Neuron::Qif { tau_v } => write!(f, "QIF, tau_v {tau_v} ms"),
        }
    }
}
