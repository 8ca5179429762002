//! How a network gets its gradient: exactly, with an adjoint that forgets, or by a surrogate.

use burn_spiking::{Adjoint, Gate, Surrogate};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A surrogate derivative of spikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SurrogateName {
    /// The derivative of a fast sigmoid (SuperSpike).
    FastSigmoid,
    /// The derivative of an arc tangent.
    ArcTangent,
    /// A triangle of height 0.3.
    Triangle,
}

impl SurrogateName {
    /// The surrogate with this slope, or with its usual one.
    fn with_slope(self, slope: Option<f64>) -> Surrogate {
        match self {
            Self::FastSigmoid => Surrogate::FastSigmoid { slope: slope.unwrap_or(25.0) },
            Self::ArcTangent => Surrogate::ArcTangent { slope: slope.unwrap_or(2.0) },
            Self::Triangle => Surrogate::Triangle { slope: slope.unwrap_or(1.0), height: 0.3 },
        }
    }
}

/// The options that choose the gradient. Without any, the recipe of the task decides. It is exact,
/// except for evidence accumulation.
#[derive(clap::Args, Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientOptions {
    /// Share of the adjoint that is kept in each step, in (0, 1]; below 1, the gradient forgets and
    /// is no longer exact [default: 1, for evidence accumulation 0.8]
    #[arg(long, conflicts_with = "surrogate")]
    pub keep: Option<f64>,
    /// Train LIF neurons with a surrogate derivative of spikes, which is not exact, and a threshold
    /// as the gate
    #[arg(long, value_enum, conflicts_with = "width")]
    pub surrogate: Option<SurrogateName>,
    /// Slope of the surrogate, in units of 1/threshold
    #[arg(long, requires = "surrogate")]
    pub slope: Option<f64>,
}

impl GradientOptions {
    /// The gate and the adjoint, with a gate of this width unless there is a surrogate.
    pub fn gate_and_adjoint(&self, width: f64) -> (Gate, Adjoint) {
        match (self.surrogate, self.keep) {
            (Some(name), _) => (Gate::Threshold { at: 1.0 }, Adjoint::Surrogate(name.with_slope(self.slope))),
            (None, Some(1.0)) => (Gate::Quintic { width }, Adjoint::Exact),
            (None, Some(keep)) => (Gate::Quintic { width }, Adjoint::Limited { limit: None, keep }),
            (None, None) => (Gate::Quintic { width }, Adjoint::Exact),
        }
    }
}
