//! The gate that replaces the all-or-none synapse.
//!
//! ```text
//! τ ds/dt = −s + g(v) dv/dt        g ≥ 0, ∫ g dv = 1, g = 0 outside the active zone
//! ```
//!
//! The active zone is the range of membrane potentials from 1 − `width` to the threshold v = 1.
//! Let u = (v − (1 − width))/width, clamped to [0, 1], and let G be the integral of g. Then:
//!
//! ```text
//! quintic        G = u³ (10 − 15 u + 6 u²)      g = 30 u² (1 − u)² / width
//! raised cosine  G = u − sin(2πu)/2π            g = (1 − cos 2πu) / width
//! threshold      G = 0 below `at`, else 1       g = 0
//! ```
//!
//! A threshold at v = 1 is the ordinary spike. If a gate narrows around the middle of its active
//! zone, its limit is a threshold in that middle: [`Gate::threshold_triggered`]. This threshold
//! sends its charge when the gate has sent half of its own, so on average neither of the two
//! charges is earlier.
//!
//! The width can be learned. Inside the zone u′ = ∂u/∂width = (1 − v)/width², so
//! ∂G/∂width = G′(u) u′.
//!
//! In a time step a neuron sends the charge ΔQ = G(v after) − G(v before), plus 1 for each reset.
//! So a neuron that crosses the whole zone sends a charge of 1 at any speed.
//!
//! Source: Huh & Sejnowski 2017, the gated synapse.

use crate::error::{ConfigError, positive_at_most};
use crate::num::{Constant, Number};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The shape and the width of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Gate {
    /// A polynomial G of degree five. Its g has a continuous derivative.
    Quintic {
        /// The width of the active zone, in (0, 1]. The unit is the membrane potential from reset
        /// (0) to threshold (1).
        width: f64,
    },
    /// One period of a raised cosine. g is smooth except at the two ends of the active zone.
    RaisedCosine {
        /// The width of the active zone, in (0, 1].
        width: f64,
    },
    /// The threshold-triggered synapse, with an active zone of width 0. The neuron sends the whole
    /// charge when its potential passes `at`, and takes it back if the potential falls below `at`
    /// again without a spike. This gate has no gradient, so it runs in the forward pass only,
    /// unless the adjoint is [`MeanField`](crate::Adjoint::MeanField) or
    /// [`Surrogate`](crate::Adjoint::Surrogate).
    Threshold {
        /// The potential at which the neuron sends the charge, in (0, 1]. At 1 the neuron sends it
        /// with the spike, as in most simulators.
        at: f64,
    },
}

impl Gate {
    /// The width of the active zone; 0 for [`Gate::Threshold`].
    pub fn width(&self) -> f64 {
        match *self {
            Gate::Quintic { width } | Gate::RaisedCosine { width } => width,
            Gate::Threshold { .. } => 0.0,
        }
    }

    /// A gate of the same shape with another width. [`Gate::Threshold`] has no width and stays the
    /// same.
    pub fn with_width(&self, width: f64) -> Self {
        match self {
            Gate::Quintic { .. } => Gate::Quintic { width },
            Gate::RaisedCosine { .. } => Gate::RaisedCosine { width },
            Gate::Threshold { .. } => *self,
        }
    }

    /// The limit of this gate if it narrows around the middle of its active zone: a threshold in
    /// that middle. A neuron that crosses the whole zone sends the same charge through both, at the
    /// same time on average. A threshold at the spike (`at: 1.0`) sends it later, by half the time
    /// that the neuron spends in the zone.
    ///
    /// ```
    /// # use burn_spiking::Gate;
    /// let gate = Gate::Quintic { width: 0.1 };
    /// assert_eq!(gate.threshold_triggered(), Gate::Threshold { at: 0.95 });
    /// ```
    pub fn threshold_triggered(&self) -> Self {
        match self {
            Gate::Quintic { width } | Gate::RaisedCosine { width } => Gate::Threshold { at: 1.0 - 0.5 * width },
            Gate::Threshold { .. } => *self,
        }
    }

    /// Whether a network with this gate has a gradient.
    pub fn is_differentiable(&self) -> bool {
        !matches!(self, Gate::Threshold { .. })
    }

