//! Synapse types: how the charge of a spike becomes a current that decays.
//!
//! ```text
//! τ_k dsᵏ/dt = −sᵏ + (charge per ms)
//! ```
//!
//! One spike adds the amplitude to the trace sᵏ. Each time step multiplies sᵏ by α_k = e^(−dt/τ_k).
//! In the paper's units the amplitude is 1/τ_k. The layer uses the trace ŝᵏ = τ_k sᵏ, whose
//! amplitude is 1.

use crate::error::{ConfigError, positive};
use serde::{Deserialize, Serialize};

/// The longest delay, in steps. Each step of delay is a row of the state.
const MOST_STEPS: f64 = 10_000.0;

/// One type of synapse of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Synapse {
    /// The time constant τ_k, in ms.
    pub tau: f64,
    /// Whether this type connects the layer's neurons to each other, that is, whether it has
    /// recurrent weights W_k.
    pub recurrent: bool,
    /// Whether the trajectory contains this type's synaptic trace.
    pub readout: bool,
    /// The transmission delay of the recurrent current, in ms: a whole number of time steps.
    /// Default: 0.
    #[serde(default)]
    pub delay: f64,
}

impl Synapse {
    /// A type that is recurrent and read. A simple network needs only this one.
    pub fn new(tau: f64) -> Self {
        Self { tau, recurrent: true, readout: true, delay: 0.0 }
    }

    /// A type that is recurrent, but whose trace is not part of the trajectory.
    pub fn recurrent_only(tau: f64) -> Self {
        Self { tau, recurrent: true, readout: false, delay: 0.0 }
    }

    /// A type that is read, but has no recurrent weights. It is the filter of a readout.
    pub fn readout_only(tau: f64) -> Self {
        Self { tau, recurrent: false, readout: true, delay: 0.0 }
    }

    /// The same type with a transmission delay, in ms. The recurrent current that a charge causes
    /// starts `delay` ms later; the trace that is read has no delay. A layer accepts only delays of
    /// whole time steps.
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

    /// α = e^(−dt/τ), the share of the trace that is left after a step.
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
