//! Synapse types: how the charge of a spike becomes a current that decays.
//!
//! ```text
//! τ_k dsᵏ/dt = −sᵏ + (charge per ms)
//! ```
//!
//! One spike adds the amplitude to the trace sᵏ. Each time step multiplies sᵏ by α_k = e^(−dt/τ_k).
//! In the paper's units the amplitude is 1/τ_k. The layer uses the trace ŝᵏ = τ_k sᵏ, whose
//! amplitude is 1.
//!
//! A type connects the layer's neurons to each other, each neuron to itself alone, or no neurons at
//! all ([`Connections`]). Connections of each neuron to itself alone cost O(N) a step. With a
//! negative weight and a long τ they are *spike-frequency adaptation*: each spike of a neuron adds
//! −b to its own current, which then decays with τ.
//!
//! ```text
//! τ_mem dv/dt = … − b ŝ        steady rate r under a current I:  r = f(I − b τ r)        f: f-I curve
//! ```

use crate::error::{ConfigError, finite, positive};
use serde::{Deserialize, Serialize};

/// The longest delay, in steps. Each step of delay is a row of the state.
const MOST_STEPS: f64 = 10_000.0;

/// The longest learned delay, in steps. Each step has a matrix of weights and, in the state, as
/// many rows as steps.
const MOST_LAGS: f64 = 200.0;

/// The neurons that a synapse type connects.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Connections {
    /// None. The type is the filter of a readout.
    None,
    /// The layer's neurons to each other, by the recurrent weights W_k.
    #[default]
    Recurrent,
    /// Each neuron to itself alone, by the self-weights d_k. Wiring, autapses and Dale's law do not
    /// apply to them.
    SelfOnly {
        /// The initial self-weight of every neuron, in units of 1/τ_u; negative for adaptation.
        weight: f64,
        /// Whether the self-weights are learned. If not, they are a frozen parameter.
        learned: bool,
    },
}

/// How connections share learned delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DelayOf {
    /// The synapse type has one delay.
    Type,
    /// Each sending neuron has its own delay.
    Sender,
    /// Each connection has its own delay.
    Connection,
}

/// Delays of a synapse type that are learned. See [`layer::delays`](crate::layer::delays).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedDelays {
    /// How the connections of the type share delays.
    pub of: DelayOf,
    /// The upper limit of the delays, in ms: a whole number of time steps. The lower limit is 0.
    pub longest: f64,
}

impl LearnedDelays {
    /// The number of delays of whole steps, from 0 to the longest.
    pub(crate) fn lags(&self, dt: f64) -> usize {
        (self.longest / dt).round() as usize + 1
    }
}

/// One type of synapse of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Synapse {
    /// The time constant τ_k, in ms.
    pub tau: f64,
    /// The neurons that this type connects.
    pub connections: Connections,
    /// Whether the trajectory contains this type's synaptic trace.
    pub readout: bool,
    /// The transmission delay of the recurrent current, in ms: a whole number of time steps.
    /// Default: 0.
    #[serde(default)]
    pub delay: f64,
    /// The learned delays, if the type has them. `delay` is then 0.
    #[serde(default)]
    pub learned_delays: Option<LearnedDelays>,
}

impl Synapse {
    /// A type that is recurrent and read. A simple network needs only this one.
    pub fn new(tau: f64) -> Self {
        Self { tau, connections: Connections::Recurrent, readout: true, delay: 0.0, learned_delays: None }
    }

    /// A type that is recurrent, but whose trace is not part of the trajectory.
    pub fn recurrent_only(tau: f64) -> Self {
        Self { readout: false, ..Self::new(tau) }
    }

    /// A type that is read, but has no recurrent weights. It is the filter of a readout.
    pub fn readout_only(tau: f64) -> Self {
        Self { connections: Connections::None, ..Self::new(tau) }
    }

    /// A type that connects each neuron to itself alone, by learned self-weights that start from
    /// `weight`, in units of 1/τ_u. Its trace is not part of the trajectory.
    pub fn self_only(tau: f64, weight: f64) -> Self {
        Self { connections: Connections::SelfOnly { weight, learned: true }, ..Self::recurrent_only(tau) }
    }

    /// Spike-frequency adaptation: each spike of a neuron subtracts `strength`, in units of 1/τ_u,
    /// from its own current, and the subtracted current decays with `tau` ms. The strength is
    /// fixed; see [`with_learned_weights`](Self::with_learned_weights).
    pub fn adaptation(tau: f64, strength: f64) -> Self {
        Self::self_only(tau, -strength).with_learned_weights(false)
    }