    /// Refuses a width or a threshold outside (0, 1].
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Gate::Threshold { at } => {
                positive_at_most("gate threshold", *at, 1.0, "use 1 for charge that is sent at the spike")
            }
            _ => positive_at_most("gate width", self.width(), 1.0, "use Gate::Threshold { at: 1.0 } for width 0"),
        }
    }

    /// The charge G(v) that a neuron has sent when its potential has risen to v, for v < 1. It is 0
    /// below the active zone and rises to 1 at the threshold.
    #[inline(always)]
    pub fn charge<X: Number>(&self, v: X) -> X {
        self.on(&Zone::of(self.width())).charge(v)
    }

    /// The gate g(v) = dG/dv, for v < 1.
    #[inline(always)]
    pub fn density<X: Number>(&self, v: X) -> X {
        self.on(&Zone::of(self.width())).density(v)
    }
}

impl Gate {
    /// The derivative ∂G/∂width of the charge, for v < 1.
    #[inline(always)]
    pub fn charge_by_width<X: Number>(&self, v: X) -> X {
        self.on(&Zone::of(self.width())).charge_by_width(v)
    }

    /// The shape of this gate on another active zone; the gate's own width has no effect.
    #[inline(always)]
    pub(crate) fn on<'a, C>(&self, zone: &'a Zone<C>) -> GateOn<'a, C> {
        match self {
            Gate::Quintic { .. } => GateOn::Quintic(zone),
            Gate::RaisedCosine { .. } => GateOn::RaisedCosine(zone),
            Gate::Threshold { at } => GateOn::Threshold(*at),
        }
    }
}

/// The shape of a gate on a given active zone.
pub(crate) enum GateOn<'a, C> {
    Quintic(&'a Zone<C>),
    RaisedCosine(&'a Zone<C>),
    Threshold(f64),
}

impl<C> GateOn<'_, C> {
    /// [`Gate::charge`].
    #[inline(always)]
    pub(crate) fn charge<X: Number>(&self, v: X) -> X
    where
        C: Constant<X>,
    {
        match self {
            GateOn::Quintic(zone) => quintic::charge(zone.way(v)),
            GateOn::RaisedCosine(zone) => raised_cosine::charge(zone.way(v)),
            GateOn::Threshold(at) => X::select(&v.below(*at), v.zero(), v.one()),
        }
    }

    /// [`Gate::density`].
    #[inline(always)]
    pub(crate) fn density<X: Number>(&self, v: X) -> X
    where
        C: Constant<X>,
    {
        match self {
            GateOn::Quintic(zone) => quintic::density(zone.way(v), *zone),
            GateOn::RaisedCosine(zone) => raised_cosine::density(zone.way(v), *zone),
            GateOn::Threshold(_) => v.zero(),
        }
    }

    /// G and g as functions of u, the position in the active zone from 0 to 1. Both are 0 for
    /// [`Gate::Threshold`], which has no zone.
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    #[inline(always)]
    pub(crate) fn on_the_way<X: Number>(&self, u: X) -> (X, X)
    where
        C: Constant<X>,
    {
        match self {
            GateOn::Quintic(zone) => (quintic::charge(u.clone()), quintic::density(u, *zone)),
            GateOn::RaisedCosine(zone) => (raised_cosine::charge(u.clone()), raised_cosine::density(u, *zone)),
            GateOn::Threshold(_) => (u.zero(), u.zero()),
        }
    }

    /// [`Gate::charge_by_width`].
    #[inline(always)]
    pub(crate) fn charge_by_width<X: Number>(&self, v: X) -> X
    where
        C: Constant<X>,
    {
        match self {
            // ∂G/∂width = G′(u) (1 − v)/width², and g = G′(u)/width.
            GateOn::Quintic(zone) | GateOn::RaisedCosine(zone) => {
                self.density(v.clone()) * zone.inverse.multiply((-v).plus(1.0))
            }
            GateOn::Threshold(_) => v.zero(),
        }
    }
}

impl Default for Gate {
    /// The quintic gate of width 0.5.
    fn default() -> Self {
        Gate::Quintic { width: 0.5 }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gate::Quintic { width } => write!(f, "quintic, width {width}"),
            Gate::RaisedCosine { width } => write!(f, "raised cosine, width {width}"),
            Gate::Threshold { at } => write!(f, "threshold at {at}"),
        }
    }
}

/// An active zone, as the two constants that the shapes of gates are computed from. They are
/// uniform or per neuron.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone<C> {
    /// width − 1.
    pub(crate) offset: C,
    /// 1/width.
    pub(crate) inverse: C,
}

impl<X: Number> Zone<X> {
    /// The active zone of a width above 0. For [`Gate::Threshold`] the width may be any number,
    /// since that gate does not use its zone.
    #[inline(always)]
    pub(crate) fn of(width: X) -> Self {
        Self { inverse: width.one() / width.clone(), offset: width.plus(-1.0) }
    }
}

