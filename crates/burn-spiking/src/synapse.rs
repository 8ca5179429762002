//! Synapses: how a spike's charge becomes a current that fades.
//!
//! ```text
//! τ_k dsᵏ/dt = −sᵏ + (charge per ms)        one spike adds a amplitude to sᵏ, which then decays by α_k = e^(−dt/τ_k) a step
//! ```
//!
//! In the paper's units the amplitude is 1/τ_k; the layer uses ŝ = τ_k s, whose amplitude is 1.

use crate::error::{ConfigError, positive};
use serde::{Deserialize, Serialize};

/// Steps of the longest delay: each is a row of the state.
const MOST_STEPS: f64 = 10_000.0;

/// One type of synapse of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Synapse {
    /// Time constant τ_k, ms.
    pub tau: f64,
    /// Whether the layer's neurons are connected to each other by this type (whether it has a W_k).
    pub recurrent: bool,
    /// Whether the trajectory gives this type's trace.
    pub readout: bool,
    /// How long a charge is on its way to the neurons that this type connects, ms: whole steps. 0 unless given.
    #[serde(default)]
    pub delay: f64,
}

impl Synapse {
    /// Recurrent and read: the only type of a simple network.
    pub fn new(tau: f64) -> Self {
        Self { tau, recurrent: true, readout: true, delay: 0.0 }
    }

    /// Recurrent, not part of the trajectory.
    pub fn recurrent_only(tau: f64) -> Self {
        Self { tau, recurrent: true, readout: false, delay: 0.0 }
    }

    /// Read, without recurrent weights: a readout's filter.
    pub fn readout_only(tau: f64) -> Self {
        Self { tau, recurrent: false, readout: true, delay: 0.0 }
    }

    /// The same type with a transmission delay: the current that a charge causes in another neuron, not the trace that is read, sets
    /// in `delay` ms later. A layer takes delays of whole steps.
    pub fn with_delay(self, delay: f64) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn check(&self, dt: f64) -> Result<(), ConfigError> {
        positive("synaptic tau", self.tau, "give the synapse's time constant in ms")?;
        let steps = self.delay / dt;
        if !(self.delay >= 0.0 && (steps - steps.round()).abs() <= 1e-6) || steps > MOST_STEPS {
            return Err(ConfigError::Mismatch(format!(
                "a synapse's delay is {} ms, but must be a whole number of steps of {dt} ms, from 0 to {MOST_STEPS}; change the delay or dt",
                self.delay
            )));
        }
        if self.delay > 0.0 && !self.recurrent {
            return Err(ConfigError::Mismatch(format!(
                "a synapse's delay is {} ms, but this type connects no neurons; use Synapse::new or Synapse::recurrent_only",
                self.delay
            )));
        }
        Ok(())
    }

    /// The delay in steps.
    pub(crate) fn delay_steps(&self, dt: f64) -> usize {
        (self.delay / dt).round() as usize
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
        if self.readout {
            write!(f, ", read")?;
        }
        if self.delay > 0.0 {
            write!(f, ", delay {} ms", self.delay)?;
        }
        Ok(())
    }
}
