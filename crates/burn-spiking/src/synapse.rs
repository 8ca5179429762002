//! Synapses: how a spike's charge becomes a current that fades.
//!
//! ```text
//! τ_k dsᵏ/dt = −sᵏ + (charge per ms)        one spike adds a jump to sᵏ, which then decays by α_k = e^(−dt/τ_k) a step
//! ```
//!
//! In the paper's units the jump is 1/τ_k; the layer uses ŝ = τ_k s, whose jump is 1.

use crate::error::{ConfigError, positive};
use serde::{Deserialize, Serialize};

/// One type of synapse of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Synapse {
    /// Time constant τ_k, ms.
    pub tau: f64,
    /// Whether the layer's neurons are connected to each other by this type (whether it has a W_k).
    pub recurrent: bool,
    /// Whether the trajectory gives this type's trace.
    pub read: bool,
}

impl Synapse {
    /// Recurrent and read: the only type of a simple network.
    pub fn new(tau: f64) -> Self {
        Self { tau, recurrent: true, read: true }
    }

    /// Recurrent, not part of the trajectory.
    pub fn recurrent_only(tau: f64) -> Self {
        Self { tau, recurrent: true, read: false }
    }

    /// Read, without recurrent weights: a readout's filter.
    pub fn read_only(tau: f64) -> Self {
        Self { tau, recurrent: false, read: true }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        positive("synaptic tau", self.tau, "give the synapse's time constant in ms")
    }

    /// α = e^(−dt/τ).
    pub(crate) fn decay(&self, dt: f64) -> f64 {
        (-dt / self.tau).exp()
    }
}

impl std::fmt::Display for Synapse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tau {} ms", self.tau)?;
        if self.recurrent {
            write!(f, ", recurrent")?;
        }
        if self.read {
            write!(f, ", read")?;
        }
        Ok(())
    }
}
