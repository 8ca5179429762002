//! Surrogate gradients: the forward pass of the threshold-triggered synapse with a derivative that
//! it does not have.
//!
//! A neuron that spikes at the threshold sends n_t = max(⌊vpre_t⌋, 0). The derivative of n_t is 0
//! almost everywhere. A surrogate gradient replaces it by a function h of vpre_t − 1, and takes the
//! reset for a constant:
//!
//! ```text
//! forward    v_{t+1} = vpre_t − n_t              ΔQ_t = n_t
//! backward   ∂v_{t+1}/∂v_t = a                   ∂ΔQ_t/∂vpre_t := h(vpre_t − 1)
//!            ∂v_{t+1}/∂I_t = τ_mem (1 − a)       a = e^(−dt/τ_mem)
//! ```
//!
//! The reset counts as a constant, as in snnTorch, which detaches it. Let x = vpre_t − 1. Below the
//! threshold, this is the distance to it. After a spike, it is the number of further spikes plus
//! the rise since the last reset. With β the slope:
//!
//! ```text
//! fast sigmoid   h = 1/(1 + β|x|)²               the derivative of x/(1 + β|x|)
//! arc tangent    h = β/2 / (1 + (πβx/2)²)        the derivative of atan(πβx/2)/π
//! triangle       h = height · max(0, 1 − β|x|)
//! ```
//!
//! **This is not the gradient of any cost.** It is what most of the field trains spiking networks
//! with, and it is here so that the same network, task and optimizer can be trained both ways. In
//! the adjoint of [`scan`](super), λpre_t = λ_{t+1} + h(vpre_t − 1) μ_t and
//! λ_t = v′_t + a λpre_t: the slopes of the flow are those of a step without a spike, and nothing
//! is taken back from v_t.
//!
//! Sources: Zenke & Ganguli 2018 (SuperSpike, the fast sigmoid); Fang et al. 2021 (arc tangent);
//! Bellec et al. 2018 (triangle); Neftci, Mostafa & Zenke 2019 (review).

use crate::error::{ConfigError, positive};
use crate::neuron::Neuron;
use crate::neuron::membrane::Membrane;
use crate::num::Number;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The function in the place of the derivative of a spike. See [`surrogate`](self).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Surrogate {
    /// The derivative of a fast sigmoid, 1/(1 + β|x|)²: SuperSpike.
    FastSigmoid {
        /// β, above 0, such as 25, the default of snnTorch.
        slope: f64,
    },
    /// The derivative of an arc tangent, β/2 / (1 + (πβx/2)²).
    ArcTangent {
        /// β, above 0, such as 2, the default of snnTorch.
        slope: f64,
    },
    /// A triangle, height · max(0, 1 − β|x|).
    Triangle {
        /// β, above 0, the inverse of the width of each side.
        slope: f64,
        /// The height, above 0. Bellec et al. use 0.3.
        height: f64,
    },
}

impl Surrogate {
    /// β.
    pub fn slope(&self) -> f64 {
        match *self {
            Self::FastSigmoid { slope } | Self::ArcTangent { slope } | Self::Triangle { slope, .. } => slope,
        }
    }

    /// Refuses invalid numbers.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        positive("the surrogate's slope", self.slope(), "give it in units of 1/threshold, such as 25")?;
        match *self {
            Self::Triangle { height, .. } => positive("the surrogate's height", height, "use 1, or 0.3 as in LSNN"),
            _ => Ok(()),
        }
    }

    /// h at x = vpre − 1.
    #[inline(always)]
    pub fn density<X: Number>(&self, x: X) -> X {
        match *self {
            Self::FastSigmoid { slope } => {
                let root = magnitude(x).times(slope).plus(1.0).reciprocal();
                root.clone() * root
            }
            Self::ArcTangent { slope } => {
                let x = x.times(0.5 * PI * slope);
                (x.clone() * x).plus(1.0).reciprocal().times(0.5 * slope)
            }
            Self::Triangle { slope, height } => (-magnitude(x)).times(slope).plus(1.0).within(0.0, 1.0).times(height),
        }
    }

    /// The integral of h from 0 to x.
    pub(crate) fn integral<X: Number>(&self, x: X) -> X {
        match *self {
            Self::FastSigmoid { slope } => x.clone() / magnitude(x).times(slope).plus(1.0),
            Self::ArcTangent { slope } => {
                let one = x.one();
                x.times(0.5 * PI * slope).atan2_pi(one)
            }
            Self::Triangle { slope, height } => {
                let x = x.within(-1.0 / slope, 1.0 / slope);
                let bent = x.clone() * magnitude(x.clone());
                (x - bent.times(0.5 * slope)).times(height)
            }
        }
    }
}

#[inline(always)]
fn magnitude<X: Number>(x: X) -> X {
    X::select(&x.below(0.0), -x.clone(), x)
}

impl std::fmt::Display for Surrogate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FastSigmoid { slope } => write!(f, "fast sigmoid, slope {slope}"),
            Self::ArcTangent { slope } => write!(f, "arc tangent, slope {slope}"),
            Self::Triangle { slope, height } => write!(f, "triangle, slope {slope}, height {height}"),
        }
    }
}

/// (∂v_{t+1}/∂v_t, ∂v_{t+1}/∂I_t) of a step without a spike; `None` for neurons that surrogate
/// gradients do not serve.
pub(crate) fn slopes_without_spike(neuron: &Neuron, dt: f64) -> Option<(f64, f64)> {
    match neuron {
        Neuron::Nif => Some((1.0, dt)),
        Neuron::Lif { tau_mem } => {
            let membrane = Membrane::of(*tau_mem, dt);
            Some((membrane.decay, tau_mem * membrane.complement))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Surrogate; 3] {
        [
            Surrogate::FastSigmoid { slope: 7.0 },
            Surrogate::ArcTangent { slope: 2.0 },
            Surrogate::Triangle { slope: 1.5, height: 0.3 },
        ]
    }

    #[test]
    fn the_density_is_the_derivative_of_the_integral() {
        for surrogate in all() {
            for at in -40..40 {
                let (x, h) = (at as f64 * 0.041 + 0.003, 1e-6);
                let slope = (surrogate.integral(x + h) - surrogate.integral(x - h)) / (2.0 * h);
                assert!((surrogate.density(x) - slope).abs() < 1e-8, "{surrogate} at {x}");
            }
        }
    }

    #[test]
    fn densities_are_those_of_the_papers() {
        assert_eq!(Surrogate::FastSigmoid { slope: 25.0 }.density(0.04), 0.25);
        assert_eq!(Surrogate::ArcTangent { slope: 2.0 }.density(0.0), 1.0);
        assert_eq!(Surrogate::Triangle { slope: 1.0, height: 0.3 }.density(-0.5), 0.15);
        assert_eq!(Surrogate::Triangle { slope: 1.0, height: 0.3 }.density(1.5), 0.0);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let message = Surrogate::FastSigmoid { slope: 0.0 }.check().unwrap_err().to_string();
        assert!(message.contains("surrogate's slope"), "{message}");
        let message = Surrogate::Triangle { slope: 1.0, height: f64::NAN }.check().unwrap_err().to_string();
        assert!(message.contains("surrogate's height"), "{message}");
    }
}