impl<C> Zone<C> {
    /// Applies a function to both constants.
    #[inline(always)]
    pub(crate) fn map<D>(self, mut f: impl FnMut(C) -> D) -> Zone<D> {
        Zone { offset: f(self.offset), inverse: f(self.inverse) }
    }

    /// u, the position of v in the active zone, from 0 to 1.
    #[inline(always)]
    pub(crate) fn way<X: Number>(&self, v: X) -> X
    where
        C: Constant<X>,
    {
        self.inverse.multiply(self.offset.add_to(v)).within(0.0, 1.0)
    }
}

mod quintic {
    use super::*;

    #[inline(always)]
    pub(super) fn charge<X: Number>(u: X) -> X {
        let shape = u.clone().times(6.0).plus(-15.0) * u.clone();
        u.clone() * u.clone() * u * shape.plus(10.0)
    }

    #[inline(always)]
    pub(super) fn density<X: Number, C: Constant<X>>(u: X, zone: &Zone<C>) -> X {
        let bump = u.clone() * (-u).plus(1.0);
        bump.clone() * zone.inverse.scaled(30.0).multiply(bump)
    }
}

mod raised_cosine {
    use super::*;

    #[inline(always)]
    pub(super) fn charge<X: Number>(u: X) -> X {
        let (sin, _) = u.clone().times(2.0).sin_cos_pi();
        u - sin.times(0.5 / PI)
    }

    #[inline(always)]
    pub(super) fn density<X: Number, C: Constant<X>>(u: X, zone: &Zone<C>) -> X {
        let (_, cos) = u.times(2.0).sin_cos_pi();
        zone.inverse.multiply((-cos).plus(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates() -> impl Iterator<Item = Gate> {
        [0.05, 0.3, 1.0].into_iter().flat_map(|width| [Gate::Quintic { width }, Gate::RaisedCosine { width }])
    }

    #[test]
    fn charge_runs_from_zero_to_one() {
        for gate in gates() {
            let start = 1.0 - gate.width();
            assert_eq!(gate.charge(start - 0.1), 0.0, "{gate}");
            assert!(gate.charge(start).abs() < 1e-15, "{gate}");
            assert!((gate.charge(1.0_f64 - 1e-12) - 1.0).abs() < 1e-10, "{gate}");
            assert!((gate.charge(start + 0.5 * gate.width()) - 0.5).abs() < 1e-14, "{gate}");
        }
    }

    #[test]
    fn density_is_the_derivative_of_charge() {
        for gate in gates() {
            for i in 0..200 {
                let v = -0.3 + i as f64 * 0.0065;
                let h = 1e-6;
                let slope = (gate.charge(v + h) - gate.charge(v - h)) / (2.0 * h);
                assert!((gate.density(v) - slope).abs() < 1e-6 / gate.width().powi(2), "{gate} at {v}");
                assert!(gate.density(v) >= -1e-14, "{gate} at {v}");
            }
        }
    }

    #[test]
    fn charge_by_width_is_the_derivative_by_width() {
        for gate in gates().filter(|gate| gate.width() < 1.0) {
            let with = |width: f64| gate.with_width(width);
            for i in 0..200 {
                let v = -0.3 + i as f64 * 0.0065;
                let h = 1e-6;
                let slope = (with(gate.width() + h).charge(v) - with(gate.width() - h).charge(v)) / (2.0 * h);
                assert!((gate.charge_by_width(v) - slope).abs() < 1e-6 / gate.width().powi(2), "{gate} at {v}");
            }
        }
    }

    #[test]
    fn threshold_sends_nothing_before_the_spike() {
        let spike = Gate::Threshold { at: 1.0 };
        assert_eq!(spike.charge(0.999), 0.0);
        assert_eq!(spike.density(0.999), 0.0);
    }

    #[test]
    fn narrow_gates_become_thresholds_in_the_middle() {
        for gate in gates() {
            let threshold = gate.threshold_triggered();
            let middle = 1.0 - 0.5 * gate.width();
            assert_eq!((threshold.charge(middle - 1e-9), threshold.charge(middle + 1e-9)), (0.0, 1.0), "{gate}");
            assert!((gate.charge(middle) - 0.5).abs() < 1e-14, "{gate}");
            assert_eq!(threshold.threshold_triggered(), threshold);
        }
    }

    #[test]
    fn widths_out_of_range_are_refused() {
        for width in [0.0, -0.1, 1.5, f64::NAN] {
            let message = Gate::Quintic { width }.check().unwrap_err().to_string();
            assert!(message.contains("gate width"), "{message}");
            let message = Gate::Threshold { at: width }.check().unwrap_err().to_string();
            assert!(message.contains("gate threshold"), "{message}");
        }
    }
}
