//! f-I curves: the rate of spikes of a neuron under a steady current.
//!
//! ```text
//! model   rheobase I_r   rate f(I), spikes per ms, y = I − I_r > 0
//! NIF     0              y
//! LIF     1/τ_mem        1/(τ_mem ln(1 + 1/(τ_mem y)))
//! QIF     0              2 √(y/τ_mem)
//! EIF     measured       measured: a table in √y
//! ```
//!
//! The three closed forms are 1 over the time from reset to threshold under the flow. Near its
//! rheobase, a neuron also spikes because of fluctuations, and the mean-field adjoint
//! ([`mean_field`](crate::scan::mean_field)) needs a slope there. So the curve is softened: y is
//! replaced by
//!
//! ```text
//! y = d ln(1 + e^((I − I_r)/d))        dy/dI = 1/(1 + e^(−(I − I_r)/d))
//! ```
//!
//! where d is the softness, 1/ms. Far above the rheobase the curve does not change. Below the
//! rheobase, the rate falls to 0 within a few d. The LIF curve begins as steeply as 1/ln, and would
//! keep a long tail; so its rate is also multiplied by dy/dI.

use crate::num::Number;

/// The f-I curve of a neuron. A user-defined neuron takes one of the closed forms, or
/// [`measured`](RateCurve::measured).
#[derive(Debug, Clone, PartialEq)]
pub struct RateCurve {
    /// I_r, 1/ms.
    rheobase: f64,
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Linear,
    Leaky { tau: f64 },
    Quadratic { tau: f64 },
    Table(Vec<Knot>),
}

/// A knot of a table. If √y is above `root`, the slope of the rate in √y is larger by `steepening`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Knot {
    root: f64,
    steepening: f64,
}

/// The lowest (I − I_r)/d; lower values are raised to it. The rate there is about e^−60.
const LOWEST: f64 = -60.0;

impl RateCurve {
    /// The curve f = I of a neuron that integrates without a leak.
    pub fn linear() -> Self {
        Self { rheobase: 0.0, form: Form::Linear }
    }

    /// The curve of dv/dt = −v/τ_mem + I, τ_mem in ms, above 0.
    pub fn leaky(tau_mem: f64) -> Self {
        Self { rheobase: 1.0 / tau_mem, form: Form::Leaky { tau: tau_mem } }
    }

    /// The curve of a quadratic neuron, f = 2 √(I/τ_mem), τ_mem in ms, above 0.
    pub fn quadratic(tau_mem: f64) -> Self {
        Self { rheobase: 0.0, form: Form::Quadratic { tau: tau_mem } }
    }

    /// A curve from its rheobase and its knots. A knot is a pair (√y, growth): at this √y, the
    /// slope in √y grows by `growth`.
    pub(super) fn table(rheobase: f64, knots: impl Iterator<Item = (f64, f64)>) -> Self {
        let knots = knots.map(|(root, steepening)| Knot { root, steepening });
        Self { rheobase, form: Form::Table(knots.collect()) }
    }

    /// The rheobase I_r: the current above which the neuron spikes for ever, in 1/ms.
    pub fn rheobase(&self) -> f64 {
        self.rheobase
    }

    /// f(I), spikes per ms, under the steady current I, 1/ms.
    ///
    /// - `softness`: d, 1/ms, above 0.
    #[inline(always)]
    pub fn rate<X: Number>(&self, i: X, softness: f64) -> X {
        let (y, dy) = self.softened(i, softness);
        match &self.form {
            Form::Linear => y,
            Form::Leaky { tau } => dy * leaky_rate(y, *tau).0,
            Form::Quadratic { tau } => y.times(4.0 / tau).sqrt(),
            Form::Table(knots) => {
                let root = y.sqrt();
                knots.iter().fold(root.zero(), |rate, knot| {
                    rate + root.clone().plus(-knot.root).within(0.0, f32::MAX as f64).times(knot.steepening)
                })
            }
        }
    }

    /// f′(I), the slope of [`rate`](Self::rate); it has no unit.
    ///
    /// - `softness`: d, 1/ms, above 0.
    #[inline(always)]
    pub fn slope<X: Number>(&self, i: X, softness: f64) -> X {
        let (y, dy) = self.softened(i, softness);
        match &self.form {
            Form::Linear => dy,
            Form::Leaky { tau } => {
                let (rate, slope) = leaky_rate(y, *tau);
                let fall = (-dy.clone()).plus(1.0).times(1.0 / softness);
                dy.clone() * (slope * dy + rate * fall)
            }
            Form::Quadratic { tau } => dy / y.times(*tau).sqrt(),
            Form::Table(knots) => {
                let root = y.sqrt();
                let steepness = knots.iter().fold(root.zero(), |steepness, knot| {
                    // The first knot is at 0, and the root is always above it.
                    let passed = root.below(knot.root);
                    steepness.clone() + X::select(&passed, root.zero(), root.zero().plus(knot.steepening))
                });
                dy * steepness / root.times(2.0)
            }
        }
    }

    /// y and dy/dI.
    #[inline(always)]
    fn softened<X: Number>(&self, i: X, softness: f64) -> (X, X) {
        let u = i.plus(-self.rheobase).times(1.0 / softness).within(LOWEST, f32::MAX as f64);
        let negative = u.below(0.0);
        // e^(−|u|) neither overflows nor loses digits.
        let size = X::select(&negative, -u.clone(), u.clone());
        let fall = (-size).exp();
        let above = X::select(&negative, u.zero(), u);
        let whole = fall.clone().plus(1.0);
        let dy = X::select(&negative, fall.clone(), fall.one()) / whole;
        ((above + fall.ln_1p()).times(softness), dy)
    }
}

/// 1/(τ ln(1 + 1/(τ y))) and its slope.
#[inline(always)]
fn leaky_rate<X: Number>(y: X, tau: f64) -> (X, X) {
    let log = (y.one() / y.clone().times(tau)).ln_1p();
    let slope = (log.clone() * log.clone() * y.clone() * y.times(tau).plus(1.0)).times(tau).reciprocal();
    (log.times(tau).reciprocal(), slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::Eif;

    const EIF: Eif = Eif { tau_mem: 20.0, delta: 0.1, onset: 0.7, substeps: 1 };

    fn curves() -> Vec<RateCurve> {
        vec![
            RateCurve::linear(),
            RateCurve::leaky(20.0),
            RateCurve::quadratic(25.0),
            RateCurve::measured(&EIF).unwrap(),
        ]
    }

    #[test]
    fn slopes_are_those_of_the_rates() {
        for curve in curves() {
            for current in [-0.06_f64, -0.01, 0.003, 0.0203, 0.0602, 0.9] {
                let (h, softness) = (1e-7, 0.005);
                let difference = (curve.rate(current + h, softness) - curve.rate(current - h, softness)) / (2.0 * h);
                let slope = curve.slope(current, softness);
                assert!(
                    (slope - difference).abs() < 1e-5 * (1.0 + slope),
                    "{curve:?} at {current}: {slope}, {difference}"
                );
            }
        }
    }

    #[test]
    fn far_from_the_rheobase_nothing_is_infinite() {
        for curve in curves() {
            for current in [-1e6_f32, -10.0, -0.3, 0.0, 10.0, 1e6] {
                let (rate, slope) = (curve.rate(current, 0.005), curve.slope(current, 0.005));
                assert!(rate.is_finite() && rate >= 0.0, "{curve:?} at {current}: {rate}");
                assert!(slope.is_finite() && slope >= 0.0, "{curve:?} at {current}: {slope}");
            }
        }
    }
}