    /// The same type with self-weights that are learned or fixed. Types of other connections do not
    /// change.
    pub fn with_learned_weights(self, learned: bool) -> Self {
        let connections = match self.connections {
            Connections::SelfOnly { weight, .. } => Connections::SelfOnly { weight, learned },
            other => other,
        };
        Self { connections, ..self }
    }

    /// Whether this type connects the layer's neurons to each other, that is, whether it has
    /// recurrent weights W_k.
    pub fn is_recurrent(&self) -> bool {
        self.connections == Connections::Recurrent
    }

    /// The same type with a transmission delay, in ms. The recurrent current that a charge causes
    /// starts `delay` ms later; the trace that is read has no delay. A layer accepts only delays of
    /// whole time steps.
    pub fn with_delay(self, delay: f64) -> Self {
        Self { delay, ..self }
    }

    /// The same type with learned delays of up to `longest` ms, which must be a whole number of
    /// time steps. A step costs time and memory for each step of `longest`, so choose it no longer
    /// than the task needs. See [`layer::delays`](crate::layer::delays).
    pub fn with_learned_delays(self, of: DelayOf, longest: f64) -> Self {
        Self { learned_delays: Some(LearnedDelays { of, longest }), ..self }
    }

    pub(crate) fn check(&self, dt: f64) -> Result<(), ConfigError> {
        positive("synaptic tau", self.tau, "give the synapse's time constant in ms")?;
        let refused = |why: String| Err(ConfigError::Mismatch(format!("a synapse's {why}")));
        let whole = |delay: f64| delay >= 0.0 && (delay / dt - (delay / dt).round()).abs() <= 1e-6;
        if !whole(self.delay) || self.delay / dt > MOST_STEPS {
            return refused(format!(
                "delay is {} ms, but must be a whole number of steps of {dt} ms, from 0 to {MOST_STEPS}; change the delay or dt, or \
                 take a learned delay, which may be any number between 0 and its longest",
                self.delay
            ));
        }
        if let Some(LearnedDelays { longest, .. }) = self.learned_delays {
            if !whole(longest) || !(1.0..=MOST_LAGS).contains(&(longest / dt).round()) {
                return refused(format!(
                    "longest delay is {longest} ms, but must be a whole number of steps of {dt} ms, from 1 to {MOST_LAGS}; change it or dt"
                ));
            }
            if !self.is_recurrent() {
                return refused(
                    "delays are learned, but this type does not connect the neurons to each other; use Synapse::new or \
                     Synapse::recurrent_only"
                        .into(),
                );
            }
            if self.delay > 0.0 {
                return refused(format!(
                    "delay is {} ms, but the synapse also has learned delays; leave out with_delay, and set learned delays by \
                     SpikingRnn::with_delays",
                    self.delay
                ));
            }
        }
        if let Connections::SelfOnly { weight, .. } = self.connections {
            finite("self-weight", weight, "give the current that a spike adds, in units of 1/tau_mem")?;
        }
        if self.delay > 0.0 && self.connections == Connections::None {
            return refused(format!(
                "delay is {} ms, but this type connects no neurons; use Synapse::new or Synapse::recurrent_only",
                self.delay
            ));
        }
        Ok(())
    }

    /// The delay in steps.
    pub(crate) fn delay_steps(&self, dt: f64) -> usize {
        (self.delay / dt).round() as usize
    }

    /// The number of delays, in steps, that the scan distinguishes: 1, or all from 0 to the longest
    /// learned delay.
    pub(crate) fn lags(&self, dt: f64) -> usize {
        self.learned_delays.map_or(1, |delays| delays.lags(dt))
    }

    /// α = e^(−dt/τ), the share of the trace that is left after a step.
    pub(crate) fn decay(&self, dt: f64) -> f64 {
        (-dt / self.tau).exp()
    }
}

impl std::fmt::Display for Synapse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tau {} ms", self.tau)?;
        match self.connections {
            Connections::None => {}
            Connections::Recurrent => write!(f, ", recurrent")?,
            // The weight itself is a parameter.
            Connections::SelfOnly { .. } => write!(f, ", self-only")?,
        }
        if self.readout {
            write!(f, ", read")?;
        }
        if self.delay > 0.0 {
            write!(f, ", delay {} ms", self.delay)?;
        }
        if let Some(LearnedDelays { of, longest }) = self.learned_delays {
            let of = match of {
                DelayOf::Type => "delay",
                DelayOf::Sender => "delay of each sender",
                DelayOf::Connection => "delay of each connection",
            };
            write!(f, ", learned {of} up to {longest} ms")?;
        }
        Ok(())
    }
}
