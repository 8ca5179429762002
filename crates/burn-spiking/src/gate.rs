//! The gate that replaces the all-or-none synapse.
//!
//! ```text
//! τ ds/dt = −s + g(v) dv/dt        g ≥ 0, ∫ g dv = 1, g = 0 outside the active zone
//! ```
//!
//! The active zone is the last `width` of the membrane potential before the threshold v = 1. With
//! u = (v − (1 − width))/width, cut to [0, 1], and G the integral of g:
//!
//! ```text
//! quintic        G = u³ (10 − 15 u + 6 u²)      g = 30 u² (1 − u)² / width
//! raised cosine  G = u − sin(2πu)/2π            g = (1 − cos 2πu) / width
//! threshold      G = 0 below `at`, else 1       g = 0
//! ```
//!
//! A threshold at v = 1 is the ordinary spike. Narrow a gate about the middle of its zone instead, and its limit is a threshold there:
//! [`Gate::threshold_triggered`]. It sends when the gate had sent half, on the average neither earlier nor later.
//!
//! The width is a constant that can be learned: with u′ = ∂u/∂width = (1 − v)/width² inside the zone, ∂G/∂width = G′(u) u′.
//!
//! A step sends the charge ΔQ = G(after) − G(before), a reset counting 1, so a full crossing transmits 1 at any speed.
//! Source: Huh & Sejnowski 2017, the gated synapse.

use crate::error::{ConfigError, positive_at_most};
use crate::num::{Constant, Number};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Shape and width of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Gate {
    /// Polynomial of degree five: g has a continuous derivative.
    Quintic {
        /// Width of the active zone, in (0, 1], in units of the membrane potential from reset (0) to threshold (1).
        width: f64,
    },
    /// One period of a raised cosine: every derivative of g but at the two ends is smooth.
    RaisedCosine {
        /// Width of the active zone, in (0, 1].
        width: f64,
    },
    /// Zero width: the threshold-triggered synapse. All charge is sent as the potential passes `at`, and taken back where it falls below
    /// again without a spike. It runs forward only; it has no gradient.
    Threshold {
        /// The potential at which it is sent, in (0, 1]: 1 at the spike, as in most simulators.
        at: f64,
    },
}

impl Gate {
    /// Width of the active zone; 0 for the threshold.
    pub fn width(&self) -> f64 {
        match *self {
            Gate::Quintic { width } | Gate::RaisedCosine { width } => width,
            Gate::Threshold { .. } => 0.0,
        }
    }

    /// A gate of the same shape and another width; the threshold has none.
    pub fn with_width(&self, width: f64) -> Self {
        match self {
            Gate::Quintic { .. } => Gate::Quintic { width },
            Gate::RaisedCosine { .. } => Gate::RaisedCosine { width },
            Gate::Threshold { .. } => *self,
        }
    }

    /// The threshold-triggered synapse that a gate becomes if it is narrowed about the middle of its active zone. A neuron that passes
    /// the whole zone sends the same charge through both, and with a threshold at the spike half the zone's time later.
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

    /// Whether a network with this gate can be differentiated.
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

    /// The charge G(v) that has been sent on the way to v, for v < 1: 0 below the zone, 1 at the threshold.
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
    /// ∂G/∂width, for v < 1: what a wider zone would have sent more.
    #[inline(always)]
    pub fn charge_by_width<X: Number>(&self, v: X) -> X {
        self.on(&Zone::of(self.width())).charge_by_width(v)
    }

    /// A gate of this shape on a zone, whatever its own width is.
    #[inline(always)]
    pub(crate) fn on<'a, C>(&self, zone: &'a Zone<C>) -> GateOn<'a, C> {
        match self {
            Gate::Quintic { .. } => GateOn::Quintic(zone),
            Gate::RaisedCosine { .. } => GateOn::RaisedCosine(zone),
            Gate::Threshold { at } => GateOn::Threshold(*at),
        }
    }
}

/// A gate's shape on a zone.
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

    /// G and g from u, the way through the active zone; of gates that have one.
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
            // g = G′(u)/width, and 1 − v is what is left to the threshold.
            GateOn::Quintic(zone) | GateOn::RaisedCosine(zone) => {
                self.density(v.clone()) * zone.inverse.multiply((-v).plus(1.0))
            }
            GateOn::Threshold(_) => v.zero(),
        }
    }
}

impl Default for Gate {
    /// Quintic, width 0.5.
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

/// Where an active zone is, in what its shapes are computed from: numbers, or such as each neuron has of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone<C> {
    /// width − 1.
    pub(crate) offset: C,
    /// 1/width.
    pub(crate) inverse: C,
}

impl<X: Number> Zone<X> {
    /// Of a width above 0; of any, where the gate is the threshold.
    #[inline(always)]
    pub(crate) fn of(width: X) -> Self {
        Self { inverse: width.one() / width.clone(), offset: width.plus(-1.0) }
    }
}

impl<C> Zone<C> {
    /// The same of other numbers.
    #[inline(always)]
    pub(crate) fn map<D>(self, mut f: impl FnMut(C) -> D) -> Zone<D> {
        Zone { offset: f(self.offset), inverse: f(self.inverse) }
    }

    /// The way through the active zone, from 0 to 1.
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
